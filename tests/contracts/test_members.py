from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from contract_world import (
    DELAY_BLOCKS,
    DELAY_S,
    LIFETIME_S,
    World,
    address,
    card,
    journal,
    keys,
    party,
    seat,
)

from tallystick.chain import Action, Call, Contract, Members, ProposalStatus, Seat, Standing, load
from tallystick.errors import ConfigurationError, RevertError

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def members(world: World) -> Members:
    return world.found(["A", "B", "C"], threshold=2)


def proposed(world: World, members: Members, sender: str, call) -> int:
    world.send(sender, call)
    return members.proposal_count()


def test_the_founding_seats_every_founder(world: World, members: Members) -> None:
    assert (members.count(), members.active_count(), members.threshold()) == (3, 3, 2)
    assert (members.delay(), members.lifetime()) == ((DELAY_S, DELAY_BLOCKS), LIFETIME_S)
    for place, name in enumerate("ABC"):
        assert members.party_at(place) == party(name)
        assert members.party_of(journal(name)) == party(name)
        assert members.writer_and_epoch(journal(name)) == (address(name), 1)
        assert members.member(address(name)) == party(name)
        assert members.card(party(name)) == card(name)
        (first,) = members.cards(party(name))
        assert (first.card, first.since) == (card(name), members.epoch_since(journal(name), 1))
        assert first.since == members.card_since(party(name), card(name)) == 2
        found = members.party(party(name))
        assert found is not None
        assert (found.account, found.standing, found.revision) == (address(name), Standing.ACTIVE, 1)
    assert [found.place for found in members.parties()] == [0, 1, 2]
    joined = members.logged("Joined")
    assert [log.values["party"] for log in joined] == [party(name) for name in "ABC"]
    assert {log.block for log in joined} == {2}
    (changed,) = members.logged("ThresholdChanged")
    assert changed.values == {"old": 0, "new": 2}


def test_strangers_have_nothing(members: Members) -> None:
    assert members.party(party("D")) is None
    assert members.card(party("D")) is None
    assert members.cards(party("D")) == []
    assert members.card_since(party("A"), card("D")) is None
    assert members.party_at(3) is None
    assert members.party_of(journal("D")) is None
    assert members.writer(journal("D")) is None
    assert members.writer_and_epoch(journal("D")) == (None, 0)
    assert members.epoch_since(journal("A"), 2) is None
    assert members.member(address("D")) is None
    assert members.proposal(1) is None


@pytest.mark.parametrize(("names", "threshold"), [(["A"], 1), (["A", "B"], 2), (["A", "B", "C"], 3)])
def test_a_majority_of_the_founders_is_a_threshold(world: World, names: list[str], threshold: int) -> None:
    assert world.found(names, threshold).threshold() == threshold


@pytest.mark.parametrize(
    ("names", "threshold", "reason"),
    [
        (["A"], 0, "members: threshold must be a majority of the active members"),
        (["A"], 2, "members: threshold exceeds the active members"),
        (["A", "B"], 1, "members: threshold must be a majority of the active members"),
        ([], 0, "members: threshold must be a majority of the active members"),
        (["A", "A"], 2, "members: already a member"),
    ],
)
def test_the_contract_refuses_a_founding_without_a_majority(
    world: World, monkeypatch: pytest.MonkeyPatch, names: list[str], threshold: int, reason: str
) -> None:
    # The typed class refuses these too; here the contract is asked itself.
    assert world.refuse("deployer", raw_founding([seat(name) for name in names], threshold)) == reason


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("party", bytes(32), "members: party must be given"),
        ("journal", bytes(32), "members: journal must be given"),
        ("journal", journal("A"), "members: journal is taken"),
        ("account", "0x" + "00" * 20, "members: account must be given"),
        ("account", address("A"), "members: account is taken"),
        ("writer", "0x" + "00" * 20, "members: writer must be given"),
        ("card", bytes(32), "members: card must be given"),
    ],
)
def test_the_founding_refuses_an_unfit_seat(world: World, field: str, value: object, reason: str) -> None:
    assert world.refuse("deployer", raw_founding([seat("A"), changed(seat("B"), field, value)], 2)) == reason


@pytest.mark.parametrize(
    ("delay_s", "delay_blocks", "lifetime_s", "reason"),
    [
        (10, 0, 10, "members: lifetime must exceed delay"),
        (0, 0, 366 * 86_400 + 1, "members: lifetime too long"),
        (0, 10_000_001, 10, "members: delay too long"),
    ],
)
def test_the_founding_refuses_unfit_times(
    world: World, delay_s: int, delay_blocks: int, lifetime_s: int, reason: str
) -> None:
    assert world.refuse("deployer", raw_founding([seat("A")], 1, delay_s, delay_blocks, lifetime_s)) == reason


def test_the_typed_class_refuses_an_unfit_founding_before_it_is_sent() -> None:
    with pytest.raises(ConfigurationError, match="majority of 2 founders, got 1"):
        Members.deploy_call([seat("A"), seat("B")], threshold=1)
    with pytest.raises(ConfigurationError, match="founders must be 1 to 64, got 0"):
        Members.deploy_call([], threshold=0)
    with pytest.raises(ConfigurationError, match="delay must be"):
        Members.deploy_call([seat("A")], threshold=1, delay_s=10, lifetime_s=10)
    with pytest.raises(ConfigurationError, match="a hash must be 32 bytes, got 3"):
        Members.deploy_call([Seat(b"abc", journal("A"), keys("A"))], threshold=1)


def test_a_solo_pilot_decides_alone_and_at_once(world: World) -> None:
    members = world.found(["A"], 1, delay_s=0)
    number = proposed(world, members, "A", members.propose_join(seat("B"), threshold=2))
    world.send("A", members.execute(number))
    assert (members.active_count(), members.threshold()) == (2, 2)


def test_a_vote_goes_from_proposal_to_execution(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_join(seat("D"), threshold=3))
    made = members.proposal(number)
    assert made is not None
    assert (made.action, made.status, made.seat) == (Action.JOIN, ProposalStatus.OPEN, seat("D"))
    assert (made.proposer, made.threshold, made.expires_at) == (party("A"), 3, world.now_s + LIFETIME_S)
    assert (made.approvals, made.approved_at) == (frozenset({0}), 0)
    assert world.refuse("stranger", members.execute(number)) == "members: not enough approvals"
    approved = world.send("C", members.approve(number))
    made = members.proposal(number)
    assert made is not None
    assert (made.approvals, made.approved_at) == (frozenset({0, 2}), world.now_s)
    assert made.approved_block == approved.block
    world.pass_time(DELAY_S)
    world.pass_blocks(DELAY_BLOCKS)
    world.send("stranger", members.execute(number))
    made = members.proposal(number)
    assert made is not None
    assert made.status == ProposalStatus.EXECUTED
    assert members.party_at(3) == party("D")
    assert members.writer(journal("D")) == address("D")
    assert (members.active_count(), members.threshold()) == (4, 3)
    assert [log.event for log in members.logged("Proposed")] == ["Proposed"]
    assert members.logged("Proposed")[0].values["seat"][0] == party("D")
    assert [log.values["approvals"] for log in members.logged("Approved", number=number)] == [1, 2]
    assert [log.values for log in members.logged("Executed")] == [{"number": number, "action": Action.JOIN}]


def test_every_member_can_approve_early_and_more_approvals_do_not_restart_the_delay(
    world: World, members: Members
) -> None:
    number = proposed(world, members, "A", members.propose_threshold(3))
    world.send("B", members.approve(number))
    world.pass_time(DELAY_S)
    world.send("C", members.approve(number))
    world.pass_blocks(DELAY_BLOCKS)
    world.send("A", members.execute(number))
    assert members.threshold() == 3


def test_a_lost_approval_restarts_the_delay_when_it_is_replaced(world: World) -> None:
    members = world.found(["A", "B", "C", "D"], 3)
    number = proposed(world, members, "A", members.propose_join(seat("E"), threshold=3))
    for voter in "BC":
        world.send(voter, members.approve(number))
    world.pass_vote(members, members.propose_suspend(party("C"), threshold=2), ["A", "B", "D"])
    world.pass_vote(members, members.propose_threshold(3), ["A", "B"])
    assert world.refusal("A", members.execute(number)) == "members: not enough approvals"
    world.send("D", members.approve(number))
    assert world.refusal("A", members.execute(number)) == "members: delay is not over"
    world.pass_time(DELAY_S)
    world.pass_blocks(DELAY_BLOCKS)
    assert world.refusal("A", members.execute(number)) == ""


def test_a_threshold_lowered_below_old_approvals_starts_no_delay_behind_anyones_back(world: World) -> None:
    members = world.found(["A", "B", "C"], 3)
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    world.send("B", members.approve(number))
    world.pass_vote(members, members.propose_threshold(2), ["A", "B", "C"])
    assert world.refuse("A", members.execute(number)) == "members: delay has not started"
    world.send("C", members.approve(number))
    assert world.refusal("A", members.execute(number)) == "members: delay is not over"


def test_the_delay_counts_seconds_and_blocks(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_threshold(3))
    world.send("B", members.approve(number))
    world.pass_time(DELAY_S)
    assert world.refusal("A", members.execute(number)) == "members: delay is not over"
    world.pass_blocks(DELAY_BLOCKS - 1)
    assert world.refusal("A", members.execute(number)) == ""
    other = proposed(world, members, "A", members.propose_threshold(3))
    world.send("B", members.approve(other))
    world.pass_blocks(DELAY_BLOCKS)
    world.pass_time(DELAY_S - 1)
    assert world.refusal("A", members.execute(other)) == "members: delay is not over"
    world.pass_time(1)
    assert world.refusal("A", members.execute(other)) == ""


def test_a_party_leaves_and_comes_back_with_its_journal(world: World, members: Members) -> None:
    world.pass_vote(members, members.propose_leave(party("C")), ["A", "B"])
    found = members.party(party("C"))
    assert found is not None
    assert found.standing == Standing.GONE
    assert (members.writer(journal("C")), members.party_of(journal("C"))) == (None, party("C"))
    assert (members.member(address("C")), members.active_count(), members.count()) == (None, 2, 3)
    assert members.card(party("C")) == card("C")
    assert [log.values for log in members.logged("Left")] == [{"party": party("C")}]
    back = Seat(party("C"), journal("C"), keys("C2"))
    world.pass_vote(members, members.propose_join(back), ["A", "B"])
    assert members.writer_and_epoch(journal("C")) == (address("C2"), 1)
    assert (members.active_count(), members.count()) == (3, 3)
    assert [record.card for record in members.cards(party("C"))] == [card("C"), card("C2")]


def test_a_party_that_left_comes_back_with_no_other_journal(world: World, members: Members) -> None:
    world.pass_vote(members, members.propose_leave(party("C")), ["A", "B"])
    back = Seat(party("C"), journal("C2"), keys("C2"))
    assert world.refuse("A", members.propose_join(back)) == "members: a party keeps its journal"


def test_a_suspended_party_writes_and_votes_no_more_until_it_is_reinstated(
    world: World, members: Members
) -> None:
    world.pass_vote(members, members.propose_suspend(party("C")), ["A", "B"])
    assert members.writer_and_epoch(journal("C")) == (None, 1)
    assert members.member(address("C")) is None
    assert world.refuse("C", members.propose_threshold(2)) == "members: not an active member"
    assert world.refuse("C", members.rotate(keys("C2"))) == "members: not an active member"
    world.pass_vote(members, members.propose_reinstate(party("C")), ["A", "B"])
    assert members.writer(journal("C")) == address("C")
    assert members.member(address("C")) == party("C")
    assert [log.values["party"] for log in members.logged("Suspended")] == [party("C")]
    assert [log.values["party"] for log in members.logged("Reinstated")] == [party("C")]


def test_a_suspended_party_is_not_suspended_again(world: World) -> None:
    members = world.found(["A", "B", "C", "D", "E"], 3)
    world.pass_vote(members, members.propose_suspend(party("E")), ["A", "B", "C"])
    assert world.refuse("A", members.propose_suspend(party("E"))) == "members: already suspended"


def test_there_are_at_most_as_many_parties_as_bits_of_a_vote(world: World) -> None:
    # 256 joins by vote take a minute; the same source with room for three shows where it stops.
    source = (TOP / "src/tallystick/chain/contracts/Members.vy").read_text(encoding="utf-8")
    limit = "MAX_PARTIES: constant(uint256) = "
    assert source.count(f"{limit}256\n") == 1
    compiler = runpy.run_path(str(TOP / "scripts/compile_contracts.py"))
    small = json.loads(compiler["compile_source"](source.replace(f"{limit}256", f"{limit}3"), "Members"))
    founding = raw_founding([seat("A"), seat("B")], 2, 0, 0, LIFETIME_S)
    arguments = founding.data.removeprefix(load("tallystick.chain", "Members").bytecode)
    deploy = Call(None, bytes.fromhex(small["bytecode"][2:]) + arguments)
    members = Members(world.web3, world.send("deployer", deploy).contract)
    world.pass_vote(members, members.propose_join(seat("C")), ["A", "B"])
    assert world.refuse("A", members.propose_join(seat("D"), threshold=3)) == "members: too many parties"
    # One that left keeps its place: nobody else gets it, but it may come back.
    world.pass_vote(members, members.propose_leave(party("C")), ["A", "B"])
    assert world.refuse("A", members.propose_join(seat("D"))) == "members: too many parties"
    world.pass_vote(members, members.propose_join(seat("C")), ["A", "B"])


def test_a_suspended_party_can_be_let_go_without_another_threshold(world: World, members: Members) -> None:
    world.pass_vote(members, members.propose_suspend(party("C")), ["A", "B"])
    world.pass_vote(members, members.propose_leave(party("C")), ["A", "B"])
    assert (members.active_count(), members.threshold()) == (2, 2)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda m: m.propose_join(seat("A")), "members: already a member"),
        (lambda m: m.propose_join(seat("D")), "members: threshold must be a majority of the active members"),
        (lambda m: m.propose_leave(party("D")), "members: not a member"),
        (lambda m: m.propose_suspend(party("D")), "members: not a member"),
        (lambda m: m.propose_reinstate(party("C")), "members: not suspended"),
        (lambda m: m.propose_rotation(party("D"), keys("D")), "members: not a member"),
        (lambda m: m.propose_rotation(party("C"), keys("A")), "members: account is taken"),
        (lambda m: m.propose_epoch(party("D"), keys("D")), "members: not a member"),
        (lambda m: m.propose_threshold(0), "members: threshold must be a majority of the active members"),
        (lambda m: m.propose_threshold(1), "members: threshold must be a majority of the active members"),
        (lambda m: m.propose_threshold(4), "members: threshold exceeds the active members"),
        (lambda m: m.propose_leave(party("C"), threshold=1), "members: threshold must be a majority of the active members"),
        (lambda m: m.propose_leave(party("C"), threshold=3), "members: threshold exceeds the active members"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_when_it_is_proposed(
    world: World, members: Members, call, reason: str
) -> None:
    assert world.refuse("A", call(members)) == reason


def test_a_leave_that_would_outvote_the_threshold_carries_a_new_one(world: World) -> None:
    members = world.found(["A", "B", "C"], 3)
    refused = members.propose_leave(party("C"))
    assert world.refuse("A", refused) == "members: threshold exceeds the active members"
    world.pass_vote(members, members.propose_leave(party("C"), threshold=2), ["A", "B", "C"])
    assert (members.active_count(), members.threshold()) == (2, 2)


def test_the_last_member_stays(world: World) -> None:
    members = world.found(["A"], 1, delay_s=0)
    reason = "members: threshold exceeds the active members"
    assert world.refuse("A", members.propose_leave(party("A"))) == reason
    assert world.refuse("A", members.propose_suspend(party("A"), threshold=1)) == reason


def test_a_party_rotates_its_own_keys_at_once(world: World, members: Members) -> None:
    done = world.send("C", members.rotate(keys("C2", writer="C2 writer")))
    found = members.party(party("C"))
    assert found is not None
    assert (found.account, found.card, found.revision) == (address("C2"), card("C2"), 2)
    assert members.writer_and_epoch(journal("C")) == (address("C2 writer"), 1)
    assert (members.member(address("C")), members.member(address("C2"))) == (None, party("C"))
    assert members.card_since(party("C"), card("C2")) == done.block
    assert [log.values["writer"] for log in members.logged("Rotated")] == [address("C2 writer")]


def test_a_rotation_may_change_the_writer_alone(world: World, members: Members) -> None:
    world.send("C", members.rotate(keys("C", writer="C2")))
    assert members.writer(journal("C")) == address("C2")
    assert [record.card for record in members.cards(party("C"))] == [card("C")]


def test_an_old_card_and_anothers_account_are_refused(world: World, members: Members) -> None:
    world.send("C", members.rotate(keys("C", card_name="C2")))
    assert world.refuse("C", members.rotate(keys("C"))) == "members: an old card does not come back"
    assert world.refuse("C", members.rotate(keys("A", card_name="C3"))) == "members: account is taken"


def test_a_rotation_by_vote_takes_effect_after_the_delay(world: World, members: Members) -> None:
    world.pass_vote(members, members.propose_rotation(party("C"), keys("C2")), ["A", "B"])
    assert members.writer(journal("C")) == address("C2")
    assert members.member(address("C")) is None


def test_the_old_account_vetoes_a_rotation_during_the_delay(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    world.send("B", members.approve(number))
    world.pass_time(DELAY_S - 1)
    world.send("C", members.veto(number))
    made = members.proposal(number)
    assert made is not None
    assert made.status == ProposalStatus.VETOED
    world.pass_time(DELAY_S)
    world.pass_blocks(DELAY_BLOCKS)
    assert world.refuse("A", members.execute(number)) == "members: vetoed"
    assert members.writer(journal("C")) == address("C")
    assert [log.values["party"] for log in members.logged("Vetoed", number=number)] == [party("C")]


def test_a_rotation_by_vote_lapses_when_the_party_rotates_itself(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    world.send("B", members.approve(number))
    world.send("C", members.rotate(keys("C3")))
    world.pass_time(DELAY_S)
    world.pass_blocks(DELAY_BLOCKS)
    assert world.refuse("A", members.execute(number)) == "members: party changed meanwhile"


def test_a_new_epoch_brings_new_keys_and_cannot_be_vetoed(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_epoch(party("C"), keys("C2")))
    world.send("B", members.approve(number))
    assert world.refuse("C", members.veto(number)) == "members: only a rotation can be vetoed"
    # A thief with the old account cannot make it lapse by rotating either.
    world.send("C", members.rotate(keys("thief")))
    world.pass_time(DELAY_S)
    world.pass_blocks(DELAY_BLOCKS)
    done = world.send("A", members.execute(number))
    assert members.writer_and_epoch(journal("C")) == (address("C2"), 2)
    assert members.epoch_since(journal("C"), 2) == done.block
    assert members.epoch_since(journal("C"), 1) == 2
    (opened,) = members.logged("EpochOpened", epoch=2)
    assert (opened.values["journal"], opened.values["writer"]) == (journal("C"), address("C2"))


def test_an_epoch_of_a_suspended_party_leaves_it_suspended(world: World, members: Members) -> None:
    world.pass_vote(members, members.propose_suspend(party("C")), ["A", "B"])
    world.pass_vote(members, members.propose_epoch(party("C"), keys("C2")), ["A", "B"])
    assert members.writer_and_epoch(journal("C")) == (None, 2)
    world.pass_vote(members, members.propose_reinstate(party("C")), ["A", "B"])
    assert members.writer_and_epoch(journal("C")) == (address("C2"), 2)


def test_a_journal_has_at_most_sixty_four_epochs(world: World) -> None:
    members = world.found(["A"], 1, delay_s=0)
    for number in range(1, 64):
        world.send("A", members.propose_epoch(party("A"), keys("A")))
        world.send("A", members.execute(number))
    assert members.writer_and_epoch(journal("A")) == (address("A"), 64)
    assert world.refuse("A", members.propose_epoch(party("A"), keys("A"))) == "members: too many epochs"


def test_reading_a_refusal_tells_the_contracts_reason(members: Members) -> None:
    with pytest.raises(RevertError) as caught:
        members._contract.read("propose_threshold", 2)
    assert caught.value.reason == "members: not an active member"
    assert caught.value.message == "contract Members refused: members: not an active member"


def raw_founding(seats: list[Seat], threshold: int, *times: int):
    fields = [(s.party, s.keys.account, s.keys.writer, s.journal, s.keys.card) for s in seats]
    return Contract.deploy_call(
        load("tallystick.chain", "Members"),
        fields,
        threshold,
        *(times or (DELAY_S, DELAY_BLOCKS, LIFETIME_S)),
    )


def changed(whole: Seat, field: str, value: object) -> Seat:
    if field in ("party", "journal"):
        return replace(whole, **{field: value})
    return replace(whole, keys=replace(whole.keys, **{field: value}))
