"""A hold that one bank places on the chain stops a payment at another, whose service follows the chain beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.made_engine import payment

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.holding import HeldTokens, HoldDesk, Holds
from tallystick.apps.fraud.serving import FraudSettings, Serving, with_shared_rules
from tallystick.apps.fraud.sharing import (
    EpochPlan,
    HoldsSettings,
    ListDesk,
    ListPlan,
    LocalLink,
    Peer,
    ShareSettings,
    Sharing,
)
from tallystick.chain import Account, Outbox
from tallystick.errors import NotFoundError, RevertError, VerificationError
from tallystick.node import CardFile, Consortium, make_policy
from tallystick.proof import STANDARD_KINDS

DAY = 86_400 * 1_000_000
BANKS = ("Bank A", "Bank B", "Bank C")
MULE = "DE89370400440532013000"


class Here(LocalLink):
    """A member in this process, with its openings."""

    def __init__(self, sharing: Sharing) -> None:
        super().__init__(sharing.member)
        self._sharing = sharing

    def opening(self, number: int) -> bytes:
        return self._sharing.opening(number)

    def listed(self, epoch: int, *, at: int) -> bytes:
        return self._sharing.listed(epoch, at=at)


class Made:
    """Three banks on one chain, an epoch of tokens and of the contract, and bank B's service."""

    def __init__(self, path: Path) -> None:
        self.now = 1_795_459_200_000_000
        self.since = self.now - DAY
        self.consortium = Consortium(
            BANKS, directory=path, clock=self.clock, kinds=STANDARD_KINDS.extended(APP.kinds)
        )
        self.nodes = list(self.consortium.nodes)
        self.holds = self._found()
        self.sharings = self._share()
        self.desks = [
            HoldDesk(node, sharing.member, self.holds)
            for node, sharing in zip(self.nodes, self.sharings, strict=True)
        ]
        for sharing, desk in zip(self.sharings, self.desks, strict=True):
            sharing._tell = desk.vote
            assert sharing.look_at_holds()
            assert sharing.look_at_holds()  # a vote is sent once
        self.sharing = self.sharings[1]
        names = (*Windows.names, *self.sharing.signals.names)
        settings = with_shared_rules(FraudSettings.parse("version = 1\n"), self.sharing.settings, names=names)
        self.serving = Serving(
            self.nodes[1], settings, features=Windows(), signals=self.sharing.signals, clock=self.clock
        )
        self.serving.start(anchors=False, verify=False)

    def clock(self) -> int:
        self.now += 1
        return self.now

    def _found(self) -> str:
        models = self.consortium.found_models(approvals=1)
        node, chain = self.nodes[0], self.consortium.chain
        settings = node.settings.chain
        assert settings is not None
        call = Holds.deploy_call(anchors=settings.anchors, models=models, open_limit=2)
        account = Account(node.party.secret("chain"))
        with Outbox(
            node.workspace.outbox(account.address), chain, account=account, clock=self.clock
        ) as outbox:
            return outbox.send("holds", call).contract

    def _share(self) -> list[Sharing]:
        policy = make_policy("three banks", [CardFile(node.party.cards) for node in self.nodes])
        links: list[list[Any]] = [[] for _ in self.nodes]
        made = []
        for number, node in enumerate(self.nodes):
            others = tuple(Peer(other.id, "http://unused", "k") for other in self.nodes if other is not node)
            settings = ShareSettings(
                policy,
                EpochPlan(1, self.since, 90 * DAY),
                others,
                patience_ms=1_000,
                holds=HoldsSettings(self.holds),
            )
            reader = HeldTokens(lambda: self.consortium.chain, self.holds, shared=True)
            made.append(Sharing(node, settings, links=links[number] or [], holds=reader, clock=self.clock))
        for sharing in made:
            sharing._links = [Here(other) for other in made if other is not sharing]
            sharing.member.link(sharing._links)
        for _ in range(2):
            assert [sharing.tend() for sharing in made][-1]
        return made

    def decision(self, place: int) -> str:
        body, fields = {"rule": "amount"}, {"answer": "hold"}
        return self.nodes[place].record("decision.ruled", body, fields=fields).id

    def pay(self, number: int, payee: str = MULE) -> Any:
        one = payment(number, at=self.clock(), amount=500, payee=payee)
        return self.serving.engine.submit(one).result(20)

    def close(self) -> None:
        self.serving.close()
        for sharing in self.sharings:
            sharing.close()
        self.consortium.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    found = Made(tmp_path)
    yield found
    found.close()


def test_a_hold_of_one_bank_stops_a_payment_at_another_until_it_is_released(made: Made) -> None:
    assert made.sharing.look_at_holds()
    assert made.pay(1).action == "approve"
    placed = made.desks[0].hold(MULE, decision=made.decision(0), seconds=5 * 86_400)
    assert placed.statement.kind == "hold.requested"
    assert made.sharing.look_at_holds()
    assert made.sharing.standing().held == 1
    stopped = made.pay(2)
    assert (stopped.action, [reason.code for reason in stopped.reasons]) == ("hold", ["R11"])
    assert stopped.reasons[0].text == "a member of the consortium holds this payee"
    assert made.pay(3, payee="another").action == "approve"
    made.desks[0].release(MULE)
    assert made.sharing.look_at_holds()
    assert made.pay(4).action == "approve"
    with pytest.raises(NotFoundError):
        made.desks[2].release(MULE)


def test_roots_of_the_list_stand_on_the_chain_side_by_side_and_who_posts_another_is_named(made: Made) -> None:
    def turns() -> list[str]:
        return [desk.turn(made.clock()) for desk in lists]

    plan = ListPlan(every_s=3_600, settle_s=600)
    lists = [
        ListDesk(sharing.member, sharing._links, plan=plan, board=desk)  # type: ignore[arg-type]
        for sharing, desk in zip(made.sharings, made.desks, strict=True)
    ]
    for customer in ("c-1", "c-2"):
        made.sharings[0].member.report(MULE, customer=customer)
    made.now += 3_600_000_000 + 601_000_000
    assert turns() == ["", "", ""]
    assert turns() == ["", "", ""]
    assert [[one.standing for one in desk.agreements] for desk in lists] == [["same", "same"]] * 3
    contract = Holds(made.consortium.chain, made.holds)
    counted = contract.list_root(1)
    assert counted is not None
    assert (counted.number, counted.entries) == (lists[0].number, 1)
    assert counted.votes >= 2

    made.sharings[2].member.payees._words.clear()
    made.now += 3_600_000_000
    lists[2].turn(made.clock())
    for desk in lists[:2]:
        desk.turn(made.clock())
    assert "Bank C has another list" in lists[0].turn(made.clock())
    assert "0 payees only there, 1 only here" in lists[1].turn(made.clock())
    counted = contract.list_root(1)
    assert counted is not None
    assert counted.root == made.sharings[0].member.payees.statement(1, at=made.now).root

    made.now += 3_600_000_000
    for desk in lists[:2]:
        desk.turn(made.clock())
    with pytest.raises(RevertError, match="number of the list"):
        lists[2].turn(made.clock())  # the others' counts already


def test_a_hold_ends_by_itself_whether_or_not_the_chain_is_looked_at(made: Made) -> None:
    made.desks[2].hold(MULE, decision=made.decision(2), seconds=86_400)
    assert made.sharing.look_at_holds()
    assert made.pay(1).action == "hold"
    made.now += 2 * DAY
    assert made.pay(2).action == "approve"
    assert made.sharing.standing().held == 0
    assert "holds were not read for too long" in made.sharing.standing().trouble


def test_a_hold_rests_on_a_decision_of_its_own_and_on_nothing_else(made: Made) -> None:
    other = made.nodes[0].record("document.recorded", {"title": "no decision"}).id
    with pytest.raises(VerificationError, match="must rest on a decision"):
        made.desks[0].hold(MULE, decision=other, seconds=60)
    with pytest.raises(NotFoundError):
        made.desks[0].hold(MULE, decision="0" * 64, seconds=60)
    assert list(made.nodes[0].journal.entries(kinds=("hold.requested",))) == []
