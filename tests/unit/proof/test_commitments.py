"""Commitments: opened as a whole or field by field, and telling nothing else."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.proofs import RECORD, record_salt

from tallystick.errors import DisclosureError, EncodingError, StatementError, VerificationError
from tallystick.proof import (
    commit_bytes,
    commit_fields,
    decode_base64url,
    derive_salt,
    encode_base64url,
    flatten,
    open_fields,
    verify_bytes,
    verify_fields,
)
from tallystick.proof._commitments import padded_size

SALT = record_salt()


def test_sizes_are_rounded_up_to_powers_of_two() -> None:
    assert [padded_size(size) for size in (0, 1, 2, 3, 4, 5, 1023, 1024, 1025)] == [
        1,
        1,
        2,
        4,
        4,
        8,
        1024,
        1024,
        2048,
    ]


def test_bytes_open_with_their_own_salt_only() -> None:
    commitment = commit_bytes(b"yes", SALT)
    verify_bytes(commitment, b"yes", SALT)
    for payload, salt in (
        (b"no", SALT),
        (b"yes", bytes(32)),
        (b"yes", SALT[:-1]),
        (b"", SALT),
        (SALT[-1:] + b"yes", SALT[:-1]),
    ):
        with pytest.raises(VerificationError):
            verify_bytes(commitment, payload, salt)


def test_a_commitment_is_no_bare_hash_and_a_salt_needs_key_and_nonce() -> None:
    assert commit_bytes(b"yes", SALT) != hashlib.sha256(b"yes").digest()
    assert derive_salt(b"k" * 32, b"n" * 16) != derive_salt(b"k" * 32, b"m" * 16)
    assert derive_salt(b"k" * 32, b"n" * 16) != derive_salt(b"l" * 32, b"n" * 16)


@pytest.mark.parametrize(
    ("record", "leaves"),
    [
        ({}, {"": {}}),
        ({"a": 1, "b": {"c": [1, {"d": None}]}}, {"a": 1, "b.c[0]": 1, "b.c[1].d": None}),
        ({"a": [], "b": {}}, {"a": [], "b": {}}),
        ({"a": [[1]]}, {"a[0][0]": 1}),
    ],
)
def test_a_record_is_flattened_to_its_leaves(record: dict[str, Any], leaves: dict[str, Any]) -> None:
    assert flatten(record) == leaves
    assert verify_fields(commit_fields(record, SALT), open_fields(record, SALT, leaves)) == leaves


def deep() -> dict[str, Any]:
    value: Any = 1
    for _ in range(5000):
        value = {"a": value}
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "record",
    [
        [], None, "x", {"a.b": 1}, {"a[0]": 1}, {"a]": 1}, {"": 1}, {"a\x00": 1}, {1: 1}, {"\u00e9": 1}, {"a": 1.5}, {"a": b"x"}, {"a": (1,)},
        {"a": list(range(4097))}, {"a" * 301: 1}, {"a": "\ud800"}, deep(),
    ],
    ids=lambda record: type(record).__name__,
)  # fmt: skip
def test_a_record_outside_the_bounds_is_refused(record: Any) -> None:
    for work in (lambda: commit_fields(record, SALT), lambda: open_fields(record, SALT, ["a"])):
        with pytest.raises(StatementError):
            work()


def test_a_path_opens_all_that_lies_below_it_and_nothing_beside() -> None:
    record = {"a": {"b": 1, "c": [2, 3]}, "ab": 4, "a0": 5}
    commitment = commit_fields(record, SALT)
    for path, shown in (
        ("a", {"a.b": 1, "a.c[0]": 2, "a.c[1]": 3}),
        ("a.c", {"a.c[0]": 2, "a.c[1]": 3}),
        ("a.b", {"a.b": 1}),
    ):
        assert verify_fields(commitment, open_fields(record, SALT, [path])) == shown
    assert verify_fields(commitment, open_fields(record, SALT, [])) == {}


def test_a_field_that_is_not_there_cannot_be_opened() -> None:
    with pytest.raises(DisclosureError) as caught:
        open_fields(RECORD, SALT, ["salary"])
    assert "amount" in caught.value.hint


def test_an_opening_shows_neither_the_record_salt_nor_the_other_fields() -> None:
    text = str(open_fields(RECORD, SALT, ["amount"]))
    for hidden in ("reasons", "rate", "subject", encode_base64url(SALT)):
        assert hidden not in text


def test_the_list_of_hashes_says_nothing_of_the_order_of_fields() -> None:
    first = open_fields({"a": 1, "b": 2}, SALT, ["a"])
    assert first == open_fields({"b": 2, "a": 1}, SALT, ["a"])
    assert first["hashes"] == [
        encode_base64url(raw) for raw in sorted(map(decode_base64url, first["hashes"]))
    ]


def test_equal_values_under_two_paths_have_two_hashes() -> None:
    assert len(set(open_fields({"a": 1, "b": 1}, SALT, [])["hashes"])) == 2


OPENING = open_fields(RECORD, SALT, ["amount"])
FIELD = OPENING["fields"][0]


@pytest.mark.parametrize(
    "opening",
    [
        None, [], 5, {}, {**OPENING, "more": 1}, {**OPENING, "fields": None}, {**OPENING, "fields": [None]}, {**OPENING, "fields": [[]]},
        {**OPENING, "fields": [{**FIELD, "path": 5}]}, {**OPENING, "fields": [{**FIELD, "path": "\ud800"}]},
        {**OPENING, "fields": [{**FIELD, "path": "a\n"}]}, {**OPENING, "fields": [{**FIELD, "path": "a" * 301}]},
        {**OPENING, "fields": [{**FIELD, "salt": "AA"}]}, {**OPENING, "fields": [{**FIELD, "more": 1}]}, {**OPENING, "hashes": "abc"},
        {**OPENING, "hashes": [*OPENING["hashes"], "AA"]}, {**OPENING, "hashes": OPENING["hashes"] + OPENING["hashes"]},
        {**OPENING, "hashes": OPENING["hashes"][::-1]}, {**OPENING, "salt": None},
    ],
    ids=lambda opening: repr(opening)[:30],
)  # fmt: skip
def test_a_malformed_opening_is_refused_as_such(opening: Any) -> None:
    with pytest.raises(EncodingError):
        verify_fields(commit_fields(RECORD, SALT), opening)


def test_an_opening_against_another_commitment_is_refused() -> None:
    with pytest.raises(VerificationError):
        verify_fields(commit_fields({**RECORD, "amount": 1}, SALT), OPENING)
    with pytest.raises(VerificationError):
        verify_fields(b"", OPENING)
