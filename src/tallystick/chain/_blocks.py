"""Block headers of a Cancun chain: their bytes, their hash, and the roots and bloom that they carry.

Source: Ethereum yellow paper 4.3 and 4.4; EIP-1559, EIP-4895, EIP-4844, EIP-4788 for the later fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import rlp
from eth_hash.auto import keccak

from ._answers import data_hex, quantity

__all__ = ["EMPTY_ROOT", "Header", "bloom_of", "ordered_root", "parse_header"]

EMPTY_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
_EMPTY_UNCLES = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")
_ZERO_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class Header:
    """A block's header. ``timestamp`` is in seconds; the hash is of its RLP bytes."""

    parent_hash: bytes
    coinbase: bytes
    state_root: bytes
    transaction_root: bytes
    receipt_root: bytes
    bloom: bytes
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    base_fee: int
    hash: bytes = b""

    def format(self) -> bytes:
        return bytes(
            rlp.encode(
                [
                    self.parent_hash,
                    _EMPTY_UNCLES,
                    self.coinbase,
                    self.state_root,
                    self.transaction_root,
                    self.receipt_root,
                    self.bloom,
                    b"",
                    _trimmed(self.number),
                    _trimmed(self.gas_limit),
                    _trimmed(self.gas_used),
                    _trimmed(self.timestamp),
                    self.extra_data,
                    self.mix_hash,
                    bytes(8),
                    _trimmed(self.base_fee),
                    EMPTY_ROOT,
                    b"",
                    b"",
                    _ZERO_HASH,
                ]
            )
        )

    def as_json(self, *, size: int, transactions: Sequence[Any]) -> dict[str, Any]:
        return {
            "number": quantity(self.number),
            "hash": data_hex(self.hash),
            "parentHash": data_hex(self.parent_hash),
            "mixHash": data_hex(self.mix_hash),
            "nonce": data_hex(bytes(8)),
            "sha3Uncles": data_hex(_EMPTY_UNCLES),
            "logsBloom": data_hex(self.bloom),
            "transactionsRoot": data_hex(self.transaction_root),
            "stateRoot": data_hex(self.state_root),
            "receiptsRoot": data_hex(self.receipt_root),
            "miner": data_hex(self.coinbase),
            "difficulty": "0x0",
            "totalDifficulty": "0x0",
            "extraData": data_hex(self.extra_data),
            "size": quantity(size),
            "gasLimit": quantity(self.gas_limit),
            "gasUsed": quantity(self.gas_used),
            "timestamp": quantity(self.timestamp),
            "baseFeePerGas": quantity(self.base_fee),
            "blobGasUsed": "0x0",
            "excessBlobGas": "0x0",
            "parentBeaconBlockRoot": data_hex(_ZERO_HASH),
            "withdrawalsRoot": data_hex(EMPTY_ROOT),
            "withdrawals": [],
            "uncles": [],
            "transactions": list(transactions),
        }


def parse_header(encoded: bytes) -> Header:
    """Read a header that ``Header.format`` made, with its hash."""
    items = rlp.decode(encoded)
    return Header(
        parent_hash=items[0],
        coinbase=items[2],
        state_root=items[3],
        transaction_root=items[4],
        receipt_root=items[5],
        bloom=items[6],
        number=int.from_bytes(items[8], "big"),
        gas_limit=int.from_bytes(items[9], "big"),
        gas_used=int.from_bytes(items[10], "big"),
        timestamp=int.from_bytes(items[11], "big"),
        extra_data=items[12],
        mix_hash=items[13],
        base_fee=int.from_bytes(items[15], "big"),
        hash=keccak(encoded),
    )


def bloom_of(items: Iterable[bytes]) -> bytes:
    """Return the 256-byte bloom of addresses and topics."""
    bits = 0
    for item in items:
        bits |= _bloom_bits(item)
    return bits.to_bytes(256, "big")


@lru_cache(maxsize=4096)
def _bloom_bits(item: bytes) -> int:
    digest = keccak(item)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits


def ordered_root(items: Sequence[bytes]) -> bytes:
    """Return the root of the trie that holds each item under the RLP of its index.

    The trie is built once from the sorted keys, bottom up: inserting one by one hashes every path again.
    """
    if not items:
        return EMPTY_ROOT
    leaves = sorted((_nibbles(rlp.encode(_trimmed(index))), item) for index, item in enumerate(items))
    return bytes(keccak(rlp.encode(_node(leaves, 0))))


def _node(leaves: Sequence[tuple[bytes, bytes]], depth: int) -> Any:
    first, last = leaves[0][0], leaves[-1][0]
    if len(leaves) == 1:
        return [_packed(first[depth:], leaf=True), leaves[0][1]]
    shared = depth
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return [_packed(first[depth:shared], leaf=False), _reference(_node(leaves, shared))]
    # no index's RLP is a prefix of another's, so a branch never holds a value of its own
    children: list[Any] = [b""] * 17
    start = 0
    for stop in range(1, len(leaves) + 1):
        if stop == len(leaves) or leaves[stop][0][depth] != leaves[start][0][depth]:
            children[leaves[start][0][depth]] = _reference(_node(leaves[start:stop], depth + 1))
            start = stop
    return children


def _reference(node: Any) -> Any:
    encoded = rlp.encode(node)
    return node if len(encoded) < 32 else keccak(encoded)


def _nibbles(key: bytes) -> bytes:
    return bytes(half for byte in key for half in (byte >> 4, byte & 15))


def _packed(path: bytes, *, leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    odd = len(path) % 2
    halves = bytes([flag | odd, *([] if odd else [0]), *path])
    return bytes(halves[i] << 4 | halves[i + 1] for i in range(0, len(halves), 2))


def _trimmed(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
