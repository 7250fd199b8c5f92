"""Write the conformance vectors from fixed keys: `python scripts/make_vectors.py`. The same bytes every time."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import proofs  # noqa: E402
from tests.made_models import ROWS, make_model  # noqa: E402
from tests.proofs import EAST, NORTH, RECORD, SOUTH, STRANGER, WEST, Log, make_log, make_policy  # noqa: E402

from tallystick.proof import (  # noqa: E402
    NoteKey,
    Receipt,
    cosign_note,
    encode_base64,
    encode_base64url,
    fork_of_growth,
    fork_of_receipts,
    format_did_key,
    format_json,
    format_note,
    format_policy,
    format_receipt,
    open_fields,
    sign_note,
)
from tallystick.proof._forks import fork_of_checkpoints  # noqa: E402
from tallystick.proof._merkle import consistency_path, inclusion_path  # noqa: E402

VECTORS = ROOT / "tests" / "conformance" / "vectors"
LOG = make_log()
ASK = ("party", "witnesses", "anchor", "payload")
OPENING = open_fields(RECORD, proofs.record_salt(), ["amount"])
FULL = LOG.receipt(
    3,
    witnesses=(EAST, SOUTH),
    anchor=LOG.anchor(6, checkpoint_size=7, noted_by=(EAST, SOUTH)),
    opening=OPENING,
)
REVOKED = NORTH.rotate(
    ["log"], size=50, compromised=True, randomness=proofs.fixed_randomness("north after theft")
)
NEWER = NORTH.rotate(
    ["log", "card"], size=5, name="North Clinic", randomness=proofs.fixed_randomness("north 2")
)


def make_json() -> list[dict[str, Any]]:
    accepted = [
        {}, [], 0, -1, 2**53 - 1, "\u20ac$\u000f\nA'B\"\\\\\"/", {"b": 1, "a": [True, None]}, "\x7f\u2028\U0001f600",
        {"~": 1, " ": 2, "A": 3, "a": 4}, [[[[[[[[]]]]]]]],
    ]  # fmt: skip
    refused = [
        b'{"a":1,"a":1}', b"-0", b"1.0", b"1e3", b"NaN", b'{"b":1,"a":2}', b'{"a": 1}', b'"\\u0041"', b"[1,]", b"",
        b"9007199254740992", b'{"\xc3\xa9":1}', b'{"":1}', b'"\\ud800"', b'"\xff"', b"[" * 9 + b"]" * 9, b"[] ", b'"\\/"',
        b"01", b"1" * 5000, b"[" * 3000,
    ]  # fmt: skip
    rows = [{"base64": encode_base64(format_json(value)), "accept": True} for value in accepted]
    return rows + [{"base64": encode_base64(data), "accept": False} for data in refused]


def make_statements() -> list[dict[str, Any]]:
    linked = Log(NORTH)
    linked.record(body={"title": "\u00e9"})
    linked.record(links={"model": [linked.statements[0].id]})
    rows = [
        {"base64": encode_base64(statement.bytes), "id": statement.id, "accept": True}
        for statement in (*LOG.statements[2:5], linked.statements[1])
    ]
    honest = json.loads(LOG.statements[3].bytes)
    payload = honest["payload"]
    changes: list[dict[str, Any]] = [
        {"v": 2}, {"at": 0}, {"at": "1"}, {"kind": "Decision.made"}, {"kind": "decision"}, {"body": []}, {"origin": "me/main"},
        {"links": {"model": []}}, {"links": {"model": ["ab"]}}, {"links": {"Model": ["0" * 64]}}, {"more": 1},
        {"links": {"model": ["0" * 64, "0" * 64]}}, {"origin": honest["origin"].upper()},
        *({"payload": {**payload, **change}} for change in (
            {"form": "other"}, {"size": 3}, {"size": 0}, {"nonce": "AAAA"}, {"commitment": payload["commitment"][:-1]},
            {"media": "text"}, {"more": 1}, {"commitment": payload["commitment"][:-1] + "B"},
        )),
    ]  # fmt: skip
    return rows + [
        {"base64": encode_base64(format_json({**honest, **change})), "accept": False} for change in changes
    ]


def make_keys() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"role": role, "key": key.hex(), "accept": True} for role, key in sorted(NORTH.card.keys.items())
    ]
    for row in rows:
        if row["role"] not in ("chain", "seal"):
            row["did"] = format_did_key("ed25519", bytes.fromhex(row["key"]))
    p = 2**255 - 19
    order_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
    weak = [0, 1, p - 1, p, p + 1, 2, 7, order_8, p - order_8]
    refused = [("log", (y | sign << 255).to_bytes(32, "little")) for y in weak for sign in (0, 1)]
    refused += [("seal", key.to_bytes(32, "little")) for key in (0, 1, p - 1)] + [("seal", b"\x01" * 31)]
    chain = NORTH.card.keys["chain"]
    refused += [
        ("chain", key) for key in (b"\x02" + b"\xff" * 32, b"\x05" + chain[1:], chain[:-1], bytes(33))
    ]
    rows += [{"role": role, "key": key.hex(), "accept": False} for role, key in refused]
    return rows


def make_cards() -> list[dict[str, Any]]:
    text = [card.bytes.decode() for card in NEWER.cards]
    other = [card.bytes.decode() for card in EAST.rotate([], size=9, name="East").cards]
    unsigned = text[1].split("\n\n")[0] + "\n\n" + text[1].split("\n\n")[1].split("\n")[0] + "\n"
    return [
        {"cards": text[:1], "accept": True, "log_keys": {"0": NORTH.card.keys["log"].hex()}},
        {
            "cards": text, "accept": True,
            "log_keys": {"4": NORTH.card.keys["log"].hex(), "5": NEWER.card.keys["log"].hex()},
        },
        *({"cards": cards, "accept": False, "why": why} for cards, why in (
            ([], "no card"), (text[1:], "no first card"), (text[::-1], "order"), ([text[0], text[0]], "twice"),
            ([text[0], other[1]], "another party"), ([text[0], unsigned], "not signed by both card keys"),
            ([text[0].replace("Clinic North", "Clinic Nerth")], "edited"),
            ([text[0].replace('"number":1', '"number":2')], "number"),
            ([text[0].replace("card/v1", "card/v2")], "version"),
        )),
    ]  # fmt: skip


def make_notes() -> list[dict[str, Any]]:
    seed_vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    neumann = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    sofa = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\u2014 example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe"
        "+mbIUBkBIfZ+qnA==\n"
    )
    ognuno = (
        "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u00e8 subito sera.\n\n"
        "\u2014 quasimodo.example/salvatore "
        "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    )
    head = LOG.checkpoint(witnesses=(EAST,))
    log = NoteKey(NORTH.origin, NORTH.card.keys["log"]).format()
    east = NoteKey(EAST.card.witness_name, EAST.card.keys["witness"], 4).format()
    note = head.note.decode()
    text, lines = head.text, head.parsed().signatures
    twice = format_note(text, [*lines, lines[0]]).decode()
    false = format_note(text, [sign_note(text + "x\n", NORTH.origin, NORTH.signer("log"))]).decode()
    moment = cosign_note(text, EAST.card.witness_name, EAST.signer("witness"), time_s=7)
    zero = format_note(text, [lines[0], replace(moment, signature=bytes(8) + moment.signature[8:])]).decode()
    sources = "golang.org/x/mod/sumdb/note, note_test.go"
    rows: list[dict[str, Any]] = [
        {"note": neumann, "keys": [seed_vkey], "signed": [[seed_vkey, 0]], "source": sources},
        {"note": neumann, "keys": [log], "signed": []},
        {"note": ognuno, "keys": [], "signed": [], "source": "C2SP signed-note.md"},
        {"note": sofa, "keys": [], "signed": [], "source": "C2SP tlog-cosignature.md", "size": 20852163},
        {"note": note, "keys": [log, east], "signed": [[log, 0], [east, proofs.TIME_S]], "size": 7},
        {"note": note, "keys": [east], "signed": [[east, proofs.TIME_S]], "size": 7},
    ]
    refused = [
        twice, false, zero, neumann.replace("answer", "Answer"), neumann[:-1], neumann.replace("\n\n", "\n"),
        neumann.replace("\u2014", "-"), neumann.replace("JnAM=", "JnAN="), neumann + "\n", "\x01" + neumann,
        neumann.replace("PeterNeumann ", "Peter Neumann "), neumann.replace("JnAM=\n", "JnAM= \n"), "",
    ]  # fmt: skip
    return rows + [{"note": one, "keys": [seed_vkey, log, east], "refused": True} for one in refused]


def make_tree() -> dict[str, Any]:
    def path_of(hashes: list[bytes]) -> list[str]:
        return [one.hex() for one in hashes]

    leaves = [leaf.hex() for leaf in LOG.leaves()]
    inclusion, consistency = [], []
    for size in range(1, 8):
        for index in range(size):
            path = path_of(inclusion_path(index, size=size, node=LOG.node))
            row = {"index": index, "size": size, "path": path, "root": LOG.root(size).hex()}
            inclusion.append({**row, "accept": True})
            inclusion.append({**row, "index": (index + 1) % size if size > 1 else 1, "accept": False})
            inclusion.append({**row, "path": [*path, "00" * 32], "accept": False})
        for old in range(1, size + 1):
            path = path_of(consistency_path(old, size, node=LOG.node))
            row = {
                "old": old,
                "new": size,
                "path": path,
                "old_root": LOG.root(old).hex(),
                "new_root": LOG.root(size).hex(),
            }
            consistency.append({**row, "accept": True})
            consistency.append({**row, "new_root": "11" * 32, "accept": False})
            consistency.append({**row, "path": [*path, "00" * 32], "accept": False})
    inclusion.append({"index": 0, "size": 0, "path": [], "root": LOG.root(0).hex(), "accept": False})
    consistency.append(
        {
            "old": 0,
            "new": 0,
            "path": [],
            "old_root": LOG.root(0).hex(),
            "new_root": LOG.root(0).hex(),
            "accept": False,
        }
    )
    return {"leaves": leaves, "inclusion": inclusion, "consistency": consistency}


def make_commitments() -> dict[str, Any]:
    salt = proofs.record_salt()
    ref, letter = proofs.fields_ref(), proofs.bytes_ref(b"the letter")
    commitment = {"form": "fields", "commitment": ref.commitment}
    plain = {"form": "bytes", "commitment": letter.commitment}
    text = encode_base64url(salt)
    rows = [
        {**commitment, "opening": OPENING, "shows": {"amount": 1200}},
        {
            **commitment,
            "opening": open_fields(RECORD, salt, ["reasons"]),
            "shows": {"reasons[0]": "age", "reasons[1]": "rate"},
        },
        {
            **plain,
            "opening": {"salt": text, "payload": encode_base64(b"the letter")},
            "shows": encode_base64(b"the letter"),
        },
        {**commitment, "opening": {**OPENING, "fields": OPENING["fields"] * 2}},
        {**commitment, "opening": {**OPENING, "fields": [{**OPENING["fields"][0], "value": 1201}]}},
        {**commitment, "opening": {**OPENING, "fields": [{**OPENING["fields"][0], "path": "rate"}]}},
        {**commitment, "opening": {**OPENING, "hashes": OPENING["hashes"][1:]}},
        {**commitment, "opening": {**OPENING, "hashes": OPENING["hashes"][::-1]}},
        {**commitment, "opening": {**OPENING, "salt": text}},
        {**commitment, "opening": {"salt": text}},
        {**plain, "opening": {"salt": text, "payload": encode_base64(b"the Letter")}},
        {**plain, "opening": {"salt": encode_base64url(bytes(32)), "payload": encode_base64(b"the letter")}},
    ]
    return {
        "subject_key": proofs.SUBJECT_KEY.hex(), "nonce": proofs.NONCE.hex(), "record_salt": salt.hex(), "record": RECORD,
        "leaves": {"amount": 1200, "reasons[0]": "age", "reasons[1]": "rate", "subject.code": "x"},
        "openings": rows,
    }  # fmt: skip


POLICIES = {
    "everything": make_policy(ask=ASK),
    "party": make_policy(),
    "strangers": make_policy(parties=(EAST, SOUTH, WEST), ask=("witnesses",)),
    "local chain": make_policy(anchor=replace(proofs.CHAIN, local=True)),
    "no witnesses": make_policy(witnesses=(), anchor=None),
    "revoked": make_policy(parties=(REVOKED, EAST, SOUTH, WEST)),
    "rotated": make_policy(parties=(NEWER, EAST, SOUTH, WEST)),
}


def make_policies() -> dict[str, Any]:
    base = json.loads(format_policy(POLICIES["everything"]))
    refused: list[dict[str, Any]] = [
        {**base, "v": 2}, {**base, "type": "policy"}, {**base, "more": 1}, {**base, "ask": ["luck"]},
        {**base, "witnesses": {**base["witnesses"], "need": 1}}, {**base, "witnesses": {**base["witnesses"], "need": 4}},
        {**base, "witnesses": {**base["witnesses"], "faulty": 1}}, {**base, "parties": [*base["parties"], base["parties"][0]]},
        {**base, "witnesses": {**base["witnesses"], "parties": ["Nobody"]}},
        {**base, "anchor": {**base["anchor"], "local": True}},
        {name: value for name, value in base.items() if name != "witnesses"},
        {name: value for name, value in base.items() if name != "anchor"},
    ]  # fmt: skip
    texts = [json.dumps(document, indent=1) for document in refused]
    texts.append('{"v": 1, ' + format_policy(POLICIES["party"]).decode()[1:])
    named = {name: format_policy(policy).decode() for name, policy in POLICIES.items()}
    return {"policies": named, "refused": texts}


def make_receipts() -> list[dict[str, Any]]:
    plain = LOG.receipt(3)
    doubtful = replace(plain, cards={NORTH.id: REVOKED.cards})
    fake = make_log(proofs.make_party(NORTH.name, seed="fake north")).receipt(3, witnesses=(EAST, SOUTH))
    split = Log(NORTH, [*LOG.statements[:6], LOG.statements[0]])
    letter = {"salt": encode_base64url(proofs.record_salt()), "payload": encode_base64(b"the letter")}
    anchor = FULL.anchor
    assert anchor is not None
    late = LOG.receipt(3, size=5, anchor=LOG.anchor(7, checkpoint_size=5, noted_by=(EAST, WEST)))
    no = "missing"
    base = {"inclusion": "proved", "party": "proved", "witnesses": no, "anchor": no}
    closed = {**base, "payload": "claimed"}
    full = dict.fromkeys(base, "proved") | {"payload": "proved"}
    seen = {**closed, "witnesses": "claimed", "anchor": "claimed", "payload": "proved", "party": "claimed"}
    good: list[tuple[str, Receipt, str | None, dict[str, str]]] = [
        ("everything is proved", FULL, "everything", full),
        ("without a policy names are claimed", FULL, None, seen),
        ("an embedded chain is its operator's word", FULL, "local chain", {**full, "anchor": "claimed"}),
        ("a policy without witnesses or chain", FULL, "no witnesses", {**seen, "party": "proved"}),
        ("an unpinned party with pinned witnesses", LOG.receipt(0, witnesses=(EAST, WEST)), "strangers",
         {**base, "party": "claimed", "witnesses": "proved"}),
        ("nothing but the journal", plain, "party", closed),
        ("one witness is not enough", LOG.receipt(3, witnesses=(EAST,)), "party", {**closed, "witnesses": "claimed"}),
        ("a stranger's cosignature", LOG.receipt(3, witnesses=(EAST, STRANGER)), "party", {**closed, "witnesses": "claimed"}),
        ("the party's own cosignature", LOG.receipt(3, witnesses=(EAST, NORTH)), "party", {**closed, "witnesses": "claimed"}),
        ("an anchor without a note", replace(FULL, anchor=replace(anchor, note="")), "party", {**full, "anchor": "claimed"}),
        ("an anchor of a later head", late, "party", {**closed, "anchor": "proved"}),
        ("an anchor on another chain", replace(FULL, anchor=replace(anchor, chain_id=1)), "party", {**full, "anchor": "claimed"}),
        ("an opened payload of bytes", LOG.receipt(4, opening=letter), "party", {**base, "payload": "proved"}),
        ("a tree of one", Log(NORTH, LOG.statements[:1]).receipt(0), "party", base),
        ("a revoked key without a policy", doubtful, None, {**closed, "inclusion": "claimed", "party": "claimed"}),
        ("a revoked key that witnesses saw", FULL, "revoked", full),
        ("the log key after a rotation", LOG.receipt(3, checkpoint=LOG.checkpoint(party=NEWER)), "rotated", closed),
    ]  # fmt: skip
    bad: list[tuple[str, Receipt, str | None]] = [
        ("another index", replace(plain, index=2), None),
        ("another checkpoint", replace(plain, checkpoint=LOG.checkpoint(6)), None),
        ("a path too long", replace(plain, path=(*plain.path, bytes(32))), None),
        ("a path of another entry", replace(plain, path=LOG.receipt(2).path), None),
        ("no cards", replace(plain, cards={}), None),
        ("another statement", replace(plain, statement=LOG.statements[2]), None),
        ("signed by a stranger's key", LOG.receipt(3, checkpoint=LOG.checkpoint(party=STRANGER)), None),
        ("calling oneself Clinic North", fake, "party"),
        ("a policy that asks more than is there", plain, "everything"),
        ("the retired log key", plain, "rotated"),
        ("a revoked key alone", plain, "revoked"),
        ("an anchor of a smaller head", replace(FULL, anchor=LOG.anchor(3, checkpoint_size=7)), None),
        ("an anchor of another history", replace(FULL, anchor=replace(anchor, root=split.root())), None),
        ("an anchor with a forged proof", replace(FULL, anchor=replace(anchor, consistency=anchor.consistency[::-1])), None),
        ("a note of another anchor", replace(FULL, anchor=replace(anchor, block=1)), "party"),
        ("a field opened twice", replace(FULL, opening={**OPENING, "fields": OPENING["fields"] * 2}), None),
        ("an opening of nothing", replace(LOG.receipt(0), opening=letter), None),
        ("another payload", LOG.receipt(4, opening={**letter, "payload": encode_base64(b"x")}), None),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"name": name, "receipt": format_receipt(receipt).decode(), "policy": policy, "standings": standings}
        for name, receipt, policy, standings in good
    ]
    rows += [
        {"name": name, "receipt": format_receipt(receipt).decode(), "policy": policy, "refused": True}
        for name, receipt, policy in bad
    ]
    document = json.loads(format_receipt(FULL))
    for name, change in (
        ("a later version", {"v": 2}),
        ("a field more", {"x": 1}),
        ("no proof", {"proof": ""}),
    ):
        text = format_json({**document, **change}).decode()
        rows.append({"name": name, "receipt": text, "policy": None, "refused": True})
    spaced = json.dumps(document)
    return [*rows, {"name": "white space", "receipt": spaced, "policy": None, "refused": True}]


def make_forks() -> list[dict[str, Any]]:
    split = Log(NORTH, [*LOG.statements[:6], LOG.statements[0]])
    later = Log(NORTH, [*split.statements, LOG.statements[1]])
    foreign, growth = make_log(EAST), consistency_path(7, 8, node=later.node)
    proofs_of = [
        fork_of_checkpoints(LOG.checkpoint(), split.checkpoint(), NORTH.cards),
        fork_of_receipts(LOG.receipt(6), split.receipt(6)),
        fork_of_receipts(LOG.receipt(6), later.receipt(6)),
        fork_of_growth(LOG.checkpoint(), later.checkpoint(), NORTH.cards, root=split.root(), proof=growth),
    ]
    nothing = [
        fork_of_checkpoints(LOG.checkpoint(), LOG.checkpoint(), NORTH.cards),
        fork_of_checkpoints(LOG.checkpoint(6), split.checkpoint(7), NORTH.cards),
        fork_of_checkpoints(LOG.checkpoint(), split.checkpoint(party=STRANGER), NORTH.cards),
        fork_of_checkpoints(LOG.checkpoint(), foreign.checkpoint(), NORTH.cards),
        fork_of_receipts(LOG.receipt(5), LOG.receipt(6)),
        fork_of_receipts(LOG.receipt(6), foreign.receipt(6)),
        fork_of_growth(split.checkpoint(), later.checkpoint(), NORTH.cards, root=split.root(), proof=growth),
        fork_of_growth(LOG.checkpoint(), later.checkpoint(), NORTH.cards, root=bytes(32), proof=growth),
        fork_of_growth(later.checkpoint(), LOG.checkpoint(), NORTH.cards, root=split.root(), proof=growth),
    ]
    return [{"fork": data.decode(), "accept": True} for data in proofs_of] + [
        {"fork": data.decode(), "accept": False} for data in nothing
    ]


def make_ethereum() -> dict[str, Any]:
    """Published values: EIP-712's example and Keccak-256 of well-known inputs."""
    mail = {
        "domain": {"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0x" + "Cc" * 20},
        "types": {
            "Person": [["name", "string"], ["wallet", "address"]],
            "Mail": [["from", "Person"], ["to", "Person"], ["contents", "string"]],
        },
        "primary": "Mail",
        "message": {
            "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
            "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
            "contents": "Hello, Bob!",
        },
        "digest": "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2",
        "private_key": "keccak256('cow')",
        "address": "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826",
        "signature": "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
        "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c",
        "source": "EIP-712, Test Cases (Example.js, Example.sol)",
    }
    keccak = {
        "": "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        "abc": "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
        "cow": "c85ef7d79691fe79573b1a7064c19c1a9819ebdbd1faaab1a8ec92344438aaf4",
    }
    return {"eip712": mail, "keccak256": keccak}


def make_models() -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = [
        {"family": "linear"}, {"family": "linear", "labels": 4}, {"family": "perceptron"},
        {"family": "perceptron", "labels": 3}, {"family": "trees", "depth": 2}, {"family": "trees"},
        {"family": "trees", "labels": 3}, {"family": "trees", "depth": 6, "trees": 2},
    ]  # fmt: skip
    rows = []
    for number, options in enumerate(asked):
        model = make_model(options.pop("family"), number, **options)
        answers = [
            {
                "decision": model.decision(model.scores(row)),
                "inputs": model.quantiser.inputs(row),
                "row": row,
                "scores": [str(score) for score in model.scores(row)],
            }
            for row in ROWS
        ]
        rows.append(
            {"answers": answers, "digest": model.digest, "file": model.bytes.decode(), "hash": model.hash}
        )
    return rows


def main() -> None:
    documents: dict[str, Any] = {
        "cards": make_cards(), "commitments": make_commitments(), "ethereum": make_ethereum(), "forks": make_forks(),
        "json": make_json(), "keys": make_keys(), "models": make_models(), "notes": make_notes(), "policies": make_policies(),
        "receipts": make_receipts(), "statements": make_statements(), "tree": make_tree(),
    }  # fmt: skip
    VECTORS.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True)
        (VECTORS / f"{name}.json").write_text(text + "\n")
    (VECTORS / "receipt.receipt.json").write_bytes(format_receipt(FULL) + b"\n")
    (VECTORS / "policy.json").write_bytes(format_policy(POLICIES["everything"]))


if __name__ == "__main__":
    main()
