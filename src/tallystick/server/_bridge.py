"""From the engine's thread to the event loop: many answers, one wake-up.

The engine answers a batch at a time. Each answer is put on a list that both threads may touch, and the loop is woken
once for all that are there. A crash here is safe: an answer that is not handed over was never acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from tallystick.apps.fraud.deciding import Decision
from tallystick.apps.fraud.payments import Payment
from tallystick.errors import OverloadedError

__all__ = ["Bridge"]

SWEEP_S = 0.25


class Bridge:
    """Asks the engine, for one event loop.

    Args:
        submit: takes a payment, gives a future that another thread sets.
        loop: the loop that answers are wanted in.
        max_waiting: payments that may wait at once.
        answer_s: seconds after which one that still waits is told to ask again.
        decided: is told of every new decision, also of one that nobody waits for any more; nobody when None.
    """

    def __init__(
        self,
        submit: Callable[[Payment], Future[Decision]],
        loop: asyncio.AbstractEventLoop,
        *,
        max_waiting: int,
        answer_s: float,
        decided: Callable[[Decision], object] | None = None,
    ) -> None:
        self._submit, self.loop = submit, loop
        self._max_waiting, self._answer_s = max_waiting, answer_s
        self._decided = decided
        self._told: deque[tuple[asyncio.Future[Decision], Future[Decision]]] = deque()
        self._is_woken = False
        self._waiting: dict[asyncio.Future[Decision], float] = {}  # the oldest first
        self._sweeper: asyncio.TimerHandle | None = None
        self.hand_overs = 0

    @property
    def waiting(self) -> int:
        """How many payments wait for their decision."""
        return len(self._waiting)

    def ask(self, payment: Payment) -> asyncio.Future[Decision]:
        """Have a payment decided; call it in the loop.

        Raises:
            OverloadedError: too many wait already.
        """
        if len(self._waiting) >= self._max_waiting:
            raise OverloadedError(
                "too many payments wait for a decision", hint="send it again a little later"
            )
        done = self._submit(payment)
        mine: asyncio.Future[Decision] = self.loop.create_future()
        self._waiting[mine] = self.loop.time() + self._answer_s
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(SWEEP_S, self._sweep)
        done.add_done_callback(partial(self._tell, mine))
        return mine

    def _tell(self, mine: asyncio.Future[Decision], done: Future[Decision]) -> None:
        """Take an answer, in the engine's thread."""
        self._told.append((mine, done))
        if not self._is_woken:
            self._is_woken = True
            try:
                self.loop.call_soon_threadsafe(self._hand_over)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._told.clear()

    def _hand_over(self) -> None:
        # Before the list is emptied: whoever comes after this line wakes the loop again.
        self._is_woken = False
        self.hand_overs += 1
        while self._told:
            mine, done = self._told.popleft()
            self._waiting.pop(mine, None)
            error = done.exception()
            if error is None:
                decision = done.result()
                if self._decided is not None and not decision.repeat:
                    self._decided(decision)
                if not mine.done():
                    mine.set_result(decision)
            elif not mine.done():
                mine.set_exception(error)

    def _sweep(self) -> None:
        """Tell those who waited too long to ask again; their payments may still be decided, once."""
        now = self.loop.time()
        while self._waiting:
            mine, until = next(iter(self._waiting.items()))
            if until > now:
                break
            del self._waiting[mine]
            if not mine.done():
                mine.set_exception(
                    OverloadedError(
                        "no decision in time", hint="send the same payment again: it is decided once"
                    )
                )
        self._sweeper = self.loop.call_later(SWEEP_S, self._sweep) if self._waiting else None

    def close(self) -> None:
        """Stop looking after those who wait."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
