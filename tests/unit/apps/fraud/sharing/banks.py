"""Three banks that share, without a chain; and a clock that tests move."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.payments import Payment
from tallystick.apps.fraud.sharing import Limits, Member, connect, open_epoch
from tallystick.node import CardFile, Node, format_card_file, make_policy
from tallystick.proof import STANDARD_KINDS, Policy

START = 1_790_000_000_000_000  # microseconds, in 2026
SECOND = 1_000_000
DAY = 86_400 * SECOND
PLENTY = Limits(per_second=1000.0)
KINDS = STANDARD_KINDS.extended(APP.kinds)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@dataclass
class Banks:
    """Nodes, their members, and what they share."""

    nodes: list[Node]
    members: list[Member]
    policy: Policy
    clock: Clock

    def kinds(self, place: int) -> list[str]:
        return [entry.statement.kind for entry in self.nodes[place].journal.entries()]

    def bodies(self, place: int, kind: str) -> list[dict[str, object]]:
        entries = self.nodes[place].journal.entries()
        return [dict(e.statement.body) for e in entries if e.statement.kind == kind]

    def close(self) -> None:
        for member in self.members:
            member.close()
        for node in self.nodes:
            node.close()


def make_nodes(directory: Path, names: Sequence[str], clock: Clock) -> tuple[list[Node], Policy]:
    nodes = [
        Node.init(
            directory / name.lower().replace(" ", "-"),
            name=name,
            passphrase="three banks in a test",
            clock=clock,
            kinds=KINDS,
            scrypt_n=2,
            heads=directory / "heads",
        )
        for name in names
    ]
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.import_card(format_card_file(other.party.cards))
    return nodes, make_policy("a test", [CardFile(node.party.cards) for node in nodes])


def make_banks(
    directory: Path,
    *,
    names: Sequence[str] = ("Bank A", "Bank B", "Bank C"),
    limits: Limits = PLENTY,
    days: int = 30,
    stated_every: int = 1024,
    until: int = START + 60 * DAY,
    opened: bool = True,
) -> Banks:
    clock = Clock()
    nodes, policy = make_nodes(directory, names, clock)
    members = [
        Member(
            node,
            policy=policy,
            directory=node.workspace.path / "sharing",
            limits=limits,
            days=days,
            stated_every=stated_every,
            clock=clock,
        )
        for node in nodes
    ]
    connect(members)
    if opened:
        open_epoch(members, since=START, until=until)
    return Banks(nodes, members, policy, clock)


def make_payment(
    place: int, payee: str, *, at: int = START, terminal: str = "", channel: str = "instant"
) -> Payment:
    return Payment(
        id=f"p-{place}-{os.urandom(4).hex()}",
        at=at,
        amount=1000,
        currency="EUR",
        customer=f"c-{place}",
        payee=payee,
        channel=channel,
        terminal=terminal,
    )
