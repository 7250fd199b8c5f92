"""Keccak-256 as Ethereum uses it (the padding before FIPS 202), so that the base install can check it.

Source: The Keccak reference, version 3.0, sections 1.2 and 2.1; rate 1088, capacity 512, padding 0x01.
"""

from __future__ import annotations

__all__ = ["keccak256"]

_RATE = 136  # bytes absorbed per permutation
_MASK = (1 << 64) - 1


def _round_constants() -> list[int]:
    """The 24 iota constants, from the degree-8 LFSR of the reference (section 1.2)."""
    constants, register = [], 1
    for _ in range(24):
        word = 0
        for j in range(7):
            if register & 1:
                word |= 1 << ((1 << j) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(word)
    return constants


def _rotations() -> list[int]:
    """Rho offsets of the 25 lanes, lane (x, y) at index x + 5 y."""
    offsets = [0] * 25
    x, y = 1, 0
    for t in range(24):
        offsets[x + 5 * y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return offsets


_CONSTANTS = _round_constants()
_OFFSETS = _rotations()
# Where each lane goes in the pi step, with its rotation: (from, to, rotation).
_MOVES = [(x + 5 * y, y + 5 * ((2 * x + 3 * y) % 5), _OFFSETS[x + 5 * y]) for x in range(5) for y in range(5)]


def _permute(lanes: list[int]) -> None:
    for constant in _CONSTANTS:
        column = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        parity = [
            column[(x + 4) % 5] ^ (((column[(x + 1) % 5] << 1) | (column[(x + 1) % 5] >> 63)) & _MASK)
            for x in range(5)
        ]
        moved = [0] * 25
        for source, target, turn in _MOVES:
            lane = lanes[source] ^ parity[source % 5]
            moved[target] = ((lane << turn) | (lane >> (64 - turn))) & _MASK
        for row in range(0, 25, 5):
            a, b, c, d, e = moved[row : row + 5]
            lanes[row : row + 5] = [a ^ (~b & c), b ^ (~c & d), c ^ (~d & e), d ^ (~e & a), e ^ (~a & b)]
        lanes[0] ^= constant


def keccak256(data: bytes) -> bytes:
    """Hash bytes with Keccak-256.

    Args:
        data: any length.

    Returns:
        32 bytes.
    """
    lanes = [0] * 25
    spare = -len(data) % _RATE or _RATE
    padding = b"\x81" if spare == 1 else b"\x01" + bytes(spare - 2) + b"\x80"
    padded = data + padding
    for start in range(0, len(padded), _RATE):
        block = padded[start : start + _RATE]
        for i in range(17):
            lanes[i] ^= int.from_bytes(block[8 * i : 8 * i + 8], "little")
        _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])
