"""Statements written in batches equal those written one by one; a journal is a list that proves itself."""

from __future__ import annotations

import hmac
from hashlib import shake_256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import StatementError
from tallystick.proof import Draft, Journal, Party, _leaves, format_statement, leaf_hash, parse_statement
from tallystick.proof._commitments import (
    commit_bytes,
    commit_fields,
    derive_salt,
    padded_size,
    plain_hashes,
)
from tallystick.proof._drafts import SubjectKey, commit_many, format_drafts, time_of
from tallystick.proof._encoding import decode_base64url, format_json
from tallystick.proof._leaves import salted_hashes
from tallystick.proof._merkle import root_of
from tallystick.proof._statements import PayloadRef
from tallystick.testing import ForgetfulFiles

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
ids = st.binary(min_size=32, max_size=32).map(bytes.hex)
bodies = st.fixed_dictionaries(
    {"title": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)}
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
records = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), json_values, max_size=4)
payloads = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"payload": st.binary(max_size=200), "media": st.sampled_from(["text/plain", "a/b"])}
    ),
    st.fixed_dictionaries({"fields": records}),
)


USUAL_LINKS = [
    {"model": ["ab" * 32], "permit": ["cd" * 32]},
    {"permit": ["cd" * 32], "model": ["ab" * 32]},
    None,
]


@st.composite
def drafts(draw: st.DrawFn, *, keep: bool = False) -> Draft:
    links = draw(
        st.one_of(
            st.none(),
            st.just({}),
            st.sampled_from(USUAL_LINKS).map(lambda links: links and {**links}),
            st.dictionaries(st.sampled_from("ab"), st.lists(ids, min_size=1, max_size=2, unique=True)),
        )
    )
    more: dict[str, Any] = draw(payloads)
    return Draft(
        "document.recorded",
        draw(bodies),
        links,
        subject=draw(st.sampled_from(["", "anna"])),
        keep=draw(st.booleans()) if keep else False,
        **more,
    )


@given(st.lists(drafts(), min_size=1, max_size=6), st.integers(1, 2**53 - 100))
def test_a_batch_equals_its_statements_written_one_by_one(batch: list[Draft], at: int) -> None:
    times = list(range(at, at + len(batch)))
    keys = {"": SubjectKey(b"k" * 32), "anna": SubjectKey(b"a" * 32)}
    nonces = bytes(range(16)) * len(batch)
    refs = commit_many(batch, keys, nonces).refs
    made = format_drafts(batch, times=times, refs=refs, origin=PARTY.origin)
    for draft, ref, data, time in zip(batch, refs, made, times, strict=True):
        payload = PayloadRef(*ref) if ref else None
        whole = format_statement(
            at=time, kind=draft.kind, body=draft.body, origin=PARTY.origin, links=draft.links, payload=payload
        )
        assert whole.bytes == data
        assert parse_statement(data) == whole
        assert time_of(data) == time


@given(st.lists(drafts(), min_size=1, max_size=6), st.binary(min_size=96, max_size=96))
def test_commitments_in_a_batch_equal_those_made_one_by_one(batch: list[Draft], nonces: bytes) -> None:
    keys = {"": SubjectKey(b"k" * 32), "anna": SubjectKey(b"a" * 32)}
    nonces = nonces[: 16 * len(batch)]
    for place, (draft, ref) in enumerate(zip(batch, commit_many(batch, keys, nonces).refs, strict=True)):
        if draft.payload is None and draft.fields is None:
            assert ref is None
            continue
        assert ref is not None
        nonce = nonces[16 * place : 16 * place + 16]
        salt = derive_salt(keys[draft.subject].key, nonce)
        if draft.payload is not None:
            content, wanted = draft.payload, commit_bytes(draft.payload, salt)
        else:
            assert draft.fields is not None
            content, wanted = format_json(dict(draft.fields)), commit_fields(draft.fields, salt)
        commitment, form, _, written, size = ref
        assert decode_base64url(commitment, size=32) == wanted
        assert decode_base64url(written, size=16) == nonce
        assert form == ("bytes" if draft.fields is None else "fields")
        assert size == padded_size(len(content))


@given(st.lists(drafts(keep=True), min_size=1, max_size=6))
def test_what_is_sealed_opens_to_what_was_committed_to(batch: list[Draft]) -> None:
    keys = {"": SubjectKey(b"k" * 32, b"K" * 16), "anna": SubjectKey(b"a" * 32, b"A" * 16)}
    nonces = bytes(range(16 * len(batch)))
    made = commit_many(batch, keys, nonces)
    assert [at for at, _ in made.sealed] == [
        at for at, draft in enumerate(batch) if draft.keep and made.refs[at] is not None
    ]
    for at, content in made.sealed:
        draft, ref, nonce = batch[at], made.refs[at], nonces[16 * at : 16 * at + 16]
        assert ref
        subject = keys[draft.subject]
        assert content[:64] == decode_base64url(ref[0]) + subject.tag + nonce
        key = hmac.digest(subject.key, b"payload\x00" + nonce, "sha256")
        plain = AESGCM(key).decrypt(bytes(12), content[64:], content[:32])
        assert plain == (draft.payload if draft.fields is None else format_json(dict(draft.fields)))


odd_links = st.sampled_from(
    [
        {"model": ("ab" * 32,)},
        {"model": ["AB" * 32]},
        {"model": []},
        {"model": "ab" * 32},
        {"Model": ["ab" * 32]},
        {"model": ["ab" * 32] * 2},
        {"model": ["\ud800"]},
        {1: ["ab" * 32]},
        [("model", ["ab" * 32])],
    ]
)


@given(odd_links, st.sampled_from(USUAL_LINKS))
def test_links_that_are_refused_alone_are_refused_in_a_batch(odd: Any, usual: Any) -> None:
    batch = [Draft("document.recorded", {"title": "x"}, links) for links in (usual, usual, odd)]
    with pytest.raises(StatementError):
        format_drafts(batch, times=[1, 2, 3], refs=[None] * 3, origin=PARTY.origin)


keys_of_records = st.text(st.characters(max_codepoint=0x17F), min_size=0, max_size=4) | st.sampled_from("ab")
odd_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**53), 2**53),
        st.text(),
        st.text(st.characters(codec=None), max_size=3),
        st.floats(),
        st.binary(max_size=3),
        st.sampled_from([(), (1,), b"", {1: 2}, object(), 2**53 - 1, -(2**53), "\ud800", True]),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys_of_records, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(keys_of_records, odd_values, max_size=5), st.binary(min_size=32, max_size=32))
def test_the_quick_hashes_of_fields_equal_the_plain_ones(record: dict[str, Any], salt: bytes) -> None:
    for _ in range(2):  # the second time, its shape is known
        quick = salted_hashes(record, salt)
        try:
            plain = plain_hashes(record, salt)
        except StatementError:
            assert quick is None
            with pytest.raises(StatementError):
                commit_fields(record, salt)
        else:
            list_salt = shake_256(b"tallystick/salts/v1\0" + salt).digest(32)
            assert quick == (list_salt + b"".join(plain) if record else None)


def nested(depth: int, leaf: Any) -> dict[str, Any]:
    value = leaf
    for _ in range(depth):
        value = {"a": value}
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize("leaf", [1, [], {}, [1]], ids=str)
@pytest.mark.parametrize("depth", [1, 6, 7, 8, 9])
def test_records_of_any_depth_are_hashed_or_refused_alike(depth: int, leaf: Any) -> None:
    test = test_the_quick_hashes_of_fields_equal_the_plain_ones.hypothesis.inner_test  # type: ignore[attr-defined]
    test(nested(depth, leaf), b"s" * 32)


@pytest.mark.parametrize(
    "record",
    [
        {"a" * 301: 1},
        {"a" * 300: 1},
        {"a" * 298: [1]},
        {"a" * 297: [1]},
        {"a": [0] * 4096},
        {"a": [0] * 4097},
        {f"k{at}": at for at in range(4097)},
        {f"k{at}": at for at in range(4096)},
        {"a": [[0] * 2048] * 2, "b": []},
        {"a": [[0] * 2048] * 2},
    ],
    ids=range(10),
)
def test_records_at_their_bounds_are_hashed_or_refused_alike(record: dict[str, Any]) -> None:
    test_records_of_any_depth_are_hashed_or_refused_alike(0, record)


def test_what_is_remembered_of_shapes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_leaves, "_PLACE_LIMIT", 50)
    known = _leaves._Places()
    monkeypatch.setattr(_leaves, "_places", known)
    for number in range(100):
        record = {f"key-{number}": number, "list": [number] * (number % 5)}
        salted = salted_hashes(record, b"s" * 32)
        assert salted
        assert salted[32:] == b"".join(plain_hashes(record, b"s" * 32))
        assert known._count <= 60


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.data())
def test_a_journal_is_a_list_that_proves_itself(batches: list[int], data: st.DataObject) -> None:
    files, leaves = ForgetfulFiles(), list[bytes]()
    for size in batches:
        with Journal.open(HOME, party=PARTY, files=files, segment_size=700) as journal:
            entries = journal.append_many(
                [Draft("document.recorded", {"title": f"{at}"}) for at in range(size)]
            )
            leaves += [leaf_hash(entry.bytes) for entry in entries]
            assert journal.size == len(leaves)
            assert journal.root() == root_of(leaves)
    with Journal.read(HOME, party=PARTY, files=files) as reader:
        reader.verify()
        size = data.draw(st.integers(0, len(leaves)))
        assert reader.root(size) == root_of(leaves[:size])
        start = data.draw(st.integers(0, len(leaves)))
        stop = data.draw(st.integers(0, len(leaves)))
        assert [entry.id for entry in reader.entries(start, stop)] == [
            leaf.hex() for leaf in leaves[start:stop]
        ]
