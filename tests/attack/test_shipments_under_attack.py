"""Who would like a lot released, paid or kept back without the answer that was booked, does not get it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    from shipments_world import ShipmentsWorld

    with ShipmentsWorld(tmp_path / "chain") as made:
        yield made


def on_answer(world: Any, request: bytes, output: int, level: int) -> Any:
    from shipments_world import told

    return told(world.shipments.address, "on_answer(bytes32,int256,uint8)", request, output, level)


@pytest.mark.parametrize("who", ["B", "S", "C", "anybody"])
def test_nobody_but_the_oracle_answers(world: Any, who: str) -> None:
    request = world.asked()
    assert world.refuse(who, on_answer(world, request, -1, 1)) == "shipments: not the oracle"
    assert world.state().name == "ASKED"


def test_the_oracle_cannot_answer_what_this_contract_did_not_ask(world: Any) -> None:
    world.asked()
    assert world.refuse("S", world.answer_call(b"x" * 32, -1)) == "shipments: not awaited"
    assert world.refuse("S", world.answer_call(bytes(32), -1)) == "shipments: not awaited"
    assert world.credits() == (0, 0, 0)


@pytest.mark.parametrize("level", [0, 2, 4])
def test_an_answer_of_another_level_than_was_booked_is_refused(world: Any, level: int) -> None:
    request = world.asked()
    assert world.refuse("S", world.answer_call(request, -1, level)) == "shipments: another level"
    world.send("S", world.answer_call(request, -1, 1))
    assert world.state().name == "RELEASED"


@pytest.mark.parametrize("first", [-1, 10**6])
def test_an_answer_counts_once(world: Any, first: int) -> None:
    request = world.answered(first)
    before = (world.state(), world.credits())
    assert world.refuse("S", world.answer_call(request, -1)) == "shipments: not awaited"
    assert (world.state(), world.credits()) == before


def test_an_answer_that_comes_after_the_request_was_given_up_is_not_taken(world: Any) -> None:
    from shipments_world import INPUT, LOT, told

    request = world.asked()
    world.send("anybody", told(world.oracle, "put(bytes32,uint256)", request, 5))
    world.send("anybody", world.shipments.reopen(LOT))
    assert world.refuse("S", world.answer_call(request, -1)) == "shipments: not awaited"
    world.send("B", world.shipments.ask(LOT, INPUT, fee=1))
    assert world.refuse("S", world.answer_call(request, -1)) == "shipments: not awaited"


@pytest.mark.parametrize("status", [0, 1, 2, 3, 4])
def test_a_buyer_cannot_shop_for_another_answer_while_one_may_come(world: Any, status: int) -> None:
    from shipments_world import INPUT, LOT, told

    request = world.asked()
    world.send("anybody", told(world.oracle, "put(bytes32,uint256)", request, status))
    assert world.refuse("B", world.shipments.reopen(LOT)) == "shipments: the request stands"
    assert world.refuse("B", world.shipments.ask(LOT, INPUT, fee=1)) == "shipments: not to be asked about"


def test_one_party_with_two_accounts_is_one_voice(world: Any) -> None:
    from contract_world import address, keys
    from shipments_world import LOT, REASON, THRESHOLD

    world.answered(THRESHOLD, reviewers="QRT")
    world.reviewed("Q", release=True)
    # The party takes R's place in nobody's eyes: a new account of Q is no booked reviewer.
    fresh = keys("Q2", writer="Q2")
    world.send("Q", world.members.rotate(fresh))
    call = world.shipments.review(LOT, release=True, reason=REASON)
    assert world.refuse("Q2", call) == "shipments: not a reviewer"
    assert world.refuse("Q", call) == "shipments: not an active member"
    assert world.state().name == "QUARANTINED"
    assert address("Q2") not in world.shipments.reviewers(LOT)


def test_a_reviewer_whose_party_was_suspended_has_no_voice(world: Any) -> None:
    from contract_world import party
    from shipments_world import LOT, REASON, THRESHOLD

    world.answered(THRESHOLD)
    world.pass_vote(world.members, world.members.propose_suspend(party("Q"), threshold=4), "BSCT")
    call = world.shipments.review(LOT, release=True, reason=REASON)
    assert world.refuse("Q", call) == "shipments: not an active member"


def test_who_is_paid_cannot_take_the_money_while_it_is_paid_out(world: Any) -> None:
    """A seller that is a contract calls back in as it is paid, and gets its credit once."""
    from contract_world import address
    from oracle_world import compiled, told
    from shipments_world import FREIGHT, LOT, PRICE

    from tallystick.chain import Call

    thief = world.send("deployer", Call(None, compiled(THIEF))).contract
    world.booked(seller=thief)
    other = world.shipments
    world.send("B", other.ask(LOT, b"i" * 32, fee=1))
    world.send("anybody", world.answer_call(world.lot().request, -1))
    call = other.withdraw(PRICE)
    world.send("anybody", told(thief, "go(address,bytes)", other.address, call.data))
    assert (other.credit(thief), world.balance()) == (0, FREIGHT)
    assert other.credit(address("C")) == FREIGHT


THIEF = """
to: address
data: Bytes[1024]
@external
@payable
def __default__():
    ok: bool = raw_call(self.to, self.data, revert_on_failure=False)
@external
def go(to: address, data: Bytes[1024]):
    self.to = to
    self.data = data
    raw_call(to, data)
"""
