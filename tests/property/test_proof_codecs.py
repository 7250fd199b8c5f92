"""Every codec of `proof`: a parser accepts exactly what its formatter makes, and fails in one family of errors only."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.proofs import (
    CHAIN,
    EAST,
    NORTH,
    RECORD,
    SOUTH,
    Log,
    fixed_randomness,
    make_log,
    make_policy,
    record_salt,
)

from tallystick.errors import TallystickError
from tallystick.proof import (
    NoteKey,
    Party,
    Witness,
    commit_fields,
    decode_base64,
    decode_base64url,
    encode_base64,
    encode_base64url,
    explain_fork,
    flatten,
    fork_of_receipts,
    format_anchor,
    format_bundle,
    format_did_key,
    format_json,
    format_note,
    format_policy,
    format_receipt,
    format_statement,
    open_fields,
    parse_anchor,
    parse_bundle,
    parse_card,
    parse_checkpoint,
    parse_did_key,
    parse_json,
    parse_note,
    parse_policy,
    parse_receipt,
    parse_statement,
    sign_as_author,
    verify,
    verify_author,
    verify_fields,
)
from tallystick.proof._checkpoints import parse_tree_size
from tallystick.proof._forks import fork_of_checkpoints

FAST = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(FAST, max_examples=400)

# Documents of the profile ---------------------------------------------------------------------------------

INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LEAVES = st.none() | st.booleans() | INTEGERS | TEXTS


def nested(depth: int) -> st.SearchStrategy[Any]:
    if depth == 0:
        return LEAVES
    inner = st.deferred(lambda: nested(depth - 1))
    return LEAVES | st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)


DOCUMENTS = nested(8)

JUNK_TEXTS = [
    "",
    "\x00",
    "\n",
    "\ud800",
    "\u202e",
    "é",
    "e\u0301",
    "0",
    "-0",
    "1e5",
    "x" * 600,
    "=",
    "AAAA",
    "/",
    "..",
    "did:key:z",
]
JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2, 2**53 - 1, 2**53, 2**63, 2**64, 10**30, 1.0, 1.5, float("nan"),
    [], {}, [[]], [None], [0], ["a"], [{}], {"a": 1}, {"": 1}, {"é": 1}, *JUNK_TEXTS,
]  # fmt: skip


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += spots(item, (*path, key))
    return found


def edited(value: Any, path: tuple[Any, ...], new: Callable[[Any], Any]) -> Any:
    if not path:
        return new(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = edited(value[path[0]], path[1:], new)
    return copy


@st.composite
def junked(draw: st.DrawFn, document: Any) -> Any:
    """A document with something else in up to two of its places."""
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(spots(document)))
        how = draw(st.sampled_from(["junk", "drop", "add", "text", "deep"]))
        junk = draw(st.sampled_from(JUNK))

        def change(value: Any, how: str = how, junk: Any = junk) -> Any:
            if how == "drop" and isinstance(value, dict) and value:
                return dict(list(value.items())[1:])
            if how == "drop" and isinstance(value, list):
                return value[1:]
            if how == "add" and isinstance(value, dict):
                return {**value, "more": junk}
            if how == "add" and isinstance(value, list):
                return [*value, junk]
            if how == "text" and isinstance(value, str) and isinstance(junk, str):
                return value + junk
            return deep(500) if how == "deep" else junk

        document = edited(document, path, change)
    return document


def dumped(document: Any) -> bytes:
    """JSON that looks canonical, whatever stands in it."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with a few of them changed, dropped, doubled or put elsewhere."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        if not changed:
            break
        place = draw(st.integers(0, len(changed) - 1))
        how = draw(st.sampled_from(["flip", "set", "drop", "insert", "double", "cut"]))
        if how == "flip":
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            changed[place] = draw(st.sampled_from(list(b'\x00\n "{}[]:,+-=/0aA\x7f\x80\xff')))
        elif how == "drop":
            del changed[place : place + draw(st.integers(1, 9))]
        elif how == "insert":
            changed[place:place] = draw(
                st.sampled_from([b"\n", b"\n\n", b" ", b"0", b"=", b"\xe2\x80\x94 ", b"\r"])
            )
        elif how == "double":
            changed[place:place] = changed[place : place + draw(st.integers(1, 80))]
        else:
            del changed[place:]
    return bytes(changed)


# JSON -----------------------------------------------------------------------------------------------------


@THOROUGH
@given(DOCUMENTS)
def test_the_profile_is_rfc_8785_byte_for_byte(document: Any) -> None:
    data = format_json(document)
    assert data == rfc8785.dumps(document)
    assert parse_json(data) == document


@THOROUGH
@given(st.data())
def test_json_is_accepted_only_in_its_one_spelling(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    raw = data.draw(st.one_of(mutated(format_json(document)), junked(document).map(dumped)))
    try:
        value = parse_json(raw)
    except TallystickError:
        return
    assert format_json(value) == raw == rfc8785.dumps(value)


@pytest.mark.parametrize("depth", [8, 9, 1000, 100_000])
def test_depth_is_bounded_whatever_it_is(depth: int) -> None:
    for raw in (b"[" * depth + b"1" + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        if depth <= 8:
            assert format_json(parse_json(raw)) == raw
        else:
            with pytest.raises(TallystickError):
                parse_json(raw)


# Base64, keys and numbers -----------------------------------------------------------------------------------

BASE64_TEXTS = st.text("AQgwzh9+/-_= \n\u00e9", max_size=12)


@THOROUGH
@given(st.binary(max_size=40))
def test_base64_of_both_kinds_comes_back(data: bytes) -> None:
    assert decode_base64(encode_base64(data)) == data
    assert decode_base64url(encode_base64url(data), size=len(data)) == data


@THOROUGH
@given(BASE64_TEXTS)
def test_base64_of_both_kinds_has_one_spelling(text: str) -> None:
    for decode, encode in ((decode_base64, encode_base64), (decode_base64url, encode_base64url)):
        try:
            data = decode(text)
        except TallystickError:
            continue
        assert encode(data) == text


@pytest.mark.parametrize("junk", [*JUNK, b"AAAA", b"", ()], ids=repr)
def test_base64_of_anything_else_is_refused(junk: Any) -> None:
    for decode in (decode_base64, decode_base64url):
        try:
            data = decode(junk)
        except TallystickError:
            continue
        assert isinstance(junk, str)
        assert isinstance(data, bytes)


DID_KEYS = [
    format_did_key(curve, NORTH.card.keys[role])  # type: ignore[index]
    for curve, role in (("ed25519", "log"), ("x25519", "seal"), ("secp256k1", "chain"))
]


@THOROUGH
@given(st.sampled_from(DID_KEYS).flatmap(lambda text: mutated(text.encode())) | st.binary(max_size=60))
def test_a_did_key_has_one_spelling(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    try:
        curve, key = parse_did_key(text)
    except TallystickError:
        return
    assert format_did_key(curve, key) == text


@FAST
@given(st.binary(min_size=32, max_size=33))
def test_every_32_bytes_are_a_key_or_refused(key: bytes) -> None:
    for curve in ("ed25519", "x25519", "secp256k1"):
        text = format_did_key(curve, key)
        try:
            assert parse_did_key(text) == (curve, key)
        except TallystickError:
            continue


@THOROUGH
@given(st.text("0123456789-+ _\u0663\n", max_size=22) | st.integers(-5, 2**64).map(str))
def test_a_tree_size_is_a_plain_decimal_below_its_bound(text: str) -> None:
    try:
        size = parse_tree_size(text)
    except TallystickError:
        return
    assert str(size) == text
    assert 0 <= size < 2**62


VERIFIER_KEY = NoteKey(NORTH.card.witness_name, NORTH.card.keys["witness"], 4).format()


@THOROUGH
@given(mutated(VERIFIER_KEY.encode()))
def test_a_verifier_key_has_one_spelling(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    try:
        key = NoteKey.parse(text)
    except TallystickError:
        return
    assert key.format() == text


# Signed things ----------------------------------------------------------------------------------------------

LOG = make_log()
HEAD = LOG.checkpoint(witnesses=(EAST, SOUTH))
RECEIPT = LOG.receipt(
    3, witnesses=(EAST, SOUTH), anchor=LOG.anchor(6, checkpoint_size=7, noted_by=(EAST,)),
    opening=open_fields(RECORD, record_salt(), ["amount", "reasons"]),
)  # fmt: skip
NOTES = [HEAD.note, NORTH.card.bytes, RECEIPT.anchor.note.encode(), "é\n\n\n— a AAAAAAA=\n".encode()]  # type: ignore[union-attr]


@THOROUGH
@given(st.sampled_from(NOTES).flatmap(mutated) | st.binary(max_size=30))
def test_a_note_has_one_spelling(raw: bytes) -> None:
    try:
        note = parse_note(raw)
    except TallystickError:
        return
    assert format_note(note.text, note.signatures) == raw


@THOROUGH
@given(mutated(HEAD.note))
def test_a_checkpoint_has_one_spelling(raw: bytes) -> None:
    try:
        checkpoint = parse_checkpoint(raw)
    except TallystickError:
        return
    assert format_note(checkpoint.text, checkpoint.parsed().signatures) == raw == checkpoint.note


CARD_LINES = NORTH.card.bytes.decode().split("\n")


def card_with(document: Any) -> bytes:
    line = dumped(document)
    return CARD_LINES[0].encode() + b"\n" + line + b"\n" + "\n".join(["", *CARD_LINES[3:]]).encode()


@THOROUGH
@given(st.one_of(mutated(NORTH.card.bytes), junked(json.loads(CARD_LINES[1])).map(card_with)))
def test_a_card_has_one_spelling(raw: bytes) -> None:
    try:
        card = parse_card(raw)
    except TallystickError:
        return
    document = {
        "before": card.before, "journal": card.journal, "name": card.name, "number": card.number,
        "keys": {role: encode_base64url(key) for role, key in card.keys.items()}, "party": card.party,
        "revoked": [encode_base64url(key) for key in card.revoked], "since": card.since,
    }  # fmt: skip
    text = f"tallystick/card/v1\n{format_json(document).decode()}\n"
    assert format_note(text, parse_note(raw).signatures) == raw == card.bytes


STATEMENTS = [statement.bytes for statement in LOG.statements[2:5]]
LINKED = format_statement(
    at=1,
    kind="a.b",
    body={},
    origin=NORTH.origin,
    links={"model": [LOG.statements[0].id, LOG.statements[1].id]},
)


@THOROUGH
@given(st.data())
def test_a_statement_has_one_spelling(data: st.DataObject) -> None:
    honest = data.draw(st.sampled_from([*STATEMENTS, LINKED.bytes]))
    raw = data.draw(st.one_of(mutated(honest), junked(json.loads(honest)).map(dumped)))
    try:
        found = parse_statement(raw)
    except TallystickError:
        return
    again = format_statement(
        at=found.at,
        kind=found.kind,
        body=found.body,
        origin=found.origin,
        links=found.links,
        payload=found.payload,
    )
    assert again == found
    assert again.bytes == raw


@THOROUGH
@given(st.data())
def test_what_format_statement_makes_parses_or_is_refused(data: st.DataObject) -> None:
    fields = json.loads(data.draw(st.sampled_from([*STATEMENTS, LINKED.bytes])))
    payload = fields.pop("payload", None)
    del fields["v"]
    changed = data.draw(junked(fields))
    if not isinstance(changed, dict) or set(changed) != set(fields):
        return
    ref = None
    if payload is not None:
        ref = replace(
            LOG.statements[3].payload,
            **{data.draw(st.sampled_from(sorted(payload))): data.draw(st.sampled_from(JUNK))},
        )
    try:
        made = format_statement(**changed, payload=ref)
    except TallystickError:
        return
    assert parse_statement(made.bytes) == made


# Documents --------------------------------------------------------------------------------------------------

RECEIPT_DATA = format_receipt(RECEIPT)


@THOROUGH
@given(st.one_of(mutated(RECEIPT_DATA), junked(json.loads(RECEIPT_DATA)).map(dumped)))
def test_a_receipt_has_one_spelling_and_verifying_it_fails_in_one_way(raw: bytes) -> None:
    try:
        receipt = parse_receipt(raw)
    except TallystickError:
        return
    assert format_receipt(receipt) == raw.removesuffix(b"\n")
    for policy in (None, make_policy()):
        try:
            verify(receipt, policy=policy, payload=None)
        except TallystickError:
            continue


@THOROUGH
@given(junked(format_anchor(RECEIPT.anchor)))  # type: ignore[arg-type]
def test_an_anchor_has_one_form(document: Any) -> None:
    try:
        claim = parse_anchor(document)
    except TallystickError:
        return
    assert dumped(format_anchor(claim)) == dumped(document)


POLICY_DATA = format_policy(make_policy(anchor=replace(CHAIN, endpoints=()), ask=("party", "anchor")))


def loosely(document: Any) -> bytes:
    return json.dumps(document).encode()


@THOROUGH
@given(st.one_of(mutated(POLICY_DATA), junked(json.loads(POLICY_DATA)).map(loosely)))
def test_a_policy_that_is_read_is_written_the_same(raw: bytes) -> None:
    try:
        policy = parse_policy(raw)
    except TallystickError:
        return
    assert parse_policy(format_policy(policy)) == policy


BUNDLE_DATA = format_bundle([RECEIPT, LOG.receipt(1)], {"models/a.bin": b"\x00" * 40})


def _other_zip(how: str) -> bytes:
    """The bundle in other kinds of zip."""
    buffer = io.BytesIO()
    kinds = {"stored": 0, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
    with zipfile.ZipFile(io.BytesIO(BUNDLE_DATA)) as old, zipfile.ZipFile(buffer, "w", kinds[how]) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return buffer.getvalue()


@THOROUGH
@given(
    st.one_of(
        mutated(BUNDLE_DATA),
        st.sampled_from(["stored", "bzip2", "lzma"]).map(_other_zip).flatmap(mutated),
        st.binary(max_size=60),
    )
)
def test_a_bundle_holds_what_it_lists_or_is_refused(raw: bytes) -> None:
    try:
        bundle = parse_bundle(raw)
    except TallystickError:
        return
    assert bundle == parse_bundle(BUNDLE_DATA)
    assert format_bundle(bundle.receipts.values(), bundle.attachments) == BUNDLE_DATA


SPLIT = Log(NORTH, [*LOG.statements[:6], LOG.statements[0]])
FORKS = [
    fork_of_checkpoints(LOG.checkpoint(), SPLIT.checkpoint(), NORTH.cards),
    fork_of_receipts(LOG.receipt(6), SPLIT.receipt(6)),
]


@FAST
@given(
    st.sampled_from(FORKS).flatmap(
        lambda data: st.one_of(mutated(data), junked(json.loads(data)).map(dumped))
    )
)
def test_evidence_of_a_fork_fails_in_one_way(raw: bytes) -> None:
    try:
        sentence = explain_fork(raw)
    except TallystickError:
        return
    assert NORTH.id in sentence


OPENING = open_fields(RECORD, record_salt(), ["amount", "subject"])
COMMITMENT = commit_fields(RECORD, record_salt())
TRUTH = flatten(RECORD)


@THOROUGH
@given(junked(OPENING))
def test_an_opening_shows_what_was_committed_to_or_is_refused(opening: Any) -> None:
    try:
        shown = verify_fields(COMMITMENT, opening)
    except TallystickError:
        return
    assert shown.items() <= TRUTH.items()


AUTHOR = sign_as_author(
    b"I consent",
    signer=NORTH.signer("author"),
    network="pilot",
    origin=EAST.origin,
    randomness=fixed_randomness("a"),
)


@FAST
@given(junked(AUTHOR))
def test_an_authors_part_fails_in_one_way(author: Any) -> None:
    try:
        key, content = verify_author(author, network="pilot", origin=EAST.origin)
    except TallystickError:
        return
    assert (key, content) == (AUTHOR["key"], b"I consent")


@settings(FAST, max_examples=100)
@given(st.data())
def test_a_witness_state_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("witness") / "state"
    witness = Witness.create(EAST, path, clock=lambda: 1_000_000)
    witness.cosign(LOG.checkpoint().note, cards=NORTH.cards, old_size=0, proof=())
    honest = path.read_bytes()
    path.write_bytes(data.draw(st.one_of(mutated(honest), junked(json.loads(honest)).map(dumped))))
    try:
        found = Witness(EAST, path, clock=lambda: 1_000_000)
    except TallystickError:
        return
    assert found.size(NORTH.origin) in (0, 7)


def _key_file(path: Path) -> bytes:
    NORTH.save(path / "keys", "correct horse", n=2)
    return (path / "keys").read_bytes()


@settings(FAST, max_examples=100)
@given(st.data())
def test_a_key_file_is_read_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("keys")
    honest = _key_file(path)
    raw = data.draw(st.one_of(mutated(honest), junked(json.loads(honest)).map(dumped)))
    (path / "keys").write_bytes(raw)
    try:
        found = Party.load(path / "keys", "correct horse")
    except TallystickError:
        return
    assert found == NORTH


# Junk in every place ------------------------------------------------------------------------------------------

ONE_PARTY = format_policy(make_policy(parties=(NORTH,), witnesses=()))
READERS: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "anchor": (format_anchor(RECEIPT.anchor), parse_anchor),  # type: ignore[arg-type]
    "author": (AUTHOR, lambda document: verify_author(document, network="pilot", origin=EAST.origin)),
    "card": (
        {**json.loads(CARD_LINES[1]), "revoked": [encode_base64url(EAST.card.keys["log"])]},
        lambda document: parse_card(card_with(document)),
    ),
    "fork of checkpoints": (json.loads(FORKS[0]), lambda document: explain_fork(dumped(document))),
    "fork of receipts": (json.loads(FORKS[1]), lambda document: explain_fork(dumped(document))),
    "opening": (OPENING, lambda document: verify_fields(COMMITMENT, document)),
    "policy": (json.loads(ONE_PARTY), lambda document: parse_policy(loosely(document))),
    "receipt": (
        json.loads(RECEIPT_DATA),
        lambda document: verify(dumped(document), policy=make_policy()),
    ),
    "statement": (json.loads(STATEMENTS[1]), lambda document: parse_statement(dumped(document))),
}


@pytest.mark.parametrize("name", READERS)
def test_junk_in_any_place_is_refused_in_one_way(name: str) -> None:
    document, read = READERS[name]
    for path in spots(document):
        for junk in (*JUNK, deep(500)):
            for change in (lambda _value, junk=junk: junk, lambda value, junk=junk: _with(value, junk)):
                try:
                    read(edited(document, path, change))
                except TallystickError:
                    continue


def _with(value: Any, junk: Any) -> Any:
    if isinstance(value, list):
        return [*value, junk]
    return {**value, "more": junk} if isinstance(value, dict) else junk
