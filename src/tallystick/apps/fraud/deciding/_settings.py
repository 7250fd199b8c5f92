"""How an engine works: sizes and limits."""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.errors import ConfigurationError

from ._placing import TIMES, Times

__all__ = ["EngineSettings"]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine works.

    Args:
        batch: most payments that are judged and made durable together, 1 to 256.
        waiting: most payments that wait; one more is refused.
        ahead_s: seconds that a payment's time may lie ahead of this clock.
        times: when windows and shared signals count a payment: ``received``, when it came, whatever time it names; or
            ``named``, for a history that is played.
        remember: decided payments that are remembered at least; about 150 bytes each, and up to twice as many.
        snapshot_every: decisions after which a snapshot is written; 0 for none but at the end.
        gather_us: microseconds, at most 100,000, that a small batch waits for more; a batch costs 1 to 2 ms whatever it
            holds, so this is won back as soon as payments come from more than one caller. 0 waits for nobody.

    Raises:
        ConfigurationError: one is out of its range.
    """

    batch: int = 128
    waiting: int = 4096
    ahead_s: int = 300
    times: Times = "received"
    remember: int = 1_000_000
    snapshot_every: int = 50_000
    gather_us: int = 500

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= 256 or self.waiting < 1 or self.ahead_s < 0 or self.snapshot_every < 0:
            raise ConfigurationError(
                "an engine takes batches of 1 to 256, lets 1 or more wait, and counts seconds and decisions from 0"
            )
        if self.times not in TIMES:
            raise ConfigurationError(f"times must be {' or '.join(TIMES)}")
        if not 0 <= self.gather_us <= 100_000:
            raise ConfigurationError(f"gather_us must be 0 to 100,000, got {self.gather_us}")
