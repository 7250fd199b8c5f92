"""Receipts of many transactions: a block's together, where the node can tell them so."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary

from tallystick.errors import ChainError, ChainUnreachableError

from ._answers import quantity
from ._connect import Chain, MinedTransaction

__all__ = ["Receipts"]

_KEPT = 8
_SHARED: WeakKeyDictionary[Chain, _Blocks] = WeakKeyDictionary()
_GUARD = threading.Lock()


class Receipts:
    """What one look finds out about the transactions of an account. Made anew for each look.

    A node searches its index for every single receipt, and some then read the whole block; asked for a block's
    receipts they do so once, for all accounts of this process that share the chain.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._blocks = _blocks_of(chain)
        self._found: dict[str, MinedTransaction] = {}

    def find(self, transaction_hash: str, *, many: bool) -> MinedTransaction | None:
        """Return a receipt, None while the transaction stands in no block.

        Args:
            transaction_hash: 0x hex.
            many: whether others of the same block are likely to be asked for next.
        """
        known = self._found.get(transaction_hash)
        if known is not None:
            return known
        receipt = self._chain.receipt(transaction_hash)
        if receipt is not None and many:
            self._found.update(self._blocks.of(self._chain, receipt.block, receipt.block_hash))
        return receipt


class _Blocks:
    """The receipts of the newest few blocks that were asked for, by the blocks' hashes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, dict[str, MinedTransaction]] = OrderedDict()

    def of(self, chain: Chain, number: int, block_hash: str) -> dict[str, MinedTransaction]:
        with self._lock:  # who comes second waits for the answer instead of asking as well
            if block_hash not in self._known:
                # a block that was replaced since then says nothing about this one
                found = [one for one in _ask(chain, number) if one.block_hash == block_hash]
                self._known[block_hash] = {one.hash: one for one in found}
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return self._known[block_hash]


def _blocks_of(chain: Chain) -> _Blocks:
    with _GUARD:
        return _SHARED.setdefault(chain, _Blocks())


def _ask(chain: Chain, number: int) -> list[MinedTransaction]:
    try:
        return [_read(one) for one in chain.ask("eth_getBlockReceipts", quantity(number)) or ()]
    except ChainUnreachableError:
        raise
    except (ChainError, KeyError, TypeError, ValueError, AttributeError):
        return []  # this node does not know the method: one after the other, then


def _read(one: Any) -> MinedTransaction:
    return MinedTransaction(
        hash=str(one["transactionHash"]).lower(),
        block=int(one["blockNumber"], 16),
        block_hash=str(one["blockHash"]).lower(),
        succeeded=int(one["status"], 16) == 1,
        gas_used=int(one["gasUsed"], 16),
        contract=str(one.get("contractAddress") or "").lower(),
    )
