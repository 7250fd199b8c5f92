"""Processes of this machine: started so that they end with who started them, known again later, and never mistaken.

A process id alone says nothing once its process has ended: the system gives it to somebody else. So the record of a
start holds the id and the moment of the start, and nothing is ever signalled whose moment is another one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tallystick.errors import ConfigurationError, NotFoundError, StorageError

__all__ = ["Process", "check_port_free", "free_block", "is_same", "moment", "signal_to", "spawn", "wait_gone"]

# Reads until whoever started it is gone, then ends its one charge; a word on the line says that there is nothing to do.
_WATCH = 'read -r word || kill -9 "$1" 2>/dev/null'
_FIRST_PORT, _LAST_PORT = 15_000, 31_000  # below what systems lend to outgoing connections


@dataclass(slots=True)
class Process:
    """One process that this machine runs for a network.

    Args:
        pid: its id.
        started: the moment of its start, as the system tells it.
        child: when this process started it, to be waited for.
        leash: the open end of what its watcher reads; closed with this process, however that ends.
        left: this process started it to outlive it, and reads it when it ends first.
    """

    pid: int
    started: str
    child: subprocess.Popen[bytes] | None = None
    leash: subprocess.Popen[bytes] | None = None
    left: bool = False

    def let_go(self) -> None:
        """Take note that the process is gone: it is read, and its watcher ends."""
        if self.child is not None:
            self.child.wait(10)
        elif self.left:
            with contextlib.suppress(OSError):
                os.waitpid(self.pid, os.WNOHANG)
        if self.leash is not None and self.leash.stdin is not None:
            with contextlib.suppress(OSError):
                self.leash.stdin.write(b"gone\n")
                self.leash.stdin.flush()
            with contextlib.suppress(OSError):
                self.leash.stdin.close()
            self.leash.wait(10)
            self.leash = None


def spawn(words: list[str], log: Path, *, tied: bool, surroundings: dict[str, str] | None = None) -> Process:
    """Start a program in a session of its own, its words going to a log.

    Args:
        words: program and arguments.
        log: appended to, 0600.
        tied: whether it is ended when this process ends, also by kill -9.
        surroundings: variables of its environment beside this process's own.
    """
    try:
        number = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"{log.name} could not be written: {error.strerror}") from error
    try:
        child = subprocess.Popen(  # noqa: S603 - the engine that this member built or named
            words,
            stdin=subprocess.DEVNULL,
            stdout=number,
            stderr=number,
            start_new_session=True,  # a Ctrl-C is for us: we end it in order
            env={**os.environ, **(surroundings or {})},
        )
    except OSError as error:
        raise NotFoundError("the network's engine does not start", hint="run `make network`") from error
    finally:
        os.close(number)
    leash = None
    if tied:
        leash = subprocess.Popen(  # noqa: S603 - a line of shell that is written above
            ["/bin/sh", "-c", _WATCH, "watch", str(child.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    started = moment(child.pid) or ""
    if leash is None:
        child.returncode = 0  # it goes on without us, so nothing shall warn that we left it behind
        return Process(child.pid, started, left=True)
    return Process(child.pid, started, child, leash)


def moment(pid: int) -> str | None:
    """Tell when a process was started, None when there is none; one that has ended and waits to be read is none."""
    if Path("/proc/self/stat").exists():
        try:
            rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            return None
        # the state, and the ticks since the machine's start
        return None if rest[0] in ("Z", "X") else rest[19]
    done = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    said = done.stdout.split(None, 1)
    return said[1].strip() if len(said) == 2 and not said[0].startswith("Z") else None


def is_same(process: Process) -> bool:
    """Tell whether it still runs, and is not another one that got its id."""
    if process.child is not None and process.child.poll() is not None:
        return False
    return moment(process.pid) == process.started


def signal_to(process: Process, number: signal.Signals) -> bool:
    """Send a signal to it, and only to it; False when it is gone."""
    if not is_same(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_gone(process: Process, timeout_s: float) -> bool:
    """Wait until it is gone; False when it still runs after that time."""
    deadline = time.monotonic() + timeout_s
    while is_same(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    process.let_go()
    return True


def check_port_free(host: str, port: int) -> None:
    """Refuse a port that somebody has, and say who, when the system tells.

    Raises:
        ConfigurationError: it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} of {host} is taken by {_holder(port)}",
                hint="end that program, or make the network on other ports: `tallystick network new --ports`",
            ) from error


def free_block(host: str, count: int, *, choose: int) -> int:
    """Find the first of so many ports in a row that nobody has now.

    Args:
        host: where.
        count: how many in a row.
        choose: any number >= 0; where the search begins.

    Raises:
        ConfigurationError: there are none.
    """
    rows = (_LAST_PORT - _FIRST_PORT) // count
    for step in range(rows):
        base = _FIRST_PORT + (choose + step) % rows * count
        try:
            for port in range(base, base + count):
                check_port_free(host, port)
        except ConfigurationError:
            continue
        return base
    raise ConfigurationError(f"there are no {count} free ports in a row on {host}")


def _holder(port: int) -> str:
    """Name the process that listens on a port, as well as the system lets us."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == "0A" and int(parts[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{parts[9]}]")
    for entry in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        with contextlib.suppress(OSError):
            if str(entry.readlink()) in inodes:
                pid = entry.parts[2]
                return f"{Path('/proc', pid, 'comm').read_text().strip()}, process {pid}"
    return "a process that the system does not name"
