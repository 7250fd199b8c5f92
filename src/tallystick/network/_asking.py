"""Questions to a node that may be down: short, on loopback, and an answer that does not come is an answer too."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from typing import Any

import orjson

from tallystick.errors import ChainError, ChainUnreachableError

__all__ = ["ask_comet", "ask_rpc", "block_hash", "block_time", "number_of"]

ANSWER_LIMIT = 4 * 1024 * 1024  # bytes
_TIMEOUT_S = 3.0
# a proxy set for the outside has no business with this machine's own node
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask_comet(url: str, method: str) -> Any:
    """Ask the consensus engine's own interface one method without arguments.

    Raises:
        ChainUnreachableError: no answer.
        ChainError: not an answer.
    """
    return _result(urllib.request.Request(f"{url}/{method}"), method)  # noqa: S310 - a member's own url


def ask_rpc(url: str, method: str, *params: Any) -> Any:
    """Ask a node's JSON-RPC.

    Raises:
        ChainUnreachableError: no answer.
        ChainError: not an answer, or an error.
    """
    body = orjson.dumps({"id": 1, "jsonrpc": "2.0", "method": method, "params": params})
    headers = {"content-type": "application/json"}
    return _result(urllib.request.Request(url, body, headers), method)  # noqa: S310 - a member's own url


def number_of(url: str) -> int:
    """Height of a node's newest block, 0 when it does not tell."""
    try:
        return int(ask_rpc(url, "eth_blockNumber"), 16)
    except (ChainError, ChainUnreachableError, TypeError, ValueError):
        return 0


def block_hash(url: str, height: int) -> str:
    """Hash of a node's block at a height, empty when it does not tell."""
    try:
        return str(ask_rpc(url, "eth_getBlockByNumber", hex(height), False)["hash"])
    except (ChainError, ChainUnreachableError, TypeError, KeyError):
        return ""


def block_time(url: str, height: int) -> int:
    """Time of a node's block at a height, POSIX seconds; 0 when it does not tell."""
    try:
        return int(ask_rpc(url, "eth_getBlockByNumber", hex(height), False)["timestamp"], 16)
    except (ChainError, ChainUnreachableError, TypeError, KeyError, ValueError):
        return 0


def _result(request: urllib.request.Request, method: str) -> Any:
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_S) as response:
            data = response.read(ANSWER_LIMIT + 1)
    except (OSError, HTTPException, ValueError) as error:  # half an answer too: it was killed while it spoke
        raise ChainUnreachableError(f"the node does not answer {method}") from error
    try:
        answer = orjson.loads(data)
        if "error" in answer:
            raise ChainError(f"the node refused {method}")
        return answer["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise ChainError(f"the node's answer to {method} is not JSON-RPC") from error
