"""Statements: bounded, canonical, named by their leaf hash."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.proofs import NORTH, fields_ref

from tallystick.errors import EncodingError, StatementError, UnknownFormatError
from tallystick.proof import PayloadRef, format_json, format_statement, leaf_hash, parse_statement

REF = fields_ref()
ID = "0" * 64
FIELDS: dict[str, Any] = {
    "at": 5,
    "kind": "a.b",
    "body": {},
    "origin": NORTH.origin,
    "links": {"to": [ID]},
    "payload": REF,
}


def test_a_statement_is_read_back_and_named_by_its_bytes() -> None:
    made = format_statement(**FIELDS)
    assert parse_statement(made.bytes) == made
    assert made.id == leaf_hash(made.bytes).hex()
    assert made.party == NORTH.id
    assert json.loads(made.bytes)["v"] == 1


def test_a_statement_without_payload_says_nothing_of_one() -> None:
    assert b"payload" not in format_statement(**{**FIELDS, "payload": None}).bytes


WRONG: list[dict[str, Any]] = [
    {"at": 0}, {"at": -1}, {"at": 2**53}, {"at": 1.0}, {"at": True}, {"at": "5"}, {"kind": "a"}, {"kind": "A.b"}, {"kind": "a.b\n"},
    {"kind": "a.b.c"}, {"kind": None}, {"body": []}, {"body": None}, {"body": "x"}, {"body": {"a": 1.5}}, {"body": {"\u00e9": 1}},
    {"body": {"a": "\ud800"}}, {"origin": "x"}, {"origin": NORTH.id}, {"origin": NORTH.origin + "\n"}, {"origin": NORTH.id + "/A"},
    {"origin": None}, {"links": {"to": []}}, {"links": {"To": [ID]}}, {"links": {"to": [ID, ID]}}, {"links": {"to": [ID.upper() + "A"]}},
    {"links": {"to": ID}}, {"links": {"to": (ID,)}}, {"links": {1: [ID]}}, {"links": [ID]}, {"links": {"to": [5]}}, {"links": {"to": [[]]}},
    {"links": {"to": [f"{number:064x}" for number in range(401)]}},
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG, ids=lambda change: repr(change)[:40])
def test_a_field_out_of_bounds_is_never_written(change: dict[str, Any]) -> None:
    with pytest.raises(StatementError):
        format_statement(**{**FIELDS, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"form": "other"}, {"form": None}, {"media": "x"}, {"media": "Text/Plain"}, {"media": None}, {"size": 0}, {"size": 3}, {"size": -4},
        {"size": 2**53}, {"size": 2**70}, {"size": True}, {"size": 4.0}, {"nonce": "AAAA"}, {"nonce": "A" * 21 + "B"}, {"nonce": None},
        {"commitment": "A" * 42}, {"commitment": "A" * 42 + "B"}, {"commitment": "+" * 43}, {"commitment": 5},
    ],
    ids=repr,
)  # fmt: skip
def test_a_payload_out_of_bounds_is_never_written_or_read(change: dict[str, Any]) -> None:
    with pytest.raises(StatementError):
        format_statement(**{**FIELDS, "payload": replace(REF, **change)})
    document = json.loads(format_statement(**FIELDS).bytes)
    document["payload"] |= change
    with pytest.raises(EncodingError):
        parse_statement(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_four_hundred_links_are_allowed() -> None:
    links = {"to": [f"{number:064x}" for number in range(400)]}
    assert parse_statement(format_statement(**{**FIELDS, "links": links}).bytes).links == links


def test_a_statement_has_at_most_65535_bytes() -> None:
    spare = 65_535 - len(format_statement(**{**FIELDS, "body": {"a": ""}}).bytes)
    made = format_statement(**{**FIELDS, "body": {"a": "x" * spare}})
    assert len(made.bytes) == 65_535
    assert parse_statement(made.bytes) == made
    with pytest.raises(StatementError):
        format_statement(**{**FIELDS, "body": {"a": "x" * (spare + 1)}})
    with pytest.raises(EncodingError):
        parse_statement(made.bytes.replace(b"xx", b"xxx", 1))


def test_a_body_fills_the_depth_that_is_left() -> None:
    body: Any = 1
    for _ in range(6):
        body = [body]
    made = format_statement(**{**FIELDS, "body": {"a": body}})
    assert parse_statement(made.bytes) == made
    with pytest.raises(StatementError):
        format_statement(**{**FIELDS, "body": {"a": [body]}})


@pytest.mark.parametrize("drop", ["at", "body", "kind", "links", "origin", "v"])
def test_a_missing_or_additional_field_is_refused(drop: str) -> None:
    document = json.loads(format_statement(**FIELDS).bytes)
    more = {**document, "more": 1}
    del document[drop]
    for wrong in (document, more):
        with pytest.raises(EncodingError):
            parse_statement(format_json(wrong))


def test_a_later_version_is_refused_as_such() -> None:
    document = json.loads(format_statement(**FIELDS).bytes)
    with pytest.raises(UnknownFormatError):
        parse_statement(format_json({**document, "v": 2}))


def test_a_payload_is_exactly_its_five_fields() -> None:
    document = json.loads(format_statement(**FIELDS).bytes)
    for payload in (None, [], "x", {}, {**document["payload"], "more": 1}):
        with pytest.raises(EncodingError):
            parse_statement(format_json({**document, "payload": payload}))
    assert isinstance(parse_statement(format_json(document)).payload, PayloadRef)
