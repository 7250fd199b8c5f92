"""What other engines do differently, hidden before anybody sees it.

* Cosmos EVM answers an unknown receipt with an error, geth while its index grows; here it is null for all.
* Cosmos EVM has no block 0: it answers the first block instead, which is as good a mark of a chain.
* Which question names a block, and where, so that one height can be asked of several endpoints.
"""

from __future__ import annotations

import re
from typing import Any

from tallystick.errors import ChainError

__all__ = ["NOT_COMPARED", "PLACE_OF_BLOCK", "TIMELESS", "normal", "number_in"]

# these only prepare what the chain itself judges, or speak of one node
NOT_COMPARED = frozenset(
    {
        "eth_chainId",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_maxPriorityFeePerGas",
        "eth_pendingTransactions",
        "eth_syncing",
        "net_version",
        "net_peerCount",
        "tallystick_fund",
        "web3_clientVersion",
    }
)
# their answers do not depend on how far a node has got
TIMELESS = frozenset({"eth_chainId", "net_version", "net_peerCount", "web3_clientVersion", "eth_syncing"})
# method -> where its parameters name a block
PLACE_OF_BLOCK = {
    "eth_call": 1,
    "eth_getBalance": 1,
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getCode": 1,
    "eth_getStorageAt": 2,
    "eth_getTransactionByBlockNumberAndIndex": 0,
    "eth_getTransactionCount": 1,
}

_NO_RECEIPT = re.compile(r"not found|indexing is in progress", re.IGNORECASE)


def normal(method: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as geth would give it."""
    error = answer.get("error")
    if method != "eth_getTransactionReceipt" or not isinstance(error, dict):
        return answer
    if _NO_RECEIPT.search(str(error.get("message"))):
        return {"jsonrpc": "2.0", "id": 1, "result": None}
    return answer


def number_in(value: Any) -> int:
    """Return the number that a node or a caller wrote in hex; ``earliest`` is 0.

    Raises:
        ChainError: it is none.
    """
    if value == "earliest":
        return 0
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise ChainError(f"a hex number was expected of the node, got {str(value)[:40]!r}") from error
