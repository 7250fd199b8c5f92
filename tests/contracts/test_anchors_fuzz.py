"""Random trees, proofs and histories: the contract, its model and the proof room must agree."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from anchors_model import JournalModel, roots_of_proof
from contract_world import World, journal, keys, party
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from reference_tree import Tree

from tallystick import proof as proof_room
from tallystick.chain import Anchors, Head
from tallystick.errors import ProofError

NAMES = ["A", "B"]


@pytest.fixture
def shared_world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp())
    try:
        with World(folder / "chain") as made:
            yield made
    finally:
        shutil.rmtree(folder)


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_model_rebuilds_both_roots_from_a_right_proof(one: int, other: int) -> None:
    tree = Tree()
    old, new = sorted((one, other))
    found = roots_of_proof(old, new, tree.root(old), tree.consistency(old, new))
    assert found == (tree.root(old), tree.root(new))


def forgeries(
    chance: random.Random, tree: Tree, old: int, new: int
) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Wrong variants of a right head: each differs from it in one thing."""
    root, proof = tree.root(new), tree.consistency(old, new)
    place = chance.randrange(len(proof))
    flipped = bytearray(proof[place])
    flipped[chance.randrange(32)] ^= 1 << chance.randrange(8)
    yield new, root, [*proof[:place], bytes(flipped), *proof[place + 1 :]]
    yield new, root, proof[:place] + proof[place + 1 :]
    yield new, root, [*proof[:place], chance.randbytes(32), *proof[place:]]
    yield new, chance.randbytes(32), proof
    fork = Tree(tree.seed, fork_at=chance.randrange(old))
    yield new, fork.root(new), fork.consistency(old, new)
    yield new, fork.root(new), proof


@pytest.mark.slow
def test_right_proofs_are_accepted_and_forged_ones_refused(shared_world: World) -> None:
    world = shared_world
    chance = random.Random(9162)
    members = world.found(["A"], 1, delay_s=0)
    anchors = world.anchors(members)
    refused = 0
    # Each round ends its epoch, so that the next starts from any size; Members allows 64 of them.
    for epoch in range(1, 61):
        old = chance.choice([chance.randrange(1, 40), 2 ** chance.randrange(6), chance.randrange(1, 3_000)])
        new = old + chance.choice([1, 2 ** chance.randrange(6), chance.randrange(1, 2_000)])
        tree = Tree(f"tree {chance.random()}")
        world.send("A", anchors.anchor(journal("A"), size=old, root=tree.root(old)))
        for size, root, proof in forgeries(chance, tree, old, new):
            assert roots_of_proof(old, size, tree.root(old), proof) != (tree.root(old), root)
            call = anchors.anchor(journal("A"), size=size, root=root, proof=proof)
            assert world.refusal("A", call).startswith("anchors: ")
            refused += 1
        world.send(
            "A", anchors.anchor(journal("A"), size=new, root=tree.root(new), proof=tree.consistency(old, new))
        )
        world.send("A", members.propose_epoch(party("A"), keys("A")))
        world.send("A", members.execute(epoch))
    assert refused == 360


@pytest.mark.slow
def test_right_inclusion_is_true_and_forged_inclusion_is_not(shared_world: World) -> None:
    chance = random.Random(6962)
    anchors = shared_world.anchors(shared_world.found(["A"], 1, delay_s=0))
    tree = Tree()
    sizes = sorted({1, 2, 3, 7, 8, 9, 64, 65, *(chance.randrange(10, 3_000) for _ in range(8))})
    for old, new in zip([0, *sizes], sizes, strict=False):
        shared_world.anchor(anchors, "A", tree, new, old=old)
    for _ in range(150):
        size = chance.choice(sizes)
        index = chance.randrange(size)
        proof = tree.inclusion(index, size)
        right = {"size": size, "index": index, "leaf": tree.leaf(index), "proof": proof}
        assert anchors.includes(journal("A"), **right)
        wrong = [{"leaf": chance.randbytes(32)}, {"proof": [*proof, chance.randbytes(32)]}]
        if size > 1:
            place = chance.randrange(len(proof))
            wrong += [
                {"index": (index + 1 + chance.randrange(size - 1)) % size},
                {"proof": [*proof[:place], chance.randbytes(32), *proof[place + 1 :]]},
                {"proof": proof[:place] + proof[place + 1 :]},
                {"leaf": proof[0]},
            ]
        assert not anchors.includes(journal("A"), **{**right, **chance.choice(wrong)})


def test_the_proof_room_agrees_with_the_model() -> None:
    chance = random.Random(4)
    for _ in range(200):
        old = chance.randrange(1, 500)
        new = old + chance.randrange(1, 500)
        tree = Tree()
        proof_room.verify_consistency(
            old_size=old,
            new_size=new,
            old_root=tree.root(old),
            new_root=tree.root(new),
            path=tree.consistency(old, new),
        )
        for size, root, proof in forgeries(chance, tree, old, new):
            with pytest.raises(ProofError):
                proof_room.verify_consistency(
                    old_size=old, new_size=size, old_root=tree.root(old), new_root=root, path=proof
                )


class AnchorsMachine(RuleBasedStateMachine):
    """Two journals, honest and dishonest heads, new epochs."""

    world: World

    @initialize()
    def found(self) -> None:
        self.members = self.world.found(NAMES, 2, delay_s=0)
        self.anchors: Anchors = self.world.anchors(self.members)
        self.models = {name: JournalModel() for name in NAMES}
        self.trees = {name: Tree(name) for name in NAMES}

    @rule(
        sender=st.sampled_from(["A", "A", "A", "B", "stranger"]),
        name=st.sampled_from(NAMES),
        grow=st.integers(-2, 70),
        fork=st.booleans(),
        kind=st.sampled_from(["right", "right", "right", "none", "short", "long", "other"]),
        noise=st.binary(min_size=32, max_size=32),
    )
    def anchor(self, sender: str, name: str, grow: int, fork: bool, kind: str, noise: bytes) -> None:
        model, tree = self.models[name], self.trees[name]
        old = model.epochs[-1][-1][0] if model.epochs[-1] else 0
        size = max(old + grow, 0)
        if fork and old:
            tree = Tree(name, fork_at=old - 1)
        proof = tree.consistency(old, size) if 0 < old < size else []
        proof = {
            "right": proof,
            "none": [],
            "short": proof[:-1],
            "long": [*proof, noise],
            "other": [noise, *proof[1:]],
        }[kind]
        root = tree.root(size) if size else noise
        call = self.anchors.anchor(journal(name), size=size, root=root, proof=proof)
        self.world.fund(sender)
        if sender == name and model.accepts(size, root, proof):
            model.anchor(size, root, self.world.send(sender, call).block)
        else:
            assert self.world.refusal(sender, call).startswith("anchors: ")

    @rule(name=st.sampled_from(NAMES), fork_at=st.integers(0, 50))
    def open_epoch(self, name: str, fork_at: int) -> None:
        if len(self.models[name].epochs) == 64:
            return
        call = self.members.propose_epoch(party(name), keys(name))
        self.world.send("A", call)
        number = self.members.proposal_count()
        self.world.send("B", self.members.approve(number))
        self.world.send("A", self.members.execute(number))
        self.models[name].epochs.append([])
        self.trees[name] = Tree(name, fork_at=fork_at)

    @invariant()
    def heads_are_the_last_anchored(self) -> None:
        for name, model in self.models.items():
            expected = Head(*model.epochs[-1][-1]) if model.epochs[-1] else None
            assert self.anchors.heads(journal(name)) == expected

    def teardown(self) -> None:
        for name, model in getattr(self, "models", {}).items():
            assert self.anchors.epoch(journal(name)) == len(model.epochs)
            for number, epoch in enumerate(model.epochs, 1):
                expected = Head(*epoch[-1]) if epoch else None
                assert self.anchors.head_in(journal(name), epoch=number) == expected
                history = list(self.anchors.history(journal(name), epoch=number))
                assert [(step.size, step.root, step.block) for step in history] == epoch[::-1]
                for size, root, _ in epoch:
                    assert self.anchors.root_in(journal(name), epoch=number, size=size) == root


@pytest.mark.slow
def test_anchors_does_what_its_model_does(shared_world: World) -> None:
    class Machine(AnchorsMachine):
        world = shared_world

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
