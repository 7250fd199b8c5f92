"""Contracts that execute a model: put them on a chain, and ask them.

- ``deploy_model`` stores what is missing and goes on where it stopped: its intents' ids follow from the model and the
  contract, so after a crash nothing is sent twice and nothing is left out.
- An executor found through ``Models.executor`` has the parameters that the model's hash commits to.

    models = deploy_models(outbox, web3, members=address, approvals_needed=2)
    deployed = deploy_model(outbox, models, model)
    Executor(web3, deployed.executor).answer(inputs)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tallystick.chain import Call, Contract, load
from tallystick.errors import ChainError, NotFoundError, RevertError
from tallystick.models._integer import IntegerModel
from tallystick.models._models_contract import (
    FAMILIES,
    Blueprints,
    Models,
    executable,
    inside,
    rest_of_file,
    sha256_of,
)
from tallystick.models._packing import pack_inputs

if TYPE_CHECKING:
    from tallystick.chain import Intent, Outbox

__all__ = ["Deployed", "Executor", "deploy_model", "deploy_models"]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A model that a chain can execute.

    Args:
        executor: the contract that executes it.
        parts: the contracts that hold its parameters, in order; none where they stand in the executor.
        gas_used: by this outbox's transactions; 0 where others had sent them all.
    """

    executor: str
    parts: tuple[str, ...]
    gas_used: int


class Executor:
    """A contract that executes one model: ``LinearModel``, ``TreeModel`` or ``PerceptronModel``.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
    """

    def __init__(self, web3: Any, address: str) -> None:
        # What all three have in common is all that is asked here.
        self._contract = Contract(web3, address, load("tallystick.models", "LinearModel"))
        self.address: str = self._contract.address

    def answer(self, inputs: Sequence[int], *, block: int | str = "latest") -> int:
        """Ask for the score, or with several labels for the number of the one with the largest score.

        Args:
            inputs: int16, as many as the model reads.
            block: number or tag of the block whose state answers.

        Raises:
            ModelInputError: an input is not int16.
            RevertError: not as many inputs as the model reads.
        """
        return int(self._contract.read("answer", pack_inputs(inputs), block=block))

    def scores(self, inputs: Sequence[int], *, block: int | str = "latest") -> tuple[int, ...]:
        """Ask for the scores of all heads; see ``answer``."""
        return tuple(self._contract.read("scores", pack_inputs(inputs), block=block))

    def answer_call(self, inputs: Sequence[int]) -> Call:
        """Make the call that a transaction sends to let the chain compute an answer; its gas is the price."""
        return self._contract.call("answer", pack_inputs(inputs))

    def width(self) -> int:
        """Read how many inputs the model reads."""
        return int(self._contract.read("width"))

    def heads(self) -> int:
        """Read how many scores it gives."""
        return int(self._contract.read("heads"))


def deploy_models(outbox: Outbox, web3: Any, *, members: str, approvals_needed: int) -> Models:
    """Deploy the executors' blueprints and the contract ``Models``, once for each ``Members`` and outbox.

    Args:
        outbox: sends the four transactions; its account gets no rights by it.
        web3: a connected web3 instance of the same chain.
        members: address of the contract ``Members``.
        approvals_needed: how many parties other than the publisher must approve a model.

    Raises:
        ChainError: a transaction was refused or is not mined yet; call again to go on.
    """
    places = {}
    for family, name in FAMILIES.items():
        version = load("tallystick.models", name).source_sha256
        mined = outbox.send(f"blueprint/{name}/{version}", Models.blueprint_call(family))
        places[family] = mined.contract
    version = load("tallystick.models", "Models").source_sha256
    call = Models.deploy_call(members, approvals_needed=approvals_needed, blueprints=Blueprints(**places))
    mined = outbox.send(f"models/{members.lower()}/{approvals_needed}/{version}", call)
    return Models(web3, mined.contract)


def deploy_model(outbox: Outbox, models: Models, model: IntegerModel) -> Deployed:
    """Put a model's executor on a chain; what stands there already is used.

    Args:
        outbox: sends the transactions; any account may.
        models: the contract that makes the executor.
        model: the model.

    Raises:
        ModelInputError: no contract can execute it, or its file is too long for one transaction.
        ChainError: a transaction was refused or is not mined yet; call again to go on.
    """
    packed = executable(model)
    rest_of_file(model)  # refuse what is too long before anything is paid for
    parts, gas_used = [], 0
    for part in () if inside(packed) else packed.parts:
        digest = sha256_of(part)
        place, gas = _ensured(
            outbox,
            f"{models.address}/part/{digest.hex()}",
            call=models.store(part),
            find=partial(models.part, digest),
        )
        parts.append(place)
        gas_used += gas
    executor, gas = _ensured(
        outbox,
        f"{models.address}/deploy/{model.hash}",
        call=models.deploy(model),
        find=partial(models.executor, model.hash),
    )
    return Deployed(executor=executor, parts=tuple(parts), gas_used=gas_used + gas)


def _ensured(
    outbox: Outbox, intent_id: str, *, call: Call, find: Callable[[], str | None]
) -> tuple[str, int]:
    """Send a call unless what it makes stands there; return the place, and the gas if it was ours."""
    intent = _intent(outbox, intent_id)
    if find() is None or (intent is not None and intent.state in ("waiting", "signed")):
        if intent is not None:
            outbox.retry(intent_id)
        try:
            outbox.send(intent_id, call)
        except RevertError:
            if find() is None:  # else somebody else was faster with the very same thing
                raise
    place, intent = find(), _intent(outbox, intent_id)
    if place is None:
        raise ChainError("the contract Models shows not yet what was deployed", hint="call again to go on")
    return place, intent.gas_used if intent is not None and intent.state == "mined" else 0


def _intent(outbox: Outbox, intent_id: str) -> Intent | None:
    try:
        return outbox.intent(intent_id)
    except NotFoundError:
        return None
