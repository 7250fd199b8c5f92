"""A workspace: made, opened, refused when something is wrong; statements, peers, witnesses and receipts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.errors import (
    CardError,
    ConfigurationError,
    ForkError,
    KeyFileError,
    LockedError,
    NotFoundError,
    ReceiptError,
    RollbackError,
    StorageError,
    VerificationError,
    WitnessConflictError,
)
from tallystick.node import Node, format_ask, format_card_file, make_policy, parse_ask, parse_card_file
from tallystick.proof import Party, verify

PASSPHRASE = "correct horse"
TITLE = {"title": "protocol"}


def make(path: Path, name: str) -> Node:
    return Node.init(path, name=name, passphrase=PASSPHRASE, scrypt_n=2**4)


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Node]:
    with make(tmp_path / "a", "Hospital A") as node:
        yield node


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Node]:
    with make(tmp_path / "b", "Hospital B") as node:
        yield node


def introduce(*nodes: Node) -> None:
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.import_card(format_card_file(other.party.cards))


def test_a_workspace_is_found_again_as_it_was_left(tmp_path: Path) -> None:
    with make(tmp_path / "a", "Hospital A") as node:
        entry = node.record("document.recorded", TITLE, payload=b"text")
    with Node.open(tmp_path / "a", passphrase=PASSPHRASE) as again:
        assert (again.name, again.journal.size) == ("Hospital A", 1)
        assert again.journal.payload(entry.id) == b"text"


def test_the_wrong_passphrase_opens_nothing(a: Node) -> None:
    a.close()
    with pytest.raises(KeyFileError):
        Node.open(a.workspace.path, passphrase="wrong")


def test_a_passphrase_may_come_from_the_environment(a: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    a.close()
    with pytest.raises(KeyFileError, match="needs a passphrase"):
        Node.open(a.workspace.path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    Node.open(a.workspace.path).close()


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        Node.init(tmp_path / "a", name="A", passphrase="")


def test_a_directory_in_use_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        make(tmp_path, "Hospital A")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_second_writer_is_refused_and_a_reader_is_not(a: Node) -> None:
    a.record("document.recorded", TITLE)
    with pytest.raises(LockedError):
        Node.open(a.workspace.path, passphrase=PASSPHRASE)
    with Node.open(a.workspace.path, passphrase=PASSPHRASE, read_only=True) as reader:
        assert reader.journal.size == 1
        with pytest.raises(LockedError):
            _ = reader.witness
        with pytest.raises(StorageError, match="reading only"):
            reader.record("document.recorded", TITLE)


def test_keys_and_witness_state_are_readable_by_their_owner_only(a: Node) -> None:
    assert a.workspace.keys.stat().st_mode & 0o077 == 0
    assert a.workspace.witness.stat().st_mode & 0o077 == 0


def test_keys_of_another_journal_are_refused(a: Node, b: Node) -> None:
    a.close()
    b.record("document.recorded", TITLE)
    b.close()
    shutil.copy(b.workspace.keys, a.workspace.keys)
    with pytest.raises(ConfigurationError, match="another party"):
        Node.open(a.workspace.path, passphrase=PASSPHRASE)


def test_a_restored_old_copy_opens_for_reading_and_refuses_to_sign(a: Node, tmp_path: Path) -> None:
    a.record("document.recorded", TITLE)
    a.close()
    shutil.copytree(a.workspace.path, tmp_path / "backup")
    with Node.open(a.workspace.path, passphrase=PASSPHRASE) as later:
        later.record("document.recorded", TITLE)
    with pytest.raises(RollbackError):
        Node.open(tmp_path / "backup", passphrase=PASSPHRASE)
    with Node.open(tmp_path / "backup", passphrase=PASSPHRASE, read_only=True) as reader:
        assert reader.journal.size == 1


def test_the_log_can_be_filtered(a: Node) -> None:
    first = a.record("document.recorded", TITLE)
    a.record("data.registered", {"rows": "11-25", "schema": "heart/1"})
    assert [entry.id for entry in a.log(kind="document.recorded")] == [first.id]
    assert len(list(a.log(kind="data."))) == 1
    assert list(a.log(until=first.statement.at)) == []
    assert len(list(a.log(since=first.statement.at + 1))) == 1


def test_a_receipt_carries_the_witnesses_that_cosigned(a: Node, b: Node) -> None:
    introduce(a, b)
    entry = a.record("document.recorded", TITLE, fields={"dose": 3, "name": "x"}, subject="patient 1")
    assert list(a.add_cosignatures(b.cosign(parse_ask(format_ask(a.ask_witness()))).note)) == [b.id]
    policy = make_policy(
        "mine", [*a.peers, parse_card_file(format_card_file(a.party.cards))], ask=("party", "witnesses")
    )
    report = verify(a.receipt(entry.id, disclose=["dose"]).format(), policy=policy)
    assert report.standing("witnesses") == "proved"
    assert report.opened == {"dose": 3}


def test_a_witness_cosigns_what_follows_and_refuses_what_does_not(a: Node, b: Node) -> None:
    introduce(a, b)
    a.record("document.recorded", TITLE)
    b.cosign(a.ask_witness())
    old = a.ask_witness()
    a.record("document.recorded", TITLE)
    with pytest.raises(WitnessConflictError):
        b.cosign(a.ask_witness())  # A kept no cosignature, so it offers no proof from size 1
    b.cosign(a.ask_witness(seen=[1]))
    with pytest.raises(WitnessConflictError):
        b.cosign(old)


def test_two_histories_convict_their_author(tmp_path: Path, b: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(tmp_path / "a", "Hospital A")
    first.close()
    shutil.copytree(tmp_path / "a", tmp_path / "twin")
    heads = []
    for number, place in enumerate(("a", "twin")):
        monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / f"state {number}"))
        with Node.open(tmp_path / place, passphrase=PASSPHRASE) as node:
            node.record("document.recorded", {"title": place})
            heads.append(node.ask_witness())
    b.import_card(format_card_file(heads[0].cards))
    b.cosign(heads[0])
    with pytest.raises(ForkError) as caught:
        b.cosign(heads[1])
    assert caught.value.evidence


def test_a_stranger_is_not_witnessed(a: Node, b: Node) -> None:
    with pytest.raises(NotFoundError):
        b.cosign(a.ask_witness())


def test_a_false_cosignature_is_not_kept(a: Node, b: Node) -> None:
    introduce(a, b)
    a.record("document.recorded", TITLE)
    note = bytearray(b.cosign(a.ask_witness()).note)
    note[-10] = ord("A") if note[-10] != ord("A") else ord("B")
    with pytest.raises(VerificationError):
        a.add_cosignatures(bytes(note))
    assert a.journal.cosigned() is None


def test_an_ask_that_is_none_says_what_to_do() -> None:
    with pytest.raises(ReceiptError) as caught:
        parse_ask(b"{}")
    assert "tallystick witness ask" in caught.value.hint


def test_own_and_contradicting_cards_are_refused(a: Node, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="own card"):
        a.import_card(format_card_file(a.party.cards))
    other = Party.create("Hospital B")
    one, two = other.rotate(["log"], size=0), other.rotate(["log"], size=0)
    a.import_card(format_card_file(one.cards))
    with pytest.raises(CardError, match="contradict"):
        a.import_card(format_card_file(two.cards))
    with pytest.raises(CardError, match="older card"):
        a.import_card(format_card_file(other.cards))


def test_the_next_card_of_a_known_party_is_taken(a: Node) -> None:
    other = Party.create("Hospital B")
    a.import_card(format_card_file(other.cards))
    a.import_card(format_card_file(other.rotate(["log"], size=3).cards))
    assert len(a.peers.get("Hospital B").cards) == 2
    assert len(list(Node.open(a.workspace.path, passphrase=PASSPHRASE, read_only=True).peers)) == 1


@pytest.mark.parametrize("change", [b"", b"x", b'{"cards":[],"type":"tallystick/cards","v":1}'])
def test_a_malformed_card_file_is_refused(a: Node, change: bytes) -> None:
    with pytest.raises(CardError):
        a.import_card(change)


def test_an_anchor_is_due_by_count_or_by_age(a: Node) -> None:
    assert not a.anchor_due()
    a.record("document.recorded", TITLE)
    a.settings = replace(
        a.settings, anchor=replace(a.settings.anchor, every_statements=2, every_seconds=3600)
    )
    assert not a.anchor_due()
    a.record("document.recorded", TITLE)
    assert a.anchor_due()


def test_anchoring_without_a_chain_says_what_to_set(a: Node) -> None:
    with pytest.raises(ConfigurationError) as caught:
        a.anchor()
    assert "tallystick.toml" in caught.value.hint
