"""Signed transactions: read strictly, with geth's words for what is refused.

* Types 0 (legacy, replay-protected only), 1 (EIP-2930) and 2 (EIP-1559); blobs have no place on this chain.
* The hash and the sender come from the bytes that travel; nothing is encoded again but to recover the sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import rlp
from coincurve import PublicKey
from eth_hash.auto import keccak

from ._answers import SERVER_ERROR, UINT64, UINT256, RpcError, data_hex, quantity

__all__ = ["MAX_TRANSACTION_BYTES", "SignedTransaction", "intrinsic_gas", "least_gas", "parse_transaction"]

# geth's txMaxSize: 4 slots of 32 KiB
MAX_TRANSACTION_BYTES = 128 * 1024
MAX_INITCODE_BYTES = 49_152
_SECP256K1_N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141

AccessList = tuple[tuple[bytes, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True, repr=False)
class SignedTransaction:
    """One transaction as it was signed. ``to`` is empty when a contract is created.

    The names of the fields are those that the virtual machine reads, so that it takes the object as it is.
    """

    raw: bytes
    hash: bytes
    sender: bytes
    type_id: int
    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas: int
    to: bytes
    value: int
    data: bytes
    access_list: AccessList
    v: int
    r: int
    s: int
    intrinsic_gas: int = field(compare=False)

    def effective_gas_price(self, base_fee: int) -> int:
        return min(self.max_fee_per_gas, base_fee + self.max_priority_fee_per_gas)

    def as_json(self, *, base_fee: int, block_hash: bytes, block_number: int, index: int) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "blockHash": data_hex(block_hash),
            "blockNumber": quantity(block_number),
            "from": data_hex(self.sender),
            "gas": quantity(self.gas),
            "gasPrice": quantity(self.effective_gas_price(base_fee)),
            "hash": data_hex(self.hash),
            "input": data_hex(self.data),
            "nonce": quantity(self.nonce),
            "to": data_hex(self.to) if self.to else None,
            "transactionIndex": quantity(index),
            "value": quantity(self.value),
            "type": quantity(self.type_id),
            "chainId": quantity(self.chain_id),
            "v": quantity(self.v),
            "r": quantity(self.r),
            "s": quantity(self.s),
        }
        if self.type_id == 2:
            answer["maxFeePerGas"] = quantity(self.max_fee_per_gas)
            answer["maxPriorityFeePerGas"] = quantity(self.max_priority_fee_per_gas)
        if self.type_id:
            answer["yParity"] = quantity(self.v)
            answer["accessList"] = [
                {"address": data_hex(address), "storageKeys": [f"0x{slot:064x}" for slot in slots]}
                for address, slots in self.access_list
            ]
        return answer


# sent, sealed, then asked for as a receipt: each recovery of a sender saved is a tenth of a transaction's time
@lru_cache(maxsize=512)
def parse_transaction(raw: bytes, *, chain_id: int) -> SignedTransaction:
    """Read signed bytes and recover their sender.

    Raises:
        RpcError: with geth's message; nothing here depends on the chain's state.
    """
    if not raw or len(raw) > MAX_TRANSACTION_BYTES:
        raise RpcError(SERVER_ERROR, "oversized data" if raw else "typed transaction too short")
    if raw[0] >= 0xC0:
        return _parse_legacy(raw, chain_id)
    if raw[0] not in (1, 2):
        raise RpcError(SERVER_ERROR, "transaction type not supported")
    return _parse_typed(raw, chain_id)


def _parse_legacy(raw: bytes, chain_id: int) -> SignedTransaction:
    items = _items(raw, 9)
    nonce, price, gas, to, value, data, v, r, s = items
    v_number = _integer(v, UINT256)
    if v_number < 35:
        raise RpcError(SERVER_ERROR, "only replay-protected (EIP-155) transactions allowed over RPC")
    signed_for, parity = divmod(v_number - 35, 2)
    _expect_chain(signed_for, chain_id)
    message = rlp.encode([nonce, price, gas, to, value, data, _trimmed(signed_for), b"", b""])
    fields = [nonce, price, price, gas, to, value, data]
    return _build(
        raw, 0, signed_for, fields, access_list=(), v=v_number, r=r, s=s, parity=parity, message=message
    )


def _parse_typed(raw: bytes, chain_id: int) -> SignedTransaction:
    kind = raw[0]
    items = _items(raw[1:], 11 if kind == 1 else 12)
    signed_for = _integer(items[0], UINT256)
    _expect_chain(signed_for, chain_id)
    parity = _integer(items[-3], 1)
    message = raw[:1] + rlp.encode(items[:-3])
    fees = items[2:3] * 2 if kind == 1 else items[2:4]
    fields = [items[1], *fees, *items[-8:-4]]
    access_list = _access_list(items[-4])
    r, s = items[-2:]
    return _build(
        raw,
        kind,
        signed_for,
        fields,
        access_list=access_list,
        v=parity,
        r=r,
        s=s,
        parity=parity,
        message=message,
    )


def _build(
    raw: bytes,
    kind: int,
    chain_id: int,
    fields: Sequence[Any],
    *,
    access_list: AccessList,
    v: int,
    r: bytes,
    s: bytes,
    parity: int,
    message: bytes,
) -> SignedTransaction:
    nonce, tip, fee, gas, to, value, data = fields
    if not isinstance(to, bytes) or len(to) not in (0, 20) or not isinstance(data, bytes):
        raise RpcError(SERVER_ERROR, "rlp: input string has the wrong length for common.Address")
    r_number, s_number = _integer(r, UINT256), _integer(s, UINT256)
    return SignedTransaction(
        raw=raw,
        hash=keccak(raw),
        sender=_recover(keccak(message), r_number, s_number, parity),
        type_id=kind,
        chain_id=chain_id,
        nonce=_integer(nonce, UINT64),
        max_priority_fee_per_gas=_integer(tip, UINT256),
        max_fee_per_gas=_integer(fee, UINT256),
        gas=_integer(gas, UINT64),
        to=to,
        value=_integer(value, UINT256),
        data=data,
        access_list=access_list,
        v=v,
        r=r_number,
        s=s_number,
        intrinsic_gas=intrinsic_gas(to, data, access_list),
    )


def intrinsic_gas(to: bytes, data: bytes, access_list: AccessList) -> int:
    """Return what a transaction costs before its first instruction (EIP-2028, EIP-2930).

    The two gas per word of creation code (EIP-3860) are left to the virtual machine, which charges them itself.
    """
    zeros = data.count(0)
    gas = 21_000 + 4 * zeros + 16 * (len(data) - zeros) + (0 if to else 32_000)
    return gas + sum(2_400 + 1_900 * len(slots) for _, slots in access_list)


def least_gas(to: bytes, data: bytes, access_list: AccessList) -> int:
    """Return the limit below which a transaction is refused, EIP-3860 included."""
    return intrinsic_gas(to, data, access_list) + (0 if to else 2 * ((len(data) + 31) // 32))


def _recover(digest: bytes, r: int, s: int, parity: int) -> bytes:
    # EIP-2: the upper half of s would give every transaction a second hash
    if not 0 < r < _SECP256K1_N or not 0 < s <= _SECP256K1_N // 2:
        raise RpcError(SERVER_ERROR, "invalid sender: invalid transaction v, r, s values")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:
        raise RpcError(SERVER_ERROR, "invalid sender: recovery failed") from error
    return bytes(keccak(key.format(compressed=False)[1:])[12:])


def _items(encoded: bytes, count: int) -> list[Any]:
    try:
        items = rlp.decode(encoded)
    except rlp.DecodingError as error:
        raise RpcError(SERVER_ERROR, "rlp: the transaction cannot be decoded") from error
    if not isinstance(items, list) or len(items) != count:
        raise RpcError(SERVER_ERROR, "rlp: wrong number of elements for a transaction")
    return items


def _integer(value: Any, most: int) -> int:
    if not isinstance(value, bytes) or len(value) > 32 or value[:1] == b"\x00":
        raise RpcError(SERVER_ERROR, "rlp: non-canonical integer")
    number = int.from_bytes(value, "big")
    if number > most:
        raise RpcError(SERVER_ERROR, "rlp: integer too large")
    return number


def _access_list(value: Any) -> AccessList:
    try:
        found = tuple((bytes(address), tuple(_slot(key) for key in keys)) for address, keys in value)
    except (TypeError, ValueError) as error:
        raise RpcError(SERVER_ERROR, "rlp: malformed access list") from error
    if any(len(address) != 20 for address, _ in found):
        raise RpcError(SERVER_ERROR, "rlp: malformed access list")
    return found


def _slot(key: Any) -> int:
    if not isinstance(key, bytes) or len(key) != 32:
        raise RpcError(SERVER_ERROR, "rlp: malformed access list")
    return int.from_bytes(key, "big")


def _trimmed(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _expect_chain(signed_for: int, chain_id: int) -> None:
    if signed_for != chain_id:
        raise RpcError(SERVER_ERROR, f"invalid chain id for signer: have {signed_for} want {chain_id}")
