"""Sign transactions (EIP-1559 only) and typed data with a party's chain key, and tell whose a signature is."""

from __future__ import annotations

from typing import Protocol

import rlp
from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak

from tallystick.errors import KeyFileError, VerificationError

from ._calls import Call

__all__ = ["Account", "Revealing", "address_of", "recover_signer", "sign_transaction"]

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


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

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes, for example of EIP-712: r, s, v (27 or 28), low s; the same digest gives the same bytes."""
        secret = self._secret if isinstance(self._secret, bytes) else self._secret.reveal()
        signature = PrivateKey(secret).sign_recoverable(digest, hasher=None)
        return bytes(signature[:64]) + bytes([27 + signature[64]])


def recover_signer(digest: bytes, signature: bytes) -> str:
    """Tell whose account signed a digest, as a contract's ecrecover does.

    Args:
        digest: 32 bytes.
        signature: r, s, v (27 or 28), low s, 65 bytes.

    Returns:
        0x and 40 lower-case hex digits; some account nobody owns when the signature is of other bytes.

    Raises:
        VerificationError: no signature of this form.
    """
    s = int.from_bytes(signature[32:64], "big")
    if len(digest) != 32 or len(signature) != 65 or signature[64] not in (27, 28) or not 0 < s <= _HALF_ORDER:
        raise VerificationError("expected a signature of r, s, v: 65 bytes with a low s and v 27 or 28")
    recoverable = signature[:64] + bytes([signature[64] - 27])
    try:
        public = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except ValueError as error:
        raise VerificationError("the signature is of nobody") from error
    return "0x" + keccak(public.format(compressed=False)[1:])[12:].hex()


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
