"""Parameters in fixed point, as the rounds of training hand them on, and the int16 weights they become.

    "tallystick/parameters/v1", line feed || count as 4 bytes || count times int64, big-endian

A parameter is a whole number of 2^-24; the last one is the intercept. From here to the model file there are
integers only, so anyone who holds the last round's bytes can re-execute the step and compare.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.errors import ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models._features import INT16_HIGH, ONE

FRACTION_BITS: Final = 24
MAX_PARAMETERS: Final = 65_536
MAX_SHIFT: Final = 14
_MAGIC: Final = b"tallystick/parameters/v1\n"
_FAMILY: Final = b"tallystick/parameters/"


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear score's integers: logit = (sum of weight * input + bias) / (ONE * 2^shift)."""

    weights: tuple[int, ...]
    bias: int
    shift: int


def format_parameters(values: Sequence[int]) -> bytes:
    """Write parameters, weights first and the intercept last.

    Raises:
        ModelInputError: there are none, too many, or one beyond 62 bits.
    """
    if not 1 <= len(values) <= MAX_PARAMETERS:
        raise ModelInputError(f"parameters must be 1 to {MAX_PARAMETERS}, got {len(values)}")
    if any(not -(2**62) <= value <= 2**62 for value in values):
        raise ModelInputError("a parameter must fit into 62 bits: training has diverged")
    return _MAGIC + struct.pack(f">I{len(values)}q", len(values), *values)


def parse_parameters(data: bytes) -> tuple[int, ...]:
    """Read what `format_parameters` writes.

    Raises:
        UnknownFormatError: another version of the format.
        ModelFileError: damaged bytes.
    """
    if not data.startswith(_MAGIC):
        if data.startswith(_FAMILY):
            raise UnknownFormatError("parameters must be of version 1, got another version")
        raise ModelFileError("these bytes are not parameters")
    body = data[len(_MAGIC) :]
    if len(body) < 4:
        raise ModelFileError("parameters end before their count")
    (count,) = struct.unpack(">I", body[:4])
    if not 1 <= count <= MAX_PARAMETERS or len(body) != 4 + 8 * count:
        raise ModelFileError("parameters must be as long as their count says")
    values = struct.unpack(f">{count}q", body[4:])
    if any(not -(2**62) <= value <= 2**62 for value in values):
        raise ModelFileError("a parameter must fit into 62 bits")
    return values


def weights_of(parameters: bytes) -> Weights:
    """Turn parameters into int16 weights and a bias, by integer arithmetic only.

    All weights share the largest shift (at most 14) that lets each fit into int16.

    Raises:
        ModelInputError: a weight is too large for int16 even without a shift.
    """
    *weights, intercept = parse_parameters(parameters)
    largest = max((abs(weight) for weight in weights), default=0)
    for shift in range(MAX_SHIFT, -1, -1):
        if _rounded(largest << shift) <= INT16_HIGH:
            break
    else:
        raise ModelInputError("a weight must be below 32768: training has diverged")
    return Weights(
        weights=tuple(_rounded(weight << shift) for weight in weights),
        bias=_rounded((intercept * ONE) << shift),
        shift=shift,
    )


def _rounded(value: int) -> int:
    """Drop the fraction bits, half up."""
    return (value + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS
