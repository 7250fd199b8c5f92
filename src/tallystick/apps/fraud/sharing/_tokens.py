"""Tokens of payees that no bank can make alone: an oblivious function keyed by all members' shares together.

    P = hash_to_group(epoch id || payee)        the asker, who draws r and sends
    B = r P                                     to every member i, who answers
    A_i = k_i B, and a proof                    that it is by the share behind the published K_i = k_i G
    N = (1/r) sum A_i = (sum k_i) P             the asker
    token = SHA-256(domain || epoch id || size of payee || payee || N)

- A member sees B only, which is a uniformly random point whatever the payee is: it does not learn who was asked about.
- Every token needs one answer of every member: nobody alone, and no n - 1 together, can try accounts offline, and one
  destroyed share ends the epoch for ever.
- One proof covers all answers of a request (Chaum-Pedersen, batched as in RFC 9497, 2.2: composites over a challenge
  that binds all points), so a member that answers with anything else is named.

Blinding, evaluation, proof and finalisation follow RFC 9497 (VOPRF); the key is a sum of shares, and hashing to the
group is that of `_group`, so its test vectors do not apply.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.errors import EncodingError, VerificationError
from tallystick.proof import Randomness

from ._group import (
    POINT_SIZE,
    SCALAR_SIZE,
    add,
    draw_scalar,
    hash_to_group,
    hash_to_scalar,
    invert,
    multiply,
    multiply_base,
    plus_product,
    subtract,
)

__all__ = [
    "MAX_POINTS",
    "PROOF_SIZE",
    "TOKEN_SIZE",
    "Blinded",
    "blind",
    "evaluate",
    "finish",
    "normalise_payee",
    "prove_possession",
    "verify_evaluation",
    "verify_possession",
]

MAX_POINTS: Final = 64  # of one request
PROOF_SIZE: Final = 2 * SCALAR_SIZE  # bytes: challenge and response
TOKEN_SIZE: Final = 32  # bytes
_POINT: Final = b"tallystick/payee-point/v1"
_TOKEN: Final = b"tallystick/payee-token/v1\x00"
_SEED: Final = b"tallystick/evaluation-seed/v1\x00"
_PROOF: Final = b"tallystick/evaluation-proof/v1\x00"
_NONCE: Final = b"tallystick/evaluation-nonce/v1\x00"
_OWNED: Final = b"tallystick/share-proof/v1\x00"
_iban = re.compile(r"[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{11,30}").fullmatch


@dataclass(frozen=True, slots=True)
class Blinded:
    """One payee's blinded point, and what unblinds it; the latter never leaves the asker."""

    payee: bytes
    point: bytes
    factor: bytes

    def __repr__(self) -> str:
        return "Blinded(…)"


def normalise_payee(payee: str) -> bytes:
    """Bring a payee's id into the one spelling that all members hash.

    What looks like an IBAN loses its blanks and becomes upper case (ISO 13616, electronic form); any other id, such as
    a merchant's, is taken as it is.
    """
    compact = payee.replace(" ", "")
    return (compact.upper() if _iban(compact) else payee).encode()


def blind(payee: str, *, epoch: bytes, randomness: Randomness) -> Blinded:
    """Hide a payee behind a random factor.

    Args:
        payee: an account or a merchant.
        epoch: the epoch's id, 32 bytes.
        randomness: source of the factor.
    """
    plain = normalise_payee(payee)
    factor = draw_scalar(randomness)
    return Blinded(plain, multiply(factor, hash_to_group(epoch + plain, _POINT)), factor)


def evaluate(
    share: bytes, points: Sequence[bytes], *, context: bytes, randomness: Randomness
) -> tuple[list[bytes], bytes]:
    """Answer blinded points by a member's share, with one proof for all.

    Args:
        share: this member's scalar.
        points: 1 to `MAX_POINTS` points of a stranger.
        context: what the proof is bound to, 32 bytes: the epoch's id.
        randomness: source of the proof's nonce; it is hedged with the share, so a weak one does not give the share away.

    Returns:
        The answers in the same order, and the proof.

    Raises:
        EncodingError: none, too many, or a point that is not of the group.
    """
    _check_count(len(points))
    answers = [multiply(share, point) for point in points]
    commitment = multiply_base(share)
    left = _composite(_factors(commitment, points, answers, context), points)
    right = multiply(share, left) if len(points) > 1 else answers[0]
    nonce = hash_to_scalar(_NONCE, share, left, right, randomness(64))
    challenge = hash_to_scalar(
        _PROOF, context, commitment, left, right, multiply_base(nonce), multiply(nonce, left)
    )
    return answers, challenge + plus_product(nonce, challenge, share, minus=True)


def verify_evaluation(
    commitment: bytes, points: Sequence[bytes], answers: Sequence[bytes], proof: bytes, *, context: bytes
) -> None:
    """Check that all answers are by the share behind a commitment.

    Raises:
        VerificationError: they are not, or there are more or fewer answers than points.
        EncodingError: a point or the proof is malformed.
    """
    _check_count(len(points))
    if len(answers) != len(points):
        raise VerificationError(f"an evaluation must answer {len(points)} points, got {len(answers)}")
    challenge, response = _halves(proof)
    factors = _factors(commitment, points, answers, context)
    left, right = _composite(factors, points), _composite(factors, answers)
    again = hash_to_scalar(
        _PROOF,
        context,
        commitment,
        left,
        right,
        add([multiply_base(response), multiply(challenge, commitment)]),
        add([multiply(response, left), multiply(challenge, right)]),
    )
    if again != challenge:
        raise VerificationError("the answers are not by the share that was committed to")


def finish(blinded: Blinded, answers: Sequence[bytes], *, epoch: bytes) -> bytes:
    """Turn every member's answer to one point into the payee's token, 32 bytes.

    Args:
        blinded: the asker's own.
        answers: one of each member, checked by `verify_evaluation`.
        epoch: the epoch's id, 32 bytes.
    """
    point = multiply(invert(blinded.factor), add(answers))
    size = len(blinded.payee).to_bytes(2, "big")
    return hashlib.sha256(_TOKEN + epoch + size + blinded.payee + point).digest()


def prove_possession(share: bytes, *, context: bytes, randomness: Randomness) -> bytes:
    """Prove that one knows the share behind its commitment (Schnorr), so that no member builds its share on the others'.

    Args:
        share: the scalar.
        context: what it is for, 32 bytes.
        randomness: source of the nonce, hedged with the share.
    """
    commitment = multiply_base(share)
    nonce = hash_to_scalar(_NONCE, share, context, randomness(64))
    challenge = hash_to_scalar(_OWNED, context, commitment, multiply_base(nonce))
    return challenge + plus_product(nonce, challenge, share)


def verify_possession(commitment: bytes, proof: bytes, *, context: bytes) -> None:
    """Check a proof of `prove_possession`.

    Raises:
        VerificationError: it does not hold.
        EncodingError: malformed.
    """
    challenge, response = _halves(proof)
    nonce = subtract(multiply_base(response), multiply(challenge, commitment))
    if hash_to_scalar(_OWNED, context, commitment, nonce) != challenge:
        raise VerificationError("a member does not know the share that it committed to")


def _factors(
    commitment: bytes, points: Sequence[bytes], answers: Sequence[bytes], context: bytes
) -> list[bytes]:
    """Random factors for all but the first point; each depends on all points and all answers."""
    if any(len(point) != POINT_SIZE for point in (commitment, *points, *answers)):
        raise EncodingError(f"a point must have {POINT_SIZE} bytes")
    seed = hashlib.sha512(b"".join((_SEED, context, commitment, *points, *answers))).digest()
    return [hash_to_scalar(seed, number.to_bytes(2, "big")) for number in range(1, len(points))]


def _composite(factors: Sequence[bytes], points: Sequence[bytes]) -> bytes:
    """Add the points, all but the first by their factors; that one factor is fixed costs nothing in soundness.

    The first one is not looked at here: what is wrong with it is wrong with the sum, which is multiplied next.
    """
    rest = (multiply(factor, point) for factor, point in zip(factors, points[1:], strict=True))
    return add([points[0], *rest])


def _halves(proof: bytes) -> tuple[bytes, bytes]:
    if len(proof) != PROOF_SIZE:
        raise EncodingError(f"a proof must have {PROOF_SIZE} bytes, got {len(proof)}")
    halves = proof[:SCALAR_SIZE], proof[SCALAR_SIZE:]
    # Reduced scalars only: another spelling of a proof must not verify too.
    if any(int.from_bytes(half, "little") >= _ORDER or not any(half) for half in halves):
        raise EncodingError("a proof must hold two reduced scalars that are not zero")
    return halves


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_POINTS:
        raise EncodingError(f"a request must have 1 to {MAX_POINTS} points, got {count}")


_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
