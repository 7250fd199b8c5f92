"""The replay: every payment decided by the very engine that a bank would run, in the order of its time.

Three phases of equal length: each bank alone, then with the shared list, then with the detector that also reads what
the banks know together. Reports, labels and daily sums come when they came; people work on some of the cases.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tallystick.apps.fraud.casework import CaseDeadlines, Cases
from tallystick.apps.fraud.deciding import (
    Decision,
    Detector,
    Detectors,
    Engine,
    EngineSettings,
    default_rules,
)
from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.apps.fraud.sharing import StatedHold
from tallystick.models import Version
from tallystick.node import Node

from ._history import DAY, History
from ._learning import ARMS, BankLearned
from ._together import Together

__all__ = ["Replay", "Replayed", "Reviewed"]

CHUNK: Final = 36  # payments that are on their way at once, over all banks
SETTINGS: Final = EngineSettings(snapshot_every=0, times="named")  # a history is played
DEADLINES: Final = CaseDeadlines(hold_s=4 * 3_600, review_s=5 * 86_400)
EDGES_MS: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)


@dataclass
class Replayed:
    """What a phase, or the whole, came to.

    Args:
        name: of the phase.
        decisions: how many.
        seconds: that the engines were busy with them.
        latencies: microseconds, one a decision.
        actions: how many of each.
        alerts: decisions that were not approvals.
        caught: frauds among them.
        frauds: among all.
    """

    name: str
    decisions: int = 0
    seconds: float = 0.0
    latencies: list[int] = field(default_factory=list)
    actions: Counter[str] = field(default_factory=Counter)
    alerts: int = 0
    caught: int = 0
    frauds: int = 0

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        import numpy as np

        taken = np.array(self.latencies or [0]) / 1_000
        return {
            "alerts": self.alerts,
            "caught": self.caught,
            "decisions": self.decisions,
            "frauds": self.frauds,
            "name": self.name,
            "p50_ms": float(np.quantile(taken, 0.5)),
            "p99_ms": float(np.quantile(taken, 0.99)),
            "rate": self.decisions / max(self.seconds, 1e-9),
        }


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A hold that people released.

    Args:
        bank: number of the bank.
        decision: what the engine decided.
        course: who said what, in order.
        released: whether the payment may go now.
    """

    bank: int
    decision: Decision
    course: tuple[tuple[str, str], ...]
    released: bool


class Replay:
    """Replays a history through one engine a bank.

    Args:
        nodes: the banks'.
        history: what is played.
        together: what the banks share.
        learned: their detectors.
        published: per bank, the published versions of both detectors.
        permits: per bank, the statement that permits its decisions.
        on_progress: told how far it is, a few times a second.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        history: History,
        together: Together,
        learned: Sequence[BankLearned],
        *,
        published: Sequence[tuple[Version, Version]],
        permits: Sequence[str],
        on_progress: Callable[[str], None],
    ) -> None:
        self.nodes, self.history, self.together, self.learned = nodes, history, together, learned
        self._published, self._permits, self._on_progress = published, permits, on_progress
        self._engines: list[Engine] = []
        self.phases: list[Replayed] = []
        self.holds: list[list[StatedHold]] = [[] for _ in nodes]
        self.reviewed: Reviewed | None = None
        self.alerts: list[list[Decision]] = [[] for _ in nodes]
        self.cases: list[Cases] = []
        self._walk = list(history.replay())
        self._place = 0
        self._labels = sorted(
            (int(bank.known_at[place]), number, place)
            for number, bank in enumerate(history.banks)
            for place in bank.fraud.nonzero()[0].tolist()
            if place >= bank.cut
        )[::-1]

    def _start(self, number: int) -> Windows:
        """The windows as the replay begins, with the labels of earlier payments that come later."""
        bank, windows = self.history.banks[number], Windows.parse_state(self.learned[number].state)
        late = [
            Label(bank.payments[place], True, int(bank.known_at[place]))
            for place in bank.fraud[: bank.cut].nonzero()[0].tolist()
            if bank.known_at[place] > self.history.start
        ]
        windows.learn(late)
        return windows

    def run(self, case: int) -> Replayed:
        """Replay a third of the payments.

        Args:
            case: place in `ARMS`: what the banks have.
        """
        stop = len(self._walk) * (case + 1) // len(ARMS)
        done, engines = (
            Replayed(ARMS[case]),
            [self._engine(number, case) for number in range(len(self.nodes))],
        )
        self.cases = [
            # Deadlines are counted on the clock of the statements, and the journal's is today's, not the replay's.
            Cases(node, oversight=node.oversight, labels=engine, deadlines=DEADLINES)
            for node, engine in zip(self.nodes, engines, strict=True)
        ]
        told = time.monotonic()
        while self._place < stop:
            self._chunk(engines, done, min(stop, self._place + CHUNK))
            if time.monotonic() - told > 0.25:
                told = time.monotonic()
                self._tell(done)
        self.phases.append(done)
        return done

    def close(self) -> None:
        """Close the engines of the last phase; people may report labels until then."""
        for engine in self._engines:
            engine.close()
        self._engines = []

    def _engine(self, number: int, case: int) -> Engine:
        node, learned = self.nodes[number], self.learned[number]
        local, federated = (
            Detector(fitted.model, version.published)
            for fitted, version in zip(
                (learned.local, learned.federated), self._published[number], strict=True
            )
        )
        signals = self.together.signals[number] if case else None
        names = (*Windows.names, *(signals.names if signals else ()))
        return Engine(
            node,
            models=Detectors(federated, local) if case == 2 else Detectors(local),
            # A snapshot of the phase before holds what came since; without one the journal does.
            features=self._start(number),
            signals=signals,
            policy=learned.policies[case == 2],
            rules=default_rules(names),
            oversight=node.oversight,
            clock=self.together.moment,
            permit=self._permits[number],
            settings=SETTINGS,
            directory=self._snapshots(node),
        )

    def _snapshots(self, node: Node) -> Path:
        place = node.workspace.path / "fraud"
        place.mkdir(exist_ok=True)
        return place

    def _chunk(self, engines: Sequence[Engine], done: Replayed, stop: int) -> None:
        """Decide what lies before the next report, label or sum, and at most so much."""
        first = self.history.banks[self._walk[self._place][0]].payments[self._walk[self._place][1]].at
        self.together.advance(first)
        self._report_labels(engines, first)
        until = min(self.together.next_at, self._labels[-1][0] if self._labels else self.history.until)
        chosen: list[tuple[int, int, Payment]] = []
        while self._place < stop:
            number, place = self._walk[self._place]
            payment = self.history.banks[number].payments[place]
            if chosen and payment.at > until:
                break
            chosen.append((number, place, payment))
            self._place += 1
        # Nobody's clock may stand before a payment's own time: the chunk is decided when its last one has come.
        self.together.moment.now = max(self.together.moment.now, chosen[-1][2].at)
        begun = time.perf_counter()
        asked: list[Future[Decision]] = [
            engines[number].submit(payment, wait=True) for number, _, payment in chosen
        ]
        decisions = [one.result() for one in asked]
        done.seconds += time.perf_counter() - begun
        self._take(done, chosen, decisions)

    def _report_labels(self, engines: Sequence[Engine], now: int) -> None:
        while self._labels and self._labels[-1][0] <= now:
            known_at, number, place = self._labels.pop()
            payment = self.history.banks[number].payments[place]
            engines[number].report_label(payment.id, True, source="customer", known_at=known_at)

    def _take(self, done: Replayed, chosen: Sequence[Any], decisions: Sequence[Decision]) -> None:
        for (number, place, payment), decision in zip(chosen, decisions, strict=True):
            fraud = bool(self.history.banks[number].fraud[place])
            done.decisions += 1
            done.frauds += fraud
            done.latencies.append(decision.latency_us)
            done.actions[decision.action] += 1
            if decision.action == "approve":
                continue
            done.alerts += 1
            done.caught += fraud
            self.alerts[number].append(decision)
            self.cases[number].open_for([decision])
            if decision.action == "hold" and not fraud and self.reviewed is None:
                # Somebody calls the customer, who really made this payment: the truth is asked, not guessed.
                self.reviewed = self._review(number, decision)
            if decision.action in ("hold", "decline"):
                self.holds[number].append(StatedHold(payment.payee, payment.at, decision.statement))

    def _review(self, number: int, decision: Decision) -> Reviewed:
        """Let two people look at a hold: one is not enough to let a stopped payment go."""
        cases, course = self.cases[number], []
        cases.take(decision.statement, by="reviewer 1")
        for person, note in (("reviewer 1", "called the customer"), ("reviewer 2", "saw the invoice")):
            case = cases.judge(decision.statement, by=person, outcome="genuine", note=note)
            settled = "released" if case.settled_as else "not enough: a stopped payment takes four eyes"
            course.append((person, f"says genuine: {settled}"))
        in_force = self.nodes[number].oversight.in_force(decision.statement)
        course.append(("in force now", in_force))
        return Reviewed(number, decision, tuple(course), released=in_force == "approve")

    def _tell(self, done: Replayed) -> None:
        found = done.plain()
        days = (self.together.moment.now - self.history.start) / DAY
        self._on_progress(
            f"{done.name}: {self._place:,} of {len(self._walk):,} payments, day {days:.0f}, {found['rate']:,.0f}/s, "
            f"p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms, {done.alerts:,} alerts"
        )

    def plain(self) -> dict[str, Any]:
        """Return the whole replay as it stands in the summary."""
        import numpy as np

        whole = Replayed("all")
        for phase in self.phases:
            whole.decisions += phase.decisions
            whole.seconds += phase.seconds
            whole.latencies += phase.latencies
            whole.actions.update(phase.actions)
        taken = np.array(whole.latencies) / 1_000
        counts, _ = np.histogram(taken, (0.0, *EDGES_MS, np.inf))
        labels = [
            f"up to {EDGES_MS[0]:g} ms",
            *(f"{low:g} to {high:g} ms" for low, high in pairwise(EDGES_MS)),
            f"above {EDGES_MS[-1]:g} ms",
        ]
        found = whole.plain()
        return {
            "actions": {
                name: whole.actions.get(name, 0) for name in ("approve", "review", "hold", "decline")
            },
            "decisions": whole.decisions,
            "in_flight": CHUNK,
            "histogram": [[label, int(count)] for label, count in zip(labels, counts, strict=True) if count],
            "p50_ms": found["p50_ms"],
            "p99_ms": found["p99_ms"],
            "phases": [phase.plain() for phase in self.phases],
            "rate": found["rate"],
        }
