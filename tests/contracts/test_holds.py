"""A hold stands as long as what is behind it, and no longer: each path, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_world import party
from holds_world import (
    DAY,
    DISPUTED,
    EPOCH,
    HOUR,
    INPUTS,
    MODEL,
    OPEN_LIMIT,
    OTHER,
    OVERTURNED,
    REASON,
    RELEASED,
    REVIEW_BLOCKS,
    SALT,
    SNAPSHOT,
    STOOD,
    THRESHOLD,
    TOKEN,
    UPHELD,
    US,
    HoldsWorld,
    measure,
)

from tallystick.apps.fraud.holding import Held, Holds, HoldState, MemberRecord
from tallystick.errors import ConfigurationError, RevertError
from tallystick.models import input_commitment, pack_inputs

NOBODY = MemberRecord(0, 0, 0, 0, 0, 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[HoldsWorld]:
    with HoldsWorld(tmp_path / "chain") as made:
        yield made


# Placing


def test_a_hold_on_an_anchored_decision_is_read_by_everybody(world: HoldsWorld) -> None:
    assert world.held() is None
    until = world.now + 5 * DAY
    said = world.requested("A", until=until)
    world.send("A", world.place_call(said, until=until))
    assert world.held() == Held(until, "L0", party("A"))
    assert world.held(OTHER) is None
    hold = world.hold()
    assert (hold.state, hold.level, hold.until, hold.review_until) == (STOOD, "L0", until, 0)
    assert hold.ground.hex() == leaf_of(world, "A", said.index)
    assert world.holds.is_used(hold.ground)
    assert world.holds.holders(TOKEN) == (party("A"),)
    assert world.holds.record(party("A")) == MemberRecord(1, 0, 0, 0, 0, 0)
    (event,) = world.holds.logged("Placed", token=TOKEN, party=party("A"), epoch=EPOCH)
    assert (event.values["level"], event.values["until"], event.values["ground"]) == (0, until, hold.ground)


def leaf_of(world: HoldsWorld, name: str, index: int) -> str:
    return world.trees[name].leaves[index].hex()


def test_a_statement_with_a_payload_and_no_links_counts_too(world: HoldsWorld) -> None:
    payload = {
        "commitment": "A" * 43,
        "form": "fields",
        "media": "application/json",
        "nonce": "A" * 22,
        "size": 64,
    }
    said = world.requested("A", links={}, payload=payload)
    assert b"payload" in said.rest
    world.send("A", world.place_call(said))
    assert world.held() is not None


@pytest.mark.parametrize(
    "token", [bytes(range(32)), bytes(range(224, 256)), b"\x09\x0a\x9f\xa0" * 8, b"\x00" * 31 + b"\x01"]
)
def test_every_token_is_written_as_the_statement_writes_it(world: HoldsWorld, token: bytes) -> None:
    world.placed("A", token)
    assert world.held(token) is not None


@pytest.mark.parametrize("field", ["epoch", "token", "until", "level", "at", "extra"])
def test_a_statement_that_says_something_else_places_nothing(world: HoldsWorld, field: str) -> None:
    until, at = world.now + 5 * DAY, world.now
    body = {"epoch": EPOCH, "level": "L0", "token": TOKEN.hex(), "until": until}
    other = {
        "epoch": {"epoch": 2}, "token": {"token": OTHER.hex()}, "until": {"until": until + 1}, "level": {"level": "L1"},
        "at": {}, "extra": {"unless": "never"},
    }  # fmt: skip
    said = world.state("A", "hold.requested", {**body, **other[field]}, at=at + (field == "at"))
    told = type(said)(at, said.links, said.origin, said.rest, said.size, said.index, said.proof)
    assert world.refuse("A", world.place_call(told, until=until)) == "holds: not in the anchored journal"
    assert world.held() is None


def test_a_statement_of_another_kind_places_nothing(world: HoldsWorld) -> None:
    until = world.now + DAY
    body = {"epoch": EPOCH, "level": "L0", "token": TOKEN.hex(), "until": until}
    said = world.state("A", "hold.disputed", body)
    assert world.refuse("A", world.place_call(said, until=until)) == "holds: not in the anchored journal"


def test_a_statement_places_one_hold(world: HoldsWorld) -> None:
    until = world.now + 5 * DAY
    said = world.requested("A", until=until)
    world.send("A", world.place_call(said, until=until))
    again = world.place_call(said, until=until, slot=1)
    assert world.refuse("A", again) == "holds: used before"
    world.send("A", world.release_call())
    assert world.refuse("A", again) == "holds: used before"
    world.placed("A", until=until)
    assert world.holds.record(party("A")) == MemberRecord(2, 0, 1, 0, 0, 0)
    assert world.holds.holders(TOKEN) == (party("A"),)


def test_a_second_hold_on_the_same_token_waits_for_the_end_of_the_first(world: HoldsWorld) -> None:
    world.placed("A", until=world.now + DAY)
    said = world.requested("A", until=world.now + 3 * DAY)
    call = world.place_call(said, until=world.now + 3 * DAY, slot=1)
    assert world.refuse("A", call) == "holds: held already"
    world.pass_us(DAY)
    world.send("A", call)
    held = world.held()
    assert held is not None
    assert held.until == world.now + 2 * DAY


@pytest.mark.parametrize(
    ("ends_in", "why"),
    [(0, "must end within ten days"), (10 * DAY + 1, "must end within ten days"), (1, ""), (10 * DAY, "")],
)
def test_a_hold_ends_after_now_and_within_ten_days(world: HoldsWorld, ends_in: int, why: str) -> None:
    until = world.now + ends_in
    call = world.place_call(world.requested("A", until=until), until=until)
    assert world.refusal("A", call) == (f"holds: {why}" if why else "")


def test_a_hold_that_has_ended_before_is_refused(world: HoldsWorld) -> None:
    until = world.now - DAY
    call = world.place_call(world.requested("A", until=until), until=until)
    assert world.refuse("A", call) == "holds: must end within ten days"


@pytest.mark.parametrize(
    ("age", "why"),
    [(-HOUR, ""), (-HOUR - 1, "decided in the future"), (7 * DAY, ""), (7 * DAY + 1, "decided too long ago")],
)
def test_a_decision_is_placed_while_it_is_fresh(world: HoldsWorld, age: int, why: str) -> None:
    call = world.place_call(world.requested("A", at=world.now - age))
    assert world.refusal("A", call) == (f"holds: {why}" if why else "")


def test_an_empty_token_is_refused(world: HoldsWorld) -> None:
    call = world.place_call(world.requested("A", bytes(32)), bytes(32))
    assert world.refuse("A", call) == "holds: token is empty"


def test_numbers_that_json_does_not_hold_are_refused(world: HoldsWorld) -> None:
    call = world.place_call(world.requested("A"), until=2**53)
    assert world.refuse("A", call) == "holds: number is too large"


def test_what_is_not_anchored_yet_places_nothing(world: HoldsWorld) -> None:
    world.requested("A", OTHER)
    said = world.requested("A", anchor=False)
    assert world.refuse("A", world.place_call(said)) == "holds: not in the anchored journal"
    world.anchor_journal("A")
    world.send("A", world.place_call(said))


@pytest.mark.parametrize("change", [{"size": 1}, {"index": 0}, {"proof": ()}, {"proof": (b"x" * 32,)}])
def test_another_place_or_proof_places_nothing(world: HoldsWorld, change: dict[str, Any]) -> None:
    world.requested("A", OTHER)
    said = world.requested("A")
    fields = {name: getattr(said, name) for name in said.__slots__}
    told = type(said)(**{**fields, **change})
    assert world.refuse("A", world.place_call(told)) == "holds: not in the anchored journal"


def test_two_members_hold_one_payee_each_for_itself(world: HoldsWorld) -> None:
    world.placed("A", until=world.now + DAY)
    world.placed("B", until=world.now + 2 * DAY)
    assert world.held() == Held(world.now + 2 * DAY, "L0", party("B"))
    world.send("B", world.release_call("B"))
    assert world.held() == Held(world.now + DAY, "L0", party("A"))
    assert world.holds.holders(TOKEN) == (party("A"), party("B"))


# Places


def test_a_member_has_so_many_open_holds_and_no_more(world: HoldsWorld) -> None:
    tokens = [bytes([number]) * 32 for number in range(1, OPEN_LIMIT + 2)]
    for count, token in enumerate(tokens[:OPEN_LIMIT]):
        assert world.holds.free_slot(party("A")) == count
        world.placed("A", token, until=world.now + (count + 1) * DAY)
    assert (world.holds.free_slot(party("A")), world.holds.open_count(party("A"))) == (None, OPEN_LIMIT)
    assert world.holds.open_limit() == OPEN_LIMIT
    said = world.requested("A", tokens[-1])
    for slot in range(OPEN_LIMIT):
        call = world.place_call(said, tokens[-1], slot=slot)
        assert world.refuse("A", call) == "holds: slot is taken"
    beyond = world.place_call(said, tokens[-1], slot=OPEN_LIMIT)
    assert world.refuse("A", beyond) == "holds: no such slot"
    assert world.holds.open_count(party("B")) == 0
    last = world.place_call(said, tokens[-1])
    world.pass_us(DAY)
    assert (world.holds.free_slot(party("A")), world.holds.open_count(party("A"))) == (0, OPEN_LIMIT - 1)
    world.send("A", last)
    assert world.holds.free_slot(party("A")) is None


def test_a_released_hold_gives_its_place_back(world: HoldsWorld) -> None:
    world.placed("A", slot=1)
    assert world.holds.free_slot(party("A")) == 0
    world.placed("A", OTHER, slot=0)
    world.send("A", world.release_call())
    assert world.holds.free_slot(party("A")) == 1
    # The token's next hold stands in another place; the old one stays free.
    world.placed("A", slot=2)
    assert (world.holds.free_slot(party("A")), world.holds.open_count(party("A"))) == (1, 2)


# Executing


def test_a_model_in_use_places_a_hold_at_its_threshold(world: HoldsWorld) -> None:
    world.named()
    assert world.holds.threshold_of(MODEL) == THRESHOLD
    world.score(THRESHOLD - 1)
    assert world.refuse("B", world.execute_call()) == "holds: the model does not ask for it"
    world.score(THRESHOLD)
    world.send("B", world.execute_call())
    assert world.held() == Held(world.hold("B").until, "L4", party("B"))
    assert world.hold("B").ground == input_commitment(SALT, pack_inputs(INPUTS))
    assert world.holds.record(party("B")) == MemberRecord(1, 1, 0, 0, 0, 0)
    (event,) = world.holds.logged("Executed", token=TOKEN, party=party("B"), model=bytes.fromhex(MODEL))
    assert (event.values["output"], event.values["threshold"]) == (THRESHOLD, THRESHOLD)


def test_a_negative_score_and_threshold_compare_as_numbers(world: HoldsWorld) -> None:
    world.named(-5)
    world.score(-6)
    assert world.refuse("A", world.execute_call()) == "holds: the model does not ask for it"
    world.score(-5)
    world.send("A", world.execute_call())


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_a_model_that_is_not_promoted_places_nothing(world: HoldsWorld, stage: int) -> None:
    world.named()
    world.score(THRESHOLD)
    world.promote(stage=stage)
    assert world.refuse("A", world.execute_call()) == "holds: model is not in use"


def test_a_model_that_was_not_named_or_has_no_executor_places_nothing(world: HoldsWorld) -> None:
    world.score(THRESHOLD)
    assert world.holds.threshold_of(MODEL) is None
    assert world.refuse("A", world.execute_call()) == "holds: model is not named"
    world.named()
    world.promote(executor="0x" + "00" * 20)
    assert world.refuse("A", world.execute_call()) == "holds: model has no executor"


def test_the_same_input_places_one_hold_whatever_its_salt(world: HoldsWorld) -> None:
    world.named()
    world.score(THRESHOLD)
    world.send("A", world.execute_call(until=world.now + DAY))
    world.pass_us(DAY)
    for salt in (SALT, b"t" * 32):
        assert world.refuse("A", world.execute_call(salt=salt)) == "holds: used before"
    world.send("A", world.execute_call(OTHER))
    other = (*INPUTS[:-1], 8)
    world.send("A", world.execute_call(inputs=other, slot=1))
    world.send("B", world.execute_call())


def test_an_input_of_another_width_places_nothing(world: HoldsWorld) -> None:
    world.named()
    world.score(THRESHOLD)
    assert world.refuse("A", world.execute_call(inputs=(1,))) == "stand-in: two words"


def test_a_model_is_named_by_enough_members_and_again_at_another_score(world: HoldsWorld) -> None:
    world.named(voters="AB")
    assert world.holds.threshold_of(MODEL) is None
    again = world.holds.name_model(MODEL, threshold=THRESHOLD)
    assert world.refuse("A", again) == "holds: party has spoken"
    world.named(50, voters="C")
    assert world.holds.threshold_of(MODEL) is None
    world.named(voters="D")
    assert world.holds.threshold_of(MODEL) == THRESHOLD
    world.named(60)
    assert world.holds.threshold_of(MODEL) == 60
    world.named()
    assert world.holds.threshold_of(MODEL) == THRESHOLD
    assert [event.values["threshold"] for event in world.holds.logged("ModelNamed")] == [
        THRESHOLD,
        60,
        THRESHOLD,
    ]
    nothing = world.holds.name_model("00" * 32, threshold=1)
    assert world.refuse("A", nothing) == "holds: model is empty"


# Releasing


def test_the_placer_releases_by_a_statement_of_its_own(world: HoldsWorld) -> None:
    world.placed()
    world.send("A", world.release_call())
    assert (world.held(), world.hold().state) == (None, RELEASED)
    assert not world.holds.is_open(TOKEN, party("A"))
    (event,) = world.holds.logged("Released", token=TOKEN, party=party("A"))
    assert event.values["statement"].hex() == leaf_of(world, "A", 1)
    assert world.refuse("A", world.release_call()) == "holds: no open hold"


def test_a_release_needs_a_statement_about_this_token(world: HoldsWorld) -> None:
    world.placed()
    world.placed("A", OTHER)
    other = world.state("A", "hold.released", {"token": OTHER.hex()})
    call = world.holds.release(TOKEN, said=other)
    assert world.refuse("A", call) == "holds: not in the anchored journal"
    assert world.refuse("B", world.release_call("B")) == "holds: no open hold"
    world.send("A", world.holds.release(OTHER, said=other))
    assert world.held() is not None


def test_a_statement_releases_once(world: HoldsWorld) -> None:
    world.placed()
    call = world.release_call()
    world.send("A", call)
    world.placed()
    assert world.refuse("A", call) == "holds: used before"


def test_a_disputed_or_upheld_hold_is_released_too(world: HoldsWorld) -> None:
    world.placed()
    world.disputed()
    world.send("A", world.release_call())
    assert world.hold().state is RELEASED
    world.placed()
    world.disputed()
    for name in "CD":
        world.reviewed(name, uphold=True)
    world.send("A", world.release_call())
    assert world.hold().state is RELEASED


# Expiry


def test_a_hold_ends_by_itself_to_the_microsecond(world: HoldsWorld) -> None:
    until = world.now + DAY
    world.placed(until=until)
    world.pass_us(DAY - US)
    world.pass_blocks(1)
    assert world.held() is not None
    world.pass_us(US)
    assert world.held() is None
    assert not world.holds.is_open(TOKEN, party("A"))
    assert world.hold().state is STOOD
    for call in (world.holds.dispute(TOKEN, party("A"), reason=REASON), world.review_call(uphold=False)):
        assert world.refuse("B", call) == "holds: no open hold"


# Disputes and reviews


def test_a_dispute_shortens_a_hold_to_the_review_window(world: HoldsWorld) -> None:
    world.placed()
    ends = world.hold().until
    world.disputed()
    hold = world.hold()
    assert (hold.state, hold.until, hold.review_until) == (DISPUTED, ends, world.now + DAY)
    assert hold.review_block == world.block() + REVIEW_BLOCKS
    (event,) = world.holds.logged("Disputed", token=TOKEN, party=party("A"), by=party("B"))
    assert (event.values["reason"], event.values["review_until"]) == (REASON, hold.review_until)
    assert world.holds.voices(TOKEN, party("A"), uphold=False) == (party("B"),)
    assert world.holds.record(party("B")) == MemberRecord(0, 0, 0, 0, 0, 1)
    world.pass_blocks(REVIEW_BLOCKS)
    assert world.held() == Held(world.now + DAY, "L0", party("A"))
    world.pass_us(DAY)
    world.pass_blocks(1)
    assert world.held() is None


def test_a_halted_chain_does_not_eat_the_time_to_look_at_a_dispute(world: HoldsWorld) -> None:
    world.placed()
    ends = world.hold().until
    world.disputed()
    world.pass_us(2 * DAY)
    world.pass_blocks(REVIEW_BLOCKS - 2)
    assert world.held() == Held(ends, "L0", party("A"))
    world.pass_blocks(1)
    assert world.held() is None


def test_a_dispute_never_makes_a_hold_longer(world: HoldsWorld) -> None:
    until = world.now + HOUR
    world.placed(until=until)
    world.disputed()
    world.pass_blocks(REVIEW_BLOCKS)
    assert world.held() == Held(until, "L0", party("A"))
    world.pass_us(HOUR)
    world.pass_blocks(1)
    assert world.held() is None
    world.pass_us(DAY)
    # It ran to its own end: neither upheld nor overturned.
    assert world.refuse("anybody", world.holds.settle(TOKEN, party("A"))) == "holds: nothing to settle"


def test_two_others_uphold_a_disputed_hold_until_its_end(world: HoldsWorld) -> None:
    world.placed()
    ends = world.hold().until
    world.disputed()
    world.reviewed("C", uphold=True)
    assert world.hold().state is DISPUTED
    world.reviewed("D", uphold=True)
    assert world.hold().state is UPHELD
    world.pass_us(2 * DAY)
    world.pass_blocks(REVIEW_BLOCKS)
    assert world.held() == Held(ends, "L0", party("A"))
    assert world.holds.record(party("A")) == MemberRecord(1, 0, 0, 0, 1, 0)
    assert (
        world.refuse("E", world.holds.dispute(TOKEN, party("A"), reason=REASON))
        == "holds: disputed or decided"
    )
    assert world.refuse("E", world.review_call(uphold=False)) == "holds: decided"
    assert len(world.holds.logged("Upheld", token=TOKEN)) == 1


def test_two_others_overturn_a_hold_that_nobody_disputed(world: HoldsWorld) -> None:
    world.placed()
    world.reviewed("B", uphold=False)
    assert world.held() is not None
    world.reviewed("C", uphold=False)
    assert (world.held(), world.hold().state) == (None, OVERTURNED)
    record = world.holds.record(party("A"))
    assert (record, record.overturned_rate) == (MemberRecord(1, 0, 0, 1, 0, 0), 1.0)
    (event,) = world.holds.logged("Overturned", token=TOKEN, party=party("A"))
    assert event.values["lapsed"] is False
    assert world.refuse("D", world.review_call(uphold=False)) == "holds: no open hold"
    assert [e.values["uphold"] for e in world.holds.logged("Reviewed", token=TOKEN, party=party("A"))] == [
        False
    ] * 2


def test_a_dispute_is_a_voice_and_can_be_the_second(world: HoldsWorld) -> None:
    world.placed()
    world.disputed("B")
    world.reviewed("C", uphold=False)
    assert world.hold().state is OVERTURNED
    world.placed("A", OTHER)
    world.reviewed("C", uphold=False, token=OTHER)
    world.disputed("B", token=OTHER)
    assert world.hold(token=OTHER).state is OVERTURNED


def test_parties_of_two_minds_decide_nothing_and_a_third_does(world: HoldsWorld) -> None:
    world.placed()
    world.disputed("B")
    world.reviewed("C", uphold=True)
    assert world.hold().state is DISPUTED
    world.reviewed("D", uphold=False)
    assert world.hold().state is OVERTURNED


def test_a_review_speaks_once_with_a_reason_and_never_of_the_own_hold(world: HoldsWorld) -> None:
    world.placed()
    dispute = world.holds.dispute(TOKEN, party("A"), reason=REASON)
    silent = world.holds.dispute(TOKEN, party("A"), reason=bytes(32))
    assert world.refuse("A", dispute) == "holds: own hold"
    assert world.refuse("B", silent) == "holds: no reason given"
    assert world.refuse("B", world.review_call(uphold=True)) == "holds: nobody disputes it"
    world.send("B", dispute)
    assert world.refuse("C", dispute) == "holds: disputed or decided"
    for uphold in (True, False):
        assert world.refuse("A", world.review_call(uphold=uphold)) == "holds: own hold"
        assert world.refuse("B", world.review_call(uphold=uphold)) == "holds: party has spoken"
    world.reviewed("C", uphold=True)
    for uphold in (True, False):
        assert world.refuse("C", world.review_call(uphold=uphold)) == "holds: party has spoken"
    assert world.refuse("D", world.review_call(uphold=True, reason=bytes(32))) == "holds: no reason given"
    assert world.holds.voices(TOKEN, party("A"), uphold=True) == (party("C"),)


def test_voices_of_one_hold_do_not_count_for_the_next(world: HoldsWorld) -> None:
    world.placed()
    world.reviewed("B", uphold=False)
    world.send("A", world.release_call())
    world.placed()
    assert world.holds.voices(TOKEN, party("A"), uphold=False) == ()
    world.reviewed("C", uphold=False)
    assert world.hold().state is STOOD
    world.reviewed("B", uphold=False)
    assert world.hold().state is OVERTURNED


def test_voices_about_one_member_do_not_count_for_another(world: HoldsWorld) -> None:
    world.placed("A")
    world.placed("B")
    world.reviewed("C", uphold=False)
    world.reviewed("D", uphold=False, name="B")
    assert (world.hold("A").state, world.hold("B").state) == (STOOD, STOOD)


def test_a_lapsed_dispute_is_written_down_as_overturned(world: HoldsWorld) -> None:
    world.placed()
    settle = world.holds.settle(TOKEN, party("A"))
    assert world.refuse("anybody", settle) == "holds: nothing to settle"
    world.disputed()
    assert world.refuse("anybody", settle) == "holds: nothing to settle"
    world.pass_us(DAY)
    assert world.refuse("anybody", settle) == "holds: nothing to settle"
    world.pass_blocks(REVIEW_BLOCKS)
    world.send("anybody", settle)
    assert (world.hold().state, world.holds.record(party("A")).overturned) == (OVERTURNED, 1)
    (event,) = world.holds.logged("Overturned", token=TOKEN)
    assert event.values["lapsed"] is True
    assert world.refuse("anybody", settle) == "holds: nothing to settle"


def test_a_lapsed_dispute_is_counted_when_the_next_hold_is_placed(world: HoldsWorld) -> None:
    world.placed()
    world.disputed()
    world.pass_us(DAY)
    world.pass_blocks(REVIEW_BLOCKS)
    world.placed()
    assert world.holds.record(party("A")) == MemberRecord(2, 0, 0, 1, 0, 0)
    assert world.hold().state is STOOD


# Epochs


def test_an_epoch_is_open_when_enough_members_said_the_same(world: HoldsWorld) -> None:
    from holds_world import EPOCH_ID, share

    assert world.holds.epoch(2) is None
    world.open_epoch(2, "AB", agreed=b"f" * 32)
    assert (world.holds.epoch(2), world.holds.epoch_count()) == (None, 1)
    assert world.refuse("A", world.epoch_call("A", 2, agreed=b"f" * 32)) == "holds: party has spoken"
    world.open_epoch(2, "C", agreed=b"g" * 32)
    assert world.holds.epoch(2) is None
    world.open_epoch(2, "D", agreed=b"f" * 32)
    found = world.holds.epoch(2)
    assert found is not None
    assert (found.id, found.ended, world.holds.epoch_count()) == (b"f" * 32, False, 2)
    assert world.holds.shares(2) == {party(name): share(name) for name in "ABD"}
    late = world.epoch_call("C", 2, agreed=b"g" * 32)
    assert world.refuse("C", late) == "holds: another epoch has this number"
    world.open_epoch(2, "E", agreed=b"f" * 32)
    assert world.holds.shares(2)[party("E")] == share("E")
    assert len(world.holds.logged("EpochOpened", number=2)) == 1
    assert world.holds.epoch(1) is not None
    assert world.holds.epoch(1).id == EPOCH_ID  # type: ignore[union-attr]
    assert world.holds.shares(3) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"agreed": bytes(32)}, "id or share is empty"),
        ({"share": bytes(32)}, "id or share is empty"),
        ({"since": 2**52, "until": 2**52}, "time of the epoch"),
        ({"since": 1_795_000_000 * US, "until": 1_795_000_000 * US + 400 * DAY + 1}, "time of the epoch"),
        ({"since": 0, "until": 300 * DAY}, "epoch would be over"),
        ({"number": 0}, "number of the epoch"),
    ],
)
def test_an_epoch_that_cannot_be_is_refused(world: HoldsWorld, changes: dict[str, Any], why: str) -> None:
    number = changes.pop("number", 2)
    assert world.refuse("A", world.epoch_call("A", number, **changes)) == f"holds: {why}"


def test_the_first_epoch_is_not_number_0_and_lasts_400_days_at_the_most(world: HoldsWorld) -> None:
    world.deploy(world.models)
    assert world.refuse("A", world.epoch_call("A", 0)) == "holds: number of the epoch"
    begins = 1_795_000_000 * US
    world.open_epoch(1, since=begins, until=begins + 400 * DAY)
    assert world.holds.epoch_count() == 1


def test_an_epoch_runs_from_its_beginning_to_its_end(world: HoldsWorld) -> None:
    begins = world.now + DAY
    world.open_epoch(2, since=begins, until=begins + DAY)
    said = world.requested("A", epoch=2)
    call = world.place_call(said, epoch=2)
    assert world.refuse("A", call) == "holds: epoch is not running"
    world.pass_us(DAY)
    assert not world.refusal("A", call)
    world.pass_us(DAY)
    assert world.refuse("A", call) == "holds: epoch is not running"
    world.pass_blocks(1)
    assert world.holds.epoch_ended(2)
    assert not world.holds.epoch_ended(1)
    assert not world.holds.epoch_ended(3)
    unknown = world.place_call(world.requested("A", epoch=3), epoch=3)
    assert world.refuse("A", unknown) == "holds: epoch is not running"


def test_an_epoch_that_begins_within_a_blocks_second_has_begun(world: HoldsWorld) -> None:
    second = world.now + DAY
    for number, begins, why in ((2, second + US - 1, ""), (3, second + US, "holds: epoch is not running")):
        world.open_epoch(number, since=begins, until=begins + DAY)
        call = world.place_call(world.requested("A", epoch=number), epoch=number)
        world.pass_us(DAY)
        assert world.refusal("A", call) == why
        world.pass_us(-DAY)


def test_members_that_destroy_their_shares_end_an_epoch_early(world: HoldsWorld) -> None:
    end = world.holds.end_epoch(EPOCH)
    assert world.refuse("D", end) == "holds: no share of this epoch"
    for name in "AB":
        world.send(name, end)
    assert world.refuse("A", end) == "holds: party has spoken"
    assert not world.holds.epoch_ended(EPOCH)
    assert world.holds.destroyed(EPOCH) == (party("A"), party("B"))
    world.placed("A")
    world.send("C", end)
    assert world.holds.epoch_ended(EPOCH)
    assert len(world.holds.logged("EpochEnded", number=EPOCH)) == 1
    # What is held stays held until its end; nothing new is.
    assert world.held() is not None
    assert world.refuse("B", world.place_call(world.requested("B"))) == "holds: epoch is not running"
    assert world.refuse("B", world.epoch_call("D")) == "holds: epoch has ended"
    assert world.refuse("A", world.holds.end_epoch(9)) == "holds: unknown epoch"


# The list


def test_a_list_counts_when_enough_members_posted_the_same_root(world: HoldsWorld) -> None:
    holds, root = world.holds, b"l" * 32
    post = holds.post_list(EPOCH, 4, root, 17)
    for name in "AB":
        world.send(name, post)
    world.send("C", holds.post_list(EPOCH, 4, b"m" * 32, 17))
    assert holds.list_root(EPOCH) is None
    assert holds.posted(EPOCH, 4, party("C")) == b"m" * 32
    assert holds.posted(EPOCH, 4, party("D")) is None
    world.send("D", post)
    found = holds.list_root(EPOCH)
    assert found is not None
    assert (found.number, found.root, found.entries, found.votes) == (4, root, 17, 3)
    world.send("E", post)
    assert holds.list_root(EPOCH).votes == 4  # type: ignore[union-attr]
    assert len(holds.logged("ListCounted", epoch=EPOCH, number=4)) == 1
    assert len(holds.logged("ListPosted", epoch=EPOCH, number=4)) == 5


def test_a_party_posts_one_root_for_a_number(world: HoldsWorld) -> None:
    world.send("A", world.holds.post_list(EPOCH, 1, b"l" * 32, 1))
    for root, entries in ((b"l" * 32, 1), (b"m" * 32, 1), (b"l" * 32, 2)):
        call = world.holds.post_list(EPOCH, 1, root, entries)
        assert world.refuse("A", call) == "holds: party has posted"


def test_an_older_list_never_comes_back(world: HoldsWorld) -> None:
    old, new = (world.holds.post_list(EPOCH, number, bytes([number]) * 32, 1) for number in (1, 2))
    for name in "AB":
        world.send(name, old)
    for name in "ABC":
        world.send(name, new)
    assert world.refuse("C", old) == "holds: number of the list"
    other = world.holds.post_list(EPOCH, 2, b"x" * 32, 1)
    assert world.refuse("D", other) == "holds: number of the list"
    assert world.holds.list_root(EPOCH).number == 2  # type: ignore[union-attr]


def test_a_list_needs_a_root_and_a_running_epoch(world: HoldsWorld) -> None:
    assert world.refuse("A", world.holds.post_list(EPOCH, 1, bytes(32), 1)) == "holds: root is empty"
    assert world.refuse("A", world.holds.post_list(EPOCH, 0, b"l" * 32, 1)) == "holds: number of the list"
    assert world.refuse("A", world.holds.post_list(2, 1, b"l" * 32, 1)) == "holds: epoch is not running"


# The contract itself


def test_only_active_members_do_anything(world: HoldsWorld) -> None:
    world.placed()
    said = world.requested("B")
    calls = [
        world.place_call(said), world.execute_call(), world.release_call("B"), world.review_call(uphold=False),
        world.holds.dispute(TOKEN, party("A"), reason=REASON), world.holds.name_model(MODEL, threshold=1),
        world.epoch_call("B", 2), world.holds.end_epoch(EPOCH), world.holds.post_list(EPOCH, 1, b"l" * 32, 1),
    ]  # fmt: skip
    world.suspend("B", "ACD")
    for who in ("B", "stranger"):
        for call in calls:
            assert world.refusal(who, call) == "holds: not an active member"


def test_a_voice_of_a_party_that_is_suspended_counts_no_more(world: HoldsWorld) -> None:
    world.placed()
    world.named(voters="BC")
    world.reviewed("B", uphold=False)
    world.suspend("B", "ACD")
    world.named(voters="D")
    assert world.holds.threshold_of(MODEL) is None
    world.reviewed("C", uphold=False)
    assert world.hold().state is STOOD
    world.reviewed("D", uphold=False)
    assert world.hold().state is OVERTURNED
    world.named(voters="A")
    assert world.holds.threshold_of(MODEL) == THRESHOLD


def test_a_hold_of_a_party_that_is_suspended_stands_until_its_end(world: HoldsWorld) -> None:
    world.placed()
    world.suspend("A", "BCD")
    assert world.held() is not None
    for name in "BC":
        world.reviewed(name, uphold=False)
    assert world.held() is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"anchors": "0x" + "11" * 20}, "anchors is no contract"),
        ({"models": "0x" + "11" * 20}, "models is no contract"),
        ({"open_limit": 0}, "open limit"),
        ({"open_limit": 257}, "open limit"),
        ({"review_s": 0}, "review time"),
        ({"review_s": 864_001}, "review time"),
        ({"review_blocks": 10_000_001}, "review blocks"),
    ],
)
def test_a_contract_is_bound_to_contracts_and_bounds(
    world: HoldsWorld, changes: dict[str, Any], why: str
) -> None:
    call = world.deploy_call(**{"models": world.models, **changes})
    assert world.refuse("deployer", call) == f"holds: {why}"


@pytest.mark.parametrize(
    "changes", [{"open_limit": 1}, {"open_limit": 256}, {"review_s": 864_000, "review_blocks": 10_000_000}]
)
def test_a_contract_takes_the_bounds_themselves(world: HoldsWorld, changes: dict[str, int]) -> None:
    world.send("deployer", world.deploy_call(models=world.models, **changes))


def test_anchors_and_models_must_ask_the_same_members(world: HoldsWorld) -> None:
    from holds_world import STAND_IN_MODELS

    other = world.put("Models", STAND_IN_MODELS, world.anchored.address)
    assert world.refuse("deployer", world.deploy_call(models=other)) == "holds: models has other members"


def test_the_contract_takes_no_money(world: HoldsWorld) -> None:
    from tallystick.chain import Call

    vote = world.holds.name_model(MODEL, threshold=1)
    for data in (b"", vote.data):
        world.refuse("A", Call(world.holds.address, data, 5))
    world.send("A", vote)
    assert world.web3.eth.get_balance(world.web3.to_checksum_address(world.holds.address)) == 0


def test_an_unknown_event_and_a_short_token_are_refused_before_anything_is_sent(world: HoldsWorld) -> None:
    with pytest.raises(ConfigurationError, match="event must be"):
        world.holds.logged("Exploded")
    with pytest.raises(ConfigurationError, match="must have 32 bytes, got 3"):
        world.holds.held(b"abc")


def test_a_contract_that_is_another_is_noticed(world: HoldsWorld) -> None:
    other = Holds(world.web3, world.members.address)
    with pytest.raises((ConfigurationError, RevertError)):
        other.held(TOKEN)


def test_nothing_is_known_of_who_never_placed_a_hold(world: HoldsWorld) -> None:
    assert world.hold("E").state is HoldState.NONE
    assert (world.holds.record(party("E")), world.holds.holders(TOKEN)) == (NOBODY, ())
    assert world.holds.record(party("E")).overturned_rate == 0


def test_gas_is_what_the_snapshot_says() -> None:
    # A change on purpose is written down with: python tests/contracts/holds_world.py
    measured = measure()
    assert measured == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert measured["place"] <= 300_000
