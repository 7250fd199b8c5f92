"""Faults of witnesses: a party's heads need two of three lines before they are anchored, and a witness fails it.

The witnesses are real nodes in processes of their own (`tallystick node serve`). One that is down, stands still or does
not know the party costs its line and no more; with two of three down nothing is anchored, and nothing is lost.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.load import PASSPHRASE, RICH, SCRYPT_N, Party
from faults.rows import FaultRow
from faults.stage import Ground, Stage
from faults.trial import Trial
from tallystick.chain import Account
from tallystick.errors import SurroundingsError
from tallystick.network import funded
from tallystick.node import ChainSettings, Node, WitnessSettings, format_card_file

__all__ = ["witnesses"]

COUNT, NEED = 3, 2
ANSWER_S = 1  # of one witness
START_S = 30.0
PROGRAM = "from tallystick.cli import main; main()"
LISTENS = "listening at "
STAND_S = 6.0


def witnesses(ground: Ground) -> list[FaultRow]:
    """Fail one witness of three in each way, then two at once."""
    stage = ground.stage()
    party = stage.parties[0]
    with ExitStack() as stack:
        known = [
            stack.enter_context(_Witness.made(stage, party, f"witness-{place}")) for place in range(COUNT)
        ]
        stranger = stack.enter_context(_Witness.made(stage, None, "stranger"))
        party.node.import_card(stranger.card)
        for one in known:
            party.node.import_card(one.card)
        urls = tuple(one.url for one in known)
        _ask(party, urls)
        stack.callback(party.node.set_witnesses, WitnessSettings(), before_anchor=False)
        return [
            _one(stage, "is down", known[0].kill, known[0].start),
            _one(stage, "stands still", known[0].pause, known[0].resume),
            _one(
                stage,
                "has another policy",
                lambda: _ask(party, (stranger.url, *urls[1:])),
                lambda: _ask(party, urls),
            ),
            _two(stage, party, known),
        ]


def _ask(party: Party, urls: tuple[str, ...]) -> None:
    party.node.set_witnesses(WitnessSettings(urls, NEED, timeout_seconds=ANSWER_S), before_anchor=True)


def _one(stage: Stage, how: str, harm: Callable[[], None], mend: Callable[[], None]) -> FaultRow:
    with stage.trial(f"one witness of three {how}") as trial:
        harm()
        try:
            trial.broken()
            trial.resumes()
            if not stage.parties[0].node.gathered.missing:
                trial.wrong("no witness was missed, so nothing was tried")
        finally:
            mend()
        trial.mended()
        trial.recovers()
        _hold_cosigned(trial, stage.parties[0])
    return trial.row


def _two(stage: Stage, party: Party, known: list[_Witness]) -> FaultRow:
    """Take two of three away: the party's heads wait, the other party's do not."""
    with stage.trial("two witnesses of three are down") as trial:
        for one in known[:2]:
            one.kill()
        try:
            trial.broken()
            time.sleep(STAND_S / 2)  # what had its lines already may still be anchored
            settled, said = len(party.promised), len(party.acknowledged)
            time.sleep(STAND_S)
            if len(party.promised) != settled:
                trial.wrong("a head was anchored without its lines")
            if len(party.acknowledged) == said:
                trial.wrong("nothing was stated meanwhile, so nothing could have been lost")
        finally:
            for one in known[:2]:
                one.start()
        trial.mended()
        trial.recovers()
        _hold_cosigned(trial, party)
    return trial.row


def _hold_cosigned(trial: Trial, party: Party) -> None:
    """Hold that the newest anchored statement's receipt bears as many lines as were asked for."""
    newest = max(party.promised)
    names = {line.name for line in party.node.receipt(newest - 1).checkpoint.parsed().signatures}
    if len(names) < 1 + NEED:
        trial.wrong(f"an anchored head bears {len(names) - 1} witnesses' lines")


@dataclass(slots=True)
class _Witness:
    """A member's node that serves, in a process of its own; it comes back where it was."""

    place: Path
    card: bytes
    port: int = 0
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def made(cls, stage: Stage, knows: Party | None, name: str) -> Iterator[_Witness]:
        """Make its workspace, where it knows a party or nobody, and start it."""
        place = stage.top / name
        with Node.init(
            place, name=name, passphrase=PASSPHRASE, scrypt_n=SCRYPT_N, heads=stage.top / "heads"
        ) as node:
            chain = stage.parties[0].node.settings.chain
            assert chain is not None
            if knows is not None:
                node.import_card(format_card_file(knows.node.party.cards))
            node.set_chain(ChainSettings(stage.network.bundle.profile(1), chain.members, chain.anchors))
            funded(stage.network.bundle, Account(node.party.secret("chain")).address, RICH)
            card = format_card_file(node.party.cards)
        made = cls(place, card)
        made.start()
        try:
            yield made
        finally:
            made.kill()

    def start(self) -> None:
        words = ["-c", PROGRAM, "node", "serve", "--port", str(self.port), "-w", str(self.place)]
        known = {"TALLYSTICK_PASSPHRASE": PASSPHRASE, "TALLYSTICK_STATE": str(self.place.parent / "heads")}
        self.process = subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **known},
        )
        self.url = self._told()
        self.port = int(self.url.rpartition(":")[2])

    def _told(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        if select.select([self.process.stdout], [], [], START_S)[0]:
            line = self.process.stdout.readline().decode()
            if line.startswith(LISTENS):
                return line.removeprefix(LISTENS).strip()
        self.kill()
        raise SurroundingsError("a witness did not start")

    def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
