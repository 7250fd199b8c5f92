"""What a benchmark says: one row per figure, with the reach that it must have and its peers of the same run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Args:
        name: what was measured, ``bench`` or ``bench/part``.
        value: the figure, median of the runs.
        unit: for instance ``1/s``, ``MB``, ``x``.
        reach: what it must reach.
        sense: whether more or less is better.
        peers: the same work done by others in this run, in the same unit.
    """

    name: str
    value: float
    unit: str
    reach: float
    sense: Literal[">=", "<="]
    peers: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the reach is reached."""
        return self.value >= self.reach if self.sense == ">=" else self.value <= self.reach
