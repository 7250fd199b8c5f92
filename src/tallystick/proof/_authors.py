"""Author-signed bytes: what somebody else (a patient, a device, another party) signed, carried as it was signed.

The signed bytes begin with a line each of ``tallystick/author/v1``, the network, the journal's origin and a
nonce, then a blank line and the content; so they mean nothing on another network or in another journal. A
statement carries them in its body's field ``author``:

    {"key": "did:key:..", "signature": "<base64url>", "signed": "<base64url>"}
"""

from __future__ import annotations

import os
from typing import Any

from tallystick.errors import CardError, EncodingError, StatementError, VerificationError
from tallystick.proof._encoding import decode_base64url, encode_base64url
from tallystick.proof._keys import Randomness, Signer, format_did_key, parse_did_key, verify_signature

__all__ = ["sign_as_author", "verify_author"]

_HEADER = "tallystick/author/v1"


def sign_as_author(
    content: bytes, *, signer: Signer, network: str, origin: str, randomness: Randomness = os.urandom
) -> dict[str, str]:
    """Sign content for one journal of one network.

    Args:
        content: what the author says.
        signer: the author's Ed25519 key.
        network: name of the network, one line.
        origin: the journal that is to carry it.
        randomness: source of the nonce.

    Returns:
        The body's field ``author``.

    Raises:
        StatementError: network or origin are not one line.
    """
    if not (network.isprintable() and origin.isprintable()):
        raise StatementError("network and origin must be one line each")
    nonce = encode_base64url(randomness(16))
    signed = f"{_HEADER}\n{network}\n{origin}\n{nonce}\n\n".encode() + content
    return {
        "key": format_did_key("ed25519", signer.public_key),
        "signature": encode_base64url(signer.sign(signed)),
        "signed": encode_base64url(signed),
    }


def verify_author(author: Any, *, origin: str, network: str | None = None) -> tuple[str, bytes]:
    """Verify the bytes that travelled.

    Args:
        author: the body's field ``author``.
        origin: the journal that carries it.
        network: the network it must be for; None accepts any.

    Returns:
        The author's did:key and the content.

    Raises:
        VerificationError: malformed, for another network or journal, or a false signature.
    """
    try:
        if set(author) != {"key", "signature", "signed"}:
            raise VerificationError("an author's part must have key, signature and signed")
        curve, key = parse_did_key(author["key"])
        signed = decode_base64url(author["signed"])
        signature = decode_base64url(author["signature"], size=64)
    except (EncodingError, CardError, TypeError) as error:
        raise VerificationError("an author's part is malformed") from error
    head, separator, content = signed.partition(b"\n\n")
    lines = head.split(b"\n")
    named = lines[1:2] if network is None else [network.encode()]
    if not separator or len(lines) != 4 or lines[:3] != [_HEADER.encode(), *named, origin.encode()]:
        raise VerificationError("the author signed this for another network or journal")
    try:
        decode_base64url(lines[3].decode("ascii"), size=16)
    except (EncodingError, UnicodeDecodeError) as error:
        raise VerificationError("an author's part must carry a nonce of 16 bytes") from error
    if curve != "ed25519":
        raise VerificationError("an author must sign with an Ed25519 key")
    verify_signature(key, signature, signed)
    return author["key"], content
