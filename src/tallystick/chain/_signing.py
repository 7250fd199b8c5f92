"""Sign transactions with a party's chain key (EIP-1559 only)."""

from __future__ import annotations

from typing import Protocol

import rlp
from coincurve import PrivateKey
from eth_hash.auto import keccak

from tallystick.errors import KeyFileError

from ._calls import Call

__all__ = ["Account", "Revealing", "address_of", "sign_transaction"]


class Revealing(Protocol):
    """A secret of a party, shown only at the moment of use."""

    def reveal(self) -> bytes: ...


class Account:
    """An account on a chain: its address, and what signs for it. Its ``repr`` shows the address only.

    Args:
        secret: 32 bytes, or a party's secret for the role ``chain``.

    Raises:
        KeyFileError: not a secp256k1 key.
    """

    def __init__(self, secret: bytes | Revealing) -> None:
        revealed = secret if isinstance(secret, bytes) else secret.reveal()
        try:
            self.address = address_of(revealed)
        except (TypeError, ValueError):
            raise KeyFileError("the chain key is not a secp256k1 key") from None
        self._secret = secret

    def __repr__(self) -> str:
        return f"<Account {self.address}>"

    def sign(
        self, call: Call, *, chain_id: int, nonce: int, gas: int, max_fee: int, max_priority_fee: int
    ) -> bytes:
        """Return the raw bytes of a signed transaction; the same arguments give the same bytes."""
        secret = self._secret if isinstance(self._secret, bytes) else self._secret.reveal()
        return sign_transaction(
            secret,
            call,
            chain_id=chain_id,
            nonce=nonce,
            gas=gas,
            max_fee=max_fee,
            max_priority_fee=max_priority_fee,
        )


def address_of(secret: bytes) -> str:
    """Return the account (0x and 40 lower-case hex digits) of a 32-byte secret."""
    public = PrivateKey(secret).public_key.format(compressed=False)
    return "0x" + keccak(public[1:])[12:].hex()


def sign_transaction(
    secret: bytes, call: Call, *, chain_id: int, nonce: int, gas: int, max_fee: int, max_priority_fee: int
) -> bytes:
    """Return the raw bytes of a signed type 2 transaction.

    The signature is deterministic (RFC 6979), so signing the same twice gives the same hash.

    Source: EIP-1559.
    """
    numbers = [_trimmed(number) for number in (chain_id, nonce, max_priority_fee, max_fee, gas)]
    receiver = b"" if call.to is None else bytes.fromhex(call.to.removeprefix("0x"))
    fields = [*numbers, receiver, _trimmed(call.value), call.data, []]
    signature = PrivateKey(secret).sign_recoverable(keccak(b"\x02" + rlp.encode(fields)), hasher=None)
    r, s = (_trimmed(int.from_bytes(signature[at : at + 32], "big")) for at in (0, 32))
    return b"\x02" + bytes(rlp.encode([*fields, _trimmed(signature[64]), r, s]))


def _trimmed(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
