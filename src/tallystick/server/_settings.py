"""What a service allows: sizes, rates, waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tallystick.errors import ConfigurationError

from ._keys import Keys, KeysFile

__all__ = ["ServerSettings"]

MAX_BODY: Final = 4 * 2**20  # bytes that any setting may allow


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Bounds of one service.

    Args:
        keys: who may call it.
        max_body: bytes of a request's body.
        max_batch: payments of one request.
        max_waiting: payments that wait for their decision at once; more are told to come back.
        requests_per_s: of one key without a limit of its own; payments of a batch count each.
        burst_s: seconds of that rate that may come at once.
        answer_s: seconds after which a request without a decision is told to ask again.
        read_s: seconds in which a request's body must have come.
        open_metrics: whether ``/metrics`` needs no key.
        log: takes lines of JSON, without personal data; nothing is logged when None.

    Raises:
        ConfigurationError: a bound that is none.
    """

    keys: Keys | KeysFile = field(default_factory=Keys)
    max_body: int = 1024 * 1024
    max_batch: int = 500
    max_waiting: int = 2_000
    requests_per_s: float = 5_000.0
    burst_s: float = 2.0
    answer_s: float = 5.0
    read_s: float = 10.0
    open_metrics: bool = False
    log: Callable[[bytes], object] | None = None

    def __post_init__(self) -> None:
        if not 1024 <= self.max_body <= MAX_BODY or not 1 <= self.max_batch <= 10_000:
            raise ConfigurationError(
                f"a body may have 1024 to {MAX_BODY} bytes, a batch 1 to 10,000 payments"
            )
        if self.max_waiting < 1 or min(self.requests_per_s, self.burst_s, self.answer_s, self.read_s) <= 0:
            raise ConfigurationError("rates and waits must be > 0")
