"""Which payments were decided, and where: so that the same message twice is decided once.

- An entry is 16 bytes of SHA-256 of the payment's id -> index of its statement; about 150 bytes of memory. Content is
  compared with the statement's own payload.
- At least `least` entries are kept, at most twice as many: two generations, the older of which goes as a whole.
- Beyond that, a payment whose time is not after the latest that was forgotten is refused: nobody could tell whether
  it was decided. So no payment is decided twice, ever; an id that is used again for another payment is noticed as
  long as the first one is kept.
"""

from __future__ import annotations

import hashlib
from typing import Final

from tallystick.errors import ConfigurationError

__all__ = ["Remembered", "payment_key"]

KEY: Final = 16  # bytes
_HEAD: Final = 8


def payment_key(payment_id: str) -> bytes:
    """Return what a payment is remembered by."""
    return hashlib.sha256(payment_id.encode()).digest()[:KEY]


class Remembered:
    """Keys of decided payments, bounded.

    Args:
        least: entries that are kept at least, >= 1.
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
        """Return the index of the statement, None when it is not remembered."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def add(self, key: bytes, index: int, at: int) -> None:
        """Remember a decided payment.

        Args:
            key: see `payment_key`.
            index: its statement's, in the journal.
            at: the payment's time, microseconds.
        """
        if len(self._young) >= self._least:
            self.forget(self._old_until)
            self._old, self._old_until = self._young, self._young_until
            self._young, self._young_until = {}, 0
        self._young[key] = index
        self._young_until = max(self._young_until, at)

    def forget(self, until: int) -> None:
        """Refuse payments that are not remembered, up to a time: one of them may have been decided.

        Args:
            until: microseconds.
        """
        self.forgotten_until = max(self.forgotten_until, until)

    def copy(self) -> Remembered:
        """Return a copy that later additions do not change; the older generation is shared, it is only read."""
        made = Remembered(self._least)
        made._old, made._young = self._old, dict(self._young)
        made._old_until, made._young_until = self._old_until, self._young_until
        made.forgotten_until = self.forgotten_until
        return made

    def format_state(self) -> bytes:
        """Return all of it as bytes; `parse_state` reads them."""
        head = (len(self._old), len(self._young), self._old_until, self._young_until, self.forgotten_until)
        parts = [number.to_bytes(_HEAD, "big") for number in head]
        for generation in (self._old, self._young):
            parts.append(b"".join(generation))
            parts.append(b"".join(index.to_bytes(_HEAD, "big") for index in generation.values()))
        return b"".join(parts)

    @staticmethod
    def parse_state(data: bytes, least: int = 1_000_000) -> Remembered:
        """Read what `format_state` gave.

        Raises:
            ConfigurationError: it is not that.
        """
        numbers = [int.from_bytes(data[at : at + _HEAD], "big") for at in range(0, 5 * _HEAD, _HEAD)]
        old, young = numbers[0], numbers[1]
        if len(data) != 5 * _HEAD + (old + young) * (KEY + _HEAD):
            raise ConfigurationError("the memory of decided payments has another size than it says")
        made, place = Remembered(least), 5 * _HEAD
        made._old, place = _generation(data, place, old)
        made._young, place = _generation(data, place, young)
        made._old_until, made._young_until, made.forgotten_until = numbers[2:]
        return made


def _generation(data: bytes, place: int, count: int) -> tuple[dict[bytes, int], int]:
    indexes = place + count * KEY
    made = {
        data[place + KEY * at : place + KEY * (at + 1)]: int.from_bytes(
            data[indexes + _HEAD * at : indexes + _HEAD * (at + 1)], "big"
        )
        for at in range(count)
    }
    return made, indexes + count * _HEAD
