"""Hashing a journal again behind its start, so that a service answers at once and still hears of old damage.

What is checked ends at the head of the beginning; the journal can be written to meanwhile. Damage is said loudly, in the
log and to whoever asks, and stops nothing: an old entry that a disk lost is no reason not to record new ones, and every
read of it refuses by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tallystick.errors import TallystickError
from tallystick.proof import Journal, Rehashed

__all__ = ["Rehashing"]

_log = logging.getLogger(__name__)


class _StoppedError(Exception):
    """Nobody waits for the rest."""


class Rehashing:
    """One pass over a journal in a thread of its own.

    Args:
        journal: open; close it only after `stop`.
        share: how much of one core it may take at most, above 0 and up to 1.
        tell: called once when it is done or has found damage, from its thread.

    Attributes:
        size: entries in all.
        done: entries hashed so far.
        result: what was hashed, when all of it is whole.
        error: what is wrong; the message names the entry.
    """

    def __init__(
        self, journal: Journal, *, share: float = 0.5, tell: Callable[[Rehashing], None] | None = None
    ) -> None:
        self.size, self.done = journal.size, 0
        self.result: Rehashed | None = None
        self.error: TallystickError | None = None
        self._journal, self._share, self._tell = journal, share, tell
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._worked_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="tallystick-rehashing", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether it came to an end: all whole, damage found, or stopped."""
        return self._ended.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; whether it came."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """End it early and return when it has ended."""
        self._stopping.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            self.result = self._journal.verify(self._pace)
            _log.info("all %d entries were hashed again and are whole", self.result.size)
        except _StoppedError:
            pass
        except TallystickError as error:
            self.error = error
            _log.error("the journal is damaged: %s; %s", error, error.hint)
        finally:
            self._ended.set()
            if self._tell is not None and not self._stopping.is_set():
                self._tell(self)

    def _pace(self, done: int, size: int) -> None:
        self.done = done
        worked = time.monotonic() - self._worked_at
        # Those who answer need the interpreter more than this does.
        if self._stopping.wait(worked * (1 / self._share - 1)):
            raise _StoppedError
        self._worked_at = time.monotonic()
