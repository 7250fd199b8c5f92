"""A model's parameters as a contract reads them, and the digest that names them.

Words have 32 bytes, big-endian; int16 lanes stand 16 to a word, the first in the top bits, the last word padded
with zero. `scalars` are int256 words, `body` is what stands as other contracts' code, in parts of at most
24,480 bytes behind one zero byte (which no EVM executes, so that nothing can change it):

    linear      scalars 1, width, heads, biases...
                body    per head: its weights
    trees       scalars 2, width, heads, depth (4), trees per head, bases...
                body    per tree three words: 15 thresholds, 15 feature numbers (one byte each), 16 leaves
    perceptron  scalars 3, width, heads, hidden units, shift, biases...
                body    per hidden unit: its weights; then their biases, a word each; then per head: its weights

    digest = SHA-256(SHA-256(scalars) || SHA-256(part 0) || SHA-256(part 1) || ...)

An input travels as words too; `input_commitment` hides it behind a salt until it has to be shown.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tallystick.errors import ModelInputError
from tallystick.models._features import INT16_HIGH, INT16_LOW
from tallystick.proof import keccak256

PART_BYTES: Final = 24_480  # 255 trees; with its zero byte below the EVM's limit of 24,576
MAX_PARTS: Final = 8
MAX_CHAIN_WIDTH: Final = 256
MAX_CHAIN_HEADS: Final = 16
LANES: Final = 16
NO_DIGEST: Final = "0" * 64  # of a model that no contract can execute
SALT_BYTES: Final = 32


@dataclass(frozen=True)
class Packed:
    """Parameters as they stand on a chain.

    Args:
        scalars: int256 values.
        body: whole words.
    """

    scalars: tuple[int, ...]
    body: bytes

    @property
    def parts(self) -> tuple[bytes, ...]:
        """The body, cut to what one contract's code holds."""
        return tuple(self.body[at : at + PART_BYTES] for at in range(0, len(self.body), PART_BYTES))

    @cached_property
    def digest(self) -> str:
        """The hex name of these parameters, which the contract `Models` computes by itself."""
        head = b"".join(value.to_bytes(32, "big", signed=True) for value in self.scalars)
        hashes = [hashlib.sha256(piece).digest() for piece in (head, *self.parts)]
        return hashlib.sha256(b"".join(hashes)).hexdigest()

    @property
    def fits(self) -> bool:
        """Whether contracts can hold it: not too many parts, inputs or heads."""
        return (
            len(self.body) <= MAX_PARTS * PART_BYTES
            and self.scalars[1] <= MAX_CHAIN_WIDTH
            and self.scalars[2] <= MAX_CHAIN_HEADS
        )


def pack_int16(values: Sequence[int]) -> bytes:
    """Return int16 values as whole words."""
    return struct.pack(f">{len(values)}h", *values) + bytes(-len(values) % LANES * 2)


def pack_inputs(inputs: Sequence[int]) -> tuple[int, ...]:
    """Return int16 inputs as the words that a contract takes, as uint256.

    Raises:
        ModelInputError: an input is not int16, or there are more than 256.
    """
    if not 1 <= len(inputs) <= MAX_CHAIN_WIDTH:
        raise ModelInputError(f"a contract takes 1 to {MAX_CHAIN_WIDTH} inputs, got {len(inputs)}")
    if any(not INT16_LOW <= value <= INT16_HIGH for value in inputs):
        raise ModelInputError("inputs must be int16")
    data = pack_int16(inputs)
    return tuple(int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32))


def unpack_inputs(words: Sequence[int], width: int) -> tuple[int, ...]:
    """Return the inputs that words stand for; the inverse of `pack_inputs`.

    Raises:
        ModelInputError: not as many words as the width asks for, or bits in the padding.
    """
    count = -(-width // LANES)
    if len(words) != count or any(not 0 <= word < 2**256 for word in words):
        raise ModelInputError(f"expected {count} words for {width} inputs, got {len(words)}")
    data = b"".join(word.to_bytes(32, "big") for word in words)
    if any(data[2 * width :]):
        raise ModelInputError("the padding behind the inputs must be zero")
    return struct.unpack(f">{width}h", data[: 2 * width])


def input_commitment(salt: bytes, words: Sequence[int]) -> bytes:
    """Return keccak256(salt || words), 32 bytes: what a request says of its input.

    Args:
        salt: 32 random bytes.
        words: see `pack_inputs`.

    Raises:
        ModelInputError: the salt has another length.
    """
    if len(salt) != SALT_BYTES:
        raise ModelInputError(f"a salt must have {SALT_BYTES} bytes, got {len(salt)}")
    return keccak256(salt + b"".join(word.to_bytes(32, "big") for word in words))
