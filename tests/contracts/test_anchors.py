from __future__ import annotations

import pytest
from contract_world import World, address, anchor_call, journal, keys, party
from reference_tree import Tree

from tallystick.chain import Anchors, Head, Members
from tallystick.errors import ChainError, ConfigurationError, RevertError

NO_JOURNAL = journal("nobody")


@pytest.fixture
def members(world: World) -> Members:
    return world.found(["A", "B", "C"], threshold=2)


@pytest.fixture
def anchors(world: World, members: Members) -> Anchors:
    return world.anchors(members)


@pytest.fixture
def tree() -> Tree:
    return Tree("A")


def test_the_contract_is_bound_to_one_members(world: World, members: Members, anchors: Anchors) -> None:
    assert anchors.members() == members.address
    reason = "anchors: members is not a contract"
    assert world.refuse("deployer", Anchors.deploy_call(address("A"))) == reason


def test_a_writer_anchors_and_everybody_reads(world: World, anchors: Anchors, tree: Tree) -> None:
    first = world.anchor(anchors, "A", tree, 7)
    assert anchors.heads(journal("A")) == Head(7, tree.root(7), first.block)
    second = world.anchor(anchors, "A", tree, 12, old=7)
    assert anchors.heads(journal("A")) == Head(12, tree.root(12), second.block)
    assert anchors.head_in(journal("A"), epoch=1) == anchors.heads(journal("A"))
    for size in (7, 12):
        assert anchors.roots(journal("A"), size=size) == tree.root(size)
        assert anchors.root_in(journal("A"), epoch=1, size=size) == tree.root(size)
        assert anchors.epoch_of(journal("A"), size=size, root=tree.root(size)) == 1
    assert anchors.heads(journal("A"), block=first.block) == Head(7, tree.root(7), first.block)


def test_what_was_never_anchored_is_not_there(world: World, anchors: Anchors, tree: Tree) -> None:
    world.anchor(anchors, "A", tree, 7)
    assert anchors.roots(journal("A"), size=6) is None
    assert anchors.root_in(journal("A"), epoch=2, size=7) is None
    assert anchors.epoch_of(journal("A"), size=7, root=tree.root(6)) is None
    assert anchors.epoch_of(journal("A"), size=6, root=bytes(32)) is None
    assert anchors.heads(journal("B")) is None
    assert anchors.head_in(journal("A"), epoch=2) is None
    assert (anchors.epoch(journal("A")), anchors.epoch(NO_JOURNAL)) == (1, 0)
    assert anchors.roots(NO_JOURNAL, size=7) is None
    assert anchors.heads(NO_JOURNAL) is None
    assert anchors.anchored_at(journal("A"), 6) is None
    assert list(anchors.history(journal("B"))) == []
    assert list(anchors.history(NO_JOURNAL)) == []


def test_the_history_leads_back_to_the_first_anchoring(world: World, anchors: Anchors, tree: Tree) -> None:
    sizes = [1, 2, 9, 40]
    blocks = [
        world.anchor(anchors, "A", tree, size, old=old).block
        for old, size in zip([0, *sizes], sizes, strict=False)
    ]
    world.anchor(anchors, "B", Tree("B"), 9)
    found = list(anchors.history(journal("A")))
    assert [(step.size, step.root, step.block) for step in found] == [
        (size, tree.root(size), block) for size, block in zip(sizes[::-1], blocks[::-1], strict=True)
    ]
    assert [(step.previous_size, step.previous_block) for step in found] == [
        (9, blocks[2]), (2, blocks[1]), (1, blocks[0]), (0, 0)
    ]  # fmt: skip
    assert {step.epoch for step in found} == {1}
    assert anchors.anchored_at(journal("A"), 9) == found[1]
    assert anchors.anchored_at(journal("A"), 9, start=blocks[2] + 1) is None


def test_two_anchorings_share_a_block_number_when_they_share_a_block(
    world: World, anchors: Anchors, tree: Tree
) -> None:
    from contract_world import account
    from web3 import Web3

    world.anchor(anchors, "A", tree, 1)
    calls = [anchor_call(anchors, "A", tree, new, old=old) for old, new in ((1, 2), (2, 3))]
    nonce = world.web3.eth.get_transaction_count(account("A").address)
    raws = [
        bytes(
            account("A")
            .sign_transaction(
                {"chainId": 4221, "nonce": nonce + place, "gas": 200_000, "maxFeePerGas": 10**9, "value": 0,
                 "maxPriorityFeePerGas": 0, "data": call.data, "to": Web3.to_checksum_address(call.to), "type": 2}
            )
            .raw_transaction
        )
        for place, call in enumerate(calls)
    ]  # fmt: skip
    assert all(isinstance(sent, bytes) for sent in world.chain.send_many(raws))
    found = list(anchors.history(journal("A")))
    assert [step.size for step in found] == [3, 2, 1]
    assert found[0].block == found[1].block == found[0].previous_block


@pytest.mark.parametrize(
    ("old", "new"), [(1, 2), (1, 100), (7, 8), (8, 9), (8, 64), (63, 64), (64, 100), (99, 100)]
)
def test_right_proofs_are_accepted(world: World, anchors: Anchors, tree: Tree, old: int, new: int) -> None:
    world.anchor(anchors, "A", tree, old)
    world.anchor(anchors, "A", tree, new, old=old)
    assert anchors.roots(journal("A"), size=new) == tree.root(new)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda t: (13, t.root(13), []), "anchors: consistency proof is missing"),
        (lambda t: (13, t.root(13), t.consistency(8, 13)), "anchors: consistency proof is too short"),
        (lambda t: (13, t.root(13), t.consistency(7, 13)[:-1]), "anchors: consistency proof is too short"),
        (lambda t: (13, t.root(13), t.consistency(7, 13)[1:]), "anchors: consistency proof is too short"),
        (lambda t: (13, t.root(13), [*t.consistency(7, 13), bytes(32)]), "anchors: consistency proof is too long"),
        (lambda t: (13, t.root(12), t.consistency(7, 13)), "anchors: history changed"),
        (lambda t: (13, t.root(13), t.consistency(7, 13)[::-1]), "anchors: history changed"),
        (lambda t: (13, bytes(32), t.consistency(7, 13)), "anchors: root is empty"),
        (lambda t: (7, t.root(7), []), "anchors: size must grow"),
        (lambda t: (7, t.root(8), []), "anchors: size must grow"),
        (lambda t: (6, t.root(6), t.consistency(6, 7)), "anchors: size must grow"),
        (lambda t: (0, t.root(7), []), "anchors: size must grow"),
    ],
)  # fmt: skip
def test_wrong_heads_are_refused(world: World, anchors: Anchors, tree: Tree, make, reason: str) -> None:
    done = world.anchor(anchors, "A", tree, 7)
    size, root, proof = make(tree)
    assert world.refuse("A", anchors.anchor(journal("A"), size=size, root=root, proof=proof)) == reason
    assert anchors.heads(journal("A")) == Head(7, tree.root(7), done.block)


def test_a_first_head_takes_no_proof_and_needs_a_size(world: World, anchors: Anchors, tree: Tree) -> None:
    with_proof = anchors.anchor(journal("A"), size=4, root=tree.root(4), proof=[tree.root(2)])
    assert world.refuse("A", with_proof) == "anchors: first head takes no proof"
    empty = anchors.anchor(journal("A"), size=0, root=tree.root(4))
    assert world.refuse("A", empty) == "anchors: size must grow"


def test_the_largest_size_is_a_size(world: World, anchors: Anchors, tree: Tree) -> None:
    world.send("A", anchors.anchor(journal("A"), size=2**64 - 1, root=tree.root(4)))
    head = anchors.heads(journal("A"))
    assert head is not None
    assert head.size == 2**64 - 1
    with pytest.raises(ConfigurationError, match="below 2"):
        anchors.anchor(journal("A"), size=2**64, root=tree.root(4))


def test_a_suspended_party_does_not_anchor(
    world: World, members: Members, anchors: Anchors, tree: Tree
) -> None:
    world.anchor(anchors, "C", tree, 7)
    world.pass_vote(members, members.propose_suspend(party("C")), ["A", "B"])
    later = anchor_call(anchors, "C", tree, 9, old=7)
    assert world.refuse("C", later) == "anchors: not the writer"
    world.pass_vote(members, members.propose_reinstate(party("C")), ["A", "B"])
    world.send("C", later)


def test_a_rotated_writer_goes_on_where_the_old_one_stopped(
    world: World, members: Members, anchors: Anchors, tree: Tree
) -> None:
    world.anchor(anchors, "C", tree, 7)
    world.send("C", members.rotate(keys("C", writer="C2")))
    call = anchor_call(anchors, "C", tree, 9, old=7)
    assert world.refuse("C", call) == "anchors: not the writer"
    world.send("C2", call)


def test_a_new_epoch_starts_from_any_size_and_the_old_one_stays(
    world: World, members: Members, anchors: Anchors, tree: Tree
) -> None:
    world.anchor(anchors, "C", tree, 7)
    old = world.anchor(anchors, "C", tree, 9, old=7)
    world.pass_vote(members, members.propose_epoch(party("C"), keys("C2")), ["A", "B"])
    assert anchors.epoch(journal("C")) == 2
    assert anchors.heads(journal("C")) is None
    assert anchors.head_in(journal("C"), epoch=1) == Head(9, tree.root(9), old.block)
    assert world.refuse("C", anchor_call(anchors, "C", tree, 10, old=9)) == "anchors: not the writer"

    other = Tree("C", fork_at=5)
    new = world.send("C2", anchors.anchor(journal("C"), size=7, root=other.root(7)))
    assert anchors.heads(journal("C")) == Head(7, other.root(7), new.block)
    assert anchors.head_in(journal("C"), epoch=1) == Head(9, tree.root(9), old.block)
    assert anchors.roots(journal("C"), size=7) == other.root(7)
    assert anchors.roots(journal("C"), size=9) == tree.root(9)
    assert [anchors.root_in(journal("C"), epoch=n, size=7) for n in (1, 2)] == [tree.root(7), other.root(7)]
    assert anchors.epoch_of(journal("C"), size=7, root=tree.root(7)) == 1
    assert anchors.epoch_of(journal("C"), size=7, root=other.root(7)) == 2
    assert [(step.epoch, step.size) for step in anchors.history(journal("C"))] == [(2, 7)]
    assert [step.size for step in anchors.history(journal("C"), epoch=1)] == [9, 7]
    latest = anchors.anchored_at(journal("C"), 7)
    assert latest is not None
    assert latest.epoch == 2


def test_inclusion_is_proved_under_every_anchored_head_for_ever(
    world: World, members: Members, anchors: Anchors, tree: Tree
) -> None:
    world.anchor(anchors, "C", tree, 7)
    world.anchor(anchors, "C", tree, 21, old=7)
    world.pass_vote(members, members.propose_epoch(party("C"), keys("C2")), ["A", "B"])
    other = Tree("C", fork_at=5)
    world.send("C2", anchors.anchor(journal("C"), size=7, root=other.root(7)))
    for size, index in ((7, 0), (7, 6), (21, 0), (21, 16), (21, 20)):
        proof = tree.inclusion(index, size)
        place = {"size": size, "index": index, "leaf": tree.leaf(index), "proof": proof}
        assert anchors.includes(journal("C"), **place)
        assert anchors.includes(journal("C"), **place, epoch=1)
        assert not anchors.includes(journal("C"), **place, epoch=2)
        assert not anchors.includes(journal("A"), **place)
    forked = {"size": 7, "index": 6, "leaf": other.leaf(6), "proof": other.inclusion(6, 7)}
    assert anchors.includes(journal("C"), **forked)
    assert not anchors.includes(journal("C"), **forked, epoch=1)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 12},
        {"index": 21},
        {"index": 2**64 - 1},
        {"size": 20},
        {"size": 0},
        {"size": 7},
        {"leaf": bytes(32)},
        {"proof": []},
        {"proof": Tree("A").inclusion(11, 21)[:-1]},
        {"proof": [*Tree("A").inclusion(11, 21), bytes(32)]},
        {"proof": Tree("A").inclusion(10, 21)},
        {"proof": [bytes(32)] * 65},
    ],
)
def test_wrong_inclusion_is_not_true(world: World, anchors: Anchors, tree: Tree, change: dict) -> None:
    world.anchor(anchors, "A", tree, 7)
    world.anchor(anchors, "A", tree, 21, old=7)
    right = {"size": 21, "index": 11, "leaf": tree.leaf(11), "proof": tree.inclusion(11, 21)}
    assert anchors.includes(journal("A"), **right)
    assert not anchors.includes(journal("A"), **{**right, **change})
    assert not anchors.includes(journal("A"), **{**right, **change}, epoch=1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8])
def test_an_index_beyond_the_size_is_not_true_with_anyones_proof(
    world: World, anchors: Anchors, tree: Tree, size: int
) -> None:
    world.anchor(anchors, "A", tree, size)
    for index in range(size):
        right = {"size": size, "leaf": tree.leaf(index), "proof": tree.inclusion(index, size)}
        assert anchors.includes(journal("A"), index=index, **right)
        for beyond in (size, size + 1, 2 * size, 2**63):
            assert not anchors.includes(journal("A"), index=beyond, **right)


def test_nothing_is_included_where_nothing_was_anchored(anchors: Anchors) -> None:
    # An empty leaf leads to an empty root, which is what an empty slot reads as.
    empty = {"size": 1, "index": 0, "leaf": bytes(32), "proof": []}
    assert not anchors.includes(journal("A"), **empty)
    assert not anchors.includes(journal("A"), **empty, epoch=1)


def test_a_node_of_the_tree_is_no_leaf_of_a_smaller_one(world: World, anchors: Anchors, tree: Tree) -> None:
    # The root of 8 leaves is a node of 16; a tree of 2 "leaves" with that root was never anchored.
    world.anchor(anchors, "A", tree, 16)
    upper = tree.inclusion(0, 16)[-1]
    shorter = {"size": 16, "index": 0, "leaf": tree.root(8), "proof": [upper]}
    assert not anchors.includes(journal("A"), **shorter)


def test_another_contract_at_the_address_is_an_error(world: World, members: Members) -> None:
    with pytest.raises(RevertError):
        Anchors(world.web3, members.address).heads(journal("A"))


def test_no_contract_at_the_address_is_an_error(world: World) -> None:
    with pytest.raises(ChainError, match="contract Anchors was expected at 0x") as caught:
        Anchors(world.web3, address("A")).heads(journal("A"))
    assert caught.value.hint == "check the contract's address and the chain in the profile"


def test_hashes_of_another_length_are_refused_before_they_are_sent(anchors: Anchors) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes, got 31"):
        anchors.anchor(bytes(31), size=1, root=bytes(32))
    with pytest.raises(ConfigurationError, match="at most 65 hashes, got 66"):
        anchors.anchor(bytes(32), size=1, root=bytes(32), proof=[bytes(32)] * 66)
    with pytest.raises(ConfigurationError, match="got -1"):
        anchors.roots(bytes(32), size=-1)
