"""What the HTTP interface stands on: the parts of a running fraud service, as it sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from tallystick.apps.fraud.casework import Case
from tallystick.apps.fraud.deciding import Decision
from tallystick.apps.fraud.payments import Payment
from tallystick.apps.fraud.serving import Standing
from tallystick.decisions import Waiting
from tallystick.proof import Receipt

__all__ = ["Appeals", "CaseDesk", "FraudService", "Standing"]


class Decider(Protocol):
    """Who decides; the engine is one."""

    def submit(self, payment: Payment) -> Future[Decision]: ...
    def find(self, payment_id: str) -> Decision | None: ...
    def report_label(self, payment_id: str, fraud: bool, *, source: str, decision: str = "") -> object: ...


class CaseDesk(Protocol):
    """Where people settle alerts; `Cases` is one."""

    def queue(self, *, limit: int = 100, settled: bool = False) -> list[Case]: ...
    def find(self, decision: str) -> Case: ...
    def sealed(self, decision: str) -> dict[str, Any]: ...
    def take(self, decision: str, *, by: str) -> str: ...
    def judge(self, decision: str, *, by: str, outcome: str, note: str = "") -> Case: ...


class Appeals(Protocol):
    """Where decisions are appealed, and looked at again; `Serving` is one."""

    def appeal(self, decision: str, *, by: str, grounds: str = "", subject: str = "") -> str: ...
    def review(self, decision: str, *, by: str, to: str = "", note: str = "") -> str: ...
    def appealed(self) -> Sequence[Waiting]: ...


class Effects(Protocol):
    """Who knows what a decision is worth now; `Oversight` is one."""

    def effect(self, decision: str) -> str: ...
    def in_force(self, decision: str) -> str: ...


class Receipts(Protocol):
    """Who hands out receipts; a `Node` is one."""

    def receipt(self, id_or_index: str | int, *, disclose: Sequence[str] | None = None) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class FraudService:
    """The parts of one running service.

    Args:
        engine: decides.
        receipts: hands out receipts.
        standing: says how it stands; called for every look at ``/metrics`` and ``/health``, must be quick.
        cases: where alerts are settled; None where there are none.
        appeals: where decisions are appealed; None where that is done elsewhere.
        effects: what people did with decisions beside the cases; nothing when None.
        decided: is told of every new decision, in the event loop: must be quick; nobody when None.
        close: drains what waits and makes it durable; called once, after the last answer.
    """

    engine: Decider
    receipts: Receipts
    standing: Callable[[], Standing]
    cases: CaseDesk | None = None
    appeals: Appeals | None = None
    effects: Effects | None = None
    decided: Callable[[Decision], object] | None = None
    close: Callable[[], object] | None = None
