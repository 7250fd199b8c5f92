"""What the disk below a bench does by itself: appends and syncs, as a journal does them, and nothing else.

A decision is durable before it leaves, so no service can answer sooner than its disk syncs; a row about waits tells the
disk's own beside it, measured in the same run.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 4.0
PIECE = bytes(8_000)
PAUSE_S = 0.003
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes that must be free there


@contextmanager
def in_memory(directory: Path) -> Iterator[Path | None]:
    """Copy a directory to a file system without a disk below it until the block ends; None where there is none."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        yield Path(shutil.copytree(directory, Path(place) / directory.name))


def sync_waits(directory: Path) -> dict[str, float]:
    """Append and sync for some seconds; quantiles of one sync's wait in milliseconds."""
    path, waits = directory / "sync-waits", list[float]()
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            os.write(file, PIECE)
            began = time.perf_counter()
            os.fdatasync(file)
            waits.append(1000 * (time.perf_counter() - began))
            time.sleep(PAUSE_S)
    finally:
        os.close(file)
        path.unlink()
    cuts = statistics.quantiles(waits, n=1000)
    return {
        "disk's sync p50 ms": cuts[499],
        "disk's sync p99 ms": cuts[989],
        "disk's sync p99.9 ms": cuts[998],
        "disk's sync max ms": max(waits),
    }
