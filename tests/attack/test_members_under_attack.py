"""Who may cheat with the membership, and what refuses it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_world import DELAY_BLOCKS, DELAY_S, LIFETIME_S, World, card, journal, keys, party, seat

from tallystick.chain import Keys, Members, Seat, Standing

NOT_A_MEMBER = "members: not an active member"


@pytest.fixture
def members(world: World) -> Members:
    return world.found(["A", "B", "C"], threshold=2)


def proposed(world: World, members: Members, sender: str, call) -> int:
    world.send(sender, call)
    return members.proposal_count()


def wait(world: World) -> None:
    world.pass_time(DELAY_S)
    world.pass_blocks(DELAY_BLOCKS)


def test_a_stranger_neither_proposes_nor_approves_nor_vetoes_nor_rotates(
    world: World, members: Members
) -> None:
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    for call in (
        members.propose_join(seat("stranger")),
        members.propose_threshold(2),
        members.approve(number),
        members.veto(number),
        members.rotate(keys("stranger")),
    ):
        assert world.refuse("stranger", call) == NOT_A_MEMBER


def test_one_member_cannot_vote_twice(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_threshold(3))
    assert world.refuse("A", members.approve(number)) == "members: already approved"
    wait(world)
    assert world.refuse("A", members.execute(number)) == "members: not enough approvals"


def test_one_member_cannot_vote_twice_by_rotating_its_account(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_threshold(3))
    world.send("A", members.rotate(keys("A2")))
    assert world.refuse("A2", members.approve(number)) == "members: already approved"
    assert world.refuse("A", members.approve(number)) == NOT_A_MEMBER


def test_a_writer_account_has_no_vote(world: World, members: Members) -> None:
    world.send("A", members.rotate(keys("A", writer="A writer")))
    assert world.refuse("A writer", members.propose_threshold(3)) == NOT_A_MEMBER


def test_nothing_is_executed_early(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_threshold(3))
    assert world.refuse("A", members.execute(number)) == "members: not enough approvals"
    world.send("B", members.approve(number))
    assert world.refuse("A", members.execute(number)) == "members: delay is not over"
    world.pass_time(DELAY_S - 1)
    world.pass_blocks(DELAY_BLOCKS)
    assert world.refuse("A", members.execute(number)) == "members: delay is not over"


def test_a_halt_of_the_chain_does_not_eat_the_delay(world: World, members: Members) -> None:
    world.fund("C")
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("thief")))
    world.send("B", members.approve(number))
    world.pass_time(DELAY_S * 2)
    # Seconds have passed while no block came: the party still has its blocks to veto in.
    assert world.refuse("A", members.execute(number)) == "members: delay is not over"
    world.send("C", members.veto(number))


def test_nothing_is_approved_vetoed_or_executed_after_it_expired(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    world.send("B", members.approve(number))
    wait(world)
    world.pass_time(LIFETIME_S - DELAY_S)
    assert world.refusal("A", members.execute(number)) == ""
    world.pass_time(1)
    for sender, call in (
        ("C", members.approve(number)),
        ("C", members.veto(number)),
        ("A", members.execute(number)),
    ):
        assert world.refuse(sender, call) == "members: proposal expired"


def test_nothing_is_executed_twice(world: World, members: Members) -> None:
    number = world.pass_vote(members, members.propose_join(seat("D"), threshold=3), ["A", "B"])
    assert world.refuse("A", members.execute(number)) == "members: already executed"
    assert world.refuse("C", members.approve(number)) == "members: already executed"


def test_what_was_never_proposed_is_not_executed(world: World, members: Members) -> None:
    for number in (0, 1, 2**64 - 1):
        assert world.refuse("A", members.execute(number)) == "members: no such proposal"


def test_a_party_that_left_has_no_vote(world: World) -> None:
    members = world.found(["A", "B", "C", "D", "E"], 3)
    number = proposed(world, members, "A", members.propose_join(seat("F"), threshold=4))
    world.pass_vote(members, members.propose_leave(party("E")), ["A", "B", "C"])
    assert world.refuse("E", members.approve(number)) == NOT_A_MEMBER
    assert world.refuse("E", members.propose_threshold(3)) == NOT_A_MEMBER


def test_the_approval_of_a_party_that_left_counts_no_more(world: World) -> None:
    members = world.found(["A", "B", "C", "D", "E"], 3)
    number = proposed(world, members, "E", members.propose_join(seat("F"), threshold=4))
    for voter in "AB":
        world.send(voter, members.approve(number))
    world.pass_vote(members, members.propose_leave(party("E")), ["A", "B", "C"])
    assert world.refuse("A", members.execute(number)) == "members: not enough approvals"


def test_a_raised_threshold_holds_for_what_was_approved_before(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    world.send("B", members.approve(number))
    world.pass_vote(members, members.propose_threshold(3), ["A", "B"])
    assert world.refuse("A", members.execute(number)) == "members: not enough approvals"


def test_a_veto_after_the_delay_is_too_late(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    world.send("B", members.approve(number))
    wait(world)
    assert world.refuse("C", members.veto(number)) == "members: too late to veto"
    world.send("A", members.execute(number))
    assert world.refuse("C", members.veto(number)) == NOT_A_MEMBER


def test_nobody_vetoes_anothers_rotation(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    assert world.refuse("B", members.veto(number)) == "members: not the party concerned"
    assert world.refuse("C2", members.veto(number)) == NOT_A_MEMBER


def test_a_thief_with_a_partys_account_is_stopped_by_suspension_then_rotation(
    world: World, members: Members
) -> None:
    # The thief vetoes what would bring the party back its keys, so the members suspend it first.
    first = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    world.send("C", members.veto(first))
    world.pass_vote(members, members.propose_suspend(party("C")), ["A", "B"])
    second = proposed(world, members, "A", members.propose_rotation(party("C"), keys("C2")))
    assert world.refuse("C", members.veto(second)) == NOT_A_MEMBER
    world.send("B", members.approve(second))
    wait(world)
    world.send("A", members.execute(second))
    world.pass_vote(members, members.propose_reinstate(party("C")), ["A", "B"])
    found = members.party(party("C"))
    assert found is not None
    assert (found.account, found.standing) == (keys("C2").account, Standing.ACTIVE)
    assert world.refuse("C", members.rotate(keys("thief"))) == NOT_A_MEMBER


def test_a_party_that_left_does_not_come_back_by_an_old_proposal(world: World, members: Members) -> None:
    number = proposed(world, members, "A", members.propose_join(seat("D"), threshold=3))
    again = proposed(world, members, "B", members.propose_join(seat("D"), threshold=3))
    for pending in (number, again):
        world.send("C", members.approve(pending))
    wait(world)
    assert world.refusal("A", members.execute(again)) == ""
    world.send("A", members.execute(number))
    world.send("A", members.approve(again))
    assert world.refuse("A", members.execute(again)) == "members: delay is not over"
    wait(world)
    assert world.refuse("A", members.execute(again)) == "members: already a member"
    world.pass_vote(members, members.propose_leave(party("D"), threshold=2), ["A", "B", "C"])
    # It may come back by a new vote only; this one was approved for its first time.
    assert world.refuse("D", members.execute(again)) == "members: party changed meanwhile"


def test_an_old_vote_does_not_act_on_a_standing_or_an_epoch_that_changed(
    world: World, members: Members
) -> None:
    numbers = []
    for call in (
        members.propose_suspend(party("C")),
        members.propose_suspend(party("C")),
        members.propose_epoch(party("C"), keys("C2")),
        members.propose_epoch(party("C"), keys("C3")),
    ):
        numbers.append(proposed(world, members, "A", call))
        world.send("B", members.approve(numbers[-1]))
    wait(world)
    world.send("A", members.execute(numbers[0]))
    world.pass_vote(members, members.propose_reinstate(party("C")), ["A", "B"])
    assert world.refuse("A", members.execute(numbers[1])) == "members: party changed meanwhile"
    world.send("A", members.execute(numbers[2]))
    assert world.refuse("A", members.execute(numbers[3])) == "members: party changed meanwhile"


def test_a_party_cannot_evade_a_suspension_or_an_epoch_by_rotating(world: World, members: Members) -> None:
    numbers = [
        proposed(world, members, "A", members.propose_epoch(party("C"), keys("C2"))),
        proposed(world, members, "A", members.propose_suspend(party("C"))),
    ]
    for number in numbers:
        world.send("B", members.approve(number))
    world.send("C", members.rotate(keys("C3")))
    wait(world)
    for number in numbers:
        world.send("A", members.execute(number))


def test_a_newcomer_cannot_take_a_members_journal_account_or_name(world: World, members: Members) -> None:
    taken = [
        (Seat(party("D"), journal("A"), keys("D")), "members: journal is taken"),
        (Seat(party("D"), journal("D"), Keys(keys("A").account, keys("D").writer, card("D"))), "members: account is taken"),
        (Seat(party("A"), journal("D"), keys("D")), "members: already a member"),
    ]  # fmt: skip
    for wanted, reason in taken:
        assert world.refuse("B", members.propose_join(wanted, threshold=3)) == reason


def test_a_departed_party_leaves_its_journal_and_account_to_nobody(world: World, members: Members) -> None:
    world.pass_vote(members, members.propose_leave(party("C")), ["A", "B"])
    heir = Seat(party("D"), journal("C"), keys("D"))
    assert world.refuse("A", members.propose_join(heir)) == "members: journal is taken"
    reused = Seat(party("D"), journal("D"), keys("C"))
    assert world.refuse("A", members.propose_join(reused)) == "members: account is taken"


def test_an_account_that_was_rotated_away_cannot_enter_for_another_party(
    world: World, members: Members
) -> None:
    world.send("C", members.rotate(keys("C2")))
    wanted = Seat(party("D"), journal("D"), Keys(keys("C").account, keys("D").writer, card("D")))
    assert world.refuse("A", members.propose_join(wanted, threshold=3)) == "members: account is taken"


def test_a_minority_cannot_shrink_the_membership_to_itself(world: World) -> None:
    members = world.found(["A", "B", "C", "D", "E"], 3)
    number = proposed(world, members, "A", members.propose_suspend(party("C")))
    world.send("B", members.approve(number))
    wait(world)
    assert world.refuse("A", members.execute(number)) == "members: not enough approvals"


def test_votes_that_together_would_break_the_majority_do_not_all_pass(world: World) -> None:
    members = world.found(["A", "B", "C", "D"], 3)
    numbers = [proposed(world, members, "A", members.propose_suspend(party(name))) for name in "CD"]
    for number in numbers:
        for voter in "BC":
            world.send(voter, members.approve(number))
    wait(world)
    world.send("A", members.execute(numbers[1]))
    assert world.refuse("A", members.execute(numbers[0])) == "members: threshold exceeds the active members"
    assert (members.threshold(), members.active_count()) == (3, 3)


def test_the_contract_takes_no_money(world: World, members: Members) -> None:
    with pytest.raises(AssertionError):
        world.send("A", replace(members.propose_threshold(3), value=1))
