"""Random lives of many lots: the contract always holds exactly what is under escrow and what it owes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from contract_world import address
from shipments_world import FREIGHT, INPUT, PRICE, REASON, THRESHOLD, ShipmentsWorld, told

from tallystick.apps.supplychain._shipments import LotState, lot_id

STEPS = 90
UNDECIDED = (LotState.BOOKED, LotState.ASKED, LotState.QUARANTINED)
NEXT = {
    LotState.UNKNOWN: {LotState.BOOKED},
    LotState.BOOKED: {LotState.ASKED, LotState.REJECTED},
    LotState.ASKED: {LotState.BOOKED, LotState.QUARANTINED, LotState.RELEASED},
    LotState.QUARANTINED: {LotState.REJECTED, LotState.RELEASED},
    LotState.RELEASED: set(),
    LotState.REJECTED: set(),
}


def act(world: ShipmentsWorld, dice: random.Random, lot: bytes) -> None:
    """Try something that anybody might, right or wrong."""
    shipments, request = world.shipments, world.lot(lot).request
    score = dice.choice([THRESHOLD - 1, THRESHOLD, -(2**255), 2**255 - 1])
    calls = {
        "book": ("B", world.book_call(lot=lot)),
        "ask": ("B", shipments.ask(lot, INPUT, fee=7)),
        "answer": ("anybody", world.answer_call(request, score, dice.choice([1, 1, 1, 2]))),
        "give up": ("anybody", told(world.oracle, "put(bytes32,uint256)", request, dice.choice([4, 5]))),
        "reopen": ("anybody", shipments.reopen(lot)),
        "review": (dice.choice("QRT"), shipments.review(lot, release=dice.random() < 0.5, reason=REASON)),
        "expire": ("anybody", shipments.expire(lot)),
        "owe": ("anybody", told(world.oracle, "owe(address)", shipments.address, value=dice.randint(1, 9))),
        "reclaim": ("anybody", shipments.reclaim()),
        "withdraw": (dice.choice("SCB"), shipments.withdraw(dice.choice([1, FREIGHT, PRICE]))),
    }
    sender, call = calls[
        dice.choice([*calls, "book", "book", "ask", "ask", "answer", "answer", "review", "review"])
    ]
    if not world.refusal(sender, call):
        world.send(sender, call)
    if dice.random() < 0.02:
        world.run_out()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_money_is_conserved_and_states_follow_their_order(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    lots = [lot_id(f"VX-{number}") for number in range(4)]
    with ShipmentsWorld(tmp_path / "chain") as world:
        before = dict.fromkeys(lots, LotState.UNKNOWN)
        for _ in range(STEPS):
            lot = dice.choice(lots)
            act(world, dice, lot)
            state = world.state(lot)
            assert state is before[lot] or state in NEXT[before[lot]]
            before[lot] = state
            escrow = sum(PRICE + FREIGHT for found in before.values() if found in UNDECIDED)
            owed = sum(world.shipments.credit(address(name)) for name in "SCBQRT")
            assert world.balance() == escrow + owed
        assert len(set(before.values())) > 1
