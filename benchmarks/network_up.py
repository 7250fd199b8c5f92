"""How long four validators take until they are up, and what they take while they run."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row
from tallystick.errors import NotFoundError
from tallystick.network import Network, find_engine, make_bundle

__all__ = ["network_up"]

MEMBERS = 4
BLOCKS = 20
_MIB = 1024 * 1024


def network_up(scale: float) -> list[Row]:
    """Lay out, start to height 2 at all members, a block's time, memory and the end, medians of three networks."""
    try:
        engine = find_engine()
    except NotFoundError as error:
        raise SystemExit(f"network-up: {error.message}: {error.hint}") from error
    runs = [_run(engine, max(4, int(BLOCKS * scale))) for _ in range(3 if scale >= 1 else 1)]
    made, up, block, memory, down = (statistics.median(column) for column in zip(*runs, strict=True))
    return [
        Row("network-up", up, "s", 15, "<="),
        Row("network-up/lay-out", made, "s", 30, "<="),
        Row("network-up/block", block, "s", 1.25, "<="),
        Row("network-up/validator", memory, "MB", 260, "<="),
        Row("network-up/down", down, "s", 10, "<="),
    ]


def _run(engine: Path, blocks: int) -> tuple[float, float, float, float, float]:
    with tempfile.TemporaryDirectory() as place:
        began = time.monotonic()
        bundle = make_bundle(Path(place) / "net", MEMBERS, binary=engine)
        made = time.monotonic() - began
        with Network(bundle) as network:
            began = time.monotonic()
            network.up()
            up = time.monotonic() - began
            height = min(network.heights())
            began = time.monotonic()
            network.wait_height(height + blocks)
            block = (time.monotonic() - began) / blocks
            memory = max(_resident(one.pid) for one in network.status() if one.pid)
            began = time.monotonic()
            network.down()
            down = time.monotonic() - began
    return made, up, block, memory, down


def _resident(pid: int) -> float:
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0  # not Linux: told as nothing, never guessed
    return int(told.split("VmRSS:")[1].split()[0]) * 1024 / _MIB
