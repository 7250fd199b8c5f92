"""The EVM behind a seam: transactions and a state root in, receipts and a new state root out.

* An executor judges and computes; it writes nowhere. New trie nodes are handed back, and the store writes them
  in the same SQLite transaction as the block, so a crash here leaves nothing half done.
* ``PyEvmExecutor`` runs py-evm's Cancun rules on the VM's state directly. Going through its chain classes would
  seal a block per transaction, and would refuse a block that shares its parent's second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from eth.db.backends.base import BaseAtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.state import CancunState, CancunTransactionExecutor
from eth_hash.auto import keccak

from ._answers import SERVER_ERROR, RpcError, data_hex
from ._blocks import EMPTY_ROOT
from ._interpreter import QuickComputation
from ._transactions import MAX_INITCODE_BYTES, AccessList, SignedTransaction, intrinsic_gas, least_gas

__all__ = [
    "Applied",
    "BlockContext",
    "CallRequest",
    "Called",
    "Executed",
    "Executor",
    "LogEntry",
    "Nodes",
    "PyEvmExecutor",
    "Refused",
]

_EMPTY_CODE = keccak(b"")


class Nodes(Protocol):
    """Where trie nodes and code are read, by their hash; KeyError when there is none."""

    def __getitem__(self, key: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What a contract can read of the block it runs in."""

    number: int
    timestamp: int
    coinbase: bytes
    gas_limit: int
    base_fee: int
    mix_hash: bytes
    chain_id: int
    ancestors: Iterable[bytes] = ()


@dataclass(frozen=True, slots=True)
class LogEntry:
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Executed:
    """A transaction in a block: its receipt, before the block has a hash."""

    transaction: SignedTransaction
    succeeded: bool
    gas_used: int
    logs: tuple[LogEntry, ...]
    created: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    transaction: SignedTransaction
    error: RpcError


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch. ``postponed`` did not fit into the block and waits for the next."""

    executed: tuple[Executed, ...]
    refused: tuple[Refused, ...]
    postponed: tuple[SignedTransaction, ...]
    state_root: bytes
    nodes: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call that is not signed. A fee of None is free, whatever the block's base fee."""

    sender: bytes
    to: bytes
    data: bytes
    value: int
    gas: int
    fee: int | None = None
    access_list: AccessList = ()


@dataclass(frozen=True, slots=True)
class Called:
    succeeded: bool
    reverted: bool
    output: bytes
    gas_used: int
    gas_refunded: int
    reason: str


class Executor(Protocol):
    """The seam: another EVM takes py-evm's place by answering these."""

    def apply(
        self, transactions: Sequence[SignedTransaction], *, state_root: bytes, block: BlockContext
    ) -> Applied: ...

    def call(self, request: CallRequest, *, state_root: bytes, block: BlockContext) -> Called: ...

    def allocate(self, balances: Mapping[bytes, int]) -> tuple[bytes, Mapping[bytes, bytes]]: ...

    def balance(self, address: bytes, *, state_root: bytes) -> int: ...

    def nonce(self, address: bytes, *, state_root: bytes) -> int: ...

    def code(self, address: bytes, *, state_root: bytes) -> bytes: ...

    def storage(self, address: bytes, slot: int, *, state_root: bytes) -> bytes: ...


class _Overlay(BaseAtomicDB):  # type: ignore[misc]
    """Reads through to the stored nodes, keeps what is written to itself."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.written: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        found = self.written.get(key)
        return self.nodes[key] if found is None else found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.written[bytes(key)] = bytes(value)

    def __delitem__(self, key: bytes) -> None:
        # an archive forgets nothing; nodes that another root still needs must stay
        self.written.pop(key, None)

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    @contextlib.contextmanager
    def atomic_batch(self) -> Iterator[_Overlay]:
        yield self


class _Rules(CancunTransactionExecutor):  # type: ignore[misc]
    def validate_transaction(self, transaction: Any) -> None:
        """Accept: ``PyEvmExecutor`` has judged it already, in geth's words."""


class _State(CancunState):  # type: ignore[misc]
    transaction_executor_class = _Rules
    computation_class = QuickComputation

    def set_system_contracts(self) -> None:
        """Leave out EIP-4788's contract: this chain has no beacon chain behind it."""


@dataclass(frozen=True, slots=True)
class _Message:
    """An unsigned call in the shape that the VM takes for a transaction."""

    sender: bytes
    to: bytes
    data: bytes
    value: int
    gas: int
    max_fee_per_gas: int
    access_list: AccessList
    intrinsic_gas: int
    type_id: int = 2
    max_priority_fee_per_gas: int = 0


class PyEvmExecutor:
    """Cancun by py-evm 0.12."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes

    def apply(
        self, transactions: Sequence[SignedTransaction], *, state_root: bytes, block: BlockContext
    ) -> Applied:
        overlay = _Overlay(self.nodes)
        state = _State(overlay, _execution_context(block), state_root)
        executed: list[Executed] = []
        refused: list[Refused] = []
        postponed: list[SignedTransaction] = []
        full_for: set[bytes] = set()
        gas_left = block.gas_limit
        for transaction in transactions:
            # what follows a postponed transaction of the same sender has to wait with it
            error = None if transaction.sender in full_for else _objection(state, transaction, block)
            if error is not None:
                refused.append(Refused(transaction, error))
            elif transaction.sender in full_for or transaction.gas > gas_left:
                postponed.append(transaction)
                full_for.add(transaction.sender)
            else:
                done = _execute(state, transaction)
                gas_left -= done.gas_used
                executed.append(done)
        if not executed:
            return Applied((), tuple(refused), tuple(postponed), state_root, {})
        state.persist()
        return Applied(tuple(executed), tuple(refused), tuple(postponed), state.state_root, overlay.written)

    def call(self, request: CallRequest, *, state_root: bytes, block: BlockContext) -> Called:
        state = self._state(state_root, block if request.fee is not None else _free(block))
        fee = request.fee or 0
        owed = request.value + request.gas * fee
        balance = state.get_balance(request.sender)
        if balance < owed:
            raise RpcError(
                SERVER_ERROR,
                f"insufficient funds for gas * price + value: address {data_hex(request.sender)} "
                f"have {balance} want {owed}",
            )
        return _call(state, request, fee)

    def allocate(self, balances: Mapping[bytes, int]) -> tuple[bytes, Mapping[bytes, bytes]]:
        overlay = _Overlay(self.nodes)
        state = _State(overlay, _execution_context(_NOWHERE), EMPTY_ROOT)
        for address, balance in balances.items():
            state.set_balance(address, balance)
        state.persist()
        return state.state_root, overlay.written

    def balance(self, address: bytes, *, state_root: bytes) -> int:
        return int(self._state(state_root).get_balance(address))

    def nonce(self, address: bytes, *, state_root: bytes) -> int:
        return int(self._state(state_root).get_nonce(address))

    def code(self, address: bytes, *, state_root: bytes) -> bytes:
        return bytes(self._state(state_root).get_code(address))

    def storage(self, address: bytes, slot: int, *, state_root: bytes) -> bytes:
        return int(self._state(state_root).get_storage(address, slot)).to_bytes(32, "big")

    def _state(self, state_root: bytes, block: BlockContext | None = None) -> Any:
        return _State(_Overlay(self.nodes), _execution_context(block or _NOWHERE), state_root)


_NOWHERE = BlockContext(
    number=0,
    timestamp=0,
    coinbase=bytes(20),
    gas_limit=30_000_000,
    base_fee=0,
    mix_hash=bytes(32),
    chain_id=1,
)


def _free(block: BlockContext) -> BlockContext:
    # as geth: a call that names no fee runs with BASEFEE 0, or its gas price would be below the base fee
    return replace(block, base_fee=0)


def _execution_context(block: BlockContext) -> Any:
    return ExecutionContext(
        coinbase=block.coinbase,
        timestamp=block.timestamp,
        block_number=block.number,
        difficulty=0,
        mix_hash=block.mix_hash,
        gas_limit=block.gas_limit,
        prev_hashes=block.ancestors,
        chain_id=block.chain_id,
        base_fee_per_gas=block.base_fee,
        excess_blob_gas=0,
    )


def _objection(state: Any, transaction: SignedTransaction, block: BlockContext) -> RpcError | None:
    """Return why a transaction cannot stand in this block, in geth's words, or None."""
    said = _objection_of_itself(transaction, block)
    if said is None:
        sender = data_hex(transaction.sender)
        expected = state.get_nonce(transaction.sender)
        balance = state.get_balance(transaction.sender)
        owed = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if transaction.nonce < expected:
            said = f"nonce too low: address {sender}, tx: {transaction.nonce} state: {expected}"
        elif transaction.nonce > expected:
            said = f"nonce too high: address {sender}, tx: {transaction.nonce} state: {expected}"
        elif balance < owed:
            said = f"insufficient funds for gas * price + value: address {sender} have {balance} want {owed}"
        elif state.get_code_hash(transaction.sender) != _EMPTY_CODE:
            said = f"sender not an eoa: address {sender}"  # EIP-3607
    return None if said is None else RpcError(SERVER_ERROR, said)


def _objection_of_itself(transaction: SignedTransaction, block: BlockContext) -> str | None:
    fee, tip = transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas
    if transaction.gas > block.gas_limit:
        return f"exceeds block gas limit: tx gas {transaction.gas}, block gas limit {block.gas_limit}"
    least = least_gas(transaction.to, transaction.data, transaction.access_list)
    if transaction.gas < least:
        return f"intrinsic gas too low: gas {transaction.gas}, minimum needed {least}"
    if not transaction.to and len(transaction.data) > MAX_INITCODE_BYTES:
        return f"max initcode size exceeded: code size {len(transaction.data)}, limit {MAX_INITCODE_BYTES}"
    if tip > fee:
        return f"max priority fee per gas higher than max fee per gas: tip {tip}, fee {fee}"
    if fee < block.base_fee:
        return f"max fee per gas less than block base fee: maxFeePerGas: {fee}, baseFee: {block.base_fee}"
    return None


def _execute(state: Any, transaction: SignedTransaction) -> Executed:
    state.lock_changes()
    computation = state.apply_transaction(transaction)
    logs = tuple(
        LogEntry(bytes(address), tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data))
        for address, topics, data in computation.get_log_entries()
    )
    return Executed(
        transaction=transaction,
        succeeded=not computation.is_error,
        gas_used=_gas_used(transaction.gas, computation)[0],
        logs=logs,
        created=b"" if transaction.to else bytes(computation.msg.storage_address),
    )


def _gas_used(gas: int, computation: Any) -> tuple[int, int]:
    # EIP-3529: at most a fifth of what was consumed comes back
    consumed = gas - int(computation.get_gas_remaining())
    refund = min(int(computation.get_gas_refund()), consumed // 5)
    return consumed - refund, refund


def _call(state: Any, request: CallRequest, fee: int) -> Called:
    least = least_gas(request.to, request.data, request.access_list)
    if request.gas < least:
        raise RpcError(SERVER_ERROR, f"intrinsic gas too low: gas {request.gas}, minimum needed {least}")
    computation = state.apply_transaction(
        _Message(
            sender=request.sender,
            to=request.to,
            data=request.data,
            value=request.value,
            gas=request.gas,
            max_fee_per_gas=fee,
            access_list=request.access_list,
            intrinsic_gas=intrinsic_gas(request.to, request.data, request.access_list),
        )
    )
    used, refunded = _gas_used(request.gas, computation)
    error = computation.error if computation.is_error else None
    return Called(
        succeeded=error is None,
        reverted=error is not None and type(error).__name__ == "Revert",
        output=bytes(computation.output),
        gas_used=used,
        gas_refunded=refunded,
        reason="" if error is None else type(error).__name__,
    )
