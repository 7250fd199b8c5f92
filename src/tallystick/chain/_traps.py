"""What other engines do differently, hidden before anybody sees it.

* Cosmos EVM answers an unknown receipt with an error, geth while its index grows; here it is null for all.
* Cosmos EVM has no block 0: it answers the first block instead, which is as good a mark of a chain.
* Cosmos EVM answers the first block for a tag that it does not know; here an unknown tag is refused.
* Cosmos EVM writes a revert's words where its bytes belong; here they are bytes again.
* Which question names a block, and where, so that one height can be asked of several endpoints.
"""

from __future__ import annotations

import re
from typing import Any

from tallystick.errors import ChainError

from ._answers import INVALID_PARAMS, REVERTED, RpcError, data_hex, parse_quantity

__all__ = ["NOT_COMPARED", "PLACE_OF_BLOCK", "TIMELESS", "normal", "number_in", "refused_tag"]

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

TAGS = frozenset({"earliest", "finalized", "latest", "pending", "safe"})

_ERROR_STRING = bytes.fromhex("08c379a0")
_REVERTED = re.compile(r"execution reverted", re.IGNORECASE)
_NO_RECEIPT = re.compile(r"not found|indexing is in progress", re.IGNORECASE)


def normal(method: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as geth would give it."""
    error = answer.get("error")
    if not isinstance(error, dict):
        return answer
    words, data = str(error.get("message")), error.get("data")
    if method == "eth_getTransactionReceipt" and _NO_RECEIPT.search(words):
        return {"jsonrpc": "2.0", "id": 1, "result": None}
    if _REVERTED.match(words) and isinstance(data, str) and not data.startswith("0x"):
        reason = data_hex(_error_string(words.partition(": ")[2]))
        return {**answer, "error": {"code": REVERTED, "message": words, "data": reason}}
    return answer


def refused_tag(method: str, params: list[Any]) -> dict[str, Any] | None:
    """Return the refusal of a block's tag that no node knows; None when it can be asked."""
    place = PLACE_OF_BLOCK.get(method)
    if place is None or len(params) <= place or not isinstance(params[place], str):
        return None
    tag = params[place]
    if tag in TAGS:
        return None
    try:
        # a hash names a block as well
        parse_quantity(tag, str(place))
    except RpcError as error:
        return {"jsonrpc": "2.0", "id": 1, "error": {"code": INVALID_PARAMS, "message": error.message}}
    return None


def _error_string(words: str) -> bytes:
    """Return the revert bytes Error(string), as compilers write them."""
    text = words.encode()
    padded = text + bytes(-len(text) % 32)
    return _ERROR_STRING + (32).to_bytes(32, "big") + len(text).to_bytes(32, "big") + padded


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
