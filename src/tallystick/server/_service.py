"""What the HTTP interface stands on: the parts of a running fraud service, as it sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from tallystick.apps.fraud.casework import Case
from tallystick.apps.fraud.deciding import Decision
from tallystick.apps.fraud.payments import Payment
from tallystick.proof import Receipt

__all__ = ["FraudService", "Standing"]


class Decider(Protocol):
    """Who decides; the engine is one."""

    def submit(self, payment: Payment) -> Future[Decision]: ...
    def find(self, payment_id: str) -> Decision | None: ...
    def report_label(self, payment_id: str, fraud: bool, *, source: str) -> object: ...


class CaseDesk(Protocol):
    """Where people settle alerts; `Cases` is one."""

    def queue(self, *, limit: int = 100, settled: bool = False) -> list[Case]: ...
    def find(self, decision: str) -> Case: ...
    def sealed(self, decision: str) -> dict[str, Any]: ...
    def take(self, decision: str, *, by: str) -> str: ...
    def judge(self, decision: str, *, by: str, outcome: str, note: str = "") -> Case: ...


class Appeals(Protocol):
    """Where decisions are appealed; `Oversight` is one."""

    def appeal(self, decision: str, *, by: str, grounds: str = "", subject: str = "") -> str: ...


class Receipts(Protocol):
    """Who hands out receipts; a `Node` is one."""

    def receipt(self, id_or_index: str | int, *, disclose: Sequence[str] | None = None) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands.

    Args:
        mode: ``models``, or ``rules`` while rules decide alone.
        why: why rules decide alone; empty otherwise.
        journal: statements.
        journal_bytes: on the disk.
        batch: payments that the last batches had on average.
        engine_waiting: payments in the engine's queue.
        backlog: statements that no chain has yet.
        backlog_s: how long the oldest of them has waited.
        anchored: statements under the newest anchor; None where nothing is anchored.
        anchor_error: code of the last attempt's error; empty when it went well.
        verified: statements that were hashed again behind the start.
        verification: ``none``, ``running``, ``done`` or ``failed``.
        drift: feature -> population stability index.
        is_writing: whether the journal takes statements.
    """

    mode: str = "models"
    why: str = ""
    journal: int = 0
    journal_bytes: int = 0
    batch: float = 0.0
    engine_waiting: int = 0
    backlog: int = 0
    backlog_s: float = 0.0
    anchored: int | None = None
    anchor_error: str = ""
    verified: int = 0
    verification: str = "none"
    drift: Mapping[str, float] = field(default_factory=dict)
    is_writing: bool = True

    @property
    def is_ready(self) -> bool:
        """Whether payments should be sent here."""
        return self.is_writing and self.verification != "failed"


@dataclass(frozen=True, slots=True)
class FraudService:
    """The parts of one running service.

    Args:
        engine: decides.
        receipts: hands out receipts.
        standing: says how it stands; called for every look at ``/metrics`` and ``/health``, must be quick.
        cases: where alerts are settled; None where there are none.
        appeals: where decisions are appealed; None where that is done elsewhere.
        decided: is told of every new decision, in the event loop: must be quick; nobody when None.
        close: drains what waits and makes it durable; called once, after the last answer.
    """

    engine: Decider
    receipts: Receipts
    standing: Callable[[], Standing]
    cases: CaseDesk | None = None
    appeals: Appeals | None = None
    decided: Callable[[Decision], object] | None = None
    close: Callable[[], object] | None = None
