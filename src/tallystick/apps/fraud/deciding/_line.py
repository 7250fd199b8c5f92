"""The line in which payments wait, and its two workers.

Whoever comes while a batch is on its way waits for the next one, so the wait for the disk is shared by all of them, and
the more come, the larger the batches get. While few wait, one worker judges a batch and makes it durable; while many
wait, it hands the batch over and judges the next one meanwhile. Order is kept: first come, first decided, first written.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from tallystick.errors import OverloadedError

__all__ = ["Line"]

Item = TypeVar("Item")
Batch = TypeVar("Batch")

FEW: Final = 16  # items that are worth a batch at once

_CLOSED: Final = OverloadedError(
    "this engine is closing: it decides no more payments", hint="send it to the engine that takes over"
)


class Line(Generic[Item, Batch]):
    """A bounded line with two workers.

    Args:
        prepare: makes a batch of items, on the first worker; None when nothing is left to finish. Must not raise.
        finish: ends a batch, on either worker, one at a time and in order; must not raise.
        batch: most items of a batch; when half as many wait, the second worker helps.
        waiting: most items that wait.
        name: of the threads.
        gather_s: seconds that a batch of fewer than `FEW` waits for more.
    """

    def __init__(
        self,
        prepare: Callable[[list[Item]], Batch | None],
        finish: Callable[[Batch], None],
        *,
        batch: int,
        waiting: int,
        name: str,
        gather_s: float = 0.0,
    ) -> None:
        self._prepare, self._finish, self._gather_s = prepare, finish, gather_s
        self._batch, self._limit = batch, waiting
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._idle = False  # the first worker waits for items
        self._room_wanted = 0  # callers that wait for room
        self._closing = False
        self._handed: queue.Queue[Batch | None] = queue.Queue(1)
        self._first = threading.Thread(target=self._work, name=f"{name}-decides", daemon=True)
        self._second = threading.Thread(target=self._end, name=f"{name}-records", daemon=True)
        self._second.start()
        self._first.start()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, *, wait: bool = False) -> None:
        """Put an item at the end.

        Args:
            item: what waits.
            wait: wait for room instead of refusing.

        Raises:
            OverloadedError: too many wait, or the line is closing.
        """
        with self._changed:
            while not self._closing and len(self._items) >= self._limit:
                if not wait:
                    raise OverloadedError(
                        f"more than {self._limit} payments wait",
                        hint="try again in a moment, or use more engines",
                    )
                self._room_wanted += 1
                self._changed.wait()
                self._room_wanted -= 1
            if self._closing:
                raise OverloadedError(_CLOSED.message, hint=_CLOSED.hint)
            self._items.append(item)
            if self._idle:
                self._changed.notify_all()

    def flush(self) -> None:
        """Return when all that was handed over is finished; for the first worker alone."""
        self._handed.join()

    def close(self) -> None:
        """Take nothing more, work off what waits, and return when all of it is done."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._first.join()
        self._second.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._items and not self._closing:
                    self._idle = True
                    self._changed.wait()
                self._idle = False
                few = len(self._items) < FEW and not self._closing
            if few and self._gather_s:
                # Without the lock, and without the interpreter: those who bring payments get both.
                time.sleep(self._gather_s)
            with self._changed:
                taken = [self._items.popleft() for _ in range(min(self._batch, len(self._items)))]
                if self._room_wanted:
                    self._changed.notify_all()
            if not taken:
                self._handed.put(None)
                return
            made = self._prepare(taken)
            if made is None:
                continue
            if 2 * len(self._items) >= self._batch:
                # Waits while the batch before is being written: those who come meanwhile make the next one larger.
                self._handed.put(made)
            else:
                # Two workers at once would only halve the batches, and take turns at the interpreter.
                self._handed.join()
                self._finish(made)

    def _end(self) -> None:
        while True:
            made = self._handed.get()
            if made is None:
                self._handed.task_done()
                return
            try:
                self._finish(made)
            finally:
                self._handed.task_done()
