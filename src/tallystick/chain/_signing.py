"""Sign transactions with a raw secp256k1 secret (EIP-1559 only)."""

from __future__ import annotations

import rlp
from coincurve import PrivateKey
from eth_hash.auto import keccak

__all__ = ["address_of", "sign_transaction"]


def address_of(secret: bytes) -> str:
    """Return the account (0x and 40 lower-case hex digits) of a 32-byte secret."""
    public = PrivateKey(secret).public_key.format(compressed=False)
    return "0x" + keccak(public[1:])[12:].hex()


def sign_transaction(
    secret: bytes,
    *,
    chain_id: int,
    nonce: int,
    to: str | None,
    value: int = 0,
    data: bytes = b"",
    gas: int,
    max_fee: int,
    max_priority_fee: int,
) -> bytes:
    """Return the raw bytes of a signed type 2 transaction; ``to`` is None when a contract is created.

    The signature is deterministic (RFC 6979), so signing the same twice gives the same hash.

    Source: EIP-1559.
    """
    numbers = [_trimmed(number) for number in (chain_id, nonce, max_priority_fee, max_fee, gas)]
    receiver = b"" if to is None else bytes.fromhex(to.removeprefix("0x"))
    fields = [*numbers, receiver, _trimmed(value), data, []]
    signature = PrivateKey(secret).sign_recoverable(keccak(b"\x02" + rlp.encode(fields)), hasher=None)
    r, s = (_trimmed(int.from_bytes(signature[at : at + 32], "big")) for at in (0, 32))
    return b"\x02" + bytes(rlp.encode([*fields, _trimmed(signature[64]), r, s]))


def _trimmed(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
