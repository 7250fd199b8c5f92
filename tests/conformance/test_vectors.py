"""The vectors that a stranger's verifier is held against: ours and a second one agree on every one of them.

Sources of what is not our own: C2SP signed-note.md and tlog-cosignature.md (their examples), the tests of
golang.org/x/mod/sumdb/note, RFC 8032 section 7.1, the W3C CCG did:key method, EIP-712, RFC 8785.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import second_verifier as second

from tallystick.errors import TallystickError
from tallystick.proof import (
    Ed25519Signer,
    NoteKey,
    Policy,
    Secret,
    chain_address,
    commit_fields,
    decode_base64,
    decode_base64url,
    derive_salt,
    encode_base64,
    explain_fork,
    flatten,
    format_did_key,
    keccak256,
    leaf_hash,
    parse_card,
    parse_checkpoint,
    parse_did_key,
    parse_json,
    parse_note,
    parse_policy,
    parse_statement,
    root_of,
    sign_note,
    typed_data_digest,
    verify,
    verify_bytes,
    verify_cards,
    verify_consistency,
    verify_fields,
    verify_inclusion,
    verify_note,
    verify_typed_data,
)
from tallystick.proof._cards import log_key_at
from tallystick.proof._keys import check_public_key, public_key_of

VECTORS = Path(__file__).parent / "vectors"
TOPICS = ("inclusion", "party", "witnesses", "anchor", "payload")


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def ours(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except TallystickError:
        return None


def theirs(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except second.RefusedError:
        return None


def test_the_vectors_are_what_the_script_makes(tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in sorted(VECTORS.iterdir())}
    script = Path(__file__).parents[2] / "scripts" / "make_vectors.py"
    code = (
        "import runpy, sys, pathlib; space = runpy.run_path(sys.argv[1]);"
        "space['main'].__globals__['VECTORS'] = pathlib.Path(sys.argv[2]); space['main']()"
    )
    subprocess.run([sys.executable, "-c", code, str(script), str(tmp_path)], check=True, timeout=60)
    assert {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())} == before


def test_the_second_verifier_imports_nothing_of_ours() -> None:
    source = (Path(__file__).parent / "second_verifier.py").read_text()
    assert "import tallystick" not in source
    assert "from tallystick" not in source
    assert "from tests" not in source


def test_the_committed_receipt_meets_the_committed_policy() -> None:
    data, policy = (VECTORS / "receipt.receipt.json").read_bytes(), VECTORS / "policy.json"
    report = verify(data, policy=Policy.read(policy))
    assert report.exit_code == 0
    found = second.verify_receipt(data, policy.read_bytes())
    assert found == {topic: report.standing(topic) for topic in TOPICS}
    assert set(found.values()) == {"proved"}


@pytest.mark.parametrize("number", range(len(load("json"))))
def test_json_is_read_or_refused_alike(number: int) -> None:
    row = load("json")[number]
    data = base64.b64decode(row["base64"])
    for read, run in ((parse_json, ours), (second.parse_json, theirs)):
        value = run(lambda read=read: [read(data)])
        assert (value is not None) == row["accept"]
        if row["accept"]:
            assert value == [json.loads(data)]


def test_rfc_8785_examples_within_the_profile_are_in_canonical_form() -> None:
    # RFC 8785 section 3.2.2 and 3.2.3, without the numbers and keys that the profile leaves out.
    text = '{"literals":[null,true,false],"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert parse_json(text.encode())["string"] == '\u20ac$\u000f\nA\'B"\\\\"/'


@pytest.mark.parametrize("number", range(len(load("statements"))))
def test_statements_are_read_or_refused_alike(number: int) -> None:
    row = load("statements")[number]
    data = base64.b64decode(row["base64"])
    statement, other = ours(lambda: parse_statement(data)), theirs(lambda: second.parse_statement(data))
    assert (statement is not None) == (other is not None) == row["accept"]
    if row["accept"]:
        assert statement.id == row["id"] == second.sha(b"\0", data).hex()
        assert other["body"] == statement.body


@pytest.mark.parametrize("row", load("keys"), ids=lambda row: f"{row['role']} {row['key'][:8]}")
def test_keys_are_used_or_refused_alike(row: dict[str, Any]) -> None:
    key = bytes.fromhex(row["key"])
    assert (ours(lambda: [check_public_key(row["role"], key)]) is not None) == row["accept"]
    assert (theirs(lambda: [second.check_key(row["role"], key)]) is not None) == row["accept"]
    if "did" in row:
        assert format_did_key("ed25519", key) == second.did_key(key) == row["did"]
        assert parse_did_key(row["did"]) == ("ed25519", key)


# RFC 8032 section 7.1, tests 1 to 3: secret key, public key, message, signature.
RFC_8032 = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_rfc_8032_keys_sign_as_published(secret: str, public: str, message: str, signature: str) -> None:
    signer = Ed25519Signer(Secret(bytes.fromhex(secret)))
    assert signer.public_key.hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    check_public_key("log", bytes.fromhex(public))


# W3C CCG did:key method, sections on test vectors.
DID_KEYS = [
    ("ed25519", "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
     "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"),
    ("x25519", "did:key:z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F",
     "2fe57da347cd62431528daac5fbb290730fff684afc4cfc2ed90995f58cb3b74"),
    ("secp256k1", "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
     "03874c15c7fda20e539c6e5ba573c139884c351188799f5458b4b41f7924f235cd"),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "text", "key"), DID_KEYS)
def test_published_did_keys_are_read_and_written(curve: str, text: str, key: str) -> None:
    assert parse_did_key(text) == (curve, bytes.fromhex(key))
    assert format_did_key(curve, bytes.fromhex(key)) == text


@pytest.mark.parametrize("number", range(len(load("cards"))))
def test_card_chains_hold_or_are_refused_alike(number: int) -> None:
    row = load("cards")[number]
    chain = ours(lambda: [parse_card(note.encode()) for note in row["cards"]])
    chain = chain and ours(lambda: [*chain, verify_cards(chain)][:-1])
    other = theirs(lambda: second.check_cards(row["cards"]))
    assert bool(chain) == bool(other) == row["accept"]
    for size, key in row.get("log_keys", {}).items():
        assert log_key_at(chain, int(size)).hex() == second.log_key(other, int(size)).hex() == key


@pytest.mark.parametrize("number", range(len(load("notes"))))
def test_notes_hold_or_are_refused_alike(number: int) -> None:
    row = load("notes")[number]
    keys = [NoteKey.parse(text) for text in row["keys"]]
    found = ours(lambda: verify_note(parse_note(row["note"].encode()), keys))
    table: dict[tuple[str, int], list[bytes]] = {}
    for key in keys:
        table.setdefault((key.name, key.type), []).append(key.public_key)
    other = theirs(lambda: second.signers(row["note"].encode(), table))
    if row.get("refused"):
        assert found is other is None
        return
    assert [[key.format(), time_s] for key, time_s in found.items()] == row["signed"]
    assert other == {key.public_key: time_s for key, time_s in found.items()}
    if "size" in row:
        assert (
            parse_checkpoint(row["note"].encode()).size
            == second.parse_checkpoint(row["note"])[1]
            == row["size"]
        )


def test_a_published_signing_key_makes_the_published_note() -> None:
    # golang.org/x/mod/sumdb/note: PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz
    seed = decode_base64("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
    row = load("notes")[0]
    text = row["note"].split("\n\n")[0] + "\n"
    line = sign_note(text, "PeterNeumann", Ed25519Signer(Secret(seed))).line
    assert row["note"] == f"{text}\n{line}\n"


def test_trees_and_proofs_hold_or_are_refused_alike() -> None:
    tree = load("tree")
    leaves = [bytes.fromhex(leaf) for leaf in tree["leaves"]]
    for row in tree["inclusion"]:
        held, other = _included(row, leaves[row["index"]])
        assert held == other == row["accept"]
        if row["accept"]:
            assert row["root"] == root_of(leaves[: row["size"]]).hex()
    for row in tree["consistency"]:
        held, other = _consistent(row)
        assert held == other == row["accept"]


def _included(row: dict[str, Any], leaf: bytes) -> tuple[bool, bool]:
    path, root = [bytes.fromhex(step) for step in row["path"]], bytes.fromhex(row["root"])
    index, size = row["index"], row["size"]
    held = ours(lambda: [verify_inclusion(leaf, index=index, size=size, path=path, root=root)])
    return held is not None, theirs(lambda: second.root_of_path(leaf, index, size, path)) == root


def _consistent(row: dict[str, Any]) -> tuple[bool, bool]:
    path, old, new = [bytes.fromhex(step) for step in row["path"]], row["old"], row["new"]
    roots = {name: bytes.fromhex(row[name]) for name in ("old_root", "new_root")}
    held = ours(lambda: [verify_consistency(old_size=old, new_size=new, path=path, **roots)])
    heads = (old, roots["old_root"]), (new, roots["new_root"])
    return held is not None, theirs(lambda: [second.check_consistency(*heads, path)]) is not None


def test_commitments_open_or_are_refused_alike() -> None:
    document = load("commitments")
    salt = derive_salt(bytes.fromhex(document["subject_key"]), bytes.fromhex(document["nonce"]))
    assert salt.hex() == document["record_salt"]
    assert flatten(document["record"]) == document["leaves"]
    assert commit_fields(document["record"], salt) == second.commit_fields(document["leaves"], salt)
    for row in document["openings"]:
        opening, commitment = row["opening"], decode_base64url(row["commitment"])

        def opened(row: Any = row, opening: Any = opening, commitment: bytes = commitment) -> Any:
            if row["form"] == "fields":
                return verify_fields(commitment, opening)
            content = decode_base64(opening["payload"])
            verify_bytes(commitment, content, decode_base64url(opening["salt"]))
            return encode_base64(content)

        shown = theirs(lambda: second.open_payload(row, opening))  # noqa: B023
        shown = encode_base64(shown) if isinstance(shown, bytes) else shown
        assert ours(opened) == shown == row.get("shows")


def test_policies_are_read_or_refused_alike() -> None:
    document = load("policies")
    for text in document["policies"].values():
        assert ours(lambda: parse_policy(text.encode())) is not None  # noqa: B023
        assert theirs(lambda: second.parse_policy(text.encode())) is not None  # noqa: B023
    for text in document["refused"]:
        assert ours(lambda: parse_policy(text.encode())) is None  # noqa: B023
        assert theirs(lambda: second.parse_policy(text.encode())) is None  # noqa: B023


POLICIES = load("policies")["policies"]
RECEIPTS = load("receipts")


def both(data: bytes, policy: str | None) -> tuple[Any, Any]:
    """Standings by topic that the two verifiers find, None where one refuses."""
    parsed = parse_policy(policy.encode()) if policy else None
    report = ours(lambda: verify(data, policy=parsed))
    found = report and {topic: report.standing(topic) for topic in TOPICS if report.standing(topic)}
    return found, theirs(lambda: second.verify_receipt(data, policy.encode() if policy else None))


@pytest.mark.parametrize("row", RECEIPTS, ids=lambda row: row["name"])
def test_receipts_earn_the_same_words_from_both_verifiers(row: dict[str, Any]) -> None:
    policy = POLICIES[row["policy"]] if row["policy"] else None
    found, other = both(row["receipt"].encode(), policy)
    assert found == other == row.get("standings")


def test_both_verifiers_judge_damaged_receipts_alike() -> None:
    data = RECEIPTS[0]["receipt"].encode()
    chance = random.Random(20261122)
    for place in chance.sample(range(len(data)), 120):
        damaged = data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
        for policy in (None, POLICIES["party"]):
            found, other = both(damaged, policy)
            assert found == other, f"byte {place}"


@pytest.mark.parametrize("number", range(len(load("forks"))))
def test_evidence_of_a_fork_convinces_both_or_neither(number: int) -> None:
    row = load("forks")[number]
    data = row["fork"].encode()
    assert (ours(lambda: explain_fork(data)) is not None) == row["accept"]
    assert (theirs(lambda: [second.check_fork(data)]) is not None) == row["accept"]


def test_keccak_gives_the_published_hashes() -> None:
    for text, digest in load("ethereum")["keccak256"].items():
        assert keccak256(text.encode()).hex() == digest


def test_the_mail_of_eip_712_has_the_published_digest_and_signature() -> None:
    mail = load("ethereum")["eip712"]
    types = {name: [tuple(member) for member in members] for name, members in mail["types"].items()}
    digest = typed_data_digest(
        domain=mail["domain"], types=types, primary=mail["primary"], message=mail["message"]
    )
    assert digest.hex() == mail["digest"]
    key = public_key_of("chain", Secret(keccak256(b"cow")))
    assert chain_address(key) == mail["address"]
    verify_typed_data(key, bytes.fromhex(mail["signature"]), digest)
    with pytest.raises(TallystickError):
        verify_typed_data(key, bytes.fromhex(mail["signature"]), keccak256(b""))


def test_leaf_and_root_hashes_are_those_of_rfc_6962s_reference_tests() -> None:
    # github.com/google/certificate-transparency, test data of the Merkle tree: the empty leaf and the tree of two.
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert (
        root_of([leaf_hash(b""), leaf_hash(b"\0")]).hex()
        == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    )
