"""How much a member may ask, and exact counts that are stated a batch at a time.

A token bucket per asker: it holds `burst` points, and `per_second` more flow in. What is taken is points, not
requests. The level is kept in memory: a restart gives everybody one burst.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tallystick.errors import ConfigurationError, RateLimitError
from tallystick.proof import Draft

__all__ = ["Allowances", "Limits", "Tally"]

SECOND: Final = 1_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Limits:
    """What one member may ask of another.

    Args:
        per_second: points a second in the long run; 1 is 86,400 new payees a day.
        burst: points at once.
    """

    per_second: float = 1.0
    burst: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.per_second <= 1_000_000 or not 1 <= self.burst <= 100_000_000:
            raise ConfigurationError("a rate must be above 0 and a burst at least 1 point")

    def seconds_for(self, points: int) -> float:
        """The least time in which one asker can ask for so many points."""
        return max(0.0, (points - self.burst) / self.per_second)


class Allowances:
    """One token bucket per asker; the caller holds a lock."""

    def __init__(self, limits: Callable[[str], Limits]) -> None:
        self._limits = limits
        self._levels: dict[str, tuple[float, int]] = {}  # asker -> points left, when

    def take(self, asker: str, points: int, *, now: int) -> None:
        """Take points, all or none.

        Raises:
            RateLimitError: there are not so many left; the hint says when there will be.
        """
        limits = self._limits(asker)
        level, before = self._levels.get(asker, (float(limits.burst), now))
        # A clock that steps back gives nothing and takes nothing.
        level = min(limits.burst, level + max(0, now - before) / SECOND * limits.per_second)
        if level < points:
            self._levels[asker] = (level, max(now, before))
            wait = (points - level) / limits.per_second
            raise RateLimitError(
                f"expected at most {limits.per_second:g} look-ups a second after {limits.burst} at once",
                hint=f"ask again in {wait:.0f} s, or for less"
                if points <= limits.burst
                else "ask for less at once",
            )
        self._levels[asker] = (level - points, max(now, before))


class Tally:
    """Counts by what they are about, turned into statements when enough of them or enough time has come together.

    Args:
        kind: of the statements.
        points: this many counted points are stated at once; 1 states each request before its answer leaves.
        period: a count waits at most so many microseconds, if anything is counted or `due` is asked after it.
    """

    def __init__(self, kind: str, *, points: int, period: int) -> None:
        self._kind, self._points, self._period = kind, points, period
        self._counts: dict[tuple[str, str, int], list[int]] = {}
        self._since, self._total = 0, 0

    def add(self, party: str, purpose: str, epoch: int, count: int, *, now: int, refused: int = 0) -> None:
        """Count points that were served or asked, and those that were refused."""
        if not self._counts:
            self._since = now
        counted = self._counts.setdefault((party, purpose, epoch), [0, 0])
        counted[0] += count
        counted[1] += refused
        self._total += count + refused

    def due(self, now: int) -> bool:
        """Say whether it is time to state."""
        return bool(self._counts) and (self._total >= self._points or now - self._since >= self._period)

    def drafts(self, label: str) -> list[Draft]:
        """Return what is to be stated; `clear` follows when it is durable.

        Args:
            label: what the party is in the body: ``asker`` or ``member``.
        """
        return [
            Draft(
                self._kind,
                {"count": count, "epoch": epoch, label: party, "purpose": purpose}
                | ({"refused": refused} if refused else {}),
            )
            for (party, purpose, epoch), (count, refused) in sorted(self._counts.items())
        ]

    def clear(self) -> None:
        """Forget what is stated."""
        self._counts, self._total = {}, 0
