"""What travels between an asker and a member: a signed request, and its answers with their proof.

Both are canonical JSON. A request is signed by the asker's author key for one epoch and one member's journal, so it
means nothing to another member; it carries a time and a nonce, so it is not served twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from tallystick.errors import EncodingError, VerificationError
from tallystick.proof import (
    Policy,
    Randomness,
    Signer,
    check_format,
    decode_base64url,
    encode_base64url,
    format_did_key,
    format_json,
    parse_json,
    sign_as_author,
    verify_author,
)

from ._epochs import Epoch
from ._group import POINT_SIZE
from ._tokens import MAX_POINTS, PROOF_SIZE

__all__ = ["PURPOSES", "Request", "format_answers", "format_request", "parse_answers", "parse_request"]

PURPOSES: Final = ("payment", "report", "review")
"""Why a payee may be looked up: a payment to it is to be decided, it is reported, or a person looks at a case."""

MESSAGE_LIMIT: Final = 16 * 1024  # bytes
_REQUEST: Final = "tallystick/evaluation-request"
_ANSWERS: Final = "tallystick/evaluation"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a member reads it; its signature holds.

    Args:
        asker: party id of the bank that asks.
        at: when, by the asker's clock, microseconds.
        purpose: of `PURPOSES`.
        points: 1 to `MAX_POINTS` blinded points; not looked at yet.
        digest: SHA-256 of what was signed: the same request twice has one.
    """

    asker: str
    at: int
    purpose: str
    points: tuple[bytes, ...]
    digest: bytes


def format_request(
    points: Sequence[bytes],
    *,
    signer: Signer,
    epoch: Epoch,
    origin: str,
    purpose: str,
    at: int,
    randomness: Randomness,
) -> bytes:
    """Write and sign a request to one member.

    Args:
        points: blinded points.
        signer: the asker's author key.
        epoch: whose tokens are asked for.
        origin: journal of the member that is asked.
        purpose: of `PURPOSES`.
        at: now, microseconds.
        randomness: source of the nonce.
    """
    content = {
        "at": at,
        "points": [encode_base64url(point) for point in points],
        "purpose": purpose,
        "type": _REQUEST,
        "v": 1,
    }
    signed = sign_as_author(
        format_json(content),
        signer=signer,
        network=epoch.network,
        origin=origin,
        randomness=randomness,
    )
    return format_json(dict(signed))


def parse_request(data: bytes, *, epoch: Epoch, origin: str, policy: Policy) -> Request:
    """Read a request and check who signed it.

    Raises:
        EncodingError: malformed, or an unknown purpose.
        VerificationError: not signed by a member of the epoch for this epoch and journal.
    """
    author = parse_json(data, limit=MESSAGE_LIMIT)
    key, content = verify_author(author, origin=origin, network=epoch.network)
    asker = _member_of(key, epoch, policy)
    document = check_format(parse_json(content, limit=MESSAGE_LIMIT), _REQUEST)
    try:
        if set(document) != {"at", "points", "purpose", "type", "v"}:
            raise EncodingError("a request must have exactly the fields of version 1")
        at, purpose, texts = document["at"], document["purpose"], document["points"]
        if type(at) is not int or purpose not in PURPOSES or type(texts) is not list:
            raise EncodingError(f"a request must name a time, points and a purpose of {', '.join(PURPOSES)}")
        if not 1 <= len(texts) <= MAX_POINTS:
            raise EncodingError(f"a request must have 1 to {MAX_POINTS} points, got {len(texts)}")
        points = tuple(decode_base64url(text, size=POINT_SIZE) for text in texts)
    except TypeError as error:
        raise EncodingError("a request is malformed") from error
    return Request(asker, at, purpose, points, sha256(decode_base64url(author["signed"])).digest())


def format_answers(answers: Sequence[bytes], proof: bytes) -> bytes:
    """Write a member's answers."""
    return format_json(
        {
            "answers": [encode_base64url(answer) for answer in answers],
            "proof": encode_base64url(proof),
            "type": _ANSWERS,
            "v": 1,
        }
    )


def parse_answers(data: bytes) -> tuple[list[bytes], bytes]:
    """Read a member's answers and their proof; neither is checked yet.

    Raises:
        EncodingError: malformed.
    """
    document: dict[str, Any] = check_format(parse_json(data, limit=MESSAGE_LIMIT), _ANSWERS)
    try:
        if set(document) != {"answers", "proof", "type", "v"} or type(document["answers"]) is not list:
            raise EncodingError("an evaluation must have exactly the fields of version 1")
        answers = [decode_base64url(text, size=POINT_SIZE) for text in document["answers"]]
        return answers, decode_base64url(document["proof"], size=PROOF_SIZE)
    except TypeError as error:
        raise EncodingError("an evaluation is malformed") from error


def _member_of(key: str, epoch: Epoch, policy: Policy) -> str:
    for party in epoch.members:
        pinned = policy.by_id.get(party)
        if pinned is not None and key == _did_key(pinned.cards[-1].keys["author"]):
            return party
    raise VerificationError(
        "a look-up must be signed by the author key of a member of the epoch",
        hint="if its key was rotated, take its newest card into the policy",
    )


@lru_cache(maxsize=256)
def _did_key(author: bytes) -> str:
    return format_did_key("ed25519", author)
