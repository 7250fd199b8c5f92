"""One way to a chain, whichever it is: an embedded file or a network's node.

* Everything foreign ends here: each error of a node, of HTTP or of the disk leaves as one of ours.
* The chain id and the genesis that the profile names are checked before anything else is asked.
* Traps of other nodes are hidden here: an unknown receipt is None whatever the node calls it, and the same bytes
  sent twice are a success.
* A profile may name several endpoints and ask those of k members to agree; then all reading is compared.

    with connect(Profile.of("pilot.chain"), create=True) as chain:
        chain.fund(account.address)
        chain.head().number
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from web3 import Web3

from tallystick.errors import (
    ChainError,
    ChainMismatchError,
    ChainUnreachableError,
    ConfigurationError,
    FundsError,
    NonceError,
    NotFoundError,
    RevertError,
    TallystickError,
)

from ._answers import METHOD_NOT_FOUND, REVERTED, data_hex, quantity, revert_reason
from ._asking import Endpoints
from ._calls import Call
from ._endpoints import EndpointReport
from ._localchain import LocalChain
from ._profiles import Profile
from ._traps import normal

__all__ = ["Chain", "Fees", "Head", "MinedTransaction", "connect"]

Clock = Callable[[], int]

_MOST_WORDS = 300
_ALREADY_THERE = re.compile(r"already (known|imported|in mempool|exists)|known transaction", re.IGNORECASE)
_NONCE = re.compile(r"nonce too (low|high)|invalid (nonce|sequence)|nonce.*(gap|expected)", re.IGNORECASE)
_FUNDS = re.compile(r"insufficient (funds|balance)", re.IGNORECASE)
_REVERT = re.compile(r"execution reverted(?:: (.*))?|\bVM Exception.*revert", re.IGNORECASE | re.DOTALL)


def _now() -> int:
    return time.time_ns() // 1_000


@dataclass(frozen=True, slots=True)
class Head:
    """A block: its number, hash (0x hex) and time (POSIX seconds)."""

    number: int
    hash: str
    time: int


@dataclass(frozen=True, slots=True)
class Fees:
    """What a gas costs at most, and what of it goes to the block's maker, in wei."""

    max_fee: int
    tip: int


@dataclass(frozen=True, slots=True)
class MinedTransaction:
    """A transaction's receipt. ``contract`` is the address that it created, or empty."""

    hash: str
    block: int
    block_hash: str
    succeeded: bool
    gas_used: int
    contract: str


class Chain:
    """A chain that has been reached and is the one expected. Made by ``connect``.

    Attributes:
        profile: by what rules it is used.
        chain_id: EIP-155 chain id.
        genesis: hash of block 0, 0x and 64 hex digits.
        is_local: an embedded chain, in this process or served by another: one operator's word.
    """

    def __init__(self, profile: Profile, provider: Any) -> None:
        self.profile = profile
        self.provider = provider
        self.chain_id = _number(self.ask("eth_chainId"))
        if profile.chain_id is not None and profile.chain_id != self.chain_id:
            raise ChainMismatchError(
                f"expected chain {profile.chain_id}, got {self.chain_id}",
                hint="check the profile's url or path",
            )
        first = self.ask("eth_getBlockByNumber", "0x0", False)
        self.genesis = str(_field(first, "hash")).lower()
        if profile.genesis and profile.genesis != self.genesis:
            raise ChainMismatchError(
                f"expected genesis {profile.genesis}, got {self.genesis}",
                hint="this is another chain with the same id: check the profile's url or path",
            )
        self.is_local = str(self.ask("web3_clientVersion")).startswith("Tallystick-LocalChain/")

    def __repr__(self) -> str:
        return f"<Chain {self.chain_id} {self.profile.name}>"

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file or the connection."""
        self.provider.close()

    @cached_property
    def web3(self) -> Web3:
        """web3.py over this chain, for contracts; its own exceptions are not wrapped."""
        return Web3(self.provider)

    # -- reading ------------------------------------------------------------------------------------------

    def ask(self, method: str, *params: Any) -> Any:
        """Ask one JSON-RPC method.

        Raises:
            ChainUnreachableError: nobody answered.
            RevertError: a contract refused; the reason is decoded.
            FundsError: the account cannot pay.
            NonceError: the account's nonces do not fit.
            ChainError: any other refusal.
        """
        answer = self.provider.make_request(method, list(params))
        if not isinstance(answer, dict) or ("error" in answer) == ("result" in answer):
            raise ChainError(f"{method}: the node's answer is not JSON-RPC")
        answer = normal(method, answer)
        if "error" in answer:
            raise _as_error(method, answer["error"])
        return answer["result"]

    def head(self) -> Head:
        """Return the newest block."""
        return self._block("latest")

    def block(self, number: int) -> Head:
        """Return a block by its number.

        Raises:
            NotFoundError: the chain has no such block.
        """
        return self._block(quantity(number))

    def settled(self) -> int:
        """Return the number of the newest block that will stay, by the profile's finality."""
        if self.profile.finality == "tagged":
            settled = self._block("finalized").number
        else:
            settled = max(_number(self.ask("eth_blockNumber")) - self.profile.confirmations, 0)
        self.saw(settled)
        return settled

    def reports(self) -> list[EndpointReport]:
        """Return why endpoints were left alone since the last look, oldest first; none on an embedded chain."""
        return self.provider.reports() if isinstance(self.provider, Endpoints) else []

    def saw(self, block: int) -> None:
        """Remember a block that was seen to stay: of several endpoints, none below it is read from any more."""
        if isinstance(self.provider, Endpoints):
            self.provider.wrote(block)

    def nonce(self, address: str, block: int | str = "latest") -> int:
        """Return how many transactions of an account stand in the chain at a block."""
        at = quantity(block) if isinstance(block, int) else block
        return _number(self.ask("eth_getTransactionCount", address, at))

    def balance(self, address: str) -> int:
        """Return an account's wei."""
        return _number(self.ask("eth_getBalance", address, "latest"))

    def call(self, call: Call, *, sender: str | None = None, block: int | str = "latest") -> bytes:
        """Run a call without sending it and return what it answers.

        Raises:
            RevertError: the contract refused.
        """
        at = quantity(block) if isinstance(block, int) else block
        return _data(self.ask("eth_call", _as_request(call, sender), at))

    def estimate_gas(self, call: Call, *, sender: str) -> int:
        """Return the gas that a call needs now.

        Raises:
            RevertError: it would be refused.
        """
        return _number(self.ask("eth_estimateGas", _as_request(call, sender)))

    def receipt(self, transaction_hash: str) -> MinedTransaction | None:
        """Return what became of a transaction, None while it stands in no block."""
        found = self.ask("eth_getTransactionReceipt", transaction_hash)
        if found is None or found.get("blockNumber") is None:
            return None
        block = _number(found["blockNumber"])
        self.saw(block)
        return MinedTransaction(
            hash=transaction_hash,
            block=block,
            block_hash=str(_field(found, "blockHash")).lower(),
            succeeded=_number(_field(found, "status")) == 1,
            gas_used=_number(_field(found, "gasUsed")),
            contract=str(found.get("contractAddress") or "").lower(),
        )

    def fees(self) -> Fees:
        """Return what the profile's rule pays for gas now: the tip, and twice the base fee above it."""
        base = _number(_field(self.ask("eth_getBlockByNumber", "latest", False), "baseFeePerGas"))
        tip = self.profile.tip_wei
        if tip is None:
            tip = self._asked_tip(base)
        cap = self.profile.fee_cap_wei
        return Fees(max_fee=min(2 * base + tip, cap), tip=min(tip, cap))

    def _asked_tip(self, base: int) -> int:
        try:
            return _number(self.ask("eth_maxPriorityFeePerGas"))
        except ChainUnreachableError:
            raise
        except ChainError:
            # an older node does not know the method
            return max(_number(self.ask("eth_gasPrice")) - base, 0)

    def _block(self, tag: str) -> Head:
        found = self.ask("eth_getBlockByNumber", tag, False)
        if found is None:
            raise NotFoundError(f"chain {self.chain_id} has no block {tag}")
        return Head(
            number=_number(_field(found, "number")),
            hash=str(_field(found, "hash")).lower(),
            time=_number(_field(found, "timestamp")),
        )

    # -- writing ------------------------------------------------------------------------------------------

    def send(self, raw: bytes) -> None:
        """Hand signed bytes to the chain; bytes that it knows already are fine.

        Raises:
            NonceError: a nonce before this one is missing, or this one is used.
            FundsError: the sender cannot pay.
        """
        try:
            self.ask("eth_sendRawTransaction", data_hex(raw))
        except ChainError as error:
            if not _ALREADY_THERE.search(error.message):
                raise

    def fund(self, address: str, wei: int | None = None) -> bool:
        """Give an account coins from an embedded chain's treasury; on a network this does nothing.

        Returns:
            Whether the account was funded.
        """
        if not self.is_local:
            return False
        self.ask("tallystick_fund", address.lower(), *([] if wei is None else [quantity(wei)]))
        return True


def connect(
    profile: Profile | str, *, create: bool = False, read_only: bool = False, clock: Clock = _now
) -> Chain:
    """Reach a chain and check that it is the one expected.

    Args:
        profile: or a url, or the path of a chain's file.
        create: make a new embedded chain when the file is not there.
        read_only: read an embedded chain beside the process that writes it.
        clock: microseconds since the epoch, for an embedded chain's blocks.

    Raises:
        ChainMismatchError: another chain answers.
        ChainUnreachableError: nobody answers.
        LockedError: another process writes the file; the hint names its url when it serves.
        NotFoundError: no such file.
    """
    if isinstance(profile, str):
        profile = Profile.of(profile)
    if profile.path is None:
        return _connected(profile, Endpoints(profile))
    if not create and not profile.path.exists():
        raise NotFoundError(
            f"no chain at {profile.path}", hint="check the path, or make a new one with `tallystick init`"
        )
    if profile.finality != "instant":
        raise ConfigurationError(f"an embedded chain is final at once, got finality {profile.finality!r}")
    local = LocalChain(profile.path, chain_id=profile.chain_id, clock=clock, read_only=read_only)
    return _connected(profile, local)


def _connected(profile: Profile, provider: Any) -> Chain:
    try:
        return Chain(profile, provider)
    except TallystickError:
        provider.close()
        raise


def _as_error(method: str, error: Any) -> ChainError:
    said = error if isinstance(error, dict) else {"message": str(error)}
    code, data = said.get("code"), said.get("data")
    words = " ".join(str(said.get("message") or "no reason").split())[:_MOST_WORDS]
    revert = _REVERT.search(words)
    if code == REVERTED or revert:
        raw = _bytes_in(data)
        reason = revert_reason(raw) or (revert.group(1) or "" if revert else "")
        return RevertError(f"the contract refused: {reason or 'no reason given'}", reason=reason, data=raw)
    if code == METHOD_NOT_FOUND:
        return ChainError(f"the node does not know {method}", hint="use a node that serves the eth_ methods")
    if _FUNDS.search(words):
        return FundsError(f"{method}: {words}", hint="send coins to the account, then try again")
    if _NONCE.search(words):
        return NonceError(f"{method}: {words}")
    return ChainError(f"{method}: {words}")


def _bytes_in(data: Any) -> bytes:
    if isinstance(data, dict):  # older nodes wrap it
        data = data.get("data")
    try:
        return bytes.fromhex(str(data or "").removeprefix("0x"))
    except ValueError:
        return b""


def _as_request(call: Call, sender: str | None) -> dict[str, str]:
    request = {"data": data_hex(call.data), "value": quantity(call.value)}
    if call.to is not None:
        request["to"] = call.to
    if sender is not None:
        request["from"] = sender
    return request


def _number(value: Any) -> int:
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise ChainError(f"a hex number was expected of the node, got {str(value)[:40]!r}") from error


def _data(value: Any) -> bytes:
    try:
        return bytes.fromhex(str(value).removeprefix("0x"))
    except ValueError as error:
        raise ChainError("hex data was expected of the node") from error


def _field(found: Any, name: str) -> Any:
    if not isinstance(found, dict) or found.get(name) is None:
        raise ChainError(f"the node's answer lacks {name}")
    return found[name]
