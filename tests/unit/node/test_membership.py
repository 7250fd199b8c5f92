"""Votes of a consortium's members, on an embedded chain that all of them reach by HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.governing import (
    Where,
    account,
    carried,
    check_governance,
    check_rotation,
    check_two_proposals_at_once,
    governed,
    proposal,
    vote,
)

from tallystick.chain import LocalChain, Outbox, Profile, serve
from tallystick.errors import ConfigurationError, NotFoundError
from tallystick.node import CardFile, Membership, Node


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Where]:
    with LocalChain(tmp_path / "chain") as local, serve(local, port=0) as served:
        names = ("bank-a", "bank-b", "bank-c", "bank-d")
        profiles = {name: Profile("network", urls=(served.url,)) for name in names}
        yield Where(profiles, local.fund, lambda: local.fund("0x" + "11" * 20, 1))


@pytest.fixture
def nodes(tmp_path: Path, where: Where) -> Iterator[list[Node]]:
    with governed(tmp_path / "nodes", where) as made:
        yield made


@pytest.mark.slow
def test_who_takes_part_is_decided_by_delayed_votes(where: Where, nodes: list[Node]) -> None:
    check_governance(where, nodes)


def test_each_proposer_is_told_its_own_number(nodes: list[Node]) -> None:
    check_two_proposals_at_once(nodes)


def test_a_killed_rotation_goes_on_and_is_told_once(
    where: Where, nodes: list[Node], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_rotation(nodes[0], where, tmp_path / "nodes" / "heads", monkeypatch)


def test_what_was_sent_before_a_kill_is_not_sent_again(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, *_ = nodes

    class Killed(BaseException):
        pass

    def die(outbox: Outbox, *words: object, **named: object) -> None:
        send(outbox, *words, **named)
        raise Killed

    def suspend_b() -> int:
        with Membership(a) as membership:
            return membership.propose("suspend", CardFile(b.party.cards))

    send = Outbox.send
    for word in ("propose", "approve"):
        with monkeypatch.context() as patched:
            patched.setattr(Outbox, "send", die)
            with pytest.raises(Killed):
                suspend_b() if word == "propose" else vote(b, word, 1)
    assert suspend_b() == 1
    with Membership(a) as membership:
        assert len(membership.proposals()) == 1
    assert not vote(b, "approve", 1)
    assert proposal(a, 1)["approvals"] == 2


def test_a_suspended_members_approval_counts_no_more(where: Where, nodes: list[Node]) -> None:
    a, b, c, d, e = nodes
    with Membership(b) as membership:
        number = membership.propose("join", CardFile(e.party.cards), threshold=3)
    vote(c, "approve", number)
    vote(d, "approve", number)
    assert proposal(a, number)["status"] == "approved"
    carried(where, (a, b, c, d), "suspend", d)
    assert (proposal(a, number)["status"], proposal(a, number)["approvals"]) == ("open", 2)


def test_what_makes_no_sense_is_refused_before_anything_is_sent(nodes: list[Node]) -> None:
    a, b, *_ = nodes
    card = CardFile(b.party.cards)
    with Membership(a) as membership:
        for action, peer, threshold, words in (
            ("expel", card, 0, "an action must be"),
            ("join", None, 0, "needs the card"),
            ("threshold", card, 3, "nobody's card"),
            ("threshold", None, 0, "nobody's card"),
            ("rotate", card, 3, "changes no threshold"),
        ):
            with pytest.raises(ConfigurationError, match=words):
                membership.propose(action, peer, threshold=threshold)
        with pytest.raises(NotFoundError, match="no proposal 7"):
            membership.vote("approve", 7)
        assert membership.proposals() == []
    assert account(a).startswith("0x")
