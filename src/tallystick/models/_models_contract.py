"""The contract ``Models``: which models there are, what stands under their names, and who vouches for them.

- A model is named by its hash in hex, as everywhere. What executes it was made by the contract itself from parameters
  that the file's hash commits to, so ``executor`` needs nobody's word.
- Approvals, evaluations, overrides and retirements are those of distinct active parties other than the publisher.

    models = Models(web3, address)
    outbox.send(f"publish/{model.hash}", models.publish(model.hash))
    outbox.send(f"approve/{model.hash}", models.approve(model.hash))
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from tallystick.chain import Call, Contract, Logged, load
from tallystick.errors import ChainUnreachableError, ConfigurationError, ModelInputError, VerificationError
from tallystick.models._integer import IntegerModel
from tallystick.models._packing import PART_BYTES, Packed

__all__ = ["FAMILIES", "Blueprints", "ModelRecord", "ModelStage", "Models", "ReportedEvaluation"]

MAX_APPROVALS: Final = 64
MAX_REST_BYTES: Final = 120_000
LINEAR_WORDS: Final = 16  # a linear model of so many words stands in its executor's own code
# ERC-5202: what a blueprint's code begins with, so that nobody can call it.
BLUEPRINT_PREAMBLE: Final = b"\xfe\x71\x00"
FAMILIES: Final = {"linear": "LinearModel", "perceptron": "PerceptronModel", "trees": "TreeModel"}
_NOBODY: Final = "0x" + "00" * 20
_HEX = re.compile(r"[0-9a-f]{64}").fullmatch


class ModelStage(IntEnum):
    """How a model stands in the contract."""

    UNKNOWN = 0
    PUBLISHED = 1
    PROMOTED = 2
    RETIRED = 3


@dataclass(frozen=True, slots=True)
class Blueprints:
    """Where the executors' blueprints stand.

    Args:
        linear: of ``LinearModel``.
        trees: of ``TreeModel``.
        perceptron: of ``PerceptronModel``.
    """

    linear: str
    trees: str
    perceptron: str


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What the contract keeps of a published model.

    Args:
        stage: published, promoted or retired.
        publisher: SHA-256 of the party's id.
        parent: hash of the model that it descends from, hex; None where there is none.
        executor: the contract that executes it; None where none was deployed.
        override_reason: SHA-256 of the reason with which two parties overrode the gate; None where it passed.
        published_block: the block of it.
        promoted_block: the block of it, 0 before.
        retired_block: the block of it, 0 before.
    """

    stage: ModelStage
    publisher: bytes
    parent: str | None
    executor: str | None
    override_reason: bytes | None
    published_block: int
    promoted_block: int
    retired_block: int


@dataclass(frozen=True, slots=True)
class ReportedEvaluation:
    """The last evaluation that a party reported.

    Args:
        party: SHA-256 of the party's id.
        statement: id of the statement that reports it, hex.
        passed: whether the gates passed.
        block: the block of it.
    """

    party: bytes
    statement: str
    passed: bool
    block: int


class Models:
    """The contract ``Models`` at an address.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
    """

    def __init__(self, web3: Any, address: str) -> None:
        self._contract = Contract(web3, address, load("tallystick.models", "Models"))
        self.web3 = web3
        self.address: str = self._contract.address

    @staticmethod
    def blueprint_call(family: str) -> Call:
        """Make the call that deploys the blueprint of a family's executor.

        Args:
            family: "linear", "trees" or "perceptron".
        """
        return Call(to=None, data=_creation(_blueprint_code(family)))

    @staticmethod
    def deploy_call(members: str, *, approvals_needed: int, blueprints: Blueprints) -> Call:
        """Make the call that deploys the contract.

        Args:
            members: address of the contract ``Members`` that it shall ask, for ever.
            approvals_needed: how many parties other than the publisher must approve: 1 to 64.
            blueprints: of the executors.
        """
        if not 1 <= approvals_needed <= MAX_APPROVALS:
            raise ConfigurationError(f"approvals must be 1 to {MAX_APPROVALS}, got {approvals_needed}")
        places = (blueprints.linear, blueprints.trees, blueprints.perceptron)
        return Contract.deploy_call(load("tallystick.models", "Models"), members, approvals_needed, *places)

    def store(self, part: bytes) -> Call:
        """Make the call that stores a part of some model's parameters; anyone may send it.

        Args:
            part: whole words, at most 24,480 bytes.
        """
        if not 0 < len(part) <= PART_BYTES or len(part) % 32:
            raise ConfigurationError(f"a part must be whole words, at most {PART_BYTES} bytes")
        return self._contract.call("store", part)

    def deploy(self, model: IntegerModel) -> Call:
        """Make the call that deploys a model's executor; anyone may send it, after its parts are stored.

        Raises:
            ModelInputError: no contract can execute it, or its file is too long for one transaction.
        """
        packed, rest = executable(model), rest_of_file(model)
        parts = [] if inside(packed) else [sha256_of(part) for part in packed.parts]
        return self._contract.call("deploy", rest, list(packed.scalars), words_inside(packed), parts)

    def publish(self, model: str, *, parent: str | None = None) -> Call:
        """Make the call that registers a model under the sender's party; it needs no executor.

        Args:
            model: hash of its file, hex.
            parent: hash of the published model that it descends from.
        """
        return self._contract.call("publish", word(model), word(parent) if parent else bytes(32))

    def approve(self, model: str) -> Call:
        """Make the call by which a party other than the publisher approves a model."""
        return self._contract.call("approve", word(model))

    def report_evaluation(self, model: str, statement: str, *, passed: bool) -> Call:
        """Make the call by which a party other than the publisher reports an evaluation.

        Args:
            model: hash of its file, hex.
            statement: id of the statement that reports it, hex.
            passed: whether the gates passed.
        """
        return self._contract.call("report_evaluation", word(model), word(statement), passed)

    def sign_override(self, model: str, reason: bytes) -> Call:
        """Make the call by which a party other than the publisher signs for a model without a passed evaluation.

        Args:
            model: hash of its file, hex.
            reason: SHA-256 of the reason in words.
        """
        return self._contract.call("sign_override", word(model), _digest(reason))

    def promote(self, model: str) -> Call:
        """Make the call that promotes a model whose evaluation passed."""
        return self._contract.call("promote", word(model))

    def promote_by_override(self, model: str, reason: bytes) -> Call:
        """Make the call that promotes a model for which two parties signed one reason."""
        return self._contract.call("promote_by_override", word(model), _digest(reason))

    def retire(self, model: str) -> Call:
        """Make the call that takes a model out of use, or, of another than its publisher, asks for it."""
        return self._contract.call("retire", word(model))

    def members(self) -> str:
        """Read the address of the contract ``Members`` that it asks."""
        return str(self._contract.read("members"))

    def approvals_needed(self) -> int:
        """Read how many parties other than the publisher must approve."""
        return int(self._contract.read("approvals_needed"))

    def blueprints(self) -> Blueprints:
        """Read where the executors' blueprints stand."""
        names = ("linear_blueprint", "tree_blueprint", "perceptron_blueprint")
        return Blueprints(*(str(self._contract.read(name)) for name in names))

    def check_blueprints(self) -> None:
        """Compare the blueprints' code with the published executors'.

        Raises:
            VerificationError: the contract makes executors of other code.
            ChainUnreachableError: no endpoint answered.
        """
        found = self.blueprints()
        for family, name in FAMILIES.items():
            place = getattr(found, family)
            try:
                code = bytes(self.web3.eth.get_code(self.web3.to_checksum_address(place)))
            except OSError as error:
                raise ChainUnreachableError(f"the blueprint of {name} cannot be read") from error
            if code != _blueprint_code(family):
                raise VerificationError(
                    f"contract Models at {self.address} must make executors of the published {name}, got other code",
                    hint="do not use this contract; deploy one from your own installation",
                )

    def part(self, digest: bytes) -> str | None:
        """Read where a part stands, by its SHA-256; None when it is not stored."""
        return _found(self._contract.read("part", _digest(digest)))

    def executor(self, model: str) -> str | None:
        """Read the contract that executes a model; None where none was deployed."""
        return _found(self._contract.read("executor", word(model)))

    def stage(self, model: str) -> ModelStage:
        """Read how a model stands."""
        return ModelStage(self._contract.read("stage", word(model)))

    def record(self, model: str) -> ModelRecord | None:
        """Read all that is kept of a model; None when nobody published it."""
        fields = self._contract.read("record", word(model))
        stage, publisher, parent, executor, reason, published, promoted, retired = fields
        if stage == ModelStage.UNKNOWN:
            return None
        return ModelRecord(
            stage=ModelStage(stage),
            publisher=publisher,
            parent=parent.hex() if any(parent) else None,
            executor=_found(executor),
            override_reason=reason if any(reason) else None,
            published_block=published,
            promoted_block=promoted,
            retired_block=retired,
        )

    def approvals(self, model: str) -> tuple[bytes, ...]:
        """Read which parties approved a model, also those whose approval counts no longer."""
        return tuple(self._contract.read("approvals", word(model)))

    def evaluations(self, model: str) -> tuple[ReportedEvaluation, ...]:
        """Read the last evaluation of each party that reported one."""
        found = []
        for party in self._contract.read("evaluators", word(model)):
            statement, outcome, block = self._contract.read("evaluation", word(model), party)
            found.append(ReportedEvaluation(party, statement.hex(), outcome == 1, block))
        return tuple(found)

    def overrides(self, model: str, reason: bytes) -> tuple[bytes, ...]:
        """Read which parties signed an override with one reason."""
        return tuple(self._contract.read("overrides", word(model), _digest(reason)))

    def gate_passed(self, model: str) -> bool:
        """Ask whether an active party reported that the gates passed, and none that they failed."""
        return bool(self._contract.read("gate_passed", word(model)))

    def logged(self, event: str, *, start: int = 0, **topics: Any) -> list[Logged]:
        """Read the contract's events of one name, such as ``Promoted``, from a block on."""
        return self._contract.logged(event, start=start, **topics)


def executable(model: IntegerModel) -> Packed:
    """Return the packed parameters of a model that contracts can execute.

    Raises:
        ModelInputError: none can.
    """
    if model.packed is None:
        raise ModelInputError(
            "no contract can execute this model: trees deeper than 4, or more inputs, heads or parts than fit",
            hint="publish it by its hash alone, or fit a smaller one",
        )
    return model.packed


def inside(packed: Packed) -> bool:
    """Tell whether the parameters stand in the executor's own code: those of small linear models do."""
    return packed.scalars[0] == 1 and len(packed.body) <= 32 * LINEAR_WORDS


def words_inside(packed: Packed) -> Sequence[int]:
    """Return the words that stand in the executor's own code."""
    body = packed.body if inside(packed) else b""
    return [int.from_bytes(body[at : at + 32], "big") for at in range(0, len(body), 32)]


def rest_of_file(model: IntegerModel) -> bytes:
    """Return a model's file behind its digest, which the contract computes by itself.

    Raises:
        ModelInputError: it is too long for one transaction.
    """
    rest = model.bytes[len(f'{{"digest":"{model.digest}",') :]
    if len(rest) > MAX_REST_BYTES:
        raise ModelInputError(
            f"a model file must be at most {MAX_REST_BYTES} bytes to be deployed, got {len(rest)}",
            hint="publish it by its hash alone, or fit fewer trees",
        )
    return rest


def sha256_of(part: bytes) -> bytes:
    """Return the name under which the contract stores a part."""
    return hashlib.sha256(part).digest()


def word(text: str) -> bytes:
    """Return the 32 bytes of a hash in hex.

    Raises:
        ConfigurationError: it is none.
    """
    if not _HEX(text):
        raise ConfigurationError(f"a hash must be 64 lower-case hex digits, got {len(text)} characters")
    return bytes.fromhex(text)


def _digest(value: bytes) -> bytes:
    if len(value) != 32:
        raise ConfigurationError(f"a hash must be 32 bytes, got {len(value)}")
    return value


def _found(address: str) -> str | None:
    return None if address == _NOBODY else address


def _blueprint_code(family: str) -> bytes:
    return BLUEPRINT_PREAMBLE + load("tallystick.models", FAMILIES[family]).bytecode


def _creation(code: bytes) -> bytes:
    """Return creation code that leaves this code behind."""
    # PUSH2 length DUP1 PUSH1 10 RETURNDATASIZE CODECOPY RETURNDATASIZE RETURN
    return b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3") + code
