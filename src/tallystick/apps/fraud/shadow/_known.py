"""Which payments stand in the journal, and where: so that none is stated twice. Bounded, and the bound is stated.

- An entry is 16 bytes of SHA-256 of the payment's id -> index of its statement; about 150 bytes of memory.
- At least `least` entries are kept, at most twice as many: two generations, the older of which goes as a whole.
- `forgotten_until` is the latest time of a payment that was forgotten: whoever comes with an older one that is not
  found here may have been stated before.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from tallystick.errors import ConfigurationError, DamagedError

__all__ = ["Known", "key_of"]

KEY: Final = 16  # bytes
_HEAD: Final = struct.Struct(">5Q")
_INDEX: Final = 8


def key_of(payment_id: str) -> bytes:
    """Return what a payment is remembered by."""
    return hashlib.sha256(payment_id.encode()).digest()[:KEY]


class Known:
    """Keys of payments and the indexes of their statements.

    Args:
        least: entries that are kept at least, >= 1.

    Raises:
        ConfigurationError: `least` is below 1.
    """

    def __init__(self, least: int = 1_000_000) -> None:
        if least < 1:
            raise ConfigurationError("at least one payment must be remembered")
        self._least = least
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._young_until = self._old_until = 0  # latest time of a payment in each generation
        self.forgotten_until = 0
        """Latest time of a payment that was forgotten, microseconds; 0 when none was."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: bytes) -> int | None:
        """Return the index of the statement; None when it is not remembered."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def add(self, key: bytes, index: int, at: int) -> None:
        """Remember a statement.

        Args:
            key: see `key_of`.
            index: the statement's, in the journal.
            at: the payment's time, microseconds.
        """
        if len(self._young) >= self._least:
            self.forget(self._old_until)
            self._old, self._old_until = self._young, self._young_until
            self._young, self._young_until = {}, 0
        self._young[key] = index
        self._young_until = max(self._young_until, at)

    def forget(self, until: int) -> None:
        """Say that payments up to a time, microseconds, may have been stated without being found here."""
        self.forgotten_until = max(self.forgotten_until, until)

    def format_state(self) -> bytes:
        """Return all of it as bytes; `parse_state` reads them."""
        parts = [
            _HEAD.pack(
                len(self._old), len(self._young), self._old_until, self._young_until, self.forgotten_until
            )
        ]
        for generation in (self._old, self._young):
            parts += [b"".join(generation), struct.pack(f">{len(generation)}Q", *generation.values())]
        return b"".join(parts)

    @staticmethod
    def parse_state(data: bytes, least: int = 1_000_000) -> Known:
        """Read what `format_state` gave.

        Raises:
            DamagedError: it is not that.
        """
        made = Known(least)
        old, young, *until = _HEAD.unpack_from(data) if len(data) >= _HEAD.size else (0, 0)
        if len(data) != _HEAD.size + (old + young) * (KEY + _INDEX):
            raise DamagedError("the memory of observed payments has another size than it says")
        made._old = _generation(data, _HEAD.size, old)
        made._young = _generation(data, _HEAD.size + old * (KEY + _INDEX), young)
        made._old_until, made._young_until, made.forgotten_until = until
        return made


def _generation(data: bytes, place: int, count: int) -> dict[bytes, int]:
    keys = (data[at : at + KEY] for at in range(place, place + KEY * count, KEY))
    return dict(zip(keys, struct.unpack_from(f">{count}Q", data, place + KEY * count), strict=True))
