"""Rotating keys: receipts in people's hands stay true, and a retired key gets nobody's help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.proofs import NORTH, Log, fixed_randomness, make_log

from tallystick.errors import CardError, NoteError
from tallystick.node import Node, WitnessAsk, format_card_file
from tallystick.node._rotation import rotate
from tallystick.proof import Party, PinnedParty, Policy, verify

PASSPHRASE = "correct horse"
TITLE = {"title": "protocol"}


def make(path: Path, name: str) -> Node:
    return Node.init(path, name=name, passphrase=PASSPHRASE, scrypt_n=2**4)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Node]:
    with make(tmp_path / "b", "Hospital B") as node:
        yield node


def test_a_receipt_of_the_head_before_a_rotation_stays_true(tmp_path: Path) -> None:
    with make(tmp_path / "a", "Hospital A") as node:
        receipts = [node.journal.receipt(node.record("document.recorded", TITLE).id) for _ in range(3)]
    rotate(tmp_path / "a", ["log"], passphrase=PASSPHRASE, scrypt_n=2**4)
    with Node.open(tmp_path / "a", passphrase=PASSPHRASE) as node:
        party = node.party
        receipts += [
            node.journal.receipt(receipts[0].statement.id),
            node.journal.receipt(node.record("document.recorded", TITLE).id),
        ]
    policy = Policy("mine", (PinnedParty("A", party.cards),))
    for receipt in receipts:
        assert verify(receipt, policy=policy).standing("party") == "proved"
        assert verify(replace(receipt, cards={party.id: party.cards})).standing("inclusion") == "proved"


def test_a_rotation_of_an_empty_journal_works(tmp_path: Path) -> None:
    make(tmp_path / "a", "Hospital A").close()
    for _ in range(2):
        rotate(tmp_path / "a", ["log", "card"], passphrase=PASSPHRASE, scrypt_n=2**4)
    with Node.open(tmp_path / "a", passphrase=PASSPHRASE) as node:
        node.journal.verify()
        receipt = node.journal.receipt(node.record("document.recorded", TITLE).id)
        assert verify(receipt).standing("inclusion") == "proved"


def ask_of(party: Party, log: Log) -> WitnessAsk:
    return WitnessAsk(log.checkpoint(party=party), party.cards, {})


def test_a_retired_log_key_gets_no_cosignature_by_leaving_the_new_card_out(witness: Node) -> None:
    newer = NORTH.rotate(["log"], size=5, compromised=True, randomness=fixed_randomness("newer"))
    log = make_log()
    witness.import_card(format_card_file(newer.cards))
    with pytest.raises(NoteError):
        witness.cosign(ask_of(NORTH, log))
    assert witness.cosign(ask_of(newer, log)).size == 7


def test_a_witness_that_knows_fewer_cards_takes_those_of_the_ask(witness: Node) -> None:
    newer = NORTH.rotate(["log"], size=5, randomness=fixed_randomness("newer"))
    witness.import_card(format_card_file(NORTH.cards))
    assert witness.cosign(ask_of(newer, make_log())).size == 7


def test_cards_that_contradict_the_known_ones_get_no_cosignature(witness: Node) -> None:
    one, two = (NORTH.rotate(["log"], size=5, randomness=fixed_randomness(seed)) for seed in ("one", "two"))
    witness.import_card(format_card_file(one.cards))
    with pytest.raises(CardError):
        witness.cosign(ask_of(two, make_log()))
