"""A network that runs on this machine: its validators started, ended, killed, stopped and looked at.

What runs stands in `bundle/run/<member>.json`: another process may look and end it. Only one process at a time starts
or ends; whoever comes meanwhile is told which.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tallystick.errors import (
    ConfigurationError,
    ConflictError,
    DeadlineError,
    EncodingError,
    NotFoundError,
    SurroundingsError,
    TallystickError,
)
from tallystick.proof import OsFiles, check_format, format_json, parse_json, write_atomically

from ._asking import ask_comet, block_hash, block_time, number_of
from ._bundle import Bundle, Member
from ._engine import find_engine
from ._home import read_ports
from ._processes import Process, check_port_free, is_same, signal_to, spawn, wait_gone

__all__ = ["Network", "ValidatorStatus"]

LOG = "node.log"
_RECORD = "tallystick/network-process"
_TERM_S = 10.0  # what a validator gets to end in order
_LOOK_S = 0.1

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ValidatorStatus:
    """How one validator does.

    Args:
        name: of its member.
        pid: its process, None when it does not run.
        height: of its newest block, 0 when it does not answer.
        hash: of that block, hex as the EVM shows it, empty when it does not answer.
        peers: how many others it is connected with.
        catching_up: whether it is still behind.
        disk_bytes: what its home takes.
        answers: whether its JSON-RPC answers.
        age_s: of its newest block by this machine's clock, seconds; below 0 when that clock is behind the network's, None
            when it does not answer.
    """

    name: str
    pid: int | None
    height: int
    hash: str
    peers: int
    catching_up: bool
    disk_bytes: int
    answers: bool
    age_s: float | None = None


class Network:
    """The validators of one bundle.

    Args:
        bundle: where they lie.
        detached: whether they go on when this process ends; else they end with it, however it ends.
        sleep: waits so many seconds between two looks.

    A validator that was started by a `Network` is told by its id and the moment of its start; `down` ends these only.
    """

    def __init__(
        self, bundle: Bundle, *, detached: bool = False, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.bundle = bundle
        self._detached = detached
        self._sleep = sleep
        self._own: dict[str, Process] = {}

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._detached:
            self.down()

    # -- all of them ----------------------------------------------------------------------------------------

    def up(self, progress: Progress | None = None, timeout_s: float = 60.0) -> None:
        """Start all validators that do not run, and wait until all are at height 2.

        Args:
            progress: hears one line at every step.
            timeout_s: until all are there.

        Raises:
            ChainMismatchError: a member stands on another genesis; nothing was started.
            ConfigurationError: a port is taken, or a key stands in two homes; nothing was started.
            NotFoundError: the engine is not built; nothing was started.
            SurroundingsError: a validator ended while starting; those started here were ended again.
            DeadlineError: not at height 2 in time; those started here were ended again.
        """
        tell = progress or (lambda _line: None)
        started: list[str] = []
        with self._alone():
            self.bundle.check()
            waiting = [member for member in self.bundle.members if self._process(member) is None]
            for member in waiting:
                self._check_ports(member)
            try:
                for member in waiting:
                    self._spawn(member)
                    started.append(member.name)
                tell(f"{len(started)} validators started")
                self._wait(lambda: min(self.heights()), 2, timeout_s, tell)
            except BaseException:
                # Nothing stays half started, not after Ctrl-C either.
                self._end(started)
                raise

    def down(self) -> None:
        """End all validators that run, in order, and those that do not hear by force; others' processes are let be."""
        with self._alone():
            self._end(self.bundle.names)

    def _end(self, names: Iterable[str]) -> None:
        running = [(name, self._process(self.bundle.member(name))) for name in names]
        for _, process in running:
            if process is not None:
                signal_to(process, signal.SIGCONT)  # one that was paused hears nothing else
                signal_to(process, signal.SIGTERM)
        deadline = time.monotonic() + _TERM_S
        for name, process in running:
            if process is not None and not wait_gone(process, max(0.0, deadline - time.monotonic())):
                signal_to(process, signal.SIGKILL)
                wait_gone(process, _TERM_S)
            self._forget(name)

    # -- one of them ----------------------------------------------------------------------------------------

    def start(self, which: int | str) -> None:
        """Start one validator; it is not waited for.

        Raises:
            ConflictError: it runs already.
            ConfigurationError: a port of it is taken.
        """
        member = self.bundle.member(which)
        with self._alone():
            if self._process(member) is not None:
                raise ConflictError(f"{member.name} runs already")
            self.bundle.check()
            self._check_ports(member)
            self._spawn(member)

    def stop(self, which: int | str) -> None:
        """End one validator in order (SIGTERM); by force when it does not hear."""
        member = self.bundle.member(which)
        with self._alone():
            self._running(member)
            self._end([member.name])

    def kill(self, which: int | str) -> None:
        """End one validator as a crash does (SIGKILL)."""
        member = self.bundle.member(which)
        with self._alone():
            process = self._running(member)
            signal_to(process, signal.SIGKILL)
            wait_gone(process, _TERM_S)
            self._forget(member.name)

    def pause(self, which: int | str) -> None:
        """Let one validator stand still (SIGSTOP): connected, and silent."""
        signal_to(self._running(self.bundle.member(which)), signal.SIGSTOP)

    def resume(self, which: int | str) -> None:
        """Let a paused validator go on (SIGCONT)."""
        signal_to(self._running(self.bundle.member(which)), signal.SIGCONT)

    def wipe(self, which: int | str) -> None:
        """Take a stopped validator's blocks and state away, as a lost disk does; it syncs again from the others.

        What it signed last is kept: a validator that forgot it could sign a second block of one height.

        Raises:
            ConflictError: it runs.
        """
        member = self.bundle.member(which)
        with self._alone():
            if self._process(member) is not None:
                raise ConflictError(f"{member.name} runs", hint="stop it first")
            for path in (member.home / "data").iterdir():
                if path.name == "priv_validator_state.json":
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def pid(self, which: int | str) -> int | None:
        """Tell the id of a validator's process, None when it does not run."""
        process = self._process(self.bundle.member(which))
        return None if process is None else process.pid

    # -- looking --------------------------------------------------------------------------------------------

    def status(self) -> list[ValidatorStatus]:
        """Look at all validators, in order; one that does not answer is told as such, never an error."""
        return [self._look(member) for member in self.bundle.members]

    def heights(self) -> list[int]:
        """Ask all members' endpoints for their height; 0 for one that does not answer."""
        return [number_of(member.rpc_url) for member in self.bundle.members]

    def wait_height(self, height: int, timeout_s: float = 60.0) -> None:
        """Wait until every validator that runs is at a height.

        Raises:
            DeadlineError: not in time.
        """
        members = [member for member in self.bundle.members if self._process(member) is not None]
        if not members:
            raise ConfigurationError("no validator runs", hint="start the network: `tallystick network up`")
        self._wait(
            lambda: min(number_of(member.rpc_url) for member in members),
            height,
            timeout_s,
            lambda _line: None,
        )

    def agree(self, height: int) -> bool:
        """Tell whether all validators that run report the same block at a height; False when one has none."""
        running = [member for member in self.bundle.members if self._process(member) is not None]
        found = {block_hash(member.rpc_url, height) for member in running}
        return len(found) == 1 and "" not in found

    def _look(self, member: Member) -> ValidatorStatus:
        process = self._process(member)
        height = number_of(member.rpc_url) if process is not None else 0
        catching_up, peers = False, 0
        with suppress(TallystickError, KeyError, TypeError, ValueError):
            if process is not None:
                catching_up = bool(ask_comet(member.comet_url, "status")["sync_info"]["catching_up"])
                peers = int(ask_comet(member.comet_url, "net_info")["n_peers"])
        return ValidatorStatus(
            name=member.name,
            pid=None if process is None else process.pid,
            height=height,
            hash=block_hash(member.rpc_url, height) if height else "",
            peers=peers,
            catching_up=catching_up,
            disk_bytes=_size(member.home),
            answers=height > 0,
            age_s=_age_s(member.rpc_url, height) if height else None,
        )

    def _wait(self, seen: Callable[[], int], height: int, timeout_s: float, tell: Progress) -> None:
        deadline, told = time.monotonic() + timeout_s, -1
        while (reached := seen()) < height:
            for name, process in list(self._own.items()):
                if process.child is not None and process.child.poll() is not None:
                    raise SurroundingsError(
                        f"{name}'s validator ended while it was waited for: {self._last_words(name)}",
                        hint=f"its log is {self.bundle.member(name).home / LOG}",
                    )
            if time.monotonic() >= deadline:
                raise DeadlineError(
                    f"expected height {height} in {timeout_s:.0f} s, got {reached}",
                    hint="more than a third of the validators silent stops all: see `tallystick network status`",
                )
            if reached != told:
                tell(f"all at height {reached}")
                told = reached
            self._sleep(_LOOK_S)

    # -- processes ------------------------------------------------------------------------------------------

    def _spawn(self, member: Member) -> None:
        engine = self.bundle.engine or find_engine()
        words = [str(engine), "start", "--home", str(member.home), "--log_level", "error"]
        log = member.home / LOG
        process = spawn(words, log, tied=not self._detached)
        self._own[member.name] = process
        document = {
            "pid": process.pid,
            "started": process.started,
            "tied": not self._detached,
            "type": _RECORD,
            "v": 1,
        }
        write_atomically(OsFiles(), self._record(member.name), format_json(document) + b"\n")

    def _check_ports(self, member: Member) -> None:
        ports = read_ports(member.home)
        host = member.p2p.rpartition(":")[0]
        for where, port in (
            (host, ports.p2p),
            *(("127.0.0.1", port) for port in (ports.rpc, ports.rpc + 1, ports.comet)),
        ):
            check_port_free(where, port)

    def _process(self, member: Member) -> Process | None:
        """The process of a member, None when it does not run."""
        process = self._own.get(member.name) or self._recorded(member.name)
        if process is None or not is_same(process):
            if process is not None:
                process.let_go()
            self._own.pop(member.name, None)
            return None
        return process

    def _running(self, member: Member) -> Process:
        process = self._process(member)
        if process is None:
            raise NotFoundError(f"{member.name} does not run")
        return process

    def _recorded(self, name: str) -> Process | None:
        try:
            said = check_format(parse_json(self._record(name).read_bytes().removesuffix(b"\n")), _RECORD)
            return Process(int(said["pid"]), str(said["started"]))
        except (OSError, EncodingError, KeyError, TypeError, ValueError):
            return None  # a crash between start and record: a tied process has ended with its starter

    def _record(self, name: str) -> Path:
        return self.bundle.path / "run" / f"{name}.json"

    def _forget(self, name: str) -> None:
        process = self._own.pop(name, None)
        if process is not None:
            process.let_go()
        self._record(name).unlink(missing_ok=True)

    def _last_words(self, name: str) -> str:
        with suppress(OSError):
            said = (self.bundle.member(name).home / LOG).read_text("utf-8", "replace").strip().splitlines()
            telling = [line for line in said if line.startswith(("Error", "panic"))] or said
            return telling[-1][:200] if telling else "it said nothing"
        return "it left no log"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        (self.bundle.path / "run").mkdir(mode=0o700, exist_ok=True)
        lock = OsFiles().lock(self.bundle.path / "run" / "lock")
        try:
            yield
        finally:
            lock.close()


def _age_s(url: str, height: int) -> float | None:
    told = block_time(url, height)
    return time.time() - told if told else None


def _size(home: Path) -> int:
    """Bytes of a home on the disk; files come and go while it is counted."""
    total = 0
    for directory, _, names in os.walk(home):
        for name in names:
            with suppress(OSError):
                total += Path(directory, name).lstat().st_blocks * 512
    return total
