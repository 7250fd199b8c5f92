"""Vectors that travel between sites: lanes of whole numbers modulo 2^64 or 2^128, masked so that only sums tell.

    "tallystick/vector/v1", line feed || bytes of a lane (8 or 16) || count as 4 bytes || lanes, big-endian

Every pair of sites shares a secret; the one whose name sorts first adds the stream drawn from it, the other
subtracts it. One masked vector alone is a uniformly random one; the sum over the whole cohort is exactly the
sum of the plain vectors. `aggregate` needs no key and no numpy: anyone who holds the masked vectors
re-executes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal

from tallystick.errors import DataError, EncodingError, UnknownFormatError

Lane = Literal[8, 16]
MAX_LANES: Final = 2**20
_MAGIC: Final = b"tallystick/vector/v1\n"
_FAMILY: Final = b"tallystick/vector/"
_MASK: Final = b"tallystick/mask/v1\n"


def format_vector(values: Sequence[int], *, lane: Lane) -> bytes:
    """Write whole numbers, positive or negative, as lanes of 8 or 16 bytes.

    Raises:
        DataError: none, too many, or a number that does not fit into a lane with its sign.
    """
    if not 1 <= len(values) <= MAX_LANES:
        raise DataError(f"a vector must have 1 to {MAX_LANES} lanes, got {len(values)}")
    bound = 1 << (8 * lane - 1)
    if any(not -bound <= value < bound for value in values):
        raise DataError(f"a number must fit into {8 * lane} bits with its sign")
    return _written([value % (2 * bound) for value in values], lane)


def parse_vector(data: bytes) -> tuple[list[int], Lane]:
    """Read lanes as numbers with a sign, and the bytes of a lane.

    Raises:
        UnknownFormatError: another version of the format.
        EncodingError: damaged bytes.
    """
    raw, lane = _read(data)
    half, whole = 1 << (8 * lane - 1), 1 << (8 * lane)
    return [value - whole if value >= half else value for value in raw], lane


def aggregate(updates: Sequence[bytes]) -> bytes:
    """Add vectors lane by lane; when every site of the cohort is there, the masks cancel exactly.

    Args:
        updates: at least one vector, all of one shape; the order does not matter.

    Raises:
        EncodingError: no vector, damaged bytes, or shapes that differ.
        UnknownFormatError: another version of the format.
    """
    if not updates:
        raise EncodingError("an aggregate needs at least one vector, got none")
    total, lane = _read(updates[0])
    for update in updates[1:]:
        values, other = _read(update)
        if other != lane or len(values) != len(total):
            raise EncodingError("vectors of one round must have one shape, got two")
        total = [left + right for left, right in zip(total, values, strict=True)]
    modulus = 1 << (8 * lane)
    return _written([value % modulus for value in total], lane)


def masked(vector: bytes, streams: Sequence[tuple[bytes, int]]) -> bytes:
    """Add or subtract one stream per peer.

    Args:
        vector: the plain vector.
        streams: a secret for this pair and round, and +1 or -1.
    """
    values, lane = _read(vector)
    modulus = 1 << (8 * lane)
    for secret, sign in streams:
        stream = hashlib.shake_256(_MASK + secret).digest(lane * len(values))
        for index in range(len(values)):
            drawn = int.from_bytes(stream[index * lane : (index + 1) * lane], "big")
            values[index] = (values[index] + sign * drawn) % modulus
    return _written(values, lane)


def _written(values: Sequence[int], lane: Lane) -> bytes:
    head = _MAGIC + bytes([lane]) + len(values).to_bytes(4, "big")
    return head + b"".join(value.to_bytes(lane, "big") for value in values)


def _read(data: bytes) -> tuple[list[int], Lane]:
    if not data.startswith(_MAGIC):
        if data.startswith(_FAMILY):
            raise UnknownFormatError("a vector must be of version 1, got another version")
        raise EncodingError("these bytes are not a vector")
    body = data[len(_MAGIC) :]
    if len(body) < 5 or body[0] not in (8, 16):
        raise EncodingError("a vector must say the size of a lane (8 or 16) and its count")
    lane: Lane = 8 if body[0] == 8 else 16
    count = int.from_bytes(body[1:5], "big")
    if not 1 <= count <= MAX_LANES or len(body) != 5 + lane * count:
        raise EncodingError("a vector must be as long as its count says")
    lanes = body[5:]
    return [int.from_bytes(lanes[at : at + lane], "big") for at in range(0, len(lanes), lane)], lane
