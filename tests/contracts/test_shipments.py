"""A lot goes where its answer sends it, and the money goes with it: each path, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_world import address, party
from shipments_world import (
    FEE,
    FREIGHT,
    HOUR,
    INPUT,
    LOT,
    PRICE,
    REASON,
    SNAPSHOT,
    THRESHOLD,
    ShipmentsWorld,
    measure,
    told,
)

from tallystick.apps.supplychain._shipments import CALLBACK_GAS, LotState, Shipments, lot_id
from tallystick.errors import ConfigurationError, RevertError

PAID = (PRICE, FREIGHT, 0)
BACK = (0, 0, PRICE + FREIGHT)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ShipmentsWorld]:
    with ShipmentsWorld(tmp_path / "chain") as made:
        yield made


# Booking


def test_a_booking_keeps_the_money_and_the_terms(world: ShipmentsWorld) -> None:
    world.booked()
    lot = world.lot()
    assert (lot.state, lot.price, lot.terms.freight, lot.terms.threshold) == (
        LotState.BOOKED, PRICE, FREIGHT, THRESHOLD,
    )  # fmt: skip
    assert world.balance() == PRICE + FREIGHT
    assert world.shipments.reviewers(LOT) == (address("Q"), address("R"))
    (event,) = world.shipments.logged("Booked", lot=LOT)
    assert (event.values["seller"], event.values["price"]) == (address("S"), PRICE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reviewers": "QS"}, "reviewer is paid"),
        ({"reviewers": "CQ"}, "reviewer is paid"),
        ({"reviewers": "QQ"}, "one party twice"),
        ({"reviewers": "Qx"}, "reviewer is no member"),
        ({"lot": bytes(32)}, "a lot needs a name"),
        ({"seller": "0x" + "00" * 20}, "nobody to pay"),
        ({"carrier": "0x" + "00" * 20}, "nobody to pay"),
        ({"until_s": 1}, "it would be over"),
        ({"until_block": 1}, "it would be over"),
    ],
)
def test_a_booking_that_cannot_be_fair_is_refused(
    world: ShipmentsWorld, changes: dict[str, Any], why: str
) -> None:
    assert world.refuse("B", world.book_call(**changes)) == f"shipments: {why}"
    assert world.state(changes.get("lot", LOT)) is LotState.UNKNOWN


def test_a_freight_that_is_not_sent_along_is_refused(world: ShipmentsWorld) -> None:
    call = world.book_call(freight=FREIGHT, price=-1)
    assert world.refuse("B", call) == "shipments: freight is not covered"


def test_one_reviewer_is_refused_before_anything_is_sent(world: ShipmentsWorld) -> None:
    with pytest.raises(ConfigurationError, match="2 to 8"):
        world.book_call(reviewers="Q")


def test_only_the_buyer_books_and_asks_and_each_once(world: ShipmentsWorld) -> None:
    assert world.refuse("S", world.book_call()) == "shipments: not the buyer"
    world.booked()
    assert world.refuse("B", world.book_call()) == "shipments: lot is booked"
    ask = world.shipments.ask(LOT, INPUT, fee=FEE)
    assert world.refuse("C", ask) == "shipments: not the buyer"
    world.send("B", ask)
    assert world.refuse("B", ask) == "shipments: not to be asked about"
    unknown = world.shipments.ask(lot_id("VX-2"), INPUT, fee=FEE)
    assert world.refuse("B", unknown) == "shipments: not to be asked about"


def test_a_request_carries_the_booked_terms_and_asks_for_the_callback(world: ShipmentsWorld) -> None:
    request = world.asked()
    assert world.read("callback_gas()") == CALLBACK_GAS
    (event,) = world.shipments.logged("Asked", lot=LOT)
    assert (event.values["request"], event.values["input"], event.values["fee"]) == (request, INPUT, FEE)
    assert world.balance() == PRICE + FREIGHT


# Answers


def test_below_the_threshold_a_lot_is_released_and_everybody_is_paid(world: ShipmentsWorld) -> None:
    request = world.answered(THRESHOLD - 1)
    assert world.state() is LotState.RELEASED
    assert world.credits() == PAID
    (event,) = world.shipments.logged("Released", request=request)
    assert (event.values["output"], event.values["level"], event.values["reviewed"]) == (99, 1, False)
    world.send("S", world.shipments.withdraw(PRICE))
    world.send("C", world.shipments.withdraw(FREIGHT))
    assert (world.credits(), world.balance()) == ((0, 0, 0), 0)


@pytest.mark.parametrize("output", [THRESHOLD, THRESHOLD + 1, 2**255 - 1])
def test_at_or_above_the_threshold_a_lot_is_quarantined_and_nobody_is_paid(
    world: ShipmentsWorld, output: int
) -> None:
    world.answered(output)
    assert (world.state(), world.lot().output) == (LotState.QUARANTINED, output)
    assert world.credits() == (0, 0, 0)


def test_a_negative_score_and_threshold_compare_as_numbers(world: ShipmentsWorld) -> None:
    world.answered(-6, threshold=-5)
    assert world.state() is LotState.RELEASED


def test_two_lots_are_answered_each_for_itself(world: ShipmentsWorld) -> None:
    other = lot_id("VX-2")
    first, second = world.asked(), world.asked(lot=other)
    world.send("anybody", world.answer_call(second, THRESHOLD - 1))
    assert (world.state(), world.state(other)) == (LotState.ASKED, LotState.RELEASED)
    world.send("anybody", world.answer_call(first, THRESHOLD))
    assert world.state() is LotState.QUARANTINED


# Without an answer


def test_a_request_that_came_back_lets_the_lot_be_asked_about_again(world: ShipmentsWorld) -> None:
    request = world.asked()
    assert world.refuse("anybody", world.shipments.reopen(LOT)) == "shipments: the request stands"
    world.send("anybody", told(world.oracle, "put(bytes32,uint256)", request, 5))
    world.send("anybody", world.shipments.reopen(LOT))
    assert world.state() is LotState.BOOKED
    world.send("B", world.shipments.ask(LOT, INPUT, fee=FEE))
    assert world.lot().request != request
    assert world.refusal("anybody", world.shipments.reopen(lot_id("VX-2"))) == "shipments: not asked about"


def test_a_lot_that_nobody_decides_goes_back_in_time_and_blocks(world: ShipmentsWorld) -> None:
    world.booked()
    expire = world.shipments.expire(LOT)
    assert world.refuse("anybody", expire) == "shipments: there is time left"
    world.pass_time(HOUR + 1)
    assert world.refuse("anybody", expire) == "shipments: there is time left"
    world.pass_blocks(21)
    world.send("anybody", expire)
    assert (world.state(), world.credits()) == (LotState.REJECTED, BACK)
    assert world.refuse("anybody", expire) == "shipments: nothing to expire"


def test_a_lot_whose_answer_is_awaited_does_not_expire(world: ShipmentsWorld) -> None:
    request = world.asked()
    world.run_out()
    assert world.refuse("anybody", world.shipments.expire(LOT)) == "shipments: nothing to expire"
    world.send("anybody", told(world.oracle, "put(bytes32,uint256)", request, 5))
    world.send("anybody", world.shipments.reopen(LOT))
    world.send("anybody", world.shipments.expire(LOT))
    assert world.state() is LotState.REJECTED


# People


def test_two_parties_release_a_lot_together(world: ShipmentsWorld) -> None:
    world.answered(THRESHOLD)
    world.reviewed("Q", release=True)
    assert (world.state(), world.credits()) == (LotState.QUARANTINED, (0, 0, 0))
    assert world.shipments.voices(LOT, release=True) == (party("Q"),)
    world.reviewed("R", release=True)
    assert (world.state(), world.credits(), world.lot().reviewed) == (LotState.RELEASED, PAID, True)


def test_two_parties_reject_a_lot_together(world: ShipmentsWorld) -> None:
    world.answered(THRESHOLD)
    world.reviewed("Q", release=False)
    world.reviewed("R", release=False)
    assert (world.state(), world.credits(), world.lot().reviewed) == (LotState.REJECTED, BACK, True)


def test_parties_of_two_minds_decide_nothing_and_a_third_does(world: ShipmentsWorld) -> None:
    world.answered(THRESHOLD, reviewers="QRT")
    world.reviewed("Q", release=True)
    world.reviewed("R", release=False)
    assert world.state() is LotState.QUARANTINED
    world.reviewed("T", release=True)
    assert world.state() is LotState.RELEASED


def test_a_lot_in_quarantine_expires_when_people_do_not_agree(world: ShipmentsWorld) -> None:
    world.answered(THRESHOLD)
    world.reviewed("Q", release=True)
    world.run_out()
    world.send("anybody", world.shipments.expire(LOT))
    assert (world.state(), world.credits(), world.lot().reviewed) == (LotState.REJECTED, BACK, False)


def test_a_review_needs_a_lot_in_quarantine_a_reviewer_a_reason_and_one_voice(world: ShipmentsWorld) -> None:
    review = world.shipments.review(LOT, release=True, reason=REASON)
    world.booked()
    assert world.refuse("Q", review) == "shipments: not quarantined"
    world.send("B", world.shipments.ask(LOT, INPUT, fee=FEE))
    world.send("anybody", world.answer_call(world.lot().request, THRESHOLD))
    assert world.refuse("T", review) == "shipments: not a reviewer"
    silent = world.shipments.review(LOT, release=True, reason=bytes(32))
    assert world.refuse("Q", silent) == "shipments: no reason given"
    world.send("Q", review)
    assert world.refuse("Q", review) == "shipments: party has spoken"
    other = world.shipments.review(LOT, release=False, reason=REASON)
    assert world.refuse("Q", other) == "shipments: party has spoken"


# Money


def test_what_the_oracle_pays_back_is_the_buyers(world: ShipmentsWorld) -> None:
    reclaim = world.shipments.reclaim()
    assert world.refuse("anybody", reclaim) == "shipments: nothing to reclaim"
    world.send("anybody", told(world.oracle, "owe(address)", world.shipments.address, value=1_234))
    world.send("anybody", reclaim)
    assert (world.credits(), world.balance()) == ((0, 0, 1_234), 1_234)


@pytest.mark.parametrize("amount", [0, PRICE + 1])
def test_nobody_withdraws_nothing_or_more_than_the_own_credit(world: ShipmentsWorld, amount: int) -> None:
    world.answered(THRESHOLD - 1)
    assert world.refuse("S", world.shipments.withdraw(amount)) == "shipments: not enough credit"
    assert world.refuse("anybody", world.shipments.withdraw(1)) == "shipments: not enough credit"


def test_money_that_nobody_asked_for_is_refused(world: ShipmentsWorld) -> None:
    from tallystick.chain import Call

    assert world.refuse("S", Call(world.shipments.address, b"", 5)) == "shipments: not the oracle"


def test_gas_is_what_the_snapshot_says() -> None:
    measured = measure()
    assert measured == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert measured["answer, released"] < CALLBACK_GAS


# The contract itself


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"oracle": "0x" + "11" * 20}, "oracle is no contract"),
        ({"members": "0x" + "11" * 20}, "members is none"),
        ({"buyer": address("stranger")}, "buyer is no member"),
    ],
)
def test_a_contract_is_bound_to_contracts_and_a_member(
    world: ShipmentsWorld, changes: dict[str, str], why: str
) -> None:
    fields = {"oracle": world.oracle, "members": world.members.address, "buyer": address("B"), **changes}
    assert world.refuse("deployer", Shipments.deploy_call(**fields)) == f"shipments: {why}"


def test_an_unknown_event_is_refused(world: ShipmentsWorld) -> None:
    with pytest.raises(ConfigurationError, match="event must be"):
        world.shipments.logged("Exploded")


def test_a_contract_that_is_another_is_noticed(world: ShipmentsWorld) -> None:
    other = Shipments(world.web3, world.members.address)
    with pytest.raises((ConfigurationError, RevertError)):
        other.lot(LOT)
