"""A bank's running fraud service, apart from how it is called.

- The engine decides; what it decides is durable before anybody hears of it.
- Alerts become cases a moment later, in a thread of their own. A crash in between loses none: at the start, the
  decisions since the last case are looked through again.
- Heads go to the chain in the background. A slow chain or a dead one only makes the backlog grow; decisions go on.
- The whole journal is hashed again behind the start. Damage is said, and makes the service not ready.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from tallystick.apps.fraud.casework import Cases
from tallystick.apps.fraud.deciding import (
    DECISION_KINDS,
    Audit,
    Decision,
    Detectors,
    Drift,
    Engine,
    Reference,
    default_rules,
    is_ours,
)
from tallystick.apps.fraud.features import FeatureSource, Signals
from tallystick.decisions import Waiting
from tallystick.errors import NotFoundError, TallystickError
from tallystick.proof import Clock, system_clock

from ._settings import FRAUD_FILE, FraudSettings
from ._standing import Standing

if TYPE_CHECKING:
    from tallystick.node import Node, Rehashing

__all__ = ["Serving"]

STATE: Final = "fraud"  # directory of the engine's snapshots in a workspace
OPENED: Final = "case.opened"
OVERLAP: Final = 512  # entries before the last case that are looked through again at the start
CASES_EVERY_S: Final = 0.2
ANCHOR_LOOK_S: Final = 1.0
ANCHOR_WAIT_S: Final = 30.0
SLOWEST_S: Final = 60.0  # between two attempts at a chain that does not answer
SIZE_EVERY_S: Final = 15.0
VERIFY_SHARE: Final = 0.1  # of one core


class Serving:
    """One bank's engine and what goes on beside it.

    Args:
        node: the bank's, open for writing; closed by whoever opened it, after `close`.
        settings: see `FraudSettings`.
        features: the windows, as they stand before the journal's first decision.
        signals: what other banks let this one know.
        clock: microseconds since the epoch.
        audit: leave it as it is.

    Attributes:
        engine, cases: see there.

    Raises:
        TallystickError: as `Engine`, `Detectors`, `Reference.read` and `Cases`.
    """

    def __init__(
        self,
        node: Node,
        settings: FraudSettings,
        *,
        features: FeatureSource,
        signals: Signals | None = None,
        clock: Clock = system_clock,
        audit: Audit = Audit.ON,
    ) -> None:
        self._node, self._clock = node, clock
        names = (*features.names, *(signals.names if signals else ()))
        models = _detectors(node, settings)
        self.engine = Engine(
            node,
            models=models,
            features=features,
            signals=signals,
            policy=settings.policy,
            rules=default_rules(names) if settings.rules is None else settings.rules,
            oversight=node.oversight,
            clock=clock,
            permit=settings.permit,
            settings=settings.engine,
            directory=node.workspace.path / STATE,
            drift=_drift(node, settings, models),
            audit=audit,
        )
        self.cases = Cases(
            node, oversight=node.oversight, labels=self.engine, deadlines=settings.cases, clock=clock
        )
        self._alerts: deque[Decision] = deque()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._anchor_error, self._verification = "", "none"
        self._first_open: tuple[int, int] = (-1, 0)  # anchored size -> time of the statement after it
        self._bytes, self._bytes_at = 0, float("-inf")
        self._rehashing: Rehashing | None = None
        self._lock = threading.Lock()

    def start(self, *, anchors: bool = True, verify: bool = True, anchor_s: float | None = None) -> None:
        """Begin what goes on in the background.

        Args:
            anchors: send heads to the chain, where the workspace names one.
            verify: hash the journal again.
            anchor_s: seconds between anchors; as the workspace's settings say when None.
        """
        self._warm()
        self._open_missing()
        self._go(self._keep_cases, "fraud-cases")
        chain = self._node.settings.chain
        if anchors and chain is not None and chain.anchors:
            self._go(lambda: self._keep_anchors(anchor_s), "fraud-anchors")
        if verify:
            self._verification = "running"
            self._rehashing = self._node.verify_behind(share=VERIFY_SHARE)

    def _warm(self) -> None:
        """Load what the first decision would load, so that no payment waits for it; nothing is decided."""
        import numpy as np

        champion = self.engine.models.champion
        if champion is not None:
            row = np.zeros((1, champion.model.quantiser.width), dtype=np.int16)
            champion.model.scores_inputs_many(row)
            champion.model.reasons_inputs_many(row, 4)

    def decided(self, decision: Decision) -> None:
        """Take note of a decision; an alert's case is opened a moment later. Quick, from any thread."""
        if decision.action != "approve":
            self._alerts.append(decision)

    def appeal(self, decision: str, *, by: str, grounds: str = "", subject: str = "") -> str:
        """Object to a decision for the person affected; see `Oversight.appeal`.

        Args:
            decision: the decision's statement.
            by: who hands it in; sealed.
            grounds: why; sealed.
            subject: under whose key both are sealed; the customer's when empty, so that erasing her erases that too.
        """
        content = self._node.journal.payload(decision)
        payment = content.get("payment", {}) if isinstance(content, dict) else {}
        whose = subject or payment.get("customer", "")
        return self._node.oversight.appeal(decision, by=by, grounds=grounds, subject=whose)

    def review(self, decision: str, *, by: str, to: str = "", note: str = "") -> str:
        """Look at an appealed decision again; see `Oversight.review`."""
        return self._node.oversight.review(decision, by=by, to=to, note=note)

    def appealed(self) -> list[Waiting]:
        """List decisions that were appealed and wait for two persons, the most urgent first."""
        return [one for one in self._node.oversight.waiting() if one.asks == "review"]

    def standing(self) -> Standing:
        """Say how it stands."""
        stats, journal = self.engine.stats(), self._node.journal.size
        chain = self._node.settings.chain
        has_chain = chain is not None and bool(chain.anchors)
        anchored = max((claim.size for claim in self._node.claims), default=0)
        done = 0 if self._rehashing is None else self._rehashing.done
        return Standing(
            mode=stats.mode,
            why=stats.stopped or stats.missing,
            journal=journal,
            journal_bytes=self._size_on_disk(),
            engine_waiting=stats.backlog,
            has_chain=has_chain,
            anchored=anchored if has_chain else None,
            backlog=journal - anchored if has_chain else 0,
            backlog_s=self._age_s(anchored, journal) if has_chain else 0.0,
            anchor_error=self._anchor_error,
            cases_waiting=len(self._alerts),
            verified=done,
            verification=self._verified(),
            drift=stats.drift,
            is_deciding=not stats.stopped and stats.mode != "refuse",
        )

    def close(self) -> None:
        """Decide what waits, open the cases of it, and end what goes on in the background."""
        self.engine.close()
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=ANCHOR_WAIT_S)
        self._open_cases()

    # -- cases ---------------------------------------------------------------------------------------------

    def _open_missing(self) -> None:
        """Open the cases that a crash left unopened, and state what it left unstated of settled ones."""
        journal = self._node.journal
        # Cases are opened in the order of their decisions, so the newest one says how far that came.
        newest = deque(journal.entries(kinds=(OPENED,)), maxlen=1)
        last = -1
        for entry in newest:
            last = max(journal.index(decision) for decision in entry.statement.links["decision"])
        alerts = []
        for entry in journal.entries(max(0, last - OVERLAP), kinds=DECISION_KINDS):
            if not is_ours(
                entry
            ):  # of a present scorer that is only observed: its alerts are its own people's
                continue
            try:
                content = journal.payload(entry.id)
            except TallystickError:  # it was erased: there is nothing left to judge
                continue
            answer = content.get("answer", "") if isinstance(content, dict) else ""
            alerts.append(_Alert(answer, entry.id))
        self.cases.open_for(alerts)
        self.cases.settle_missing()

    def _keep_cases(self) -> None:
        while not self._stopping.wait(CASES_EVERY_S):
            self._open_cases()

    def _open_cases(self) -> None:
        waiting = [self._alerts.popleft() for _ in range(len(self._alerts))]
        if not waiting:
            return
        try:
            self.cases.open_for(waiting)
        except TallystickError:
            # The journal takes nothing more: the engine says so itself, and a restart opens these.
            self._alerts.extendleft(reversed(waiting))

    # -- anchors -------------------------------------------------------------------------------------------

    def _keep_anchors(self, every_s: float | None) -> None:
        wait_s, last = ANCHOR_LOOK_S, time.monotonic()
        while not self._stopping.wait(wait_s):
            due = self._node.anchor_due() if every_s is None else time.monotonic() - last >= every_s
            if not due:
                continue
            try:
                self._node.anchor(timeout_s=ANCHOR_WAIT_S)
                self._anchor_error, wait_s = "", ANCHOR_LOOK_S
            except TallystickError as error:
                self._anchor_error = error.code
                wait_s = min(SLOWEST_S, wait_s * 2)
            last = time.monotonic()

    def _age_s(self, anchored: int, journal: int) -> float:
        if anchored >= journal:
            return 0.0
        if self._first_open[0] != anchored:
            self._first_open = (anchored, self._node.journal.statement(anchored).at)
        return max(0.0, (self._clock() - self._first_open[1]) / 1_000_000)

    # -- the rest ------------------------------------------------------------------------------------------

    def _verified(self) -> str:
        if self._rehashing is None or not self._rehashing.is_done:
            return self._verification
        return "failed" if self._rehashing.error is not None else "done"

    def _size_on_disk(self) -> int:
        now = time.monotonic()
        with self._lock:
            if now - self._bytes_at > SIZE_EVERY_S:
                self._bytes, self._bytes_at = _bytes_below(self._node.journal.directory), now
            return self._bytes

    def _go(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


class _Alert:
    """What a case is opened for, read from the journal."""

    __slots__ = ("action", "statement")

    def __init__(self, action: str, statement: str) -> None:
        self.action, self.statement = action, statement


def _detectors(node: Node, settings: FraudSettings) -> Detectors:
    said = settings.models
    if said is None:
        return Detectors(None, missing="rules decide alone: no model is set")
    on_missing: Literal["refuse", "rules"] = "rules" if said.on_missing == "rules" else "refuse"
    if said.champion_file:
        beside = node.workspace.path / said.challenger if said.challenger else None
        try:
            return Detectors.of_files(
                node.workspace.path / said.champion_file,
                model_hash=said.champion_hash,
                challenger=beside,
                on_missing=on_missing,
            )
        except NotFoundError as error:
            hint = (
                'train again; with on_missing = "rules" in its [models] rules decide until the file is back'
            )
            raise NotFoundError(
                f"a model that {FRAUD_FILE} names is missing: {error.message}", hint=hint
            ) from error
    return Detectors.of_registry(
        node.models.registry, said.champion, challenger=said.challenger, on_missing=on_missing
    )


def _drift(node: Node, settings: FraudSettings, models: Detectors) -> Drift | None:
    if settings.models is None or not settings.models.reference or models.champion is None:
        return None
    reference = Reference.read(node.workspace.path / settings.models.reference)
    return Drift(models.champion.hash, models.champion.model.quantiser.names, reference=reference)


def _bytes_below(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # gone meanwhile: a file that was replaced
            continue
    return total
