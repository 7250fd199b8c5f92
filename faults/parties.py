"""Faults of a party: its process is killed again and again while it records and anchors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from faults.rows import FaultRow
from faults.stage import Ground, Stage
from faults.watch import longest_gap
from tallystick.errors import SurroundingsError

__all__ = ["killed_party"]

KILLS = 50
SEED = "11"
WAIT_S = 600.0
TOP = Path(__file__).resolve().parents[1]
DRIVER = TOP / "tests" / "integration" / "killed_anchoring.py"


def killed_party(ground: Ground) -> list[FaultRow]:
    """Kill -9 a party's process fifty times at random moments; every start goes on with what the last one left."""
    stage = ground.stage()
    began = time.monotonic()
    found = _driven(stage)
    ended = time.monotonic()
    settled = [float(moment) for moment in found["settled_at"]]
    wrong = []
    if found["head"] != found["size"]:
        wrong.append(f"the chain has a head of {found['head']}, the journal {found['size']} statements")
    return [
        FaultRow(
            fault=f"kill -9 a party, {KILLS} times",
            held_s=ended - began - found["recovery_s"],
            no_block_s=longest_gap(stage.watch.blocks, began, ended),
            unsettled_s=max((later - one for one, later in pairwise(settled)), default=0.0),
            recovery_s=found["recovery_s"],
            said=found["recorded"],
            anchors=found["anchored"],
            lost=len(found["lost"]),
            duplicated=found["twice"] + found["refused"],
            wrong=tuple(wrong),
        )
    ]


def _driven(stage: Stage) -> dict[str, Any]:
    """Run the driver, which forks the processes that are killed; nothing of it is left, however this ends."""
    place = stage.top / "killed"
    place.mkdir()
    words = [sys.executable, str(DRIVER), str(place), str(KILLS), SEED, str(stage.network.bundle.path)]
    process = subprocess.Popen(
        words, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        told, said = process.communicate(timeout=WAIT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        raise SurroundingsError(f"the party's work ended with {process.returncode}: {last[0]}")
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found
