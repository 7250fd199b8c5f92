"""The embedded chain: a web3 provider over an EVM and one SQLite file.

* It is one operator's chain: a pilot, not a consortium. Who holds the file can rewrite all of it.
* A transaction seals a block at once when nothing else waits; what arrives meanwhile shares the next block.
* ``eth_sendRawTransaction`` answers when the block is on the disk, so an answer survives kill -9.
* Block times never run ahead of the clock: several blocks may share a second, and when the clock goes back a
  block repeats its parent's time.
* The base fee stands still at 7 wei and a treasury funds accounts for the asking: a convenience of the pilot.

    chain = LocalChain("pilot.chain")
    web3 = Web3(chain)
    chain.fund(account.address)
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rlp
from coincurve import PrivateKey
from eth_hash.auto import keccak
from web3.providers.base import BaseProvider

from tallystick.errors import (
    ChainMismatchError,
    ConfigurationError,
    DefectError,
    StorageError,
    TallystickError,
)

from ._answers import INTERNAL_ERROR, SERVER_ERROR, RpcError
from ._blocks import Header, bloom_of, ordered_root
from ._calls import Call, is_address
from ._executor import Applied, BlockContext, Executed, PyEvmExecutor
from ._methods import METHODS
from ._signing import sign_transaction
from ._store import ChainStore
from ._transactions import SignedTransaction, parse_transaction

__all__ = ["LocalChain"]

Clock = Callable[[], int]
Randomness = Callable[[int], bytes]

GAS_LIMIT = 30_000_000
# geth's fee rule never falls below 7 wei; here it never rises either, so that a pilot's costs are plain
BASE_FEE_WEI = 7
TREASURY_WEI = 10**27
FUNDED_WEI = 10**18
_MAX_IN_A_BLOCK = 1_000
_MAX_CHAIN_ID = 10**10


_log = logging.getLogger(__name__)


def _now() -> int:
    return time.time_ns() // 1_000


@dataclass(slots=True)
class _Waiting:
    """One sender's transaction between its arrival and its block."""

    transaction: SignedTransaction
    done: bool = False
    error: Exception | None = None


class LocalChain(BaseProvider):  # type: ignore[misc]
    """A web3 provider over py-evm's virtual machine (Cancun) and one SQLite file; a new file is a new chain.

    Methods: web3_clientVersion, net_version, eth_chainId, eth_syncing, eth_accounts (none), eth_blockNumber,
    eth_getBlockByNumber, eth_getBlockByHash, eth_getBlockTransactionCountByNumber,
    eth_getBlockTransactionCountByHash, eth_getUncleCountByBlockNumber, eth_getUncleCountByBlockHash,
    eth_getBlockReceipts, eth_getTransactionByHash, eth_getTransactionByBlockNumberAndIndex,
    eth_getTransactionByBlockHashAndIndex, eth_getTransactionReceipt, eth_getRawTransactionByHash,
    eth_getTransactionCount, eth_getBalance, eth_getCode, eth_getStorageAt, eth_call, eth_estimateGas,
    eth_gasPrice, eth_maxPriorityFeePerGas, eth_feeHistory, eth_getLogs, eth_sendRawTransaction and
    tallystick_fund. State methods answer for every block (an archive, 1.5 to 4.5 KB a transaction). Not here: filters
    (use eth_getLogs), subscriptions, proofs, traces, signing by the node. A transaction whose nonce lies ahead
    is refused ("nonce too high"), never queued: a queue would have to survive a crash too.

    Args:
        path: the chain's file; made when it is not there.
        chain_id: asked of a new chain, or expected of an old one; a new chain draws its own when None.
        alloc: balances in wei at the genesis of a new chain, by address (0x hex).
        clock: microseconds since the epoch.
        randomness: for a new chain's id and its treasury's key.
        read_only: read beside another process that writes; takes no lock.

    Raises:
        LockedError: another process writes this chain.
        ChainMismatchError: the file holds a chain with another id.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        chain_id: int | None = None,
        alloc: Mapping[str, int] | None = None,
        clock: Clock = _now,
        randomness: Randomness = os.urandom,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self._clock = clock
        self._queue: list[_Waiting] = []
        self._sealing: list[_Waiting] = []
        self._queue_lock = threading.Lock()
        self._seal_lock = threading.Lock()
        self._fund_lock = threading.Lock()
        self.store = ChainStore(self.path, read_only=read_only)
        try:
            self.executor = PyEvmExecutor(self.store)
            if self.store.is_new:
                self._create(chain_id, alloc or {}, randomness)
            elif alloc:
                raise ConfigurationError("balances can be allocated to a new chain only", hint="use fund()")
            self.chain_id = int(self.store.fact("chain id"))
            if chain_id is not None and chain_id != self.chain_id:
                raise ChainMismatchError(f"expected chain {chain_id} at {path}, got {self.chain_id}")
            self._treasury = PrivateKey(self.store.fact("treasury key"))
            self._head = self.store.head()
        except BaseException:
            self.store.close()
            raise

    def __repr__(self) -> str:
        return f"LocalChain({str(self.path)!r})"

    def __enter__(self) -> LocalChain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let other processes write; waits for the block that is being sealed."""
        with self._seal_lock:
            self.store.close()

    # -- the provider -------------------------------------------------------------------------------------

    def is_connected(self, show_traceback: bool = False) -> bool:
        return True

    def make_request(self, method: str, params: Any) -> dict[str, Any]:
        """Answer one JSON-RPC request; never raises."""
        try:
            return {"jsonrpc": "2.0", "id": 1, "result": self.answer(method, params)}
        except RpcError as error:
            return {"jsonrpc": "2.0", "id": 1, "error": error.as_json()}
        except Exception as error:  # noqa: BLE001 - one request's failure must not end its caller
            _log.exception("%s failed", method)
            defect = RpcError(INTERNAL_ERROR, f"defect: {type(error).__name__}")
            return {"jsonrpc": "2.0", "id": 1, "error": defect.as_json()}

    def answer(self, method: str, params: Any) -> Any:
        """Return one method's result.

        Raises:
            RpcError: with geth's code and message; trouble with the disk is -32603.
        """
        handler = METHODS.get(method)
        if handler is None:
            raise RpcError(-32601, f"the method {method} does not exist/is not available")
        if not isinstance(params, list | tuple):
            raise RpcError(-32602, "invalid params: a list is expected")
        try:
            return handler(self, list(params))
        except TallystickError as error:
            raise RpcError(INTERNAL_ERROR, f"{error.code}: {error.message}") from error

    # -- what the methods need ----------------------------------------------------------------------------

    @property
    def is_writer(self) -> bool:
        return not self.store.read_only

    def head(self) -> Header:
        """Return the newest block's header; beside a writer in another process it is read anew."""
        return self._head if self.is_writer else self.store.head()

    def context_of(self, header: Header) -> BlockContext:
        return BlockContext(
            number=header.number,
            timestamp=header.timestamp,
            coinbase=header.coinbase,
            gas_limit=header.gas_limit,
            base_fee=header.base_fee,
            mix_hash=header.mix_hash,
            chain_id=self.chain_id,
            ancestors=self.store.ancestors(header.number),
        )

    def next_context(self) -> BlockContext:
        head = self.head()
        # py-evm's own header check wants every block a second after its parent; 225 quick blocks would then stand
        # 220 s ahead of the clock and break every expiry, so equal times are allowed here
        timestamp = max(head.timestamp, self._clock() // 1_000_000)
        return replace(
            self.context_of(head),
            number=head.number + 1,
            timestamp=timestamp,
            mix_hash=keccak(head.hash),
            ancestors=self.store.ancestors(head.number + 1),
        )

    def pending_nonce(self, address: bytes) -> int:
        # what waits is looked at first: a block sealed in between moves the state on, never back
        with self._queue_lock:
            on_its_way = [*self._sealing, *self._queue]
        waiting = {w.transaction.nonce for w in on_its_way if w.transaction.sender == address}
        nonce = self.executor.nonce(address, state_root=self.head().state_root)
        while nonce in waiting:
            nonce += 1
        return nonce

    # -- sending ------------------------------------------------------------------------------------------

    def send(self, raw: bytes) -> bytes:
        """Put a signed transaction into a block and return its hash once that block is on the disk.

        Raises:
            RpcError: refused, with geth's message; it is in no block then.
        """
        if not self.is_writer:
            raise RpcError(
                SERVER_ERROR, "this process reads the chain only: send through the one that writes it"
            )
        transaction = parse_transaction(raw, chain_id=self.chain_id)
        waiting = _Waiting(transaction)
        with self._queue_lock:
            self._queue.append(waiting)
        with self._seal_lock:
            # whoever gets here first seals for all who wait; the others find their work done
            while not waiting.done:
                self._seal_waiting()
        if waiting.error is not None:
            raise waiting.error
        return transaction.hash

    def send_many(self, raws: list[bytes]) -> list[bytes | Exception]:
        """Seal many transactions together; the answer holds, in their order, a hash or what was refused."""
        waiting = [_Waiting(parse_transaction(raw, chain_id=self.chain_id)) for raw in raws]
        with self._queue_lock:
            self._queue.extend(waiting)
        with self._seal_lock:
            while not all(w.done for w in waiting):
                self._seal_waiting()
        return [w.error or w.transaction.hash for w in waiting]

    def fund(self, address: str, wei: int = FUNDED_WEI) -> bytes:
        """Send wei from the chain's own treasury, and return the transaction's hash.

        Only an embedded chain has a treasury: its coins are worth nothing and exist so that a pilot needs no
        ceremony before its first transaction.
        """
        if not is_address(address):
            raise ConfigurationError("an address is 0x and 40 hex digits")
        with self._fund_lock:
            raw = sign_transaction(
                self._treasury.secret,
                Call(to=address, data=b"", value=wei),
                chain_id=self.chain_id,
                nonce=self.pending_nonce(_address_of(self._treasury)),
                gas=100_000,
                max_fee=BASE_FEE_WEI,
                max_priority_fee=0,
            )
            return self.send(raw)

    def _seal_waiting(self) -> None:
        with self._queue_lock:
            batch, self._queue = self._queue[:_MAX_IN_A_BLOCK], self._queue[_MAX_IN_A_BLOCK:]
            self._sealing = batch
        by_hash: dict[bytes, _Waiting] = {}
        for waiting in batch:
            if waiting.transaction.hash in by_hash or self._is_known(waiting.transaction.hash):
                waiting.error, waiting.done = RpcError(SERVER_ERROR, "already known"), True
            else:
                by_hash[waiting.transaction.hash] = waiting
        try:
            postponed = self._seal(by_hash)
        except BaseException as error:
            # every sender must hear of it and none may hang, also when a person interrupts this thread
            self._tell_all(list(by_hash.values()), error)
            if not isinstance(error, Exception):
                raise
            return
        for transaction_hash, waiting in by_hash.items():
            waiting.done = transaction_hash not in postponed
        with self._queue_lock:
            self._queue[:0] = [by_hash[found] for found in postponed]
            self._sealing = []

    def _tell_all(self, batch: list[_Waiting], error: BaseException) -> None:
        wrapped = error if isinstance(error, StorageError) else DefectError(f"the block failed: {error!r}")
        wrapped.__cause__ = None if wrapped is error else error
        for waiting in batch:
            waiting.error, waiting.done = waiting.error or wrapped, True
        self._sealing = []
        # the interruption may have come after the commit
        self._head = self.store.head()

    def _seal(self, by_hash: Mapping[bytes, _Waiting]) -> list[bytes]:
        if not by_hash:
            return []
        context = self.next_context()
        parent = self.head()
        transactions = _in_order([waiting.transaction for waiting in by_hash.values()])
        applied = self.executor.apply(transactions, state_root=parent.state_root, block=context)
        if applied.executed:
            header = _header(parent, context, applied)
            self.store.seal(header, applied.executed, applied.nodes)
            self._head = header
        for refused in applied.refused:
            by_hash[refused.transaction.hash].error = refused.error
        return [transaction.hash for transaction in applied.postponed]

    def _is_known(self, transaction_hash: bytes) -> bool:
        return self.store.row("SELECT 1 FROM transactions WHERE hash = ?", (transaction_hash,)) is not None

    def _create(self, chain_id: int | None, alloc: Mapping[str, int], randomness: Randomness) -> None:
        if chain_id is None:
            # ten digits: no public chain has such an id, and a person can still read it out
            chain_id = 10**9 + int.from_bytes(randomness(8), "big") % (_MAX_CHAIN_ID - 10**9)
        if not all(map(is_address, alloc)):
            raise ConfigurationError("an address is 0x and 40 hex digits")
        treasury = PrivateKey(randomness(32))
        balances = {bytes.fromhex(address.removeprefix("0x")): wei for address, wei in alloc.items()}
        root, nodes = self.executor.allocate({**balances, _address_of(treasury): TREASURY_WEI})
        genesis = _hashed(
            Header(
                parent_hash=bytes(32),
                coinbase=_address_of(treasury),
                state_root=root,
                transaction_root=ordered_root([]),
                receipt_root=ordered_root([]),
                bloom=bytes(256),
                number=0,
                gas_limit=GAS_LIMIT,
                gas_used=0,
                timestamp=self._clock() // 1_000_000,
                extra_data=b"tallystick local chain",
                mix_hash=keccak(chain_id.to_bytes(32, "big")),
                base_fee=BASE_FEE_WEI,
            )
        )
        facts = {"chain id": str(chain_id).encode(), "treasury key": treasury.secret}
        self.store.create(facts, genesis, nodes)


def _address_of(key: PrivateKey) -> bytes:
    return bytes(keccak(key.public_key.format(compressed=False)[1:])[12:])


def _in_order(transactions: list[SignedTransaction]) -> list[SignedTransaction]:
    """Sort one sender's transactions by nonce (threads race), senders by who came first."""
    first: dict[bytes, int] = {}
    for place, transaction in enumerate(transactions):
        first.setdefault(transaction.sender, place)
    return sorted(transactions, key=lambda found: (first[found.sender], found.nonce))


def _header(parent: Header, context: BlockContext, applied: Applied) -> Header:
    receipts: list[bytes] = []
    cumulative = 0
    bloom = 0
    for done in applied.executed:
        cumulative += done.gas_used
        own_bloom = receipt_bloom(done)
        bloom |= int.from_bytes(own_bloom, "big")
        receipts.append(_receipt_bytes(done, cumulative, own_bloom))
    return _hashed(
        Header(
            parent_hash=parent.hash,
            coinbase=context.coinbase,
            state_root=applied.state_root,
            transaction_root=ordered_root([done.transaction.raw for done in applied.executed]),
            receipt_root=ordered_root(receipts),
            bloom=bloom.to_bytes(256, "big"),
            number=context.number,
            gas_limit=context.gas_limit,
            gas_used=cumulative,
            timestamp=context.timestamp,
            extra_data=b"",
            mix_hash=context.mix_hash,
            base_fee=context.base_fee,
        )
    )


def receipt_bloom(done: Executed) -> bytes:
    return bloom_of(item for entry in done.logs for item in (entry.address, *entry.topics))


def _receipt_bytes(done: Executed, cumulative: int, bloom: bytes) -> bytes:
    logs = [[entry.address, list(entry.topics), entry.data] for entry in done.logs]
    status = b"\x01" if done.succeeded else b""
    gas = cumulative.to_bytes((cumulative.bit_length() + 7) // 8, "big")
    kind = bytes([done.transaction.type_id]) if done.transaction.type_id else b""
    return kind + bytes(rlp.encode([status, gas, bloom, logs]))


def _hashed(header: Header) -> Header:
    return replace(header, hash=keccak(header.format()))
