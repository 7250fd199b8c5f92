"""A service with stand-ins behind it, and a client that speaks to it in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import httpx

from tallystick.apps.fraud.casework import Case
from tallystick.apps.fraud.deciding import Decision, ReasonCode
from tallystick.apps.fraud.payments import Payment
from tallystick.decisions import Waiting
from tallystick.errors import ConflictError, DisclosureError, NotFoundError, TallystickError
from tallystick.proof import Receipt
from tallystick.server import ROLES, FraudService, Keys, ServerSettings, Standing, create_app

STATEMENT = "ab" * 32


def made_keys(*, all_roles: bool = False, **limits: int) -> tuple[Keys, dict[str, str]]:
    """One key for every role, or each for all roles, and a second reviewer; returns role -> key."""
    keys, tokens = Keys(), {}
    for name, role in [*((role, role) for role in ROLES), ("ben", "review")]:
        keys, token = keys.added(name, ROLES if all_roles else [role], per_second=limits.get(role, 0))
        tokens.setdefault(role, token)
        tokens[name] = token
    return keys, tokens


class StandInEngine:
    """Decides by the amount alone, in a thread of its own; the same payment once."""

    def __init__(self) -> None:
        self.decided: dict[str, tuple[bytes, Decision]] = {}
        self.labels: list[tuple[str, bool, str]] = []
        self.error: TallystickError | None = None
        self.held: list[Callable[[], None]] | None = None

    def submit(self, payment: Payment) -> Future[Decision]:
        future: Future[Decision] = Future()

        def answer() -> None:
            try:
                future.set_result(self.decide(payment))
            except TallystickError as error:
                future.set_exception(error)

        if self.held is None:
            threading.Thread(target=answer).start()
        else:
            self.held.append(answer)
        return future

    def decide(self, payment: Payment) -> Decision:
        if self.error is not None:
            raise self.error
        known = self.decided.get(payment.id)
        if known is not None:
            if known[0] != payment.digest:
                raise ConflictError("this id was used for another payment")
            return Decision(**{**_fields(known[1]), "repeat": True})
        action: Any = "decline" if payment.amount > 100_000 else "approve"
        status = "RJCT" if action == "decline" else "ACCP"
        made = Decision(
            payment=payment.id,
            action=action,
            status=status,
            status_reason="FRAD" if status == "RJCT" else "",
            reasons=(ReasonCode("R01", "a large amount"),),
            score=payment.amount,
            probability=0.5,
            model="cd" * 32,
            rules=(),
            statement=payment.digest.hex(),
            decided_at=payment.at,
        )
        self.decided[payment.id] = payment.digest, made
        return made

    def find(self, payment_id: str) -> Decision | None:
        known = self.decided.get(payment_id)
        return None if known is None else known[1]

    def report_label(self, payment_id: str, fraud: bool, *, source: str, decision: str = "") -> str:
        if payment_id not in self.decided:
            raise NotFoundError("no such payment is remembered")
        self.labels.append((payment_id, fraud, source))
        return STATEMENT


def _fields(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in Decision.__slots__}


class StandInCases:
    """One case, by the rules of the real ones."""

    def __init__(self) -> None:
        self.case = Case(STATEMENT, "p-1", "hold", 1, 4_000_000_000_000_000)

    def queue(self, *, limit: int = 100, settled: bool = False) -> list[Case]:
        return [self.case][:limit] if settled or not self.case.settled_as else []

    def find(self, decision: str) -> Case:
        if decision != STATEMENT:
            raise NotFoundError("there is no case of this decision")
        return self.case

    def sealed(self, decision: str) -> dict[str, Any]:
        return {"answer": "hold", "payment": {"id": "p-1"}}

    def take(self, decision: str, *, by: str) -> str:
        self.find(decision).taken_by = by
        return STATEMENT

    def judge(self, decision: str, *, by: str, outcome: str, note: str = "") -> Case:
        case = self.find(decision)
        objection = case.objection(by, outcome, 2)
        if objection is not None:
            raise objection
        case.take(by, outcome)
        return case


class StandInAppeals:
    """Takes every appeal."""

    def review(self, decision: str, *, by: str, to: str = "", note: str = "") -> str:
        return STATEMENT

    def appealed(self) -> list[Waiting]:
        return [Waiting(STATEMENT, "review", 5, 1)]

    def appeal(self, decision: str, *, by: str, grounds: str = "", subject: str = "") -> str:
        return STATEMENT


class StandInReceipts:
    """Knows no statement; remembers what was asked to be disclosed."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str] | None] = []

    def receipt(self, id_or_index: str | int, *, disclose: Sequence[str] | None = None) -> Receipt:
        self.asked.append(disclose)
        if disclose and "no.such.field" in disclose:
            raise DisclosureError("no such field")
        raise NotFoundError("there is no such statement")


class Service:
    """A whole service in this process.

    Attributes:
        engine, cases, receipts: the stand-ins behind it.
        tokens: role -> key.
    """

    def __init__(self, standing: Standing | None = None, **settings: Any) -> None:
        limits = settings.pop("limits", {})
        keys, self.tokens = made_keys(all_roles=settings.pop("all_roles", False), **limits)
        self.engine, self.cases, self.receipts = StandInEngine(), StandInCases(), StandInReceipts()
        self.standing = standing or Standing(journal=7, backlog=3, backlog_s=1.5)
        self.lines: list[bytes] = []
        self.closed = 0
        self.alerts: list[Decision] = []
        self.settings = ServerSettings(keys=keys, log=self.lines.append, **settings)
        self.app = create_app(
            FraudService(
                self.engine,
                self.receipts,
                lambda: self.standing,
                cases=self.cases,
                appeals=StandInAppeals(),
                decided=self.alerts.append,
                close=self._close,
            ),
            self.settings,
        )

    def _close(self) -> None:
        self.closed += 1

    def client(self, role: str = "decide", **headers: str) -> httpx.AsyncClient:
        """A client with the key of a role; none for an empty one."""
        auth = {"authorization": f"Bearer {self.tokens[role]}"} if role else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://service", headers={**auth, **headers})
