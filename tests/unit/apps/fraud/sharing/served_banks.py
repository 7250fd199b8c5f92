"""Banks that answer each other over HTTP, on loopback; each server ends with its ``with``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.apps.fraud.sharing.banks import DAY, SECOND, START, Clock, make_nodes

from tallystick.apps.fraud.sharing import (
    EpochPlan,
    HoldsSettings,
    HttpMemberLink,
    Limits,
    Peer,
    RiskCounts,
    RiskRule,
    RoundPlan,
    ShareSettings,
    Sharing,
)
from tallystick.node import Node
from tallystick.server import Beside, Keys, ServerSettings, create_sharing_app

PLENTY = Limits(per_second=1000.0)


class Later:
    """What a server answers from, before it is made."""

    def __init__(self) -> None:
        self.made: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)


class Reader:
    """Open holds, as a test says them."""

    def __init__(self) -> None:
        self.held: dict[bytes, int] = {}
        self.error: Exception | None = None

    def look(self) -> Mapping[bytes, int]:
        if self.error is not None:
            raise self.error
        return dict(self.held)

    def close(self) -> None:
        return


class Counted:
    """One bank's counts, as a test says them."""

    def __init__(self, counts: RiskCounts) -> None:
        self.counts = counts

    def __call__(self, rule: RiskRule, *, before: int, find: Callable[[str], bytes | None]) -> RiskCounts:
        return self.counts


@dataclass
class ServedBanks:
    """Nodes, their running sides, and how to end one server."""

    nodes: list[Node]
    sharings: list[Sharing]
    clock: Clock
    readers: list[Reader]
    tokens: dict[tuple[int, int], str] = field(default_factory=dict)  # who asks, who is asked -> key
    urls: list[str] = field(default_factory=list)
    stop: list[Callable[[], None]] = field(default_factory=list)
    laters: list[Later] = field(default_factory=list)

    def tend(self, times: int = 2) -> None:
        """Let all do what is due; the second time each finds what the others opened in the first."""
        for _ in range(times):
            for sharing in self.sharings:
                sharing.tend()

    def restart(self, place: int) -> Sharing:
        """Let one bank's running side end and begin again; its server goes on."""
        old = self.sharings[place]
        old.close()
        made = Sharing(
            self.nodes[place], old.settings, links=old._links, holds=self.readers[place], clock=self.clock
        )
        self.sharings[place] = self.laters[place].made = made
        made.resume()
        made.look_at_holds()
        return made

    def bodies(self, place: int, kind: str) -> list[dict[str, Any]]:
        return [dict(e.statement.body) for e in self.nodes[place].journal.entries(kinds=(kind,))]


def plan() -> EpochPlan:
    return EpochPlan(1, START, 30 * DAY)


@contextmanager
def served_banks(
    directory: Path,
    *,
    names: Sequence[str] = ("Bank A", "Bank B", "Bank C"),
    limits: Limits = PLENTY,
    timeout_s: float = 5.0,
    rest_s: float = 0.0,
    requests_per_s: float = 10_000.0,
    rounds: RoundPlan | None = None,
    counts: Sequence[RiskCounts] = (),
    opened: bool = True,
) -> Iterator[ServedBanks]:
    clock = Clock(START + SECOND)
    with ExitStack() as stack:
        nodes, policy = make_nodes(directory, names, clock)
        for node in nodes:
            stack.callback(node.close)
        banks = ServedBanks(nodes, [], clock, [Reader() for _ in nodes])
        banks.laters = laters = [Later() for _ in nodes]
        for place, later in enumerate(laters):
            keys = Keys()
            for other, node in enumerate(nodes):
                if other != place:
                    keys, banks.tokens[other, place] = keys.added(node.id, ["member"])
            app = create_sharing_app(later, ServerSettings(keys=keys, requests_per_s=requests_per_s))
            beside = stack.enter_context(Beside(app, host="127.0.0.1", port=0))
            banks.urls.append(beside.place.url)
            banks.stop.append(lambda beside=beside: beside.__exit__(None, None, None))  # type: ignore[misc]
        for place, node in enumerate(nodes):
            peers = [
                Peer(other.id, banks.urls[at], banks.tokens[place, at])
                for at, other in enumerate(nodes)
                if at != place
            ]
            links = [
                HttpMemberLink(
                    peer.party,
                    origin=policy.by_id[peer.party].cards[-1].origin,
                    url=peer.url,
                    key=peer.key,
                    name=policy.by_id[peer.party].name,
                    timeout_s=timeout_s,
                    rest_s=rest_s,
                )
                for peer in peers
            ]
            settings = ShareSettings(
                policy,
                plan(),
                tuple(peers),
                limits=limits,
                patience_ms=1_000,
                holds=HoldsSettings("0x0"),
                rounds=rounds,
            )
            sharing = Sharing(
                node,
                settings,
                links=links,
                holds=banks.readers[place],
                counts=Counted(counts[place]) if counts else None,
                clock=clock,
            )
            stack.callback(lambda place=place: banks.sharings[place].close())  # type: ignore[misc]
            laters[place].made = sharing
            banks.sharings.append(sharing)
        if opened:
            banks.tend()
            for sharing in banks.sharings:
                sharing.look_at_holds()
        yield banks


@contextmanager
def bad_server(answer: bytes, *, wait: threading.Event | None = None) -> Iterator[str]:
    """A server that says the same bytes to everybody, or nothing until it is told to."""
    import socket

    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()
    taken: list[socket.socket] = []

    def work() -> None:
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            taken.append(connection)
            try:
                connection.settimeout(5)
                connection.recv(65_536)
                if wait is not None:
                    wait.wait(10)
                connection.sendall(answer)
                connection.close()
            except OSError:
                continue

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        ended.set()
        if wait is not None:
            wait.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in taken:
            connection.close()
        thread.join(5)
