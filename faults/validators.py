"""Faults of single validators: killed, stopped, wiped, restarted one after another."""

from __future__ import annotations

import time

from faults.rows import FaultRow
from faults.stage import MEMBERS, Ground

__all__ = ["kill_one", "kill_two", "pause", "rolling", "wipe"]

PAUSE_S = 30.0
STAND_S = 6.0


def kill_one(ground: Ground) -> list[FaultRow]:
    """Kill -9 one of four: the others go on without it, and it catches up when it is back."""
    stage = ground.stage()
    with stage.trial("kill -9 one validator") as trial:
        stage.network.kill(0)
        trial.broken()
        trial.resumes()
        trial.blocks(MEMBERS + 1)  # its turn to propose comes, and is waited for in vain
        trial.hurt(0)
        stage.network.start(0)
        trial.mended()
        trial.recovers()
    return [trial.row]


def kill_two(ground: Ground) -> list[FaultRow]:
    """Kill -9 two of four: nothing goes on, what is stated waits; with one of them back it is anchored.

    Tried twice: the one that was killed first comes back first, then the one that was killed last.
    """
    stage, rows = ground.stage(), []
    for fault, back in (
        ("kill -9 two, first killed back first", (0, 1)),
        ("kill -9 two, last killed back first", (1, 0)),
    ):
        with stage.trial(fault) as trial:
            for which in (0, 1):
                stage.network.kill(which)
            trial.broken()
            trial.stands(STAND_S)
            stage.network.start(back[0])
            trial.mended()
            trial.blocks(1)  # three of four are enough
            stage.network.start(back[1])
            trial.recovers()
        rows.append(trial.row)
    return rows


def pause(ground: Ground) -> list[FaultRow]:
    """SIGSTOP one of four for half a minute: connected, and silent; the hardest kind for whoever waits for it."""
    stage = ground.stage()
    with stage.trial(f"SIGSTOP one validator for {PAUSE_S:.0f} s") as trial:
        stage.network.pause(0)
        try:
            until = time.monotonic() + PAUSE_S
            trial.broken()
            trial.resumes()
            time.sleep(max(0.0, until - time.monotonic()))
            trial.hurt(0)
        finally:
            stage.network.resume(0)
        trial.mended()
        trial.recovers()
    return [trial.row]


def wipe(ground: Ground) -> list[FaultRow]:
    """Take one validator's blocks and state away: it syncs again from the others."""
    stage = ground.stage()
    with stage.trial("wipe one validator's data") as trial:
        stage.network.kill(1)
        trial.broken()
        stage.network.wipe(1)
        if (stage.network.bundle.member(1).home / "data" / "blockstore.db").exists():
            trial.wrong("the validator's blocks were not taken away")
        trial.resumes()
        stage.network.start(1)
        trial.mended()
        trial.recovers()
    return [trial.row]


def rolling(ground: Ground) -> list[FaultRow]:
    """Restart all four in order, one after another, as for a new version; none of them waits for a quiet hour."""
    stage = ground.stage()
    with stage.trial("rolling restart of all four") as trial:
        for which in range(MEMBERS):
            stage.network.stop(which)
            if not which:
                trial.broken()
                trial.resumes()
            stage.network.start(which)
            trial.back(which)  # only then may the next one go
        trial.mended()
        trial.recovers()
    return [trial.row]
