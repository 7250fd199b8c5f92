"""The contract ``Models`` in a test world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from benchmarks.random_models import (
    EXTREMES,
    HIGH,
    LOW,
    fields,
    inputs_near,
    linear,
    perceptron,
    trees,
)
from contract_world import World, party

from tallystick.chain import Call, Members
from tallystick.models import Blueprints, Executor, IntegerModel, Models

__all__ = [
    "EXTREMES",
    "FAMILIES",
    "HIGH",
    "LOW",
    "Consortium",
    "fields",
    "found_consortium",
    "inputs_near",
    "linear",
    "perceptron",
    "store_calls",
    "trees",
]

FAMILIES = ("linear", "trees", "perceptron")


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
        self.world.pass_vote(
            self.members, self.members.propose_suspend(party(name), threshold=threshold), voters
        )


def store_calls(models: Models, model: IntegerModel) -> list[Call]:
    """The calls that store a model's parts, but those that stand there."""
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
