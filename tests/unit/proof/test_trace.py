"""A trace says at every hop what was shown, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.proofs import EAST, NORTH, SOUTH, STRANGER, Log, make_policy

from tallystick.errors import VerificationError
from tallystick.proof import Hop, HopCheck, Policy, Receipt, Resolve, Traced, trace

NOBODY: Mapping[tuple[str, str], HopCheck] = {}


class World:
    """Three journals whose statements link each other."""

    def __init__(self) -> None:
        self.logs = {party.id: Log(party) for party in (NORTH, EAST, STRANGER)}
        self.data = self.logs[EAST.id].record(kind="data.registered", body={"rows": "1k", "schema": "x"})
        self.rumour = self.logs[STRANGER.id].record(body={"title": "a rumour"})
        self.model = self.logs[NORTH.id].record(
            kind="model.published", body={"family": "linear", "model": "0" * 64, "name": "m", "version": 1},
            links={"data": [self.data.id], "rumour": [self.rumour.id]},
        )  # fmt: skip
        self.decision = self.logs[NORTH.id].record(
            kind="decision.made",
            body={"model": "0" * 64, "level": "L0"},
            links={"model": [self.model.id], "lost": ["f" * 64]},
        )

    def receipt(self, statement_id: str) -> Receipt | None:
        for log in self.logs.values():
            for index, statement in enumerate(log.statements):
                if statement.id == statement_id:
                    return log.receipt(index)
        return None

    def trace(
        self, *, checks: Mapping[tuple[str, str], HopCheck] = NOBODY, policy: Policy | None = None,
        resolve: Resolve | None = None,
    ) -> Hop:  # fmt: skip
        start = self.receipt(self.decision.id)
        assert start is not None
        return trace(start, resolve=resolve or self.receipt, checks=checks, policy=policy)


@pytest.fixture
def world() -> World:
    return World()


def standings(hop: Hop) -> dict[str, str]:
    return {one.label: one.standing for one in hop.walk()}


def test_links_are_followed_to_their_end(world: World) -> None:
    hop = world.trace(policy=make_policy())
    assert standings(hop) == {
        "": "recorded", "model": "recorded", "data": "recorded", "rumour": "claimed", "lost": "missing",
    }  # fmt: skip
    by = {one.label: one.by for one in hop.walk()}
    assert by["data"] == EAST.name
    assert by["rumour"] != STRANGER.name


def test_without_a_policy_every_verified_statement_is_recorded(world: World) -> None:
    assert standings(world.trace())["rumour"] == "recorded"


def test_a_hop_that_the_policy_wants_more_of_is_claimed_and_the_trace_goes_on(world: World) -> None:
    policy = make_policy(ask=("party", "witnesses"))
    start = world.logs[NORTH.id].receipt(1, witnesses=(EAST, SOUTH))
    hop = trace(start, resolve=world.receipt, policy=policy)
    assert standings(hop) == {
        "": "recorded", "model": "claimed", "data": "claimed", "rumour": "claimed", "lost": "missing",
    }  # fmt: skip


def test_a_start_that_the_policy_wants_more_of_is_refused(world: World) -> None:
    with pytest.raises(VerificationError, match="witnesses"):
        world.trace(policy=make_policy(ask=("party", "witnesses")))


def test_a_check_that_computes_the_same_makes_a_hop_re_executed(world: World) -> None:
    asked: list[tuple[str, str]] = []

    def check(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
        asked.append((parent.receipt.statement.kind, child.receipt.statement.kind))
        assert resolve(world.data.id) is not None
        return "the score came out the same"

    hop = world.trace(checks={("decision.made", "model"): check}, policy=make_policy())
    assert standings(hop)["model"] == "re-executed"
    assert asked == [("decision.made", "model.published")]
    assert next(one.text for one in hop.walk() if one.label == "model") == "the score came out the same"


def test_a_check_without_what_it_needs_leaves_the_hop_recorded(world: World) -> None:
    hop = world.trace(checks={("decision.made", "model"): lambda *_: None}, policy=make_policy())
    assert standings(hop)["model"] == "recorded"


def test_a_check_that_computes_something_else_fails_the_trace(world: World) -> None:
    def check(*_: object) -> str:
        raise VerificationError("the score came out differently")

    with pytest.raises(VerificationError):
        world.trace(checks={("decision.made", "model"): check}, policy=make_policy())


def test_a_claimed_hop_is_never_re_executed(world: World) -> None:
    checks = {("model.published", "rumour"): lambda *_: "nonsense"}
    assert standings(world.trace(checks=checks, policy=make_policy()))["rumour"] == "claimed"


def test_a_resolver_cannot_hand_over_another_statement(world: World) -> None:
    with pytest.raises(VerificationError):
        world.trace(resolve=lambda _link: world.receipt(world.rumour.id))


def test_a_hop_that_is_false_fails_the_trace(world: World) -> None:
    def resolve(link: str) -> Receipt | None:
        receipt = world.receipt(link)
        return receipt and replace(receipt, path=(b"\x00" * 32,))

    with pytest.raises(VerificationError):
        world.trace(resolve=resolve, policy=make_policy())


def test_what_lies_behind_a_statement_is_shown_once() -> None:
    log = Log(NORTH)
    last = [log.record().id]
    for _ in range(20):
        last = [log.record(links={"a": last, "b": last}).id]
    places = {statement.id: place for place, statement in enumerate(log.statements)}
    hop = trace(log.receipt(20), resolve=lambda link: log.receipt(places[link]))
    assert sum(1 for _ in hop.walk()) == 41


def test_a_trace_that_is_too_long_says_so() -> None:
    log = Log(SOUTH)
    link = log.record().id
    for _ in range(101):
        link = log.record(links={"a": [link]}).id
    receipts = {statement.id: place for place, statement in enumerate(log.statements)}
    with pytest.raises(VerificationError, match="100"):
        trace(log.receipt(101), resolve=lambda link: log.receipt(receipts[link]))


def test_behind_a_claimed_statement_nothing_is_more_than_claimed() -> None:
    east, stranger, north = Log(EAST), Log(STRANGER), Log(NORTH)
    data = east.record(kind="data.registered", body={"rows": "1k", "schema": "x"})
    model = stranger.record(
        kind="model.published",
        body={"family": "linear", "model": "0" * 64, "name": "m", "version": 1},
        links={"data": [data.id]},
    )
    decision = north.record(
        kind="decision.made", body={"model": "0" * 64, "level": "L0"}, links={"model": [model.id]}
    )
    logs = {data.id: east, model.id: stranger, decision.id: north}
    # A stranger can link to anything: that the data of a known party led to its model is only its word.
    hop = trace(
        north.receipt(0),
        resolve=lambda link: logs[link].receipt(0),
        checks={("model.published", "data"): lambda *_: "the same"},
        policy=make_policy(),
    )
    assert standings(hop) == {"": "recorded", "model": "claimed", "data": "claimed"}
