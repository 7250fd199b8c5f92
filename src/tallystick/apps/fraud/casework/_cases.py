"""The case queue: everything is a statement in the bank's own journal, and the queue is computed from these.

    cases = Cases(node, oversight=node.oversight, labels=engine)
    cases.open_for(decisions)                                  # after every batch; approvals open nothing
    cases.judge(decision, by="ana", outcome="genuine")         # first pair of eyes
    cases.judge(decision, by="ben", outcome="genuine")         # second: released, and the label is reported

Persons stand in sealed fields only. A crash between a decision and its case loses nothing: `open_for` may be
called again with the same decisions, and opens what is missing; `settle_missing` does the same for what follows.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tallystick.apps.fraud.deciding import ACTIONS
from tallystick.decisions import Effect
from tallystick.errors import (
    AccessDeniedError,
    ConflictError,
    DeadlineError,
    DisclosureError,
    InputError,
    ModelInputError,
    NotFoundError,
)
from tallystick.proof import Clock, Draft, Entry, Statement, system_clock

from ._rules import FRAUD, GENUINE, Case

__all__ = ["Alert", "CaseDeadlines", "Cases", "Labels"]

_SECOND: Final = 1_000_000
_KINDS: Final = frozenset(
    {"case.judged", "case.opened", "case.taken", "decision.overridden", "label.reported"}
)
MAX_TEXT: Final = 2_000  # characters of a note


class Labels(Protocol):
    """Whoever learns what payments turned out to be; the engine is one."""

    def report_label(self, payment_id: str, fraud: bool, *, source: str, decision: str) -> object: ...


class Overrides(Protocol):
    """Where decisions are overridden and appealed; `Oversight` is one."""

    def effect(self, decision: str) -> Effect: ...
    def in_force(self, decision: str) -> str: ...
    def override(self, decision: str, *, by: str, to: str, reason: str, note: str = "") -> str: ...


class Records(Protocol):
    """A journal to read."""

    @property
    def size(self) -> int: ...
    def entries(
        self, start: int = 0, stop: int | None = None, *, kinds: Collection[str] | None = None
    ) -> Iterator[Entry]: ...
    def entry(self, id_or_index: str | int) -> Entry: ...
    def payload(self, id_or_index: str | int) -> bytes | dict[str, Any]: ...


class Journalled(Protocol):
    """Somebody with a journal; a `Node` is one."""

    @property
    def journal(self) -> Records: ...
    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]: ...


class Alert(Protocol):
    """What a case is opened for; a `Decision` is one."""

    @property
    def action(self) -> str: ...
    @property
    def statement(self) -> str: ...


@dataclass(frozen=True, slots=True)
class CaseDeadlines:
    """How long people have, in seconds.

    Args:
        hold_s: to settle a hold; afterwards the payment is refused.
        review_s: to look at a payment that went on, or at a refusal.
    """

    hold_s: int = 4 * 60 * 60
    review_s: int = 5 * 24 * 60 * 60

    def __post_init__(self) -> None:
        if min(self.hold_s, self.review_s) <= 0:
            raise ModelInputError("deadlines must be > 0 seconds")


class Cases:
    """The case queue of one bank.

    Args:
        node: whose journal it is.
        oversight: states overrides, by its own rules.
        labels: is told what payments turned out to be; nobody when None.
        deadlines: how long people have.
        clock: microseconds since the epoch.
    """

    def __init__(
        self,
        node: Journalled,
        *,
        oversight: Overrides,
        labels: Labels | None = None,
        deadlines: CaseDeadlines = CaseDeadlines(),
        clock: Clock = system_clock,
    ) -> None:
        self._node, self._oversight, self._labels = node, oversight, labels
        self._deadlines, self._clock = deadlines, clock
        self._cases: dict[str, Case] = {}
        self._overridden: set[str] = set()  # decisions that were overridden, by a case or otherwise
        self._labelled: dict[str, bool] = {}  # payments of which somebody said what they were; the last word
        self._read = 0
        self._lock = threading.RLock()

    # -- opening -------------------------------------------------------------------------------------------

    def open_for(self, decisions: Iterable[Alert]) -> list[str]:
        """Open a case for every alert among decisions that has none; returns the alerts' statements."""
        with self._lock:
            self._catch_up()
            alerts = {
                one.statement: one.action
                for one in decisions
                if one.action != "approve" and one.statement and one.statement not in self._cases
            }
            now = self._clock()
            drafts = [
                Draft("case.opened", {"until": now + self._allowed(action)}, {"decision": [statement]})
                for statement, action in alerts.items()
            ]
            if drafts:
                self._node.record_many(drafts)
            return list(alerts)

    def _allowed(self, action: str) -> int:
        return (self._deadlines.hold_s if action == "hold" else self._deadlines.review_s) * _SECOND

    # -- looking -------------------------------------------------------------------------------------------

    def queue(self, *, limit: int = 100, settled: bool = False) -> list[Case]:
        """List cases, the most urgent first.

        Args:
            limit: most that are returned, >= 1.
            settled: also those that are settled or lapsed.
        """
        with self._lock:
            self._catch_up()
            now = self._clock()
            found = [case for case in self._cases.values() if settled or case.state(now) in _WAITING]
        return sorted(found, key=lambda case: (case.until, case.decision))[:limit]

    def find(self, decision: str) -> Case:
        """Return the case of a decision.

        Raises:
            NotFoundError: there is none.
        """
        with self._lock:
            self._catch_up()
            case = self._cases.get(decision)
        if case is None:
            raise NotFoundError("there is no case of this decision", hint="approved payments have none")
        return case

    def sealed(self, decision: str) -> dict[str, Any]:
        """Open what was decided on: payment, reasons, score; for a person who works on the case.

        Raises:
            DisclosureError: it was erased.
        """
        content = self._node.journal.payload(decision)
        if not isinstance(content, dict):
            raise DisclosureError("this decision's payload is no record of fields")
        return content

    # -- what persons do -----------------------------------------------------------------------------------

    def take(self, decision: str, *, by: str) -> str:
        """Say who works on a case; returns the statement's id."""
        with self._lock:
            self.find(decision)
            fields = {"by": _person(by)}
            return self._node.record_many([Draft("case.taken", {}, {"decision": [decision]}, fields=fields)])[
                0
            ].id

    def judge(self, decision: str, *, by: str, outcome: str, note: str = "") -> Case:
        """Say what a payment is; when that settles the case, what follows is stated with it.

        Args:
            decision: the decision's statement.
            by: who says so; sealed.
            outcome: ``fraud`` or ``genuine``.
            note: why; sealed.

        Returns:
            The case as it stands afterwards.

        Raises:
            AccessDeniedError: the same person again, or somebody appealed.
            ConflictError: it is settled, or its decision was overridden elsewhere.
            DeadlineError: what the model proposed has lapsed: there is nothing to override.
            InputError: no such outcome, or the hold has lapsed.
            NotFoundError: there is no case.
        """
        if len(note) > MAX_TEXT:
            raise InputError(f"a note must have at most {MAX_TEXT} characters")
        with self._lock:
            case, now = self.find(decision), self._clock()
            objection = case.objection(_person(by), outcome, now)
            if objection is not None:
                raise objection
            _check_effect(self._oversight.effect(decision))
            fields = {"by": by, "outcome": outcome, **({"note": note} if note else {})}
            self._node.record_many([Draft("case.judged", {}, {"decision": [decision]}, fields=fields)])
            case = self.find(decision)
            if case.settled_as:
                if self._labelled.get(case.payment) == (case.settled_as == GENUINE):
                    # Somebody said otherwise before: what people settled now is the newer word.
                    del self._labelled[case.payment]
                self._settle(case, by)
            return case

    def settle_missing(self) -> int:
        """State what a crash left unstated after a case was settled; returns how many cases that were."""
        settled = 0
        with self._lock:
            self._catch_up()
            for case in [case for case in self._cases.values() if any(self._owed(case))]:
                # It has lapsed since, or somebody appealed: that must not keep a bank from starting.
                with suppress(AccessDeniedError, DeadlineError):
                    self._settle(case, next(iter(case.votes)))
                    settled += 1
        return settled

    def _owed(self, case: Case) -> tuple[bool, bool]:
        """Say whether an override, and a label, have still to follow from how a case was settled."""
        if not case.settled_as:
            return False, False
        # What was refused and is fraud, or went on and is genuine, needs no other decision; what went on cannot
        # be stopped any more.
        changes = case.action == "hold" or (case.action == "decline" and case.settled_as == GENUINE)
        unlabelled = self._labels is not None and case.payment != "" and case.payment not in self._labelled
        return changes and case.decision not in self._overridden, unlabelled

    def _settle(self, case: Case, by: str) -> None:
        overrides, labels = self._owed(case)
        if overrides:
            to = "approve" if case.settled_as == GENUINE else "decline"
            reason = f"a case was settled as {case.settled_as}"
            self._oversight.override(case.decision, by=by, to=to, reason=reason)
        if labels and self._labels is not None:
            try:
                # By its decision: a case may be settled long after its payment was forgotten.
                is_fraud = case.settled_as == FRAUD
                self._labels.report_label(case.payment, is_fraud, source="case", decision=case.decision)
            except (DisclosureError, NotFoundError):
                # Erased, or disposed of: what people settled stands, and only the windows learn nothing of it.
                self._labelled[case.payment] = case.settled_as == FRAUD

    # -- from the journal ----------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        journal = self._node.journal
        size = journal.size
        for entry in journal.entries(self._read, size, kinds=_KINDS):
            self._see(entry.statement)
        self._read = size

    def _see(self, said: Statement) -> None:
        if said.kind == "label.reported":
            sealed = self._open_sealed(said.id)
            self._labelled[sealed.get("payment", "")] = bool(sealed.get("fraud"))
            return
        decisions = said.links.get("decision", ())
        if len(decisions) != 1:
            return
        decision = decisions[0]
        if said.kind == "decision.overridden":
            self._overridden.add(decision)
            self._see_override(decision)
        elif said.kind == "case.opened":
            self._open(decision, said)
        elif (case := self._cases.get(decision)) is not None:
            sealed = self._open_sealed(said.id)
            by = sealed.get("by", "")
            if said.kind == "case.taken":
                case.taken_by = by
            elif by and case.objection(by, sealed.get("outcome", ""), said.at) is None:
                case.take(by, sealed["outcome"])

    def _see_override(self, decision: str) -> None:
        case = self._cases.get(decision)
        # One that breaks the rules of oversight counts for nothing.
        if case is None or self._oversight.effect(decision) is not Effect.OVERRIDDEN:
            return
        with suppress(DisclosureError):
            to = self._oversight.in_force(decision)
            case.overridden_to = to if to in ACTIONS else ""

    def _open(self, decision: str, said: Statement) -> None:
        if decision in self._cases:
            return
        sealed = self._open_sealed(decision)
        action = sealed.get("answer")
        # A decision whose payload was erased is of nobody any more: there is nothing left to judge.
        if action in ACTIONS:
            payment = sealed.get("payment", {}).get("id", "")
            self._cases[decision] = Case(decision, payment, action, said.at, said.body["until"])
            if decision in self._overridden:  # before its case was opened
                self._see_override(decision)

    def _open_sealed(self, statement: str) -> dict[str, Any]:
        try:
            content = self._node.journal.payload(statement)
        except (DisclosureError, NotFoundError):
            return {}
        return content if isinstance(content, dict) else {}


_WAITING: Final = ("open", "half judged")


def _check_effect(effect: Effect) -> None:
    """Refuse a word that could not be followed by what it means, before it is stated."""
    if effect in (Effect.APPEALED, Effect.SUSPENDED):
        raise AccessDeniedError("an appeal is under way: two persons who review it settle that")
    if effect is Effect.LAPSED:
        raise DeadlineError("what was proposed has lapsed: the payment is refused", hint="pay again")
    if effect is Effect.OVERRIDDEN:
        hint = "see what is in force; say what the payment was as a label"
        raise ConflictError("this decision was overridden already", hint=hint)


def _person(name: str) -> str:
    if not 0 < len(name) <= 200 or name != name.strip():
        raise ModelInputError("a person must be named with 1 to 200 characters, no blanks around them")
    return name
