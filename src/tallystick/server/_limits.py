"""How often one key may ask: a token bucket for each, on a clock that never goes back."""

from __future__ import annotations

import time
from collections.abc import Callable

from tallystick.errors import RateLimitError

from ._keys import ApiKey

__all__ = ["RateLimits"]


class RateLimits:
    """One bucket for every key.

    Args:
        per_second: of a key without a limit of its own.
        burst_s: seconds of the rate that may come at once.
        now: seconds, never going back.
    """

    def __init__(
        self, per_second: float, burst_s: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst_s, self._now = per_second, burst_s, now
        self._buckets: dict[str, tuple[float, float]] = {}  # key -> tokens, when counted

    def take(self, key: ApiKey, count: int = 1) -> None:
        """Take so many tokens.

        Raises:
            RateLimitError: there are not enough; nothing was taken. Its ``wait_s`` says when there will be.
        """
        rate = key.per_second or self._per_second
        full = max(rate * self._burst_s, 1.0)
        now = self._now()
        tokens, then = self._buckets.get(key.id, (full, now))
        tokens = min(full, tokens + (now - then) * rate)
        # What is larger than a full bucket may go when the bucket is full, and leaves it in debt.
        if tokens < min(count, full):
            self._buckets[key.id] = tokens, now
            raise SlowDownError((min(count, full) - tokens) / rate)
        self._buckets[key.id] = tokens - count, now


class SlowDownError(RateLimitError):
    """More asks than a key may make; ``wait_s`` says when to ask again."""

    hint = "wait as long as Retry-After says"

    def __init__(self, wait_s: float) -> None:
        super().__init__("more requests than this key may make in this time")
        self.wait_s = wait_s
