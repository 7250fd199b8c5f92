"""Random models of every family, and the contract ``Models`` in a test world."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from contract_world import World

from tallystick.chain import Call, Members
from tallystick.models import (
    Blueprints,
    Executor,
    IntegerModel,
    LinearModel,
    Models,
    NumericFeature,
    PerceptronModel,
    Quantiser,
    TreeModel,
)

LOW, HIGH = -32_768, 32_767
EXTREMES = (LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH)


def quantiser(width: int) -> Quantiser:
    features = (
        NumericFeature(f"f{place}", f"feature {place}", decimals=0, offset=0, step=4096, low=LOW, high=HIGH, missing=0, gaps=False)
        for place in range(width)
    )  # fmt: skip
    return Quantiser(tuple(features))


def fields(width: int, heads: int, name: str = "random") -> dict:
    return {
        "name": name,
        "target": "something",
        "quantiser": quantiser(width),
        "labels": ("no", "yes") if heads == 1 else tuple(f"label {head}" for head in range(heads)),
        "unit": 256,
        "threshold": 0,
    }


def number(rng: random.Random) -> int:
    """An int16, often one of those at which things go wrong."""
    return rng.choice(EXTREMES) if rng.random() < 0.2 else rng.randint(LOW, HIGH)


def numbers(rng: random.Random, count: int) -> tuple[int, ...]:
    return tuple(number(rng) for _ in range(count))


def linear(rng: random.Random, width: int, heads: int = 1, **more: object) -> LinearModel:
    return LinearModel(
        **{**fields(width, heads), **more},
        weights=tuple(numbers(rng, width) for _ in range(heads)),
        biases=tuple(rng.randint(-(2**50), 2**50) for _ in range(heads)),
        centre=(0,) * width,
    )


def trees(
    rng: random.Random, width: int, count: int, heads: int = 1, depth: int = 4, **more: object
) -> TreeModel:
    nodes, leaves = heads * count * (2**depth - 1), heads * count * 2**depth
    return TreeModel(
        **{**fields(width, heads), **more},
        depth=depth,
        bases=tuple(rng.randint(-(2**50), 2**50) for _ in range(heads)),
        features=bytes(rng.randrange(width) for _ in range(nodes)),
        thresholds=b"".join(value.to_bytes(2, "big", signed=True) for value in numbers(rng, nodes)),
        leaves=b"".join(value.to_bytes(2, "big", signed=True) for value in numbers(rng, leaves)),
        counts=bytes(4 * leaves),
    )


def perceptron(
    rng: random.Random, width: int, hidden: int, heads: int = 1, shift: int = 8, **more: object
) -> PerceptronModel:
    def row(count: int) -> tuple[int, ...]:
        # An empty hidden unit now and then, and one that never fires.
        return (0,) * count if rng.random() < 0.1 else numbers(rng, count)

    return PerceptronModel(
        **{**fields(width, heads), **more},
        hidden_weights=tuple(row(width) for _ in range(hidden)),
        hidden_biases=tuple(rng.choice([0, -(2**40), rng.randint(-(2**34), 2**34)]) for _ in range(hidden)),
        shift=shift,
        weights=tuple(row(hidden) for _ in range(heads)),
        biases=tuple(rng.randint(-(2**50), 2**50) for _ in range(heads)),
        centre=(0,) * width,
    )


def inputs_near(rng: random.Random, model: IntegerModel) -> tuple[int, ...]:
    """Inputs for a model: random and extreme ones, and for trees the thresholds themselves and beside them."""
    width = model.quantiser.width
    if rng.random() < 0.1:
        return (rng.choice(EXTREMES),) * width
    if isinstance(model, TreeModel):
        ends = [model.thresholds[at : at + 2] for at in range(0, len(model.thresholds), 2)]
        near = [
            int.from_bytes(rng.choice(ends), "big", signed=True) + rng.choice((-1, 0, 1))
            for _ in range(width)
        ]
        return tuple(min(max(value, LOW), HIGH) for value in near)
    return numbers(rng, width)


@dataclass(frozen=True, slots=True)
class Consortium:
    """Members and the contract ``Models`` that asks them."""

    world: World
    members: Members
    models: Models

    def deploy(self, model: IntegerModel, sender: str = "A") -> Executor:
        """Store what is missing and deploy a model's executor."""
        assert model.packed is not None
        for call in store_calls(self.models, model):
            self.world.send(sender, call)
        self.world.send(sender, self.models.deploy(model))
        place = self.models.executor(model.hash)
        assert place is not None
        return Executor(self.world.web3, place)

    def publish(self, model: str, sender: str = "A", *, parent: str | None = None) -> None:
        self.world.send(sender, self.models.publish(model, parent=parent))

    def suspend(self, name: str, voters: Sequence[str], *, threshold: int) -> None:
        from contract_world import party

        self.world.pass_vote(
            self.members, self.members.propose_suspend(party(name), threshold=threshold), voters
        )


def store_calls(models: Models, model: IntegerModel) -> list[Call]:
    """The calls that store a model's parts, but those that stand there."""
    from hashlib import sha256

    packed = model.packed
    assert packed is not None
    if packed.scalars[0] == 1 and len(packed.body) <= 512:
        return []
    return [models.store(part) for part in packed.parts if models.part(sha256(part).digest()) is None]


def found_consortium(
    world: World, names: Sequence[str] = "ABCD", *, threshold: int = 3, approvals: int = 2
) -> Consortium:
    """Found ``Members`` and deploy ``Models`` beside it."""
    members = world.found(list(names), threshold)
    families = {family: world.send("deployer", Models.blueprint_call(family)).contract for family in FAMILIES}
    call = Models.deploy_call(members.address, approvals_needed=approvals, blueprints=Blueprints(**families))
    return Consortium(world, members, Models(world.web3, world.send("deployer", call).contract))


FAMILIES = ("linear", "trees", "perceptron")
