"""Headers, roots and blooms are those of the protocol; py-evm and eth_bloom are the oracles."""

from __future__ import annotations

import os

import pytest
from eth.db.trie import make_trie_root_and_nodes
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth_bloom import BloomFilter

from tallystick.chain._blocks import EMPTY_ROOT, Header, bloom_of, ordered_root, parse_header


class Item:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def encode(self) -> bytes:
        return self.content


@pytest.mark.parametrize("count", [0, 1, 2, 3, 16, 17, 127, 128, 129, 130, 255, 256, 257, 300])
@pytest.mark.parametrize("size", [1, 31, 200])
def test_the_root_of_a_list_is_the_tries(count: int, size: int) -> None:
    items = [os.urandom(size) for _ in range(count)]
    assert ordered_root(items) == make_trie_root_and_nodes([Item(item) for item in items])[0]


def test_the_root_of_nothing_is_the_empty_root() -> None:
    assert ordered_root([]) == EMPTY_ROOT


def test_a_bloom_is_eth_blooms() -> None:
    items = [os.urandom(20), os.urandom(32), os.urandom(32)]
    assert bloom_of(items) == int(BloomFilter.from_iterable(items)).to_bytes(256, "big")
    assert bloom_of([]) == bytes(256)


def header() -> Header:
    return Header(
        parent_hash=b"\x01" * 32,
        coinbase=b"\x02" * 20,
        state_root=b"\x03" * 32,
        transaction_root=b"\x04" * 32,
        receipt_root=b"\x05" * 32,
        bloom=bloom_of([b"x"]),
        number=700,
        gas_limit=30_000_000,
        gas_used=21_000,
        timestamp=1_795_000_000,
        extra_data=b"tallystick",
        mix_hash=b"\x06" * 32,
        base_fee=7,
    )


def test_a_headers_hash_is_that_of_the_protocol() -> None:
    ours = header()
    theirs = CancunBlockHeader(
        difficulty=0,
        block_number=ours.number,
        gas_limit=ours.gas_limit,
        timestamp=ours.timestamp,
        coinbase=ours.coinbase,
        parent_hash=ours.parent_hash,
        state_root=ours.state_root,
        transaction_root=ours.transaction_root,
        receipt_root=ours.receipt_root,
        bloom=int.from_bytes(ours.bloom, "big"),
        gas_used=ours.gas_used,
        extra_data=ours.extra_data,
        mix_hash=ours.mix_hash,
        nonce=bytes(8),
        base_fee_per_gas=ours.base_fee,
    )
    assert parse_header(ours.format()).hash == theirs.hash


def test_a_header_is_read_back_as_it_was_written() -> None:
    again = parse_header(header().format())
    assert again.format() == header().format()
    assert (again.number, again.timestamp, again.base_fee) == (700, 1_795_000_000, 7)
