"""Who would like a payee held, or free, without what must stand behind it, does not get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    from holds_world import HoldsWorld

    with HoldsWorld(tmp_path / "chain") as made:
        yield made


NOT_ANCHORED = "holds: not in the anchored journal"


def test_a_member_cannot_place_a_hold_on_another_members_decision(world: Any) -> None:
    said = world.requested("A")
    assert world.refuse("B", world.place_call(said)) == "holds: another party's journal"
    assert world.held() is None


def test_a_copy_of_another_members_statement_in_ones_own_journal_is_none_of_ones_own(world: Any) -> None:
    """The leaf stands in B's anchored journal, but its bytes name A's."""
    said = world.requested("A", anchor=False)
    tree = world.trees.pop("A")
    world.trees["B"] = tree
    world.anchor_journal("B")
    assert world.refuse("B", world.place_call(said)) == "holds: another party's journal"
    told = replace(said, origin="did:key:B/main")
    assert world.refuse("B", world.place_call(told)) == NOT_ANCHORED


def test_an_origin_cannot_be_slipped_in_beside_the_true_one(world: Any) -> None:
    """Whatever a sender splits differently, the bytes that are hashed must be the journal's."""
    said = world.requested("A")
    for change in (
        {"rest": b'"x":1,' + said.rest},
        {"links": said.links + b',"origin":"did:key:B/main"'},
        {"links": said.links[:-1]},
        {"origin": "did:key:B/main"},
        {"origin": 'did:key:A/main","v":1,"x":"'},
    ):
        refusal = world.refuse("A", world.place_call(replace(said, **change)))
        assert refusal in (NOT_ANCHORED, "holds: another party's journal")
    world.send("A", world.place_call(said))


def test_a_token_in_the_links_or_the_payload_is_not_the_bodys(world: Any) -> None:
    """The contract writes the body itself: a statement about one payee holds no other."""
    from holds_world import OTHER, TOKEN

    said = world.requested("A", links={"decision": [OTHER.hex()]})
    assert world.refuse("A", world.place_call(said, OTHER)) == NOT_ANCHORED
    nested = b'{},"kind":"hold.requested","body":{"token":"%b"}' % OTHER.hex().encode()
    assert world.refuse("A", world.place_call(replace(said, links=nested), OTHER)) == NOT_ANCHORED
    world.send("A", world.place_call(said, TOKEN))


def test_a_hold_cannot_be_made_longer_than_was_decided(world: Any) -> None:
    from holds_world import DAY

    said = world.requested("A", until=world.now + DAY)
    assert world.refuse("A", world.place_call(said, until=world.now + 2 * DAY)) == NOT_ANCHORED


def test_a_statement_of_an_epoch_of_the_journal_that_was_closed_counts_no_more(world: Any) -> None:
    """A thief of A's writer key states and anchors a request; the members open a new epoch of A's journal."""
    from contract_world import keys, party

    said = world.requested("A")
    call = world.members.propose_epoch(party("A"), keys("A", writer="A2"))
    world.pass_vote(world.members, call, "BCD")
    assert world.refuse("A", world.place_call(said)) == NOT_ANCHORED


def test_a_writer_that_is_not_the_account_places_nothing(world: Any) -> None:
    """Who stole the journal's writer key alone can anchor, but not place."""
    from contract_world import keys

    world.send("A", world.members.rotate(keys("A", writer="W")))
    said = world.requested("A", anchor=False)
    tree = world.trees["A"]
    from contract_world import journal

    world.send("W", world.anchored.anchor(journal("A"), size=1, root=tree.root(1)))
    assert world.refuse("W", world.place_call(said)) == "holds: not an active member"
    world.send("A", world.place_call(said))


def test_a_member_cannot_shop_for_a_harsher_model(world: Any) -> None:
    """Neither another promoted model, nor the named one at a lower score that two members would like."""
    from holds_world import MODEL, THRESHOLD

    world.named()
    world.score(THRESHOLD - 1)
    world.promote("cd" * 32)
    assert world.refuse("A", world.execute_call(model="cd" * 32)) == "holds: model is not named"
    for name in "AB":
        world.send(name, world.holds.name_model(MODEL, threshold=THRESHOLD - 1))
    assert world.refuse("A", world.execute_call()) == "holds: the model does not ask for it"


def test_votes_of_an_earlier_naming_do_not_count_for_the_next(world: Any) -> None:
    from holds_world import MODEL, THRESHOLD

    world.named(10, voters="AB")
    world.named(THRESHOLD)
    world.named(10, voters="C")
    assert world.holds.threshold_of(MODEL) == THRESHOLD


def test_a_pair_of_members_cannot_free_a_payee_that_others_hold_too(world: Any) -> None:
    """Two can overturn one hold, in the open; the other banks' holds stand."""
    from contract_world import party

    world.placed("A")
    world.placed("B")
    for name in "DE":
        world.reviewed(name, uphold=False)
    held = world.held()
    assert held is not None
    assert held.placed_by == party("B")
    assert [event.values["by"] for event in world.holds.logged("Reviewed")] == [party("D"), party("E")]


def test_the_placer_cannot_uphold_its_own_hold_with_one_friend(world: Any) -> None:
    from holds_world import DAY, REVIEW_BLOCKS

    world.placed()
    world.disputed("B")
    world.reviewed("C", uphold=True)
    assert world.refuse("A", world.review_call(uphold=True)) == "holds: own hold"
    world.pass_us(DAY)
    world.pass_blocks(REVIEW_BLOCKS)
    assert world.held() is None


def test_one_party_with_two_accounts_is_one_voice(world: Any) -> None:
    from contract_world import keys

    world.placed()
    world.reviewed("B", uphold=False)
    world.send("B", world.members.rotate(keys("B2", writer="B2")))
    assert world.refuse("B2", world.review_call(uphold=False)) == "holds: party has spoken"
    assert world.refuse("B", world.review_call(uphold=False)) == "holds: not an active member"
    assert world.held() is not None


def test_a_dispute_that_was_answered_is_not_opened_again_by_the_next_member(world: Any) -> None:
    from contract_world import party
    from holds_world import REASON, TOKEN

    world.placed()
    world.disputed("B")
    for name in "CD":
        world.reviewed(name, uphold=True)
    assert (
        world.refuse("E", world.holds.dispute(TOKEN, party("A"), reason=REASON))
        == "holds: disputed or decided"
    )
    assert world.held() is not None


def test_a_member_that_holds_everybody_runs_out_of_places_and_is_seen(world: Any) -> None:
    from contract_world import party
    from holds_world import OPEN_LIMIT, OTHER

    for number in range(OPEN_LIMIT):
        token = bytes([number + 1]) * 32
        world.placed("A", token)
        for name in "BC":
            world.reviewed(name, uphold=False, token=token)
    record = world.holds.record(party("A"))
    assert (record.placed, record.overturned, record.overturned_rate) == (OPEN_LIMIT, OPEN_LIMIT, 1.0)
    for number in range(OPEN_LIMIT):
        world.placed("A", bytes([number + 101]) * 32)
    said = world.requested("A", OTHER)
    assert world.refuse("A", world.place_call(said, OTHER)) == "holds: slot is taken"


def test_a_minority_brings_no_list_and_no_epoch_and_ends_none(world: Any) -> None:
    from holds_world import EPOCH

    for name in "AB":
        world.send(name, world.holds.post_list(EPOCH, 1, b"l" * 32, 1))
        world.send(name, world.epoch_call(name, 2, agreed=b"x" * 32))
        world.send(name, world.holds.end_epoch(EPOCH))
    assert world.holds.list_root(EPOCH) is None
    assert world.holds.epoch(2) is None
    assert not world.holds.epoch_ended(EPOCH)
