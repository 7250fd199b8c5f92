"""A validator whose disk is full: its home on a small filesystem of its own, which is filled under load."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.rows import FaultRow
from faults.stage import Ground, Stage
from faults.undoing import run, undone, why_not_root

__all__ = ["full_disk"]

FAULT = "disk full at one validator"
WHICH = 2
ROOM = 24 * 1024 * 1024  # bytes beside what the home takes already
_FILLER = "filler"


def full_disk(ground: Ground) -> list[FaultRow]:
    """Fill one validator's disk: it ends or stands still, the others go on, and with room again it catches up."""
    reason = why_not_root("mount", "umount")
    if reason:
        return [FaultRow(FAULT, skipped=reason)]
    stage = ground.stage()
    home = stage.network.bundle.member(WHICH).home
    with stage.trial(FAULT) as trial:
        with _small_disk(stage, home):
            trial.back(WHICH)
            _fill(home)
            trial.broken()
            trial.resumes()
            trial.blocks(5)
            trial.hurt(WHICH)
            (home / _FILLER).unlink()
            if stage.network.pid(WHICH) is not None:
                stage.network.kill(WHICH)  # some builds end by themselves, others stand still
            stage.network.start(WHICH)
            trial.mended()
            trial.recovers()
        stage.network.start(WHICH)
        trial.back(WHICH)
    return [trial.row]


@contextmanager
def _small_disk(stage: Stage, home: Path) -> Iterator[None]:
    """Put a validator's home on a small filesystem, start it there, and carry the home back at the end, stopped."""
    stage.network.stop(WHICH)
    aside = home.with_name(f"{home.name}-aside")
    shutil.copytree(home, aside)
    size = sum(path.stat().st_blocks * 512 for path in home.rglob("*") if path.is_file())
    run("mount", "-t", "tmpfs", "-o", f"size={size + ROOM},mode=0700", "tmpfs", str(home))
    with undone(["umount", str(home)]):
        shutil.copytree(aside, home, dirs_exist_ok=True)
        shutil.rmtree(aside)
        stage.network.start(WHICH)
        try:
            yield
        finally:
            if stage.network.pid(WHICH) is not None:
                stage.network.stop(WHICH)
            shutil.copytree(home, aside)
    # below the mount stands what the validator was before: never started again from there, it would sign anew
    shutil.rmtree(home)
    aside.replace(home)


def _fill(home: Path) -> None:
    """Write until nothing fits any more."""
    with (home / _FILLER).open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    if os.statvfs(home).f_bavail:
        raise OSError("the small disk could not be filled")
