"""Keys: one per role, refused when weak, named by did:key, never shown.

- log, witness, author and card keys are Ed25519; seal is X25519; chain is secp256k1 (compressed);
  storage is 32 random bytes that wrap what is kept on disk.
- Small-order and non-canonical Ed25519 points are refused: ``cryptography`` accepts an identity point,
  and such a key verifies any message (field notes of several libraries; RFC 8032 leaves it open).
- ``Signer`` is the seam for hardware: it can sign, it cannot be read.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tallystick.errors import CardError, VerificationError

__all__ = [
    "ROLES",
    "Ed25519Signer",
    "PublicRole",
    "Randomness",
    "Role",
    "Secret",
    "Signer",
    "check_public_key",
    "format_did_key",
    "new_secret",
    "parse_did_key",
    "public_key_of",
    "verify_signature",
]

PublicRole = Literal["author", "card", "chain", "log", "seal", "witness"]
Role = Literal["author", "card", "chain", "log", "seal", "storage", "witness"]
Randomness = Callable[[int], bytes]

ROLES: tuple[PublicRole, ...] = ("author", "card", "chain", "log", "seal", "witness")

_FIELD_PRIME = 2**255 - 19
_SMALL_ORDER_Y = frozenset(
    {
        0,  # order 4
        1,  # order 1
        _FIELD_PRIME - 1,  # order 2
        # Order 8: both roots of the curve's y-coordinate polynomial (checked by a test that multiplies by 8).
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
_SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Multicodec prefixes (multiformats table): ed25519-pub, x25519-pub, secp256k1-pub.
_CODECS: dict[str, bytes] = {"ed25519": b"\xed\x01", "x25519": b"\xec\x01", "secp256k1": b"\xe7\x01"}
_DID_KEY_LIMIT = 80  # characters; the longest of ours has 57


class Secret:
    """Secret bytes that do not show themselves in a log, a message or a traceback.

    No data class, so that no generic dump of one (``dataclasses.asdict``) copies them out.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes; the caller must not keep or print them."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class Signer(Protocol):
    """Something that signs with one Ed25519 key: a key file, later a PKCS#11 token or a key service."""

    @property
    def public_key(self) -> bytes:
        """32 bytes, RFC 8032."""

    def sign(self, message: bytes) -> bytes:
        """Sign a message; 64 bytes."""


class Ed25519Signer:
    """The default signer: a key in memory."""

    __slots__ = ("_key", "public_key")

    def __init__(self, secret: Secret) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret.reveal())
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        """Sign a message (RFC 8032, pure Ed25519); 64 bytes."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Ed25519Signer({self.public_key.hex()[:16]}…)"


def new_secret(role: Role, randomness: Randomness = os.urandom) -> Secret:
    """Make a fresh secret for a role; 32 bytes."""
    while True:
        value = randomness(32)
        # A uniform 256-bit number is no secp256k1 key once in 2^128; draw again rather than reduce.
        if role != "chain" or 0 < int.from_bytes(value, "big") < _SECP256K1_ORDER:
            return Secret(value)


def public_key_of(role: PublicRole, secret: Secret) -> bytes:
    """Derive a role's public key: 32 bytes, or 33 for ``chain`` (compressed SEC 1 point)."""
    if role == "chain":
        number = int.from_bytes(secret.reveal(), "big")
        point = ec.derive_private_key(number, ec.SECP256K1()).public_key()
        return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    if role == "seal":
        key = X25519PrivateKey.from_private_bytes(secret.reveal())
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Ed25519Signer(secret).public_key


def check_public_key(role: PublicRole, key: bytes) -> None:
    """Refuse a key of the wrong length, off the curve, non-canonical or of small order.

    Raises:
        CardError: says which role's key is unusable.
    """
    try:
        if role == "chain":
            if len(key) != 33:
                raise ValueError("length")
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key)
        elif role == "seal":
            # The exchange itself refuses small-order points: their shared secret is all zero.
            X25519PrivateKey.from_private_bytes(b"\x01" * 32).exchange(X25519PublicKey.from_public_bytes(key))
        else:
            _check_ed25519(key)
    except ValueError as error:
        raise CardError(
            f"the {role} key must be a full-order point of its curve, got one that is not"
        ) from error


def _check_ed25519(key: bytes) -> None:
    if len(key) != 32:
        raise ValueError("length")
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if y >= _FIELD_PRIME or y in _SMALL_ORDER_Y:
        raise ValueError("order")
    # On the curve: x^2 = (y^2 - 1) / (d y^2 + 1) must be a square (RFC 8032 section 5.1.3).
    p = _FIELD_PRIME
    d = -121665 * pow(121666, -1, p) % p
    square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
    if pow(square, (p - 1) // 2, p) != 1:
        raise ValueError("not on the curve")


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Verify a pure Ed25519 signature.

    Args:
        public_key: 32 bytes that ``check_public_key`` has accepted before.
        signature: 64 bytes.
        message: the bytes as they travelled.

    Raises:
        VerificationError: the signature is not of this key over this message.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise VerificationError("the signature does not verify") from error


def format_did_key(curve: str, key: bytes) -> str:
    """Name a public key as did:key (W3C CCG did:key method, base58btc).

    Args:
        curve: ``ed25519``, ``x25519`` or ``secp256k1``.
        key: raw public key, compressed for secp256k1.
    """
    data = _CODECS[curve] + key
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "did:key:z" + text


def parse_did_key(text: str) -> tuple[str, bytes]:
    """Read a did:key back into its curve and raw public key; accepts exactly what is formatted.

    Raises:
        CardError: another method, junk, an unknown curve or a weak key.
    """
    if not isinstance(text, str) or not text.startswith("did:key:z") or len(text) > _DID_KEY_LIMIT:
        raise CardError("expected a did:key of base58btc")
    return _parsed_did_key(text)


# The same few parties come again and again, and to check a point costs more than to verify a signature.
@lru_cache(maxsize=1024)
def _parsed_did_key(text: str) -> tuple[str, bytes]:
    number = 0
    for character in text[9:]:
        digit = _BASE58.find(character)
        if digit < 0:
            raise CardError("expected a did:key of base58btc, got another character")
        number = number * 58 + digit
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    for curve, prefix in _CODECS.items():
        if data.startswith(prefix):
            key = data[len(prefix) :]
            role: PublicRole = "card" if curve == "ed25519" else "seal" if curve == "x25519" else "chain"
            check_public_key(role, key)
            if format_did_key(curve, key) != text:
                raise CardError("expected the canonical spelling of a did:key")
            return curve, key
    raise CardError("expected a did:key of Ed25519, X25519 or secp256k1, got another kind")
