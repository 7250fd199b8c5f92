"""What one injected fault did: how long the network stood, how long it took to mend, and what was lost or doubled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["HEADING", "FaultRow", "line", "plain"]

HEADING = (
    f"{'fault':<40} {'held s':>7} {'no block':>9} {'unsettled':>10} {'resumed':>8} {'recovery':>9} "
    f"{'said':>6} {'anchors':>8} {'lost':>5} {'twice':>6}"
)


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault.

    Args:
        fault: what was done.
        held_s: how long the fault lasted, from the harm to the mending.
        no_block_s: the longest time without a new block at any endpoint, from the harm to the recovery.
        unsettled_s: the longest time in which a party got no statement settled, from the harm to the recovery.
        resumed_s: from the harm until every party had settled a statement made after it, while the fault lasted;
            None where it must not, because too few validators are left.
        recovery_s: from the mending until all validators stood at one new block with one hash, and every party had
            settled a statement made after the mending.
        said: acknowledged statements, since the parties started.
        anchors: anchors of these parties on chain.
        lost: acknowledged statements or anchors that are not there, or do not verify to a final anchor.
        duplicated: statements or anchors that are there twice, and transactions that were mined without need.
        wrong: what else must not be, for instance a block while none can be agreed on.
        skipped: why nothing was tried; every figure is 0 then.
    """

    fault: str
    held_s: float = 0.0
    no_block_s: float = 0.0
    unsettled_s: float = 0.0
    resumed_s: float | None = None
    recovery_s: float = 0.0
    said: int = 0
    anchors: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, doubled or otherwise wrong; what was not tried neither holds nor fails."""
        if self.skipped:
            return True
        # without a statement and an anchor on it, nothing could have been lost
        return not (self.lost or self.duplicated or self.wrong) and self.said > 0 and self.anchors > 0


def plain(row: FaultRow) -> dict[str, Any]:
    """The row as JSON shows it."""
    return {**asdict(row), "holds": row.holds}


def line(row: FaultRow) -> str:
    """The row as the table shows it."""
    if row.skipped:
        return f"{row.fault:<40} SKIPPED: {row.skipped}"
    resumed = "-" if row.resumed_s is None else f"{row.resumed_s:.1f}"
    told = (
        f"{row.fault:<40} {row.held_s:>7.1f} {row.no_block_s:>9.1f} {row.unsettled_s:>10.1f} {resumed:>8} "
        f"{row.recovery_s:>9.1f} {row.said:>6} {row.anchors:>8} {row.lost:>5} {row.duplicated:>6}"
    )
    return told if row.holds else f"{told}  WRONG: {'; '.join(row.wrong) or 'lost, doubled or nothing tried'}"
