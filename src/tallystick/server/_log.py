"""The service's log: one line of JSON a request, with nothing of a payment or a person in it."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import orjson

from tallystick.apps.fraud.deciding import Decision
from tallystick.errors import TallystickError

__all__ = ["RequestLog"]

FLUSH_S: Final = 0.2
FLUSH_LINES: Final = 512


class RequestLog:
    """Gathers lines and writes them a few times a second: a write for every line would cost more than the line.

    Args:
        write: takes lines; nothing is kept when None.
    """

    def __init__(self, write: Callable[[bytes], object] | None) -> None:
        self._write = write
        self._lines: list[dict[str, Any]] = []
        self._flusher: asyncio.TimerHandle | None = None

    def note(self, request: str, status: int, seconds: float, key: str, decision: Decision | None) -> None:
        """Note an answer: which key, which status, how long; and of a decision its statement and its action."""
        if self._write is None:
            return
        line: dict[str, Any] = {
            "at": time.time_ns() // 1_000_000,
            "key": key,
            "ms": round(seconds * 1000, 2),
            "request": request,
            "status": status,
        }
        if decision is not None:
            line["action"], line["statement"] = decision.action, decision.statement
        self._take(line)

    def fault(self, request: str, error: Exception) -> None:
        """Note what went wrong: its code, and of what nobody expected its kind and where, never its text."""
        if self._write is None:
            return
        line: dict[str, Any] = {"at": time.time_ns() // 1_000_000, "request": request}
        if isinstance(error, TallystickError):
            line["error"] = error.code
        else:
            line["error"] = "defect"
            line["kind"] = type(error).__name__
            places = traceback.extract_tb(error.__traceback__)[-4:]
            line["where"] = [f"{place.name}:{place.lineno}" for place in places]
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        if len(self._lines) >= FLUSH_LINES:
            self.flush()
        elif self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        if self._write is not None and self._lines:
            lines, self._lines = self._lines, []
            # A log that cannot be written must keep neither answers nor the end of the service from anybody.
            with suppress(OSError):
                self._write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
