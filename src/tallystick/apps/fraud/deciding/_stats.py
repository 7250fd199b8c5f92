"""What an engine says of itself: counts, speed, what waits, which model, what drifts."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ._decision import ACTIONS

__all__ = ["EngineStats", "Latencies"]

RATE_WINDOW_S: Final = 10
_STEPS: Final = 8  # buckets in each doubling: a quantile is right within 9%
_BUCKETS: Final = 26 * _STEPS  # up to 67 s


@dataclass(frozen=True, slots=True)
class EngineStats:
    """One look at an engine.

    Args:
        decided: decisions by action since the start; repeats not counted.
        repeats: payments that came again.
        refused: payments that were refused, by the code of the error.
        alerts: decisions that were not approvals.
        rate: decisions a second over the last ten seconds.
        p50_us, p99_us: from taking a payment to its durable statement, microseconds; 0 before the first.
        latencies: upper bound in microseconds -> how many took no longer than that and longer than the one before.
        backlog: payments that wait.
        mode: ``normal``, ``confirm``, ``rules`` or ``refuse``.
        model: the champion's hash; empty where rules decide alone.
        challenger: the challenger's hash, or empty.
        rules: digest of the rules and the policy.
        missing: why there is no champion, in words; empty when there is.
        late: payments that came after others with a later time.
        remembered: decided payments that are remembered.
        labels: labels since the start.
        drift: input or ``score`` -> population stability index.
        restored: how the state came to be at the start, in words.
        snapshot: index in the journal up to which the last snapshot holds; 0 for none.
        stopped: why it decides no more, in words; empty while it does.
    """

    decided: Mapping[str, int]
    repeats: int
    refused: Mapping[str, int]
    alerts: int
    rate: float
    p50_us: int
    p99_us: int
    latencies: Mapping[int, int]
    backlog: int
    mode: str
    model: str
    challenger: str
    rules: str
    missing: str
    late: int
    remembered: int
    labels: int
    drift: Mapping[str, float]
    restored: str
    snapshot: int
    stopped: str

    def plain(self) -> dict[str, Any]:
        """Return it as plain data; latencies as a list of pairs."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {
            **told,
            "decided": dict(self.decided),
            "drift": {name: round(index, 4) for name, index in self.drift.items()},
            "latencies": sorted(self.latencies.items()),
            "rate": round(self.rate, 1),
            "refused": dict(self.refused),
        }


class Latencies:
    """A histogram of microseconds with buckets of equal ratio."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS

    def add(self, microseconds: int) -> None:
        """Count one."""
        place = int(math.log2(microseconds) * _STEPS) + 1 if microseconds > 1 else 0
        self._counts[min(place, _BUCKETS - 1)] += 1

    def quantile(self, share: float) -> int:
        """Return the upper bound of the bucket that holds a quantile; 0 when there is nothing."""
        wanted, seen = share * sum(self._counts), 0
        for place, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return _bound(place)
        return 0

    def counts(self) -> dict[int, int]:
        """Return upper bound -> count, of the buckets that are not empty."""
        return {_bound(place): count for place, count in enumerate(self._counts) if count}


def _bound(place: int) -> int:
    return math.ceil(2 ** (place / _STEPS))


@dataclass
class Counters:
    """What is counted while deciding; one lock for all of it."""

    decided: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 0))
    refused: dict[str, int] = field(default_factory=dict)
    repeats: int = 0
    labels: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _seconds: deque[tuple[int, int]] = field(default_factory=deque)

    def refuse(self, code: str) -> None:
        """Count a payment that was refused."""
        with self.lock:
            self.refused[code] = self.refused.get(code, 0) + 1

    def repeat(self) -> None:
        """Count a payment that came again."""
        with self.lock:
            self.repeats += 1

    def batch(self, actions: Mapping[str, int], latencies: list[int], second: int) -> None:
        """Count a batch of decisions."""
        with self.lock:
            for action, count in actions.items():
                self.decided[action] += count
            for latency in latencies:
                self.latencies.add(latency)
            if self._seconds and self._seconds[-1][0] == second:
                self._seconds[-1] = (second, self._seconds[-1][1] + len(latencies))
            else:
                self._seconds.append((second, len(latencies)))
            while self._seconds[0][0] <= second - RATE_WINDOW_S:
                self._seconds.popleft()

    def rate(self, second: int) -> float:
        """Return decisions a second over the last seconds."""
        with self.lock:
            return sum(count for at, count in self._seconds if at > second - RATE_WINDOW_S) / RATE_WINDOW_S
