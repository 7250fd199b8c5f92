"""What a node answers: hex quantities, and geth's error codes and words.

* A quantity is hex without leading zeros ("0x0" is zero); data is hex of whole bytes.
* Codes are those of JSON-RPC 2.0 (-32600 to -32603, -32700) and geth's: -32000 for a refused request,
  3 for a revert, whose ``data`` holds the revert bytes.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "LIMIT_EXCEEDED",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "REVERTED",
    "SERVER_ERROR",
    "RpcError",
    "data_hex",
    "parse_address",
    "parse_data",
    "parse_hash",
    "parse_quantity",
    "quantity",
    "revert_reason",
]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
LIMIT_EXCEEDED = -32005
SERVER_ERROR = -32000
REVERTED = 3

UINT64 = 2**64 - 1
UINT256 = 2**256 - 1

_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
# solidity's and vyper's Error(string), and Panic(uint256)
_ERROR_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


class RpcError(Exception):
    """One JSON-RPC error; it never leaves this room."""

    def __init__(self, code: int, message: str, *, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            answer["data"] = self.data
        return answer


def quantity(value: int) -> str:
    return hex(value)


def data_hex(value: bytes) -> str:
    return "0x" + value.hex()


def parse_quantity(value: Any, name: str, *, most: int = UINT256) -> int:
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise RpcError(INVALID_PARAMS, f"invalid argument {name}: a hex quantity is expected")
    number = int(value, 16)
    if number > most:
        raise RpcError(INVALID_PARAMS, f"invalid argument {name}: {value} is too large")
    return number


def parse_data(value: Any, name: str, *, size: int | None = None) -> bytes:
    if not isinstance(value, str) or not _DATA.match(value):
        raise RpcError(INVALID_PARAMS, f"invalid argument {name}: hex data with 0x is expected")
    found = bytes.fromhex(value[2:])
    if size is not None and len(found) != size:
        raise RpcError(INVALID_PARAMS, f"invalid argument {name}: {size} bytes expected, got {len(found)}")
    return found


def parse_address(value: Any, name: str) -> bytes:
    return parse_data(value, name, size=20)


def parse_hash(value: Any, name: str) -> bytes:
    return parse_data(value, name, size=32)


def revert_reason(data: bytes) -> str:
    """Return the words in a revert's bytes, or "" when they carry none."""
    selector, body = data[:4], data[4:]
    if selector == _PANIC and len(body) == 32:
        return f"panic 0x{int.from_bytes(body, 'big'):02x}"
    if selector != _ERROR_STRING or len(body) < 64:
        return ""
    size = int.from_bytes(body[32:64], "big")
    if size > len(body) - 64:
        return ""
    return body[64 : 64 + size].decode("utf-8", "replace")
