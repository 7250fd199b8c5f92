"""Statements written in batches equal those written one by one; a journal is a list that proves itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.proof import Draft, Journal, Party, format_statement, leaf_hash, parse_statement
from tallystick.proof._commitments import commit_bytes, commit_fields, derive_salt, padded_size
from tallystick.proof._drafts import commit_many, format_drafts, time_of
from tallystick.proof._encoding import decode_base64url, format_json
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


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    links = draw(
        st.one_of(
            st.none(),
            st.just({}),
            st.dictionaries(st.sampled_from("ab"), st.lists(ids, min_size=1, max_size=2, unique=True)),
        )
    )
    more: dict[str, Any] = draw(payloads)
    return Draft(
        "document.recorded",
        draw(bodies),
        links,
        subject=draw(st.sampled_from(["", "anna"])),
        keep=False,
        **more,
    )


@given(st.lists(drafts(), min_size=1, max_size=6), st.integers(1, 2**53 - 100))
def test_a_batch_equals_its_statements_written_one_by_one(batch: list[Draft], at: int) -> None:
    times = list(range(at, at + len(batch)))
    keys = {"": b"k" * 32, "anna": b"a" * 32}
    nonces = bytes(range(16)) * len(batch)
    refs = commit_many(batch, keys, nonces)
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
    keys = {"": b"k" * 32, "anna": b"a" * 32}
    nonces = nonces[: 16 * len(batch)]
    for place, (draft, ref) in enumerate(zip(batch, commit_many(batch, keys, nonces), strict=True)):
        if draft.payload is None and draft.fields is None:
            assert ref is None
            continue
        assert ref is not None
        nonce = nonces[16 * place : 16 * place + 16]
        salt = derive_salt(keys[draft.subject], nonce)
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
