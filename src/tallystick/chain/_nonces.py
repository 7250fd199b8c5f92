"""Who used an account's nonce, told by the block in which that happened.

That a nonce is used and no receipt of one's own can be found proves nothing: an index of receipts may lag minutes
behind the state. The block itself settles it, because it lists its transactions with their senders and nonces.
"""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.errors import ChainError, ChainUnreachableError

from ._answers import quantity
from ._connect import Chain

__all__ = ["NonceUse", "find_use"]


@dataclass(frozen=True, slots=True)
class NonceUse:
    """The block in which an account's nonce was used, and the transaction's hash.

    Without a hash the block lists none with that nonce: some networks count the nonce of a transaction that then
    failed before the virtual machine saw it. Whatever it was, the nonce is gone and nothing was carried out.
    """

    block: int
    hash: str


def find_use(chain: Chain, address: str, nonce: int, *, settled: int) -> NonceUse | None:
    """Find the block that used a nonce, newest blocks first.

    Args:
        chain: asked for the nonces at some 2 log2(age in blocks) heights, and for one block.
        address: whose nonce.
        nonce: to look for.
        settled: number of the newest block that will stay.

    Returns:
        None when the nonce is not used up to that block, or when this node cannot tell (it no longer has the
        states, or shows another block at that height).

    Raises:
        ChainUnreachableError: nobody answered.
    """
    try:
        block = _first_above(chain, address, nonce, settled)
        if block is None:
            return None
        found = chain.ask("eth_getBlockByNumber", quantity(block), True)
        for one in found["transactions"]:
            if str(one["from"]).lower() == address.lower() and int(one["nonce"], 16) == nonce:
                return NonceUse(block, str(one["hash"]).lower())
    except ChainUnreachableError:
        raise
    except (ChainError, KeyError, TypeError, ValueError):
        return None
    return NonceUse(block, "")


def _first_above(chain: Chain, address: str, nonce: int, settled: int) -> int | None:
    if settled < 1 or chain.nonce(address, settled) <= nonce:
        return None
    above, step = settled, 1
    # never asked about block 0: some nodes take that height for the newest, and nobody has sent anything there
    while (below := max(above - step, 0)) and chain.nonce(address, below) > nonce:
        above, step = below, 2 * step
    while above - below > 1:
        middle = (above + below) // 2
        if chain.nonce(address, middle) > nonce:
            above = middle
        else:
            below = middle
    return above
