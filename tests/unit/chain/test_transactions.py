"""Signed transactions are read strictly, and read as eth_account writes them."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth_account import Account as EthAccount
from hypothesis import given
from hypothesis import strategies as st

from tallystick.chain import Account, Call
from tallystick.chain._answers import RpcError
from tallystick.chain._transactions import intrinsic_gas, least_gas, parse_transaction

CHAIN = 4_221
KEY = b"\x07" * 32
SENDER = EthAccount.from_key(KEY).address.lower()
COMMON: dict[str, Any] = {
    "nonce": 3,
    "gas": 90_000,
    "to": "0x" + "11" * 20,
    "value": 5,
    "data": b"\x00\x01",
    "chainId": CHAIN,
}
LISTED = [{"address": "0x" + "22" * 20, "storageKeys": ["0x" + "33" * 32]}]
KINDS: dict[int, dict[str, Any]] = {
    0: {**COMMON, "gasPrice": 9},
    1: {**COMMON, "gasPrice": 9, "accessList": LISTED, "type": 1},
    2: {**COMMON, "maxFeePerGas": 9, "maxPriorityFeePerGas": 2, "accessList": LISTED, "type": 2},
}


def signed(kind: int, **changes: Any) -> bytes:
    return bytes(EthAccount.sign_transaction({**KINDS[kind], **changes}, KEY).raw_transaction)


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_is_read_as_it_was_signed(kind: int) -> None:
    raw = signed(kind)
    found = parse_transaction(raw, chain_id=CHAIN)
    assert "0x" + found.sender.hex() == SENDER
    assert found.hash == EthAccount.sign_transaction(KINDS[kind], KEY).hash
    assert (found.type_id, found.nonce, found.gas, found.value, found.data) == (
        kind,
        3,
        90_000,
        5,
        b"\x00\x01",
    )
    assert found.max_fee_per_gas == 9
    assert found.max_priority_fee_per_gas == (2 if kind == 2 else 9)
    assert found.access_list == (() if kind == 0 else ((b"\x22" * 20, (int("33" * 32, 16),)),))


def test_a_creation_has_no_receiver() -> None:
    assert parse_transaction(signed(2, to=""), chain_id=CHAIN).to == b""


@given(
    nonce=st.integers(0, 2**63),
    gas=st.integers(0, 2**63),
    fee=st.integers(0, 2**128),
    value=st.integers(0, 2**256 - 1),
    data=st.binary(max_size=80),
    creates=st.booleans(),
)
def test_our_own_signatures_are_read_back(
    nonce: int, gas: int, fee: int, value: int, data: bytes, creates: bool
) -> None:
    account = Account(KEY)
    call = Call(None if creates else "0x" + "11" * 20, data, value)
    raw = account.sign(call, chain_id=CHAIN, nonce=nonce, gas=gas, max_fee=fee, max_priority_fee=fee // 2)
    found = parse_transaction(raw, chain_id=CHAIN)
    assert "0x" + found.sender.hex() == account.address
    assert (found.nonce, found.gas, found.max_fee_per_gas, found.value, found.data) == (
        nonce,
        gas,
        fee,
        value,
        data,
    )
    assert EthAccount.recover_transaction(raw).lower() == account.address


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_or_longer_form_is_refused(kind: int) -> None:
    raw = signed(kind)
    for other in [raw[:size] for size in range(len(raw))] + [raw + b"\x00"]:
        with pytest.raises(RpcError):
            parse_transaction(other, chain_id=CHAIN)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_never_keeps_the_sender(kind: int) -> None:
    raw = signed(kind)
    for place in range(len(raw)):
        other = bytearray(raw)
        other[place] ^= 1
        try:
            found = parse_transaction(bytes(other), chain_id=CHAIN)
        except RpcError:
            continue
        assert "0x" + found.sender.hex() != SENDER


def test_another_chains_signature_is_refused_in_geths_words() -> None:
    for kind in KINDS:
        with pytest.raises(RpcError, match="invalid chain id for signer: have 5 want 4221"):
            parse_transaction(signed(kind, chainId=5), chain_id=CHAIN)


def test_a_signature_for_no_chain_is_refused() -> None:
    raw = signed(0)
    items = rlp.decode(raw)
    items[6] = b"\x1b"
    with pytest.raises(RpcError, match="only replay-protected"):
        parse_transaction(rlp.encode(items), chain_id=CHAIN)


def test_the_other_half_of_the_curve_is_refused() -> None:
    raw = signed(2)
    items = rlp.decode(raw[1:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    items[9] = b"" if items[9] else b"\x01"
    items[11] = (order - int.from_bytes(items[11], "big")).to_bytes(32, "big")
    with pytest.raises(RpcError, match="invalid transaction v, r, s"):
        parse_transaction(b"\x02" + rlp.encode(items), chain_id=CHAIN)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "too short"),
        (b"\x03" + b"\xc0", "not supported"),
        (b"\x04" + b"\xc0", "not supported"),
        (b"\x02" * 200_000, "oversized"),
        (b"\x02\xc0", "wrong number"),
    ],
)
def test_what_is_no_transaction_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(RpcError, match=words):
        parse_transaction(raw, chain_id=CHAIN)


def test_numbers_with_leading_zeros_are_refused() -> None:
    items = rlp.decode(signed(2)[1:])
    items[1] = b"\x00\x03"
    with pytest.raises(RpcError, match="non-canonical integer"):
        parse_transaction(b"\x02" + rlp.encode(items), chain_id=CHAIN)


def test_intrinsic_gas_counts_bytes_lists_and_creation() -> None:
    assert intrinsic_gas(b"\x11" * 20, b"\x00\x01", ()) == 21_000 + 4 + 16
    assert intrinsic_gas(b"\x11" * 20, b"", ((b"\x22" * 20, (1, 2)),)) == 21_000 + 2_400 + 2 * 1_900
    assert intrinsic_gas(b"", b"\x01" * 33, ()) == 21_000 + 32_000 + 33 * 16
    assert least_gas(b"", b"\x01" * 33, ()) == 21_000 + 32_000 + 33 * 16 + 4


def test_an_account_never_shows_its_secret() -> None:
    account = Account(KEY)
    assert KEY.hex() not in repr(account)
    assert repr(account) == f"<Account {account.address}>"
