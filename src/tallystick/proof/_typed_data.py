"""EIP-712 typed data: hashing and checking signatures, so that a base install can verify what wallets sign.

Source: EIP-712 (definition of hashStruct and encodeData) and EIP-2 (low s). Keys are known from cards, so a
signature is verified against a key and none is recovered from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tallystick.errors import StatementError, VerificationError
from tallystick.proof._keccak import keccak256

__all__ = ["Types", "chain_address", "typed_data_digest", "verify_typed_data"]

Types = Mapping[str, Sequence[tuple[str, str]]]
"""Struct name -> members as (name, type)."""

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_DOMAIN = (
    ("name", "string"), ("version", "string"), ("chainId", "uint256"),
    ("verifyingContract", "address"), ("salt", "bytes32"),
)  # fmt: skip
_number = re.compile(r"(u?)int([1-9][0-9]{0,2})").fullmatch
_fixed = re.compile(r"bytes([1-9][0-9]?)").fullmatch
_array = re.compile(r"(.+)\[([0-9]*)\]").fullmatch
_address = re.compile(r"0x[0-9a-fA-F]{40}").fullmatch


def chain_address(public_key: bytes) -> str:
    """The account of a compressed secp256k1 key: ``0x`` and the last 20 bytes of Keccak-256 of its point."""
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    raw = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return "0x" + keccak256(raw[1:])[12:].hex()


def typed_data_digest(
    *, domain: Mapping[str, Any], types: Types, primary: str, message: Mapping[str, Any]
) -> bytes:
    """The digest that a wallet signs: ``keccak256(0x1901 || domain separator || hashStruct(message))``.

    Args:
        domain: some of name, version, chainId, verifyingContract, salt.
        types: all structs of the message.
        primary: the message's struct.
        message: its values; addresses as ``0x`` text, bytes as bytes.

    Returns:
        32 bytes.

    Raises:
        StatementError: a value does not fit its type.
    """
    unknown = set(domain) - {name for name, _ in _DOMAIN}
    if unknown:
        raise StatementError("an EIP-712 domain must have only the standard fields")
    fields = tuple(field for field in _DOMAIN if field[0] in domain)
    separator = _hash_struct("EIP712Domain", domain, {"EIP712Domain": fields})
    return keccak256(b"\x19\x01" + separator + _hash_struct(primary, message, types))


def verify_typed_data(public_key: bytes, signature: bytes, digest: bytes) -> None:
    """Verify a wallet's signature over a digest.

    Args:
        public_key: compressed secp256k1, 33 bytes.
        signature: r, s, v: 65 bytes, low s.
        digest: 32 bytes.

    Raises:
        VerificationError: not of this key, high s, or malformed.
    """
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28) or not 0 < s <= _ORDER // 2:
        raise VerificationError("expected a signature of 65 bytes with a low s")
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
        point.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
    except (InvalidSignature, ValueError) as error:
        raise VerificationError("the signature does not verify") from error


def _hash_struct(name: str, value: Mapping[str, Any], types: Types) -> bytes:
    if name not in types or not isinstance(value, Mapping) or set(value) != {one for one, _ in types[name]}:
        raise StatementError(f"the struct {name} must have exactly its members")
    encoded = [_encode(kind, value[member], types) for member, kind in types[name]]
    return keccak256(keccak256(_encode_type(name, types).encode()) + b"".join(encoded))


def _encode_type(name: str, types: Types) -> str:
    found: set[str] = set()

    def walk(struct: str) -> None:
        found.add(struct)
        for _, kind in types[struct]:
            inner = kind.split("[")[0]
            if inner in types and inner not in found:
                walk(inner)

    walk(name)
    ordered = [name, *sorted(found - {name})]
    return "".join(
        f"{struct}({','.join(f'{kind} {member}' for member, kind in types[struct])})" for struct in ordered
    )


def _encode(kind: str, value: Any, types: Types) -> bytes:
    try:
        return _encoded(kind, value, types)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise StatementError(f"a value does not fit the type {kind}") from error


def _encoded(kind: str, value: Any, types: Types) -> bytes:
    if kind in types:
        return _hash_struct(kind, value, types)
    if found := _array(kind):
        if not isinstance(value, list | tuple) or (found[2] and len(value) != int(found[2])):
            raise ValueError("length")
        return keccak256(b"".join(_encode(found[1], item, types) for item in value))
    if kind == "string":
        return keccak256(value.encode())
    if kind == "bytes":
        return keccak256(value) if isinstance(value, bytes) else _refuse()
    if kind == "bool":
        return int(value).to_bytes(32, "big") if isinstance(value, bool) else _refuse()
    if kind == "address":
        return bytes.fromhex(value[2:]).rjust(32, b"\0") if _address(value) else _refuse()
    return _atomic(kind, value)


def _atomic(kind: str, value: Any) -> bytes:
    if (found := _number(kind)) and type(value) is int and int(found[2]) in range(8, 257, 8):
        bits, signed = int(found[2]), not found[1]
        value.to_bytes(bits // 8, "big", signed=signed)  # raises when out of range
        encoded: bytes = value.to_bytes(32, "big", signed=signed)
        return encoded
    if (found := _fixed(kind)) and isinstance(value, bytes) and len(value) == int(found[1]) <= 32:
        return value.ljust(32, b"\0")
    return _refuse()


def _refuse() -> bytes:
    raise ValueError("type")
