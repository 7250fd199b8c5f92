"""Nodes that were joined one by one, started and ended by the tests that made them."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.errors import TallystickError
from tallystick.network._home import JoinedPorts, read_ports
from tallystick.network._joining import assemble, join, preview
from tallystick.network._parts import NetworkPart, NetworkTerms
from tallystick.network._validators import validators
from tallystick.proof import Card, system_clock

_given: set[int] = set()  # to nodes that may not listen yet


def free_ports() -> JoinedPorts:
    """Ports that nobody has right now: one block of eight."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            base = probe.getsockname()[1]
        block = range(base, base + 6)
        if base < 65000 and not _given & set(block) and all(_free(port) for port in block):
            _given.update(block)
            return JoinedPorts(p2p=base, rpc=base + 1, comet=base + 4)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@dataclass
class Joined:
    """Homes below one directory, and the processes of those that run."""

    directory: Path
    engine: Path
    parts: list[NetworkPart] = field(default_factory=list)
    hash: str = ""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def home(self, name: str) -> Path:
        return self.directory / name

    def join(
        self,
        name: str,
        *,
        terms: NetworkTerms | None = None,
        cards: Sequence[Card] = (),
        ports: JoinedPorts | None = None,
    ) -> NetworkPart:
        return join(
            self.home(name),
            name=name,
            host="127.0.0.1",
            engine=self.engine,
            clock=system_clock,
            terms=terms,
            ports=ports or free_ports(),
            cards=cards,
        )

    def join_all(self, names: Sequence[str], cards: Mapping[str, Sequence[Card]]) -> None:
        """Join several at once: the engine needs some seconds for each."""
        places = [free_ports() for _ in names]
        with ThreadPoolExecutor(2) as pool:
            made = [
                pool.submit(self.join, name, cards=cards[name], ports=ports)
                for name, ports in zip(names, places, strict=True)
            ]
            self.parts = [one.result() for one in made]

    def assemble(self) -> None:
        self.hash = preview(self.parts, engine=self.engine).hash
        for part in self.parts:
            assemble(self.home(part.name), self.parts, engine=self.engine, expected=self.hash)

    def comet(self, name: str) -> str:
        return f"http://127.0.0.1:{read_ports(self.home(name)).comet}"

    def rpc(self, name: str) -> str:
        return f"http://127.0.0.1:{read_ports(self.home(name)).rpc}"

    def start(self, name: str) -> None:
        with (self.home(name) / "log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(self.engine), "start", "--home", str(self.home(name)), "--log_level", "error"],
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent,
            )

    def wait(self, name: str, height: int, timeout_s: float = 60.0) -> int:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                found = validators(self.comet(name)).height
            except TallystickError:
                found = 0
            if found >= height:
                return found
            assert self.running[name].poll() is None, (self.home(name) / "log").read_text()[-2000:]
            time.sleep(0.2)
        raise AssertionError(f"{name} did not reach height {height}")

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def end(self) -> None:
        for process in self.running.values():
            process.terminate()
        for name in list(self.running):
            self.stop(name)
