"""How soon a network with parties at work on it goes on: after one validator's kill, and after a cut in halves heals.

The same faults as in `make faults`, by the same functions; a fault that was not borne ends the bench.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

from faults.cuts import halves
from faults.rows import FaultRow
from faults.stage import Ground
from faults.validators import kill_one

from benchmarks.rows import Row

__all__ = ["network_resume"]

KILL_REACH_S, HEAL_REACH_S = 10.0, 20.0
TURNS = 3


def network_resume(scale: float) -> list[Row]:
    """Kill one of four, and cut two from two, medians.

    Args:
        scale: below 1 tries each once.
    """
    turns = TURNS if scale >= 1 else 1
    with Ground(lambda text: print(text, file=sys.stderr)) as ground:
        killed = _tried(kill_one, ground, turns)
        cut = _tried(halves, ground, turns)
    rows = [
        # the longest time in which some party got nothing settled, and not only the first time that one did again
        _row("network-resume/kill", [row.unsettled_s for row in killed], KILL_REACH_S, killed),
    ]
    if cut[0].skipped:
        return [*rows, Row(f"network-resume/cut: NOT TRIED, {cut[0].skipped}", 0.0, "s", HEAL_REACH_S, "<=")]
    return [*rows, _row("network-resume/cut healed", [row.recovery_s for row in cut], HEAL_REACH_S, cut)]


def _tried(fault: Callable[[Ground], list[FaultRow]], ground: Ground, turns: int) -> list[FaultRow]:
    rows = [row for _ in range(turns) for row in fault(ground)]
    for row in rows:
        if not row.holds:
            raise SystemExit(f"{row.fault}: {row.lost} lost, {row.duplicated} twice; {'; '.join(row.wrong)}")
    return rows


def _row(name: str, seconds: list[float], reach: float, rows: list[FaultRow]) -> Row:
    return Row(
        name,
        statistics.median(seconds),
        "s",
        reach,
        "<=",
        {"worst": max(seconds), "no block": statistics.median(row.no_block_s for row in rows)},
    )
