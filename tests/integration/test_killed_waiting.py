"""kill -9 while anchors wait for cosignatures that come and go: nothing is lost, nothing goes to the chain without them."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.serving import PASSPHRASE, listening

from tallystick.chain import Anchors, LocalChain, Profile, connect, serve
from tallystick.errors import OverloadedError
from tallystick.node import Consortium, NetworkGround, Node, WitnessSettings
from tallystick.proof import journal_id
from tallystick.server import JournalService

KILLS = 4
LIMIT_S = 60
CHILD = """
import sys
from pathlib import Path
from tallystick.errors import QuorumError
from tallystick.node import Node

place, heads, passphrase = sys.argv[1:]
with Node.open(place, passphrase=passphrase, heads=Path(heads)) as node:
    while True:
        entry = node.record("document.recorded", {"title": "x"})
        print("recorded", entry.index, entry.id, flush=True)
        try:
            for claim in node.anchor():
                print("anchored", claim.size, claim.root.hex(), flush=True)
        except QuorumError:
            print("waits", entry.index, "-", flush=True)
"""


class Moody(JournalService):
    """A witness that is there or not, and remembers which heads it cosigned."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.is_away = False
        self.cosigned: set[tuple[int, bytes]] = set()

    def add_checkpoint(self, data: bytes) -> bytes:
        if self.is_away:
            raise OverloadedError("not now")
        line = super().add_checkpoint(data)
        head = self.witness.head(self.other)
        assert head is not None
        self.cosigned.add((head.size, head.root))
        return line

    other = ""


@contextmanager
def running(place: Path, heads: Path, told: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child that records and anchors; killed at the end."""
    with told.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(place), str(heads), PASSPHRASE], stdout=out, stderr=out
        )
        try:
            yield child
        finally:
            child.kill()
            child.wait(LIMIT_S)


def lines(told: Path) -> list[list[str]]:
    """What children told, without a line that a kill has cut."""
    text = told.read_text() if told.exists() else ""
    return [line.split() for line in text.split("\n")[:-1]]


def wait_for(told: Path, count: int, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + LIMIT_S
    while len(lines(told)) < count:
        assert child.poll() is None, told.read_text()[-2000:]
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
def test_kills_while_it_waits_lose_nothing_and_send_nothing_uncosigned(tmp_path: Path) -> None:
    names, drawn, told = ("bank-a", "bank-b", "bank-c"), random.Random(11), tmp_path / "told"
    with LocalChain(tmp_path / "chain") as local, serve(local, port=0) as chain, ExitStack() as opened:
        profiles = {name: Profile("network", urls=(chain.url,)) for name in names}
        ground = NetworkGround(profiles, treasury=local.fund)
        heads = tmp_path / "heads"
        made = opened.enter_context(
            Consortium(names, directory=tmp_path / "three", ground=ground, passphrase=PASSPHRASE, heads=heads)
        )
        a, b, c = made.nodes
        witnesses = [Moody(b), Moody(c)]
        for witness in witnesses:
            witness.other = a.origin
        urls = tuple(opened.enter_context(listening(witness)) for witness in witnesses)
        a.set_witnesses(WitnessSettings(urls), before_anchor=True)
        a.close()
        for kill in range(KILLS):
            with running(a.workspace.path, heads, told) as child:
                wait_for(told, len(lines(told)) + 3, child)
                witnesses[0].is_away = kill % 2 == 0
                time.sleep(drawn.uniform(0.0, 0.6))
                witnesses[0].is_away = False
                time.sleep(drawn.uniform(0.0, 0.3))
        with Node.open(a.workspace.path, passphrase=PASSPHRASE, heads=heads) as node:
            node.anchor()
            recorded = {(int(index), which) for what, index, which in lines(told) if what == "recorded"}
            assert recorded
            assert all(node.journal.entry(index).id == which for index, which in recorded)
            settings = node.settings.chain
            assert settings is not None
            with connect(settings.profile) as reached:
                history = list(Anchors(reached.web3, settings.anchors).history(journal_id(node.origin)))
            on_chain = [(one.size, one.root) for one in history]
            newest = node.journal.size
            assert {claim.size for claim in node.claims} == {size for size, _ in on_chain}
    words = {what for what, *_ in lines(told)}
    assert words == {"recorded", "anchored", "waits"}
    assert on_chain[0][0] == newest
    assert len(set(on_chain)) == len(on_chain)
    for witness in witnesses:
        assert set(on_chain) <= witness.cosigned
    acknowledged = {
        (int(size), bytes.fromhex(root)) for what, size, root in lines(told) if what == "anchored"
    }
    assert acknowledged <= set(on_chain)
