"""A state as bytes: numbers, then each kind's names and records in their order, then a checksum over all.

    "tallystick/feat" 0x01 | 11 numbers, signed 64 bits | for each kind: count, bytes of names, bytes of records (u64),
    the names' lengths (u8 each), the records' lengths (u32 each), names (ASCII), records | BLAKE2b-256 of all before

All numbers are little-endian.
"""

from __future__ import annotations

import hmac
import sys
from array import array
from hashlib import blake2b
from itertools import accumulate
from struct import Struct
from typing import Final

from tallystick.errors import DamagedError, UnknownFormatError

__all__ = ["Kept", "format_kept", "parse_kept"]

Kept = dict[str, bytes]
"""One kind's records by name, the longest idle first."""

_WORD: Final = b"tallystick/feat"
_VERSION: Final = 1
_NUMBERS: Final = Struct("<11q")
_SIZES: Final = Struct("<3Q")
_CHECK: Final = 32  # bytes
_PIECES: Final = 8_192
_HINT: Final = "take an older snapshot, or take the payments again"


def format_kept(numbers: tuple[int, ...], kinds: tuple[Kept, ...]) -> bytes:
    """Return numbers and records as bytes."""
    parts = [_WORD, bytes((_VERSION,)), _NUMBERS.pack(*numbers)]
    for kept in kinds:
        lengths = array("I", map(len, kept.values()))
        records = sum(lengths)
        if sys.byteorder == "big":
            lengths.byteswap()
        names = "".join(kept).encode("ascii")
        parts += (
            _SIZES.pack(len(kept), len(names), records),
            bytes(map(len, kept)),
            lengths.tobytes(),
            names,
        )
        parts += kept.values()
    # A state may be a gigabyte: it is joined once, and hashed in pieces that are small.
    check = blake2b(digest_size=_CHECK)
    for start in range(0, len(parts), _PIECES):
        check.update(b"".join(parts[start : start + _PIECES]))
    parts.append(check.digest())
    return b"".join(parts)


def parse_kept(data: bytes, kinds: int) -> tuple[tuple[int, ...], tuple[Kept, ...]]:
    """Read what `format_kept` gave.

    Raises:
        DamagedError: it is not that, byte for byte.
        UnknownFormatError: another version wrote it.
    """
    head = len(_WORD) + 1
    if data[: len(_WORD)] != _WORD:
        raise DamagedError("this is not a state of features", hint=_HINT)
    if data[head - 1 : head] != bytes((_VERSION,)):
        raise UnknownFormatError(f"a state of features must be of version {_VERSION}")
    check = blake2b(memoryview(data)[:-_CHECK], digest_size=_CHECK).digest()
    if not hmac.compare_digest(check, data[-_CHECK:]):
        raise DamagedError("the state of features is damaged: its checksum is wrong", hint=_HINT)
    end = len(data) - _CHECK
    place = head + _NUMBERS.size
    if place > end:
        raise DamagedError("the state of features is cut off", hint=_HINT)
    numbers = _NUMBERS.unpack_from(data, head)
    found = []
    for _ in range(kinds):
        kept, place = _kept(data, place, end)
        found.append(kept)
    if place != end:
        raise DamagedError("the state of features is longer than it says", hint=_HINT)
    return numbers, tuple(found)


def _kept(data: bytes, place: int, end: int) -> tuple[Kept, int]:
    if place + _SIZES.size > end:
        raise DamagedError("the state of features is cut off", hint=_HINT)
    count, names_size, records_size = _SIZES.unpack_from(data, place)
    place += _SIZES.size
    if place + 5 * count + names_size + records_size > end:
        raise DamagedError("the state of features is cut off", hint=_HINT)
    name_lengths = data[place : place + count]
    lengths = Struct(f"<{count}I").unpack_from(data, place + count)
    place += 5 * count
    if sum(name_lengths) != names_size or sum(lengths) != records_size:
        raise DamagedError("the state of features has other sizes than it says", hint=_HINT)
    try:
        names = data[place : place + names_size].decode("ascii")
    except UnicodeDecodeError:
        raise DamagedError("the state of features has a name that cannot be", hint=_HINT) from None
    place += names_size
    name_ends, ends = accumulate(name_lengths), accumulate(lengths, initial=place)
    kept = {
        names[name_end - size : name_end]: data[start : start + length]
        for name_end, size, start, length in zip(name_ends, name_lengths, ends, lengths, strict=False)
    }
    if len(kept) != count:
        raise DamagedError("the state of features names somebody twice", hint=_HINT)
    return kept, place + records_size
