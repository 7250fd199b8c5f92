"""Anchor claims as receipts carry them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.proofs import EAST, NORTH, make_log

from tallystick.errors import EncodingError, ReceiptError
from tallystick.proof import (
    AnchorClaim,
    anchor_note_text,
    format_anchor,
    journal_id,
    parse_anchor,
    parse_anchor_note_text,
)
from tallystick.proof._checkpoints import parse_tree_size

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
CLAIM = make_log().anchor(6, checkpoint_size=7)
NOTED = make_log().anchor(6, checkpoint_size=7, noted_by=(EAST,))


@pytest.mark.parametrize("claim", [CLAIM, NOTED], ids=["plain", "noted"])
def test_a_claim_is_read_back(claim: AnchorClaim) -> None:
    assert parse_anchor(format_anchor(claim)) == claim
    assert ("note" in format_anchor(claim)) == bool(claim.note)


@pytest.mark.parametrize(
    "change",
    [
        {"block": -1}, {"block": "1"}, {"block": True}, {"chain_id": -1}, {"chain_id": 2**53}, {"size": 0}, {"size": -1}, {"size": 2**62},
        {"size": 1.0}, {"genesis": "0x" + "AB" * 32}, {"genesis": "ab" * 32}, {"genesis": None}, {"block_hash": "0x12"},
        {"contract": "0x" + "AB" * 20}, {"contract": "0x"}, {"contract": None}, {"root": "AA=="}, {"root": None}, {"consistency": None},
        {"consistency": ["AA=="]}, {"consistency": [None]}, {"consistency": {}}, {"note": ""}, {"note": None}, {"note": 5}, {"more": 1},
        {"consistency": [format_anchor(CLAIM)["root"]] * 129},
    ],
    ids=lambda change: repr(change)[:30],
)  # fmt: skip
def test_a_malformed_claim_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ReceiptError):
        parse_anchor({**format_anchor(CLAIM), **change})


@pytest.mark.parametrize("missing", list(format_anchor(CLAIM)))
def test_a_claim_with_a_field_missing_is_refused(missing: str) -> None:
    document = format_anchor(CLAIM)
    del document[missing]
    with pytest.raises(ReceiptError):
        parse_anchor(document)


def test_what_is_no_object_is_no_claim() -> None:
    for document in (None, [], "x", 5):
        with pytest.raises(ReceiptError):
            parse_anchor(document)


def test_every_part_of_a_claim_stands_in_its_note() -> None:
    text = anchor_note_text(CLAIM, NORTH.origin)
    changes: list[dict[str, Any]] = [
        {"chain_id": 1}, {"genesis": "0x"}, {"contract": "0x"}, {"block": 1}, {"block_hash": "0x"}, {"size": 1}, {"root": b""},
    ]  # fmt: skip
    texts = {anchor_note_text(replace(CLAIM, **change), NORTH.origin) for change in changes}
    texts.add(anchor_note_text(CLAIM, EAST.origin))
    assert len(texts | {text}) == len(changes) + 2


def test_an_anchor_note_is_never_a_checkpoint() -> None:
    second = anchor_note_text(CLAIM, NORTH.origin).split("\n")[1]
    with pytest.raises(Exception, match="tree size"):
        parse_tree_size(second)


def test_a_journal_is_named_on_a_chain_by_the_hash_of_its_origin() -> None:
    assert len(journal_id(NORTH.origin)) == 32
    assert journal_id(NORTH.origin) != journal_id(EAST.origin)


def test_the_text_of_an_anchor_note_is_read_back() -> None:
    claim, origin = parse_anchor_note_text(anchor_note_text(CLAIM, NORTH.origin))
    assert (claim, origin) == (replace(CLAIM, consistency=()), NORTH.origin)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/v1", "/v2"), ("chain ", "chain 0"), ("genesis 0x", "genesis 0X"), ("\nsize 6", "\nsize 06"), ("\nsize 6", "\nsize 0"),
        ("\nsize 6", "\nsize 9007199254740992"), ("=\n", "=\n\n"), ("=\n", "="), ("journal ", "journal\n"), ("root ", "root A"),
    ],
)  # fmt: skip
def test_a_text_that_asks_for_something_else_is_refused(old: str, new: str) -> None:
    text = anchor_note_text(CLAIM, NORTH.origin)
    assert text.count(old) == 1
    with pytest.raises(EncodingError):
        parse_anchor_note_text(text.replace(old, new))


def test_a_root_in_another_spelling_is_refused() -> None:
    text = anchor_note_text(CLAIM, NORTH.origin)
    last = text[-3]
    others = [letter for letter in ALPHABET if letter != last]
    read = 0
    for other in others:
        try:
            claim, _ = parse_anchor_note_text(f"{text[:-3]}{other}{text[-2:]}")
        except EncodingError:
            continue
        read += 1
        assert anchor_note_text(claim, NORTH.origin) == f"{text[:-3]}{other}{text[-2:]}"
    assert read == 15  # four bits of that letter count, two must be 0
