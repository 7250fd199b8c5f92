"""What a case is, and when it is settled: computed from what persons said, so that everybody computes the same.

- An alert (a decision to review, hold or decline) opens a case with a deadline.
- Stricter is easy, kinder takes four eyes: one person may call a payment fraud; that a held or declined payment is
  genuine, and may go, two different persons have to say.
- A hold that nobody settles in time is not released: the payment is refused.
- What was settled stays; whoever thinks otherwise appeals, see `Oversight`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, cast

from tallystick.apps.fraud.deciding import Action
from tallystick.decisions import is_same_person
from tallystick.errors import AccessDeniedError, ConflictError, InputError

__all__ = ["FRAUD", "GENUINE", "Case", "Outcome"]

Outcome = Literal["fraud", "genuine"]
FRAUD: Final = "fraud"
GENUINE: Final = "genuine"
EYES_TO_RELEASE: Final = 2

State = Literal["open", "half judged", "settled", "lapsed"]


@dataclass(slots=True)
class Case:
    """One alert in the hands of people.

    Args:
        decision: id of the decision's statement.
        payment: the payment's id; empty when it was erased.
        action: what the engine decided.
        opened_at: microseconds.
        until: deadline, microseconds.
        taken_by: who works on it; empty while nobody does.
        votes: person -> what she says the payment is.
        settled_as: what counts; empty while it is open.
        overridden_to: what the decision was overridden to, by this case or elsewhere; empty when it was not.
    """

    decision: str
    payment: str
    action: Action
    opened_at: int
    until: int
    taken_by: str = ""
    votes: dict[str, Outcome] = field(default_factory=dict)
    settled_as: Outcome | Literal[""] = ""
    overridden_to: Action | Literal[""] = ""

    def eyes_for(self, outcome: Outcome) -> int:
        """How many persons have to say so: two where a stopped payment would go."""
        return EYES_TO_RELEASE if outcome == GENUINE and self.action in ("hold", "decline") else 1

    def settles(self, by: str, outcome: Outcome) -> bool:
        """Say whether one more person saying this settles the case."""
        others = sum(
            said == outcome and not is_same_person(person, by) for person, said in self.votes.items()
        )
        return others + 1 >= self.eyes_for(outcome)

    def objection(self, by: str, outcome: str, now: int) -> InputError | None:
        """Say why a person's word does not count now; None when it does."""
        if outcome not in (FRAUD, GENUINE):
            return InputError(f"an outcome must be {FRAUD} or {GENUINE}")
        if self.settled_as:
            return ConflictError(
                f"this case was settled as {self.settled_as}", hint="who thinks otherwise appeals"
            )
        if self.state(now) == "lapsed":
            return InputError("the hold was not settled in time: the payment is refused", hint="pay again")
        if any(said == outcome and is_same_person(person, by) for person, said in self.votes.items()):
            return AccessDeniedError(
                "four eyes: this person has said so already", hint="another person has to look at it"
            )
        return None

    def take(self, by: str, outcome: str) -> None:
        """Take up a person's word that counts."""
        said = cast(Outcome, outcome)
        self.votes[by] = said
        if self.settles(by, said):
            self.settled_as = said

    def state(self, now: int) -> State:
        """Say how far it is."""
        if self.settled_as or self.overridden_to:
            return "settled"
        if self.action == "hold" and now >= self.until:
            return "lapsed"
        return "half judged" if self.votes else "open"

    def in_force(self, now: int) -> Action:
        """Say what counts for the payment now; an override is the last word, whoever made it."""
        if self.overridden_to:
            return self.overridden_to
        if self.settled_as == GENUINE:
            return "approve"
        if self.settled_as == FRAUD or self.state(now) == "lapsed":
            return "decline"
        return self.action
