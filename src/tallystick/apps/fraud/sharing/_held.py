"""Payees that a member's hold stands on, as a decision asks for them: from memory, never from the chain.

Somebody else's reader looks at the chain beside the decisions, every second or so. When it could not look for too long,
nothing is known of holds, and that is said.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, Protocol

from tallystick.errors import TallystickError
from tallystick.proof import Clock, system_clock

__all__ = ["HeldPayees", "HoldsReader"]

STALE_S: Final = 30.0
_SECOND: Final = 1_000_000


class HoldsReader(Protocol):
    """Who reads the open holds; `holding.HeldTokens` is one."""

    def look(self) -> Mapping[bytes, int]:
        """Return token -> end of the hold, microseconds; raises `TallystickError` when it cannot."""
        ...

    def close(self) -> None:
        """Let go of what it reads from."""
        ...


class HeldPayees:
    """The open holds as of the last look.

    Args:
        reader: reads them.
        stale_s: seconds after the last look from which on nothing is known.
        clock: microseconds.
    """

    def __init__(self, reader: HoldsReader, *, stale_s: float = STALE_S, clock: Clock = system_clock) -> None:
        self._reader, self._stale, self._clock = reader, int(stale_s * _SECOND), clock
        self._held: Mapping[bytes, int] = {}
        self._looked_at: int | None = None
        self._trouble = "holds were not read yet"
        self._lock = threading.Lock()

    def look(self) -> bool:
        """Look at the chain now; False when that failed, see `trouble`. One look at a time."""
        with self._lock:
            try:
                self._held = self._reader.look()
            except TallystickError as error:
                self._trouble = f"holds cannot be read: {error.message}"
            except Exception as error:  # noqa: BLE001 - a client library's own error must not end the looking
                self._trouble = f"holds cannot be read: {type(error).__name__}"
            else:
                self._looked_at, self._trouble = self._clock(), ""
            return not self._trouble

    def is_held(self, token: bytes, at: int) -> bool:
        """Whether a hold stands on a payee at a moment; asks nobody."""
        return self._held.get(token, 0) > at

    @property
    def is_known(self) -> bool:
        """Whether the last look is young enough."""
        return self._looked_at is not None and self._clock() - self._looked_at <= self._stale

    @property
    def trouble(self) -> str:
        """What is wrong; empty when nothing is."""
        return self._trouble or ("" if self.is_known else "holds were not read for too long")

    @property
    def count(self) -> int:
        """How many payees are held, as of the last look."""
        now = self._clock()
        return sum(until > now for until in self._held.values())

    def close(self) -> None:
        """Let go of the chain."""
        with self._lock:
            self._reader.close()
