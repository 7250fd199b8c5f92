"""Faults of single validators: killed, stopped, wiped, restarted one after another."""

from __future__ import annotations

from faults.rows import FaultRow
from faults.stage import MEMBERS, Ground

__all__ = ["kill_one"]


def kill_one(ground: Ground) -> list[FaultRow]:
    """Kill -9 one of four: the others go on without it, and it catches up when it is back."""
    stage = ground.stage()
    with stage.trial("kill -9 one validator") as trial:
        stage.network.kill(0)
        trial.broken()
        trial.resumes()
        trial.blocks(MEMBERS + 1)  # its turn to propose comes, and is waited for in vain
        stage.network.start(0)
        trial.mended()
        trial.recovers()
    return [trial.row]
