"""What is put on the machine beside files and processes, and taken away again however this process ends."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["run", "undone", "why_not_root"]


def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one of the machine's own commands to its end.

    Raises:
        OSError: it is not there, or it failed; with its words.
    """
    # in a session of its own: a Ctrl-C is for us, and must not end what takes something away
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, start_new_session=True
    )
    if check and done.returncode != 0:
        raise OSError(f"{words[0]} failed: {done.stderr.strip()[-200:]}")
    return done


@contextmanager
def undone(*commands: Sequence[str]) -> Iterator[None]:
    """Run commands at the end; also when this process is killed, by a watcher that lives as long as it does."""
    # killed, we cannot end our validators: their own watchers do, and then these commands find nobody in their way
    each = "; ".join(
        f"for turn in 1 2 3 4 5; do sleep 1; {shlex.join(words)} && break; done" for words in commands
    )
    line = f"read -r word || {{ {each}; }}"
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", line],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        failed = [words for words in commands if run(*words, check=False).returncode != 0]
        watcher.communicate(b"done\n", timeout=30)
        if failed:
            raise OSError(f"could not be undone: {'; '.join(shlex.join(words) for words in failed)}")


def why_not_root(*programs: str) -> str:
    """Tell why something that only root may do with these programs cannot be done here; empty when it can."""
    if os.name != "posix" or not Path("/proc/self/ns/net").exists():
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root: run `sudo make faults`"
    missing = [program for program in programs if shutil.which(program) is None]
    return f"needs {', '.join(missing)}: install the package iproute2" if missing else ""
