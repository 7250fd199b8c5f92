"""Receipts of many transactions: a block's together, where the node can tell them so."""

from __future__ import annotations

from typing import Any

from tallystick.errors import ChainError, ChainUnreachableError

from ._answers import quantity
from ._connect import Chain, MinedTransaction

__all__ = ["Receipts"]


class Receipts:
    """What one look finds out about the transactions of an account. Made anew for each look.

    A node searches its index for every single receipt, and some then read the whole block; asked for a block's
    receipts they do so once.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._found: dict[str, MinedTransaction] = {}
        self._asked: set[int] = set()

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
        if receipt is not None and many and receipt.block not in self._asked:
            self._asked.add(receipt.block)
            self._remember(receipt)
        return receipt

    def _remember(self, receipt: MinedTransaction) -> None:
        try:
            listed = self._chain.ask("eth_getBlockReceipts", quantity(receipt.block))
            found = [_read(one) for one in listed or ()]
        except ChainUnreachableError:
            raise
        except (ChainError, KeyError, TypeError, ValueError, AttributeError):
            return  # this node does not know the method: one after the other, then
        # a block that was replaced since then says nothing about this one
        self._found.update((one.hash, one) for one in found if one.block_hash == receipt.block_hash)


def _read(one: Any) -> MinedTransaction:
    return MinedTransaction(
        hash=str(one["transactionHash"]).lower(),
        block=int(one["blockNumber"], 16),
        block_hash=str(one["blockHash"]).lower(),
        succeeded=int(one["status"], 16) == 1,
        gas_used=int(one["gasUsed"], 16),
        contract=str(one.get("contractAddress") or "").lower(),
    )
