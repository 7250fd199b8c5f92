"""One contract on a chain: encode what is sent to it, decode what it answers and what it logged.

- Typed classes of the rooms (``Members``, ``Anchors``) stand on this one; surfaces use those.
- Reading asks the chain through web3 and turns every refusal into an error of ours; writing only makes a
  ``Call``, which the outbox signs, sends and follows.
- Addresses are ``0x`` and 40 lower-case hex digits, in and out; bytes32 are 32 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from tallystick.errors import ChainError, ChainUnreachableError, DefectError, RevertError

from ._answers import REVERTED, revert_reason
from ._artifacts import Artifact
from ._calls import Call
from ._words import checked_account

__all__ = ["Contract", "Logged"]

_REVERT = re.compile(r"execution reverted(?:: (.*))?").match
_MOST_WORDS = 200  # of a node, in one message of ours


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
        self.address = checked_account(address)
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
        question = {"to": self.address, "data": "0x" + self._data(function, arguments).hex()}
        answer = _bytes_in(self._ask("eth_call", question, _tag(block)))
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
        if start and stop == "latest" and start > self._head():
            return []  # nodes refuse a range that begins after its end
        query = {"address": self.address, "topics": asked, "fromBlock": _tag(start), "toBlock": _tag(stop)}
        logs = self._ask("eth_getLogs", query)
        if not isinstance(logs, list):
            raise ChainError(f"contract {self._name} cannot be read: a list of logs was expected")
        return [self._decode_log(abi, asked, log) for log in logs]

    def _head(self) -> int:
        answer = self._ask("eth_blockNumber")
        try:
            return int(answer, 16)
        except (TypeError, ValueError) as error:
            raise ChainError(f"contract {self._name} cannot be read: a block number was expected") from error

    def _data(self, function: str, arguments: Sequence[Any]) -> bytes:
        abi = self._functions[function]
        return bytes(function_abi_to_4byte_selector(abi)) + _encode(self._name, abi["inputs"], arguments)

    def _decode_log(self, abi: Mapping[str, Any], asked: Sequence[str | None], log: Any) -> Logged:
        indexed = [item for item in abi["inputs"] if item["indexed"]]
        others = [item for item in abi["inputs"] if not item["indexed"]]
        try:
            topics = [str(topic).lower() for topic in log["topics"]]
            wanted = all(want in (None, got) for want, got in zip(asked, topics, strict=True))
            if str(log["address"]).lower() != self.address or not wanted:
                raise ValueError("another log than the one asked for")
            values = {
                item["name"]: _plain(decode([item["type"]], _bytes_in(topic))[0])
                for item, topic in zip(indexed, topics[1:], strict=True)
            }
            body = decode([collapse_if_tuple(item) for item in others], _bytes_in(log["data"]))
            block, transaction = int(log["blockNumber"], 16), str(log["transactionHash"]).lower()
        except (DecodingError, KeyError, TypeError, ValueError) as error:
            raise ChainError(f"event {abi['name']} of contract {self._name} cannot be read") from error
        values.update((item["name"], _plain(value)) for item, value in zip(others, body, strict=True))
        return Logged(abi["name"], values, block, transaction)

    def _ask(self, method: str, *params: Any) -> Any:
        # Straight to the provider: web3's own formatters turn some refusals into other exceptions.
        try:
            answer = self._web3.provider.make_request(RPCEndpoint(method), params)
        except OSError as error:
            raise ChainUnreachableError(
                f"contract {self._name} cannot be read: no endpoint answered"
            ) from error
        except (Web3Exception, ValueError) as error:
            raise ChainError(f"contract {self._name} cannot be read: {type(error).__name__}") from error
        if "error" in answer or "result" not in answer:
            raise self._refusal(answer.get("error"))
        return answer["result"]

    def _refusal(self, said: Any) -> ChainError:
        error = said if isinstance(said, dict) else {"message": str(said)}
        words = " ".join(str(error.get("message") or "no reason given").split())[:_MOST_WORDS]
        revert = _REVERT(words)
        if error.get("code") != REVERTED and not revert:
            return ChainError(f"contract {self._name} cannot be read: {words}")
        data = _bytes_in(error.get("data"))
        # Some nodes send the words without the data.
        reason = revert_reason(data) or (revert.group(1) or "" if revert else "")
        return RevertError(
            f"contract {self._name} refused: {reason or 'no reason given'}", reason=reason, data=data
        )


def _tag(block: int | str) -> str:
    return hex(block) if isinstance(block, int) else block


def _bytes_in(value: Any) -> bytes:
    try:
        return bytes.fromhex(str(value or "").removeprefix("0x"))
    except ValueError:
        return b""


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
