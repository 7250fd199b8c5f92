"""One contract on a chain: encode what is sent to it, decode what it answers and what it logged.

- Typed classes of the rooms (``Members``, ``Anchors``) stand on this one; surfaces use those.
- Reading asks the chain through web3 and turns every refusal into an error of ours; writing only makes a
  ``Call``, which the outbox signs, sends and follows.
- Addresses are ``0x`` and 40 lower-case hex digits, in and out; bytes32 are 32 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils import to_checksum_address
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)
from web3 import Web3
from web3.exceptions import ContractLogicError, ProviderConnectionError, Web3Exception, Web3RPCError

from tallystick.errors import ChainError, ChainUnreachableError, DefectError, RevertError

from ._artifacts import Artifact
from ._calls import Call

__all__ = ["Contract", "Logged", "decode_reason"]

_REASON_SELECTOR = bytes.fromhex("08c379a0")  # Error(string), what `assert x, "reason"` reverts with


@dataclass(frozen=True, slots=True)
class Logged:
    """One event of a contract, decoded.

    Args:
        event: its name.
        values: its arguments by name.
        block: number of the block.
        transaction: hash of the transaction, ``0x`` and 64 hex digits.
    """

    event: str
    values: Mapping[str, Any]
    block: int
    transaction: str


class Contract:
    """A deployed contract.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
        artifact: its ABI.
    """

    def __init__(self, web3: Web3, address: str, artifact: Artifact) -> None:
        self.address = address.lower()
        self._web3 = web3
        self._name = artifact.name
        self._functions = {item["name"]: item for item in artifact.abi if item["type"] == "function"}
        self._events = {item["name"]: item for item in artifact.abi if item["type"] == "event"}

    @staticmethod
    def deploy_call(artifact: Artifact, *arguments: Any) -> Call:
        """Make the call that deploys a contract.

        Args:
            artifact: the contract.
            arguments: what its constructor takes.
        """
        inputs: list[Mapping[str, Any]] = next(
            (item["inputs"] for item in artifact.abi if item["type"] == "constructor"), []
        )
        return Call(to=None, data=artifact.bytecode + _encode(artifact.name, inputs, arguments))

    def call(self, function: str, *arguments: Any) -> Call:
        """Make the call of a function that changes something."""
        return Call(to=self.address, data=self._data(function, arguments))

    def read(self, function: str, *arguments: Any, block: int | str = "latest") -> Any:
        """Ask a view.

        Args:
            function: its name.
            arguments: what it takes.
            block: number or tag of the block whose state answers.

        Returns:
            One value, or a tuple where the function returns several.

        Raises:
            RevertError: the contract refused.
            ChainUnreachableError: no answer.
            ChainError: the chain refused, or no such contract stands there.
        """
        question = {"to": to_checksum_address(self.address), "data": self._data(function, arguments)}
        answer = bytes(self._ask(lambda: self._web3.eth.call(question, block)))
        outputs = self._functions[function]["outputs"]
        try:
            values = _plain(decode([collapse_if_tuple(item) for item in outputs], answer))
        except (DecodingError, OverflowError) as error:
            raise ChainError(
                f"contract {self._name} was expected at {self.address}, got an answer of {len(answer)} bytes",
                hint="check the contract's address and the chain in the profile",
            ) from error
        return values[0] if len(values) == 1 else values

    def logged(
        self, event: str, *, start: int = 0, stop: int | str = "latest", **topics: bytes | int | str
    ) -> list[Logged]:
        """Read events in the order in which they were emitted.

        Args:
            event: name of the event.
            start: first block.
            stop: last block, or a tag.
            topics: indexed arguments that must be equal.

        Raises:
            ChainUnreachableError: no answer.
            ChainError: the chain refused, or an event could not be read.
        """
        abi = self._events[event]
        asked: list[str | None] = ["0x" + event_abi_to_log_topic(abi).hex()]
        for item in (item for item in abi["inputs"] if item["indexed"]):
            value = topics.pop(item["name"], None)
            asked.append(None if value is None else "0x" + encode([item["type"]], [value]).hex())
        if topics:
            raise DefectError(f"event {event} has no indexed argument {sorted(topics)[0]}")
        query = {
            "address": to_checksum_address(self.address),
            "topics": asked,
            "fromBlock": start,
            "toBlock": stop,
        }
        return [self._decode_log(abi, log) for log in self._ask(lambda: self._web3.eth.get_logs(query))]

    def _data(self, function: str, arguments: Sequence[Any]) -> bytes:
        abi = self._functions[function]
        return bytes(function_abi_to_4byte_selector(abi)) + _encode(self._name, abi["inputs"], arguments)

    def _decode_log(self, abi: Mapping[str, Any], log: Mapping[str, Any]) -> Logged:
        indexed = [item for item in abi["inputs"] if item["indexed"]]
        others = [item for item in abi["inputs"] if not item["indexed"]]
        try:
            values = {
                item["name"]: _plain(decode([item["type"]], bytes(topic))[0])
                for item, topic in zip(indexed, log["topics"][1:], strict=True)
            }
            body = decode([collapse_if_tuple(item) for item in others], bytes(log["data"]))
        except (DecodingError, ValueError) as error:
            raise ChainError(f"event {abi['name']} of contract {self._name} cannot be read") from error
        values.update((item["name"], _plain(value)) for item, value in zip(others, body, strict=True))
        return Logged(
            abi["name"], values, int(log["blockNumber"]), "0x" + bytes(log["transactionHash"]).hex()
        )

    def _ask(self, question: Any) -> Any:
        try:
            return question()
        except ContractLogicError as error:
            data = bytes.fromhex(error.data.removeprefix("0x")) if isinstance(error.data, str) else b""
            reason = decode_reason(data)
            raise RevertError(
                f"contract {self._name} refused: {reason or 'no reason given'}", reason=reason, data=data
            ) from error
        except (ProviderConnectionError, OSError) as error:
            raise ChainUnreachableError(
                f"contract {self._name} cannot be read: no endpoint answered"
            ) from error
        except Web3RPCError as error:
            raise ChainError(f"contract {self._name} cannot be read: {error.message}") from error
        except Web3Exception as error:
            raise ChainError(f"contract {self._name} cannot be read: {type(error).__name__}") from error


def decode_reason(data: bytes) -> str:
    """Read a revert's reason from its data; empty when it carries none."""
    if data[:4] != _REASON_SELECTOR:
        return ""
    try:
        return str(decode(["string"], data[4:])[0])
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return ""


def _encode(name: str, inputs: Sequence[Mapping[str, Any]], arguments: Sequence[Any]) -> bytes:
    try:
        return bytes(encode([collapse_if_tuple(item) for item in inputs], arguments))
    except (EncodingError, TypeError, ValueError) as error:
        # Typed classes check what callers give; what arrives here unfit is our mistake.
        raise DefectError(f"arguments of contract {name} do not fit: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value
