"""Arithmetic in the prime-order subgroup of edwards25519, by libsodium.

- A point is 32 bytes, RFC 8032; a scalar 32 bytes, little-endian, below the group's order.
- Every foreign point goes through `multiply`, where libsodium refuses what is not canonical, not on the curve, of small
  order (the identity too) or outside the prime-order subgroup, and a result that is the identity.
- `hash_to_group` has the shape of RFC 9380's hash_to_curve: `expand_message_xmd` (5.3.1) with SHA-512 to 64 bytes, each
  half mapped by Elligator 2 with the cofactor cleared (libsodium's ``crypto_core_ed25519_from_uniform``), the two added.
  It is none of that document's suites: libsodium takes 255 bits and a sign from each half, where the suites reduce 384.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from tallystick.errors import EncodingError, MissingExtraError
from tallystick.proof import Randomness

__all__ = [
    "POINT_SIZE",
    "SCALAR_SIZE",
    "add",
    "draw_scalar",
    "expand",
    "hash_to_group",
    "hash_to_scalar",
    "invert",
    "multiply",
    "multiply_base",
    "plus_product",
    "subtract",
]

POINT_SIZE: Final = 32  # bytes
SCALAR_SIZE: Final = 32  # bytes
_BLOCK: Final = 128  # bytes of a block of SHA-512


@cache
def _sodium() -> Any:
    try:
        import nacl.bindings as sodium
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "tokens of payees need PyNaCl", hint="pip install 'tallystick[fraud]'"
        ) from error
    if not sodium.has_crypto_core_ed25519 or not sodium.has_crypto_scalarmult_ed25519:
        raise MissingExtraError(
            "this PyNaCl was built without the group's arithmetic",
            hint="pip install --force-reinstall pynacl",
        )
    return sodium


def expand(message: bytes, domain: bytes, size: int) -> bytes:
    """Spread a message over `size` bytes that look random.

    Args:
        message: any bytes.
        domain: separates uses, 1 to 255 bytes.
        size: 1 to 255 * 64.

    Source: RFC 9380, 5.3.1, expand_message_xmd with SHA-512.
    """
    blocks = -(-size // 64)
    assert 1 <= len(domain) <= 255
    assert 1 <= blocks <= 255
    ending = domain + bytes([len(domain)])
    first = hashlib.sha512(bytes(_BLOCK) + message + size.to_bytes(2, "big") + b"\x00" + ending).digest()
    block, parts = bytes(64), list[bytes]()
    for number in range(1, blocks + 1):
        mixed = (int.from_bytes(first, "big") ^ int.from_bytes(block, "big")).to_bytes(64, "big")
        block = hashlib.sha512((mixed if parts else first) + bytes([number]) + ending).digest()
        parts.append(block)
    return b"".join(parts)[:size]


def hash_to_group(message: bytes, domain: bytes) -> bytes:
    """Hash to a point whose logarithm nobody knows; see the module.

    Raises:
        MissingExtraError: PyNaCl is not installed.
    """
    sodium, uniform = _sodium(), expand(message, domain, 64)
    point: bytes = sodium.crypto_core_ed25519_add(
        sodium.crypto_core_ed25519_from_uniform(uniform[:32]),
        sodium.crypto_core_ed25519_from_uniform(uniform[32:]),
    )
    return point


def hash_to_scalar(*parts: bytes) -> bytes:
    """Hash parts of fixed sizes to a scalar: SHA-512, reduced."""
    scalar: bytes = _sodium().crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"".join(parts)).digest())
    return scalar


def draw_scalar(randomness: Randomness) -> bytes:
    """Draw a scalar that is not zero."""
    while True:
        scalar: bytes = _sodium().crypto_core_ed25519_scalar_reduce(randomness(64))
        if any(scalar):
            return scalar


def multiply(scalar: bytes, point: bytes) -> bytes:
    """Multiply a point, which may be a stranger's.

    Raises:
        EncodingError: the point is not canonical, not on the curve, of small order or outside the subgroup.
    """
    sodium = _sodium()
    try:
        product: bytes = sodium.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except (RuntimeError, TypeError, ValueError) as error:  # those of PyNaCl are of these
        raise _bad_point() from error
    return product


def multiply_base(scalar: bytes) -> bytes:
    """Multiply the group's base point."""
    product: bytes = _sodium().crypto_scalarmult_ed25519_base_noclamp(scalar)
    return product


def add(points: Iterable[bytes]) -> bytes:
    """Add points, at least one, that `multiply` has looked at or made.

    Raises:
        EncodingError: one is not on the curve.
    """
    sodium, rest = _sodium(), iter(points)
    total = next(rest)
    try:
        for point in rest:
            total = sodium.crypto_core_ed25519_add(total, point)
    except (RuntimeError, TypeError, ValueError) as error:
        raise _bad_point() from error
    return total


def subtract(point: bytes, other: bytes) -> bytes:
    """Subtract one point that `multiply` has looked at or made from another."""
    difference: bytes = _sodium().crypto_core_ed25519_sub(point, other)
    return difference


def invert(scalar: bytes) -> bytes:
    """Invert a scalar that is not zero."""
    inverse: bytes = _sodium().crypto_core_ed25519_scalar_invert(scalar)
    return inverse


def plus_product(scalar: bytes, factor: bytes, other: bytes, *, minus: bool = False) -> bytes:
    """Return ``scalar + factor * other``, or with `minus` ``scalar - factor * other``."""
    sodium = _sodium()
    product = sodium.crypto_core_ed25519_scalar_mul(factor, other)
    combine = sodium.crypto_core_ed25519_scalar_sub if minus else sodium.crypto_core_ed25519_scalar_add
    result: bytes = combine(scalar, product)
    return result


def _bad_point() -> EncodingError:
    return EncodingError("a point must be canonical and of the prime-order subgroup of edwards25519")
