"""How long `tallystick verify FILE` takes as a whole process, from typing to its answer."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row
from tallystick.node import Node

RUNS = 5
REACH_S = 0.4


def start(scale: float = 1.0) -> list[Row]:
    """Measure the start against its reach; the peer is an interpreter that does nothing.

    Args:
        scale: below 1 makes fewer runs.
    """
    runs = max(3, int(RUNS * scale))
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        os.environ["TALLYSTICK_STATE"] = str(top / "state")
        with Node.init(top / "clinic", name="Clinic", passphrase="bench", scrypt_n=2**4) as node:
            entry = node.record("document.recorded", {"title": "protocol"})
            (top / "r.receipt.json").write_bytes(node.receipt(entry.id).format())
        program = str(Path(sys.executable).parent / "tallystick")
        verify = [_run([program, "verify", str(top / "r.receipt.json")], code=3) for _ in range(runs)]
    nothing = [_run([sys.executable, "-c", "pass"], code=0) for _ in range(runs)]
    cpu, wall = (statistics.median(found) for found in zip(*verify, strict=True))
    idle_cpu, idle_wall = (statistics.median(found) for found in zip(*nothing, strict=True))
    return [
        Row("start cpu", cpu, "s", REACH_S, "<=", {"python -c pass": idle_cpu}),
        Row("start wall", wall, "s", REACH_S, "<=", {"python -c pass": idle_wall}),
    ]


def _run(words: list[str], *, code: int) -> tuple[float, float]:
    """CPU and wall seconds of one process and its exit code checked."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after, ended = os.times(), time.perf_counter()
    if done.returncode != code:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return cpu, ended - began
