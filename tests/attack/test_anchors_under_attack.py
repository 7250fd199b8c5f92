"""Who may cheat with a journal's anchor, and what refuses it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_world import World, anchor_call, journal, keys, party, seat
from reference_tree import Tree

from tallystick.chain import Anchors, Head, Members

NOT_THE_WRITER = "anchors: not the writer"


@pytest.fixture
def members(world: World) -> Members:
    return world.found(["A", "B", "C"], threshold=2)


@pytest.fixture
def anchors(world: World, members: Members) -> Anchors:
    return world.anchors(members)


@pytest.fixture
def tree() -> Tree:
    return Tree("A")


@pytest.fixture
def head(world: World, anchors: Anchors, tree: Tree) -> Head:
    return Head(7, tree.root(7), world.anchor(anchors, "A", tree, 7).block)


def test_a_stranger_cannot_squat_a_journal_before_its_writer_comes(
    world: World, anchors: Anchors, tree: Tree
) -> None:
    assert world.refuse("stranger", anchor_call(anchors, "A", tree, 1)) == NOT_THE_WRITER
    world.anchor(anchors, "A", tree, 1)


def test_a_stranger_cannot_squat_the_journal_of_a_party_that_may_join_later(
    world: World, members: Members, anchors: Anchors
) -> None:
    squat = anchors.anchor(journal("D"), size=2**64 - 1, root=bytes([1]) * 32)
    assert world.refuse("stranger", squat) == NOT_THE_WRITER
    world.pass_vote(members, members.propose_join(seat("D"), threshold=3), ["A", "B"])
    world.anchor(anchors, "D", Tree("D"), 3)


def test_another_member_cannot_anchor_a_journal_that_is_not_its_own(
    world: World, anchors: Anchors, tree: Tree, head: Head
) -> None:
    assert world.refuse("B", anchor_call(anchors, "A", tree, 9, old=7)) == NOT_THE_WRITER
    assert anchors.heads(journal("A")) == head


@pytest.mark.parametrize("sender", ["stranger", "B"])
def test_nobody_else_bricks_a_journal_with_the_largest_size(
    world: World, anchors: Anchors, tree: Tree, head: Head, sender: str
) -> None:
    brick = anchors.anchor(journal("A"), size=2**64 - 1, root=tree.root(9), proof=[tree.root(4)])
    assert world.refuse(sender, brick) == NOT_THE_WRITER
    world.anchor(anchors, "A", tree, 9, old=7)


def test_junk_from_four_to_eight_is_refused_even_from_the_writer(
    world: World, anchors: Anchors, tree: Tree
) -> None:
    world.anchor(anchors, "A", tree, 4)
    for proof in ([], [bytes(32)], [bytes([7]) * 32], [tree.root(4)], [tree.root(4)] * 3):
        junk = anchors.anchor(journal("A"), size=8, root=bytes([8]) * 32, proof=proof)
        assert world.refuse("A", junk).startswith("anchors: ")
    world.anchor(anchors, "A", tree, 8, old=4)


def test_a_stolen_writer_key_cannot_brick_the_journal_behind_a_huge_size(
    world: World, anchors: Anchors, tree: Tree, head: Head
) -> None:
    # A huge size would need a consistency proof to it; the thief has none that fits an honest tree.
    for length in (1, 57, 58, 65):
        junk = anchors.anchor(
            journal("A"), size=2**64 - 1, root=tree.root(9), proof=[bytes([1]) * 32] * length
        )
        assert world.refuse("A", junk).startswith("anchors: ")
    assert anchors.heads(journal("A")) == head


def test_a_stolen_key_that_bricked_a_journal_at_its_first_anchor_is_answered_by_a_new_epoch(
    world: World, members: Members, anchors: Anchors, tree: Tree
) -> None:
    world.send("C", anchors.anchor(journal("C"), size=2**64 - 1, root=bytes([1]) * 32))
    world.pass_vote(members, members.propose_epoch(party("C"), keys("C2")), ["A", "B"])
    assert world.refuse("C", anchor_call(anchors, "C", tree, 5)) == NOT_THE_WRITER
    world.send("C2", anchor_call(anchors, "C", tree, 5))
    bricked = anchors.head_in(journal("C"), epoch=1)
    assert bricked is not None
    assert bricked.size == 2**64 - 1


@pytest.mark.parametrize("fork_at", [0, 3, 6])
def test_a_writer_cannot_fork_its_journal_at_an_equal_size(
    world: World, anchors: Anchors, head: Head, fork_at: int
) -> None:
    fork = Tree("A", fork_at=fork_at)
    assert fork.root(7) != head.root
    assert (
        world.refuse("A", anchors.anchor(journal("A"), size=7, root=fork.root(7)))
        == "anchors: size must grow"
    )


@pytest.mark.parametrize("fork_at", [0, 3, 6])
def test_a_writer_cannot_fork_its_journal_while_it_grows(
    world: World, anchors: Anchors, head: Head, fork_at: int
) -> None:
    fork = Tree("A", fork_at=fork_at)
    assert world.refuse("A", anchor_call(anchors, "A", fork, 12, old=7)) == "anchors: history changed"
    assert anchors.heads(journal("A")) == head


def test_a_writer_cannot_roll_back(world: World, anchors: Anchors, tree: Tree, head: Head) -> None:
    for size in range(1, 8):
        rolled = anchors.anchor(journal("A"), size=size, root=tree.root(size))
        assert world.refuse("A", rolled) == "anchors: size must grow"
    assert anchors.heads(journal("A")) == head


def test_a_root_once_anchored_is_never_replaced(
    world: World, members: Members, anchors: Anchors, tree: Tree, head: Head
) -> None:
    world.anchor(anchors, "A", tree, 12, old=7)
    world.pass_vote(members, members.propose_epoch(party("A"), keys("A")), ["B", "C"])
    world.send("A", anchors.anchor(journal("A"), size=7, root=Tree("A", fork_at=2).root(7)))
    assert anchors.root_in(journal("A"), epoch=1, size=7) == head.root
    assert anchors.epoch_of(journal("A"), size=7, root=head.root) == 1


def test_another_journals_proof_does_not_fit(world: World, anchors: Anchors, tree: Tree, head: Head) -> None:
    other = Tree("B")
    world.anchor(anchors, "B", other, 7)
    replay = anchors.anchor(journal("A"), size=12, root=other.root(12), proof=other.consistency(7, 12))
    assert world.refuse("A", replay) == "anchors: history changed"
    mixed = anchors.anchor(journal("A"), size=12, root=tree.root(12), proof=other.consistency(7, 12))
    assert world.refuse("A", mixed) == "anchors: history changed"


def test_a_transaction_that_was_mined_cannot_be_replayed(
    world: World, anchors: Anchors, tree: Tree, head: Head
) -> None:
    call = anchor_call(anchors, "A", tree, 9, old=7)
    world.send("A", call)
    assert world.refuse("A", call) == "anchors: size must grow"


def test_a_forged_members_contract_rules_over_its_own_anchors_only(
    world: World, anchors: Anchors, tree: Tree, head: Head
) -> None:
    forged = world.found(["A"], 1, delay_s=0)
    own = world.anchors(forged)
    world.send("A", anchor_call(own, "A", Tree("A", fork_at=1), 7))
    assert anchors.heads(journal("A")) == head


def test_an_old_writer_is_out_as_soon_as_the_rotation_stands(
    world: World, members: Members, anchors: Anchors, tree: Tree, head: Head
) -> None:
    world.send("A", members.rotate(keys("A2")))
    assert world.refuse("A", anchor_call(anchors, "A", tree, 9, old=7)) == NOT_THE_WRITER


def test_an_anchor_cannot_be_sent_with_money(world: World, anchors: Anchors, tree: Tree) -> None:
    paid = replace(anchor_call(anchors, "A", tree, 1), value=1)
    with pytest.raises(AssertionError):
        world.send("A", paid)
    assert world.web3.eth.get_balance(world.web3.to_checksum_address(anchors.address)) == 0
