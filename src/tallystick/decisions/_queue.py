"""The review queue: which decisions wait for a person, until when, and what counts of what persons said.

It is computed from statements alone, so that it is the same after every restart and for everybody who reads the same
journal. A statement that breaks the rules below counts for nothing, however it came into the journal:

- what a model proposed comes into force when one person confirms it in time; after its deadline it has lapsed;
- an affected person may appeal in time; the decision stays in force until the review's deadline, then nobody may act on it;
- a review counts with four eyes: two different persons, neither of whom asked for the decision or appealed, who say
  the same;
- an override names the decision that it replaces; the last one counts. Who asked cannot override a proposal that
  waits for somebody else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tallystick.errors import (
    AccessDeniedError,
    DeadlineError,
    InputError,
    NotFoundError,
    StatementError,
    TallystickError,
)

from ._persons import is_same_person
from ._seen import Seen

__all__ = ["Effect", "Queue", "Waiting"]

UPHELD: Final = "upheld"
OVERTURNED: Final = "overturned"
DECISIONS: Final = ("decision.made", "decision.proposed", "decision.ruled")
EYES: Final = 2


class Effect(StrEnum):
    """What a decision is worth now."""

    IN_FORCE = "in force"
    PENDING = "pending"
    LAPSED = "lapsed"
    APPEALED = "appealed"
    SUSPENDED = "suspended"
    OVERRIDDEN = "overridden"

    @property
    def may_be_acted_on(self) -> bool:
        """Whether somebody may act on the decision, or on what it was overridden to."""
        return self in (Effect.IN_FORCE, Effect.APPEALED, Effect.OVERRIDDEN)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for a person.

    Args:
        decision: id of the decision's statement.
        asks: ``confirm`` or ``review``.
        until: microseconds since the epoch.
        heard: how many persons have reviewed already.
    """

    decision: str
    asks: str
    until: int
    heard: int


@dataclass(slots=True)
class _Case:
    """One decision that more is known of than that it was made."""

    proposed_until: int | None = None
    confirmed: bool = False
    appeal: str = ""
    appellant: str = ""
    review_until: int = 0
    votes: dict[str, tuple[str, str]] = field(default_factory=dict)  # person -> outcome and label
    reviews: list[str] = field(default_factory=list)
    upheld: bool = False
    override: Seen | None = None


class Queue:
    """Decisions in the hands of people.

    Args:
        look: finds a statement of the journal by its id; NotFoundError when there is none.
        appeal_us: microseconds after a decision within which it may be appealed.
    """

    def __init__(self, look: Callable[[str], Seen], *, appeal_us: int) -> None:
        self._look, self._appeal_us = look, appeal_us
        self._cases: dict[str, _Case] = {}
        self._rules: dict[str, Callable[[Seen, Seen, _Case], TallystickError | None]] = {
            "decision.appealed": self._appeal_objection,
            "decision.confirmed": self._confirm_objection,
            "decision.overridden": self._override_objection,
            "decision.reviewed": self._review_objection,
        }

    def objection(self, seen: Seen) -> TallystickError | None:
        """Say why a statement does not count; None when it does. Kinds of no concern here count."""
        rule = self._rules.get(seen.kind)
        if rule is None:
            return None
        try:
            decision = self._look(seen.linked("decision"))
        except NotFoundError as error:
            return error
        if decision.kind not in DECISIONS:
            return StatementError(f"expected a decision, got {decision.kind}")
        return rule(seen, decision, self._cases.get(decision.id, _Case()))

    def see(self, seen: Seen) -> None:
        """Take a statement up; one that breaks the rules changes nothing."""
        if seen.kind == "decision.proposed":
            self._cases[seen.id] = _Case(proposed_until=seen.body["until"])
        if seen.kind not in self._rules or self.objection(seen) is not None:
            return
        case = self._cases.setdefault(seen.linked("decision"), _Case())
        sealed = seen.sealed or {}
        if seen.kind == "decision.confirmed":
            case.confirmed = True
        elif seen.kind == "decision.appealed":
            case.appeal, case.review_until = seen.id, seen.body["until"]
            case.appellant = sealed.get("by", "")
        elif seen.kind == "decision.overridden":
            case.override = seen
        else:
            case.votes[sealed["by"]] = (seen.body["outcome"], sealed.get("to", ""))
            case.reviews.append(seen.id)
            case.upheld = case.upheld or self.settles(case.votes, (UPHELD, ""))

    @staticmethod
    def settles(votes: dict[str, tuple[str, str]], vote: tuple[str, str]) -> bool:
        """Say whether enough persons gave this very vote."""
        return sum(other == vote for other in votes.values()) >= EYES

    def votes(self, decision: str) -> dict[str, tuple[str, str]]:
        """Return who said what in the review of a decision: person -> outcome and label."""
        return dict(self._cases.get(decision, _Case()).votes)

    def appeal_of(self, decision: str) -> str:
        """Return the statement that appealed against a decision, empty when nobody did."""
        return self._cases.get(decision, _Case()).appeal

    def reviews_of(self, decision: str) -> list[str]:
        """Return the reviews of a decision that count, in order."""
        return list(self._cases.get(decision, _Case()).reviews)

    def override_of(self, decision: str) -> Seen | None:
        """Return the last override of a decision."""
        return self._cases.get(decision, _Case()).override

    def effect(self, decision: str, now: int) -> Effect:
        """Say what a decision is worth at a time.

        Raises:
            NotFoundError: there is no such decision.
        """
        kind = self._look(decision).kind
        if kind not in DECISIONS:
            raise NotFoundError(f"expected a decision, got {kind}")
        return self._effect(self._cases.get(decision, _Case()), now)

    def waiting(self, now: int) -> list[Waiting]:
        """List what waits for a person, the most urgent first; what is late stands at the top."""
        found = []
        for decision, case in self._cases.items():
            effect = self._effect(case, now)
            if effect is Effect.PENDING and case.proposed_until is not None:
                found.append(Waiting(decision, "confirm", case.proposed_until, 0))
            elif effect in (Effect.APPEALED, Effect.SUSPENDED):
                found.append(Waiting(decision, "review", case.review_until, len(case.votes)))
        return sorted(found, key=lambda waiting: (waiting.until, waiting.decision))

    @staticmethod
    def _effect(case: _Case, now: int) -> Effect:
        if case.override is not None:
            return Effect.OVERRIDDEN
        if case.proposed_until is not None and not case.confirmed:
            return Effect.PENDING if now < case.proposed_until else Effect.LAPSED
        if case.appeal and not case.upheld:
            # A review that comes late still counts; until it does, nobody acts.
            return Effect.APPEALED if now < case.review_until else Effect.SUSPENDED
        return Effect.IN_FORCE

    def _confirm_objection(self, seen: Seen, decision: Seen, case: _Case) -> TallystickError | None:
        if case.proposed_until is None or case.confirmed or case.override is not None:
            return InputError("this decision does not wait for a confirmation")
        if seen.at >= case.proposed_until:
            return DeadlineError("the time to confirm is over: what was proposed has lapsed", hint="ask anew")
        return _unnamed(seen) or _is_asker(seen, decision)

    def _override_objection(self, seen: Seen, decision: Seen, case: _Case) -> TallystickError | None:
        effect = self._effect(case, seen.at)
        if effect is Effect.LAPSED:
            return DeadlineError(
                "what was proposed has lapsed: there is no decision to override", hint="ask anew"
            )
        unnamed = _unnamed(seen)
        if effect is Effect.PENDING and unnamed is None:
            # To override a proposal brings a label into force, as to confirm it does: the same eyes are barred.
            return _is_asker(seen, decision)
        if unnamed is not None or seen.sealed is None or not case.appeal or case.upheld:
            return unnamed
        if not self.settles(case.votes, (OVERTURNED, seen.sealed.get("to", ""))):
            return AccessDeniedError("four eyes: this decision is under review, two persons settle it")
        return None

    def _appeal_objection(self, seen: Seen, decision: Seen, case: _Case) -> TallystickError | None:
        effect = self._effect(case, seen.at)
        if case.appeal:
            return InputError("an appeal against this decision was made already")
        if effect is not Effect.IN_FORCE:
            return InputError(f"only a decision in force can be appealed, this one is {effect}")
        if seen.at >= decision.at + self._appeal_us:
            return DeadlineError("the time to appeal against this decision is over")
        return None

    def _review_objection(self, seen: Seen, decision: Seen, case: _Case) -> TallystickError | None:
        if not case.appeal:
            return InputError(
                "nobody appealed against this decision", hint="a person may override it at any time"
            )
        if seen.body["outcome"] not in (UPHELD, OVERTURNED):
            return StatementError(f"an outcome must be {UPHELD} or {OVERTURNED}")
        if case.upheld or case.override is not None:
            return InputError("this appeal is settled")
        unnamed = _unnamed(seen)
        if unnamed is not None or seen.sealed is None:
            return unnamed
        by = seen.sealed["by"]
        if any(is_same_person(by, person) for person in case.votes):
            return AccessDeniedError(
                "four eyes: this person has reviewed it already", hint="another person has to look at it"
            )
        if is_same_person(by, case.appellant):
            return AccessDeniedError("four eyes: who appealed cannot review it")
        return _is_asker(seen, decision)


def _unnamed(seen: Seen) -> TallystickError | None:
    by = None if seen.sealed is None else seen.sealed.get("by")
    return None if type(by) is str and by else StatementError("who does this must be named")


def _is_asker(seen: Seen, decision: Seen) -> TallystickError | None:
    if decision.sealed is None:
        return AccessDeniedError("four eyes: who asked for this decision cannot be known any more")
    if seen.sealed is not None and is_same_person(seen.sealed["by"], decision.sealed.get("asked_by", "")):
        return AccessDeniedError(
            "four eyes: who asked for this decision cannot confirm or review it", hint="another person has to"
        )
    return None
