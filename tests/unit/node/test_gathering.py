"""A head waits for the cosignatures that the settings ask for; anchors are attested; whoever is missing is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.serving import PASSPHRASE, listening
from tests.unit.node.test_remote_attesting import nobody

from tallystick.chain import LocalChain, Profile, serve
from tallystick.errors import ConfigurationError, LockedError, QuorumError, TallystickError, VerificationError
from tallystick.node import (
    AnchorSettings,
    Backlog,
    Consortium,
    Gathered,
    NetworkGround,
    Node,
    Rounds,
    WitnessSettings,
    _rounds,
    backlog,
    gather,
    gather_beside,
)
from tallystick.node._anchoring import read_claims, write_claims
from tallystick.proof import parse_note, verify
from tallystick.server import JournalService

TITLE = {"title": "protocol"}
NAMES = ("bank-a", "bank-b", "bank-c", "bank-d")


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    """Four members over a chain that each reaches by a url: here one node stands for all of them."""
    with LocalChain(tmp_path / "chain") as local, serve(local, port=0) as served:
        profiles = {name: Profile("network", urls=(served.url,)) for name in NAMES}
        ground = NetworkGround(profiles, treasury=local.fund)
        with Consortium(
            NAMES,
            directory=tmp_path / "four",
            ground=ground,
            passphrase=PASSPHRASE,
            heads=tmp_path / "heads",
        ) as made:
            yield made


def served(opened: ExitStack, *nodes: Node) -> list[str]:
    return [opened.enter_context(listening(JournalService(node))) for node in nodes]


def wish(node: Node, urls: list[str], *, cosigned: int = 2, need: int = 0, timeout_s: int = 2) -> None:
    """Write into the node's settings whom it asks, and how many must cosign before it anchors."""
    node.settings = replace(
        node.settings,
        anchor=AnchorSettings(every_seconds=0, cosigned=cosigned),
        witnesses=WitnessSettings(tuple(urls), need, timeout_seconds=timeout_s),
    )


def saved(node: Node) -> None:
    (node.workspace.path / "tallystick.toml").write_text(node.settings.format(node.workspace.path))


def test_an_anchor_waits_until_enough_members_have_cosigned_and_nothing_is_lost(
    consortium: Consortium,
) -> None:
    a, b, c, _ = consortium.nodes
    entry = a.record("document.recorded", TITLE)
    with ExitStack() as opened:
        (url,) = served(opened, b)
        wish(a, [url, nobody()])
        with pytest.raises(QuorumError, match=r"has 1 of the 2 cosignatures.*cannot be reached") as short:
            a.anchor()
        assert short.value.retryable
        assert (a.claims, a.gathered.waiting) == ([], 1)
        assert backlog(a) == Backlog(statements=1, anchors=0, given=0)
        a.record("document.recorded", TITLE)
        # The other one comes back: both statements go, under one head.
        wish(a, [url, *served(opened, c)])
        (claim,) = a.anchor()
    assert (claim.size, a.gathered.waiting, a.gathered.missing) == (2, 0, {})
    receipt = a.receipt(entry.id)
    policy = replace(consortium.policy(), ask=("party", "witnesses", "anchor"))
    report = verify(receipt.format(), policy=policy)
    assert (report.standing("witnesses"), report.standing("anchor")) == ("proved", "proved")
    assert receipt.anchor is not None
    assert len(parse_note(receipt.anchor.note.encode()).signatures) == 2


def test_an_older_head_that_had_enough_is_anchored_while_the_newest_waits(consortium: Consortium) -> None:
    a, b, c, _ = consortium.nodes
    a.record("document.recorded", TITLE)
    for other in (b, c):
        a.add_cosignatures(other.cosign(a.ask_witness()).note)
    a.record("document.recorded", TITLE)
    wish(a, [nobody(), nobody()])
    with pytest.raises(QuorumError, match="the head of size 2 has 0 of the 2"):
        a.anchor()
    assert [claim.size for claim in a.claims] == [1]


def test_lines_that_came_as_files_count_without_anybody_being_asked(consortium: Consortium) -> None:
    a, b, c, _ = consortium.nodes
    a.record("document.recorded", TITLE)
    wish(a, [])
    with pytest.raises(QuorumError):
        a.anchor()
    for other in (b, c):
        a.add_cosignatures(other.cosign(a.ask_witness()).note)
    assert [claim.size for claim in a.anchor()] == [1]
    assert a.anchor() == []


def test_an_anchor_that_too_few_attested_is_asked_for_again_with_the_next(consortium: Consortium) -> None:
    a, b, c, d = consortium.nodes
    a.record("document.recorded", TITLE)
    policy = replace(consortium.policy(), ask=("party", "anchor"))
    with ExitStack() as opened:
        urls = served(opened, b)
        wish(a, [*urls, nobody(), nobody()], cosigned=0)
        assert [claim.size for claim in a.anchor()] == [1]
        assert sorted(a.gathered.missing.values()) == ["the node cannot be reached"] * 2
        assert backlog(a) == Backlog(statements=0, anchors=1, given=0)
        with pytest.raises(VerificationError, match="not proved: anchor"):
            verify(a.receipt(0).format(), policy=policy)
        wish(a, [*urls, *served(opened, c, d)], cosigned=0)
        assert a.anchor() == []
    assert verify(a.receipt(0).format(), policy=policy).standing("anchor") == "proved"


def test_anchors_of_a_chain_that_was_left_are_not_asked_for(consortium: Consortium) -> None:
    a, b, *_ = consortium.nodes
    a.record("document.recorded", TITLE)
    with ExitStack() as opened:
        wish(a, served(opened, b), cosigned=0)
        (claim,) = a.anchor()
        # Another chain, where the contract happens to have the same address.
        left = replace(claim, genesis="0x" + "11" * 32, note="")
        write_claims(a.workspace.anchors, [left, replace(claim, note="")])
        a._claims = read_claims(a.workspace.anchors)
        found = gather(a)
    assert (list(found.notes), found.missing) == ([1], {})
    assert [bool(one.note) for one in a.claims] == [False, True]


def test_what_is_gathered_beside_a_writer_waits_for_it(consortium: Consortium) -> None:
    a, b, c, _ = consortium.nodes
    a.record("document.recorded", TITLE)
    with ExitStack() as opened:
        wish(a, served(opened, b, c))
        saved(a)
        reader = opened.enter_context(a.beside(read_only=True))
        with pytest.raises(LockedError):
            a.beside(read_only=False)
        found = gather_beside(reader, lambda: a.beside(read_only=False))
        assert (found.has_writer, found.waiting) == (True, 0)
        assert a.journal.cosigned() is None
        assert len(list(a.workspace.given.iterdir())) == backlog(a).given == 1
        (a.workspace.given / "of-nobody.note").write_bytes(b"not a note")
    # No witness answers any more: what was handed over is enough.
    assert [claim.size for claim in a.anchor()] == [1]
    assert list(a.workspace.given.iterdir()) == []
    assert backlog(a).given == 0


def until(said: list[Gathered | TallystickError], count: int) -> None:
    deadline = time.monotonic() + 20
    while len(said) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_rounds_ask_anchor_and_attest_until_they_are_stopped(consortium: Consortium) -> None:
    a, b, c, _ = consortium.nodes
    entry = a.record("document.recorded", TITLE)
    said: list[Gathered | TallystickError] = []
    with ExitStack() as opened:
        wish(a, served(opened, b, c))
        saved(a)
        a.close()
        reader = opened.enter_context(a.beside(read_only=True))
        rounds = Rounds(reader, anchors=True, told=said.append, every_s=0.05)
        rounds.start()
        until(said, 3)
        rounds.stop()
        count = len(said)
        assert not rounds._thread.is_alive()
        service = JournalService(reader)
        # What the rounds kept is shown by the node that serves, without a restart.
        assert service.standing().anchored == 1
        assert len(service.checkpoint().parsed().signatures) == 3
        receipt = service.receipt(entry.id)
    assert len(said) == count
    assert receipt.anchor is not None
    assert len(parse_note(receipt.anchor.note.encode()).signatures) == 2


def test_rounds_say_who_is_missing_and_go_on(consortium: Consortium) -> None:
    a, b, *_ = consortium.nodes
    a.record("document.recorded", TITLE)
    said: list[Gathered | TallystickError] = []
    with ExitStack() as opened:
        wish(a, [*served(opened, b), nobody()])
        saved(a)
        a.close()
        reader = opened.enter_context(a.beside(read_only=True))
        rounds = Rounds(reader, anchors=True, told=said.append, every_s=0.05)
        rounds.start()
        until(said, 2)
        rounds.stop()
        found = said[-1]
    assert isinstance(found, Gathered)
    assert found.waiting == 1
    assert list(found.missing.values()) == ["the node cannot be reached"]
    with a.beside(read_only=True) as again:
        assert again.claims == []
        assert again.journal.cosigned() is not None


class Held(JournalService):
    """A witness that answers when a test lets it."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.asked, self.go = threading.Event(), threading.Event()

    def add_checkpoint(self, data: bytes) -> bytes:
        self.asked.set()
        assert self.go.wait(20)
        return super().add_checkpoint(data)


def test_what_comes_after_the_end_is_not_kept_and_is_asked_for_again(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_rounds, "STOP_S", 0.05)
    a, b, *_ = consortium.nodes
    a.record("document.recorded", TITLE)
    held, said = Held(b), list[Gathered | TallystickError]()
    with ExitStack() as opened:
        wish(a, [opened.enter_context(listening(held))], cosigned=0, timeout_s=20)
        saved(a)
        a.close()
        reader = opened.enter_context(a.beside(read_only=True))
        rounds = Rounds(reader, told=said.append)
        rounds.start()
        assert held.asked.wait(20)
        rounds.stop()
        held.go.set()
        rounds._thread.join(20)
        assert not rounds._thread.is_alive()
        assert (said, list(a.workspace.given.glob("*"))) == ([], [])
        assert reader.journal.cosigned() is None
        with a.beside(read_only=False) as again:
            assert gather(again).waiting == 0
            assert again.journal.cosigned() is not None


def test_keys_that_were_changed_meanwhile_end_the_rounds_work(consortium: Consortium) -> None:
    a, *_ = consortium.nodes
    a.close()
    with a.beside(read_only=True) as reader:
        assert reader.origin == a.origin
    a.workspace.keys.write_bytes(a.workspace.keys.read_bytes() + b"\n")
    with pytest.raises(ConfigurationError, match="keys were changed"):
        a.beside(read_only=True)
    a.workspace.keys.unlink()
    with pytest.raises(ConfigurationError):
        a.beside(read_only=False)
