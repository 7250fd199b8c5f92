"""The frame of a pilot: a place for its output, its steps with their times, what tells its output from others' files."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick.errors import ConfigurationError, StorageError

__all__ = ["MARK", "PASSPHRASE", "Step", "Steps", "make_place", "processor", "size_of"]

PASSPHRASE: Final = "a pilot on one laptop"  # noqa: S105 - protects nothing: written beside the keys, for trying things out
MARK: Final = ".tallystick-pilot"  # what tells a pilot's output from somebody's own files


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step: its name, what it did, how long it took, whether it went well."""

    name: str
    text: str
    seconds: float
    good: bool = True


class Steps:
    """The steps of one run.

    Args:
        on_step: called after every step.
    """

    def __init__(self, on_step: Callable[[Step], None]) -> None:
        self._on_step = on_step
        self.done: list[Step] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[..., None]]:
        """Time a step; gives the function (text, good=True) that says what it did."""
        started = time.monotonic()
        said: dict[str, Any] = {"text": "", "good": True}
        yield lambda text, good=True: said.update(text=text, good=good)
        step = Step(name, said["text"], time.monotonic() - started, said["good"])
        self.done.append(step)
        self._on_step(step)

    def as_list(self) -> list[dict[str, Any]]:
        """Return the steps as plain data."""
        return [
            {"name": step.name, "text": step.text, "seconds": round(step.seconds, 3)} for step in self.done
        ]


def make_place(out: Path, *, name: str, force: bool, data: Path | None = None) -> None:
    """Make a pilot's output directory; replace nothing but an earlier pilot, and only when told to.

    Args:
        out: where everything goes.
        name: of the pilot, as it is typed.
        force: replace an earlier pilot's output there.
        data: the user's own table, which must not lie in what is replaced.

    Raises:
        ConfigurationError: the directory is in use.
        StorageError: it could not be made.
    """
    if data is not None and out.resolve() in data.resolve().parents:
        raise ConfigurationError(
            f"{data} lies in {out}, which the pilot would replace", hint="name another place with --out"
        )
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            if not force:
                raise ConfigurationError(
                    f"{out} is there already", hint="add --force, or name another place with --out"
                )
            if not (out / MARK).is_file():
                raise ConfigurationError(f"{out} does not hold a pilot's output, so it is not replaced")
            shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
        (out / MARK).write_text(f"made by `tallystick pilot {name}`; --force may replace this directory\n")
    except OSError as error:
        raise StorageError(f"{out} could not be made: {error.strerror}") from error


def size_of(directory: Path) -> int:
    """Return how many bytes the files below a directory have."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def processor() -> str:
    """Return the processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine() or "this machine"
