"""How a live shadow works, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.errors import ConfigurationError

__all__ = ["LiveSettings", "LiveStats"]


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How a live shadow works.

    Args:
        batch: most observations that are made durable together, >= 1.
        waiting: most that wait; one more is refused.
        ahead_s: seconds that a payment's time may lie ahead of this clock.
        remember: payments that are remembered at least; about 150 bytes each, and up to twice as many. An older one
            that is not remembered is refused: nobody could tell whether it was stated.
        snapshot_every: statements after which a snapshot is written, where they are kept.
        asking: most requests to a scorer behind HTTP at a time.

    Raises:
        ConfigurationError: one is out of its range.
    """

    batch: int = 256
    waiting: int = 4096
    ahead_s: int = 300
    remember: int = 1_000_000
    snapshot_every: int = 50_000
    asking: int = 8

    def __post_init__(self) -> None:
        if (
            min(self.batch, self.waiting, self.remember, self.snapshot_every, self.asking) < 1
            or self.ahead_s < 0
        ):
            raise ConfigurationError("a live shadow counts seconds from 0, and everything else from 1")


@dataclass(frozen=True, slots=True)
class LiveStats:
    """How a live shadow stands.

    Args:
        observed: stated since the start.
        repeats: asked again since the start.
        labels: stated since the start.
        late: taken by the windows later than their bound.
        waiting: on their way.
        remembered: payments.
        taken: payments that were taken again from the journal at the start, those of a snapshot left out.
        unread: observations in the journal that were erased.
        stopped: why nothing is stated any more; empty while it is.
    """

    observed: int
    repeats: int
    labels: int
    late: int
    waiting: int
    remembered: int
    taken: int
    unread: int
    stopped: str
