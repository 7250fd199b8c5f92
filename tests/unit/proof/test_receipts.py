"""Receipts as files; what they prove stands in tests/attack."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.proofs import EAST, NORTH, RECORD, SOUTH, make_log, record_salt

from tallystick.errors import ReceiptError, TallystickError, UnknownFormatError
from tallystick.proof import format_json, format_receipt, open_fields, parse_receipt
from tallystick.proof._receipts import format_tlog_proof, parse_tlog_proof

LOG = make_log()
PLAIN = LOG.receipt(3)
FULL = LOG.receipt(
    3, witnesses=(EAST, SOUTH), anchor=LOG.anchor(6, checkpoint_size=7, noted_by=(EAST,)),
    opening=open_fields(RECORD, record_salt(), ["amount"]),
)  # fmt: skip
DOCUMENT = json.loads(format_receipt(FULL))


@pytest.mark.parametrize("receipt", [PLAIN, FULL], ids=["plain", "full"])
def test_a_receipt_is_read_back(receipt: Any) -> None:
    assert parse_receipt(format_receipt(receipt)) == receipt
    assert receipt.format() == format_receipt(receipt)


def test_an_opening_can_be_taken_out_again() -> None:
    closed = FULL.without_opening()
    assert closed.opening is None
    assert replace(closed, opening=FULL.opening) == FULL


@pytest.mark.parametrize(
    "change",
    [
        {"cards": None}, {"cards": []}, {"cards": {NORTH.id: []}}, {"cards": {NORTH.id: "x"}}, {"cards": {NORTH.id: [5]}},
        {"cards": {NORTH.id: ["x"]}}, {"cards": {EAST.id: DOCUMENT["cards"][NORTH.id]}}, {"cards": {NORTH.id: DOCUMENT["cards"][NORTH.id] * 65}},
        {"cards": {f"x{number}": DOCUMENT["cards"][NORTH.id] for number in range(65)}}, {"proof": None}, {"proof": ""},
        {"statement": None}, {"statement": "x"}, {"statement": "AAAA"}, {"anchor": None}, {"anchor": []}, {"anchor": {}}, {"opening": None},
        {"opening": []}, {"opening": "x"}, {"more": 1},
    ],
    ids=lambda change: repr(change)[:40],
)  # fmt: skip
def test_a_malformed_receipt_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ReceiptError):
        parse_receipt(format_json({**DOCUMENT, **change}))


def test_other_documents_and_versions_are_refused() -> None:
    for document in ({}, [], None, {**DOCUMENT, "type": "tallystick/fork"}):
        with pytest.raises(ReceiptError):
            parse_receipt(format_json(document))
    with pytest.raises(UnknownFormatError):
        parse_receipt(format_json({**DOCUMENT, "v": 2}))


def test_a_file_above_the_limit_is_not_looked_at() -> None:
    with pytest.raises(ReceiptError):
        parse_receipt(b'"' + b"x" * (8 * 1024 * 1024) + b'"')


PROOF = format_tlog_proof(PLAIN.index, PLAIN.path, PLAIN.checkpoint.note)


def test_a_tlog_proof_is_read_back_and_has_the_published_shape() -> None:
    assert parse_tlog_proof(PROOF) == (PLAIN.index, PLAIN.path, PLAIN.checkpoint)
    lines = PROOF.split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 3"]
    assert lines[5] == ""
    assert PROOF.endswith(PLAIN.checkpoint.note.decode())


def test_a_tree_of_one_has_a_proof_without_a_path() -> None:
    one = make_log(size=1).receipt(0)
    assert parse_receipt(format_receipt(one)) == one


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"), ("index 3", "index 03"), ("index 3", "index -3"), ("index 3", "index  3"), ("index 3", "Index 3"),
        ("index 3\n", ""), ("index 3\n", "extra AAAA\nindex 3\n"), ("index 3\n", "index 3\n\n"), ("index 3\n", "index 3\nAAAA\n"),
        ("index 3\n", "index 3\n" + "A" * 43 + "B\n"), ("=\n\n", "=\n"), ("\n", "\r\n"),
        ("index 3\n", "index 3\n" + ("A" * 43 + "=\n") * 65),
    ],
)  # fmt: skip
def test_another_tlog_proof_is_refused(old: str, new: str) -> None:
    assert old in PROOF
    with pytest.raises(TallystickError):
        parse_tlog_proof(PROOF.replace(old, new))
