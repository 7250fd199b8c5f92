"""Human oversight: who may stop a model, confirm what it proposes, appeal, review and override.

- Everything is a statement in the node's own journal, and the state is computed from these statements alone: a
  restart changes nothing, and an auditor computes the same state.
- Persons are named in sealed fields only. Whoever appeals is sealed under her own subject, so that erasing her
  erases that too; who confirmed or reviewed is sealed under the node's own key and stays.
- Every deadline stands in the statement that begins it, together with what happens when it passes, and that is never
  "the model decides after all".

    oversight = Oversight(node, clock=clock)
    oversight.set_control(Control("rules"), by="did:key:..", reason="drift seen")     # the kill switch
    oversight.confirm(proposed_id, by="dr-7")
    oversight.in_force(decision_id)                                                   # the label, or an error
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tallystick.errors import AccessDeniedError, DisclosureError, DisposedError, ModelInputError
from tallystick.proof import Clock, Draft, Entry, system_clock

from ._controls import EVERY_MODEL, Control, Controls
from ._queue import OVERTURNED, UPHELD, Effect, Queue, Waiting
from ._seen import Seen

__all__ = ["Deadlines", "Journalled", "Oversight", "Records"]

MAX_PERSON: Final = 200  # characters
THEN_LAPSES: Final = "no decision is made"
THEN_SUSPENDED: Final = "nobody may act on the decision"
_SECOND: Final = 1_000_000  # microseconds
_KINDS: Final = frozenset(
    {
        "control.set",
        "decision.appealed",
        "decision.confirmed",
        "decision.overridden",
        "decision.proposed",
        "decision.reviewed",
    }
)


class Records(Protocol):
    """A journal to read: its entries in order, and what its own party may open."""

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


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long people have, in seconds, all > 0.

    Args:
        confirm_s: to confirm what a model proposes.
        appeal_s: to appeal after a decision.
        review_s: to review after an appeal.

    Raises:
        ModelInputError: one is not positive.
    """

    confirm_s: int = 60 * 60
    appeal_s: int = 30 * 24 * 60 * 60
    review_s: int = 14 * 24 * 60 * 60

    def __post_init__(self) -> None:
        if min(self.confirm_s, self.appeal_s, self.review_s) <= 0:
            raise ModelInputError("deadlines must be > 0 seconds")


class Oversight:
    """Human oversight over one node's decisions.

    Args:
        node: whose journal it is.
        deadlines: how long people have.
        clock: microseconds since the epoch.
    """

    def __init__(
        self, node: Journalled, *, deadlines: Deadlines = Deadlines(), clock: Clock = system_clock
    ) -> None:
        self._node, self._clock, self.deadlines = node, clock, deadlines
        self._controls = Controls()
        self._queue = Queue(self._look, appeal_us=deadlines.appeal_s * _SECOND)
        self._read = 0  # how many entries of the journal are in the state
        self._lock = threading.RLock()

    # -- what counts ---------------------------------------------------------------------------------------

    def control(self, model: str) -> Control:
        """Return what counts for a model now.

        Args:
            model: its hash.
        """
        with self._lock:
            self._catch_up()
            return self._controls.for_model(model, self._clock())

    def effect(self, decision: str) -> Effect:
        """Say what a decision is worth now.

        Raises:
            NotFoundError: there is no such decision.
        """
        with self._lock:
            self._catch_up()
            return self._queue.effect(decision, self._clock())

    def in_force(self, decision: str) -> str:
        """Return the label that may be acted on now: the model's, the rule's, or the one of an override.

        Raises:
            AccessDeniedError: nobody may act on this decision now; the message says why.
            DisclosureError: what was decided was erased.
            NotFoundError: there is no such decision.
        """
        effect = self.effect(decision)
        if not effect.may_be_acted_on:
            raise AccessDeniedError(
                f"nobody may act on this decision: it is {effect}", hint="see what waits for a person"
            )
        with self._lock:
            override = self._queue.override_of(decision)
        sealed, name = (
            (self._look(decision).sealed, "answer") if override is None else (override.sealed, "to")
        )
        label = (sealed or {}).get(name)
        if type(label) is not str:
            raise DisclosureError("what was decided cannot be opened any more")
        return label

    def waiting(self) -> list[Waiting]:
        """List what waits for a person, the most urgent first."""
        with self._lock:
            self._catch_up()
            return self._queue.waiting(self._clock())

    # -- what persons do -----------------------------------------------------------------------------------

    def set_control(
        self, control: Control, *, by: str, reason: str, scope: str = EVERY_MODEL, second: str = ""
    ) -> str:
        """Say how far models may decide from now on; the kill switch is ``Control("refuse")`` or ``("rules")``.

        Args:
            control: the setting.
            by: who sets it.
            reason: why, without personal data: everybody may read it.
            scope: a model's hash, or ``all``.
            second: another person, needed to make it less strict.

        Returns:
            The statement's id.

        Raises:
            AccessDeniedError: it is less strict and no second person is named.
        """
        sealed = {"by": _person(by), **({"second": _person(second)} if second else {})}
        return self._state(Draft("control.set", control.body(scope=scope, reason=reason), fields=sealed))

    def confirm(self, decision: str, *, by: str, note: str = "") -> str:
        """Let what a model proposed come into force; returns the statement's id.

        Raises:
            AccessDeniedError: the person who asked cannot confirm.
            DeadlineError: too late: it has lapsed.
            InputError: it does not wait for a confirmation.
        """
        return self._state(
            Draft("decision.confirmed", {}, {"decision": [decision]}, fields=_by(by, note=note))
        )

    def override(self, decision: str, *, by: str, to: str, reason: str, note: str = "") -> str:
        """Decide otherwise than a model did; returns the statement's id.

        Args:
            decision: the decision's statement.
            by: who decides.
            to: the label that counts from now on; sealed.
            reason: why, in general words: everybody may read it.
            note: why, in this case; sealed.

        Raises:
            AccessDeniedError: the decision is under review: two persons settle that.
            DeadlineError: it has lapsed.
        """
        fields = _by(by, note=note, to=_label(to))
        return self._state(
            Draft("decision.overridden", {"reason": reason}, {"decision": [decision]}, fields=fields)
        )

    def appeal(
        self,
        decision: str,
        *,
        by: str,
        grounds: str = "",
        subject: str = "",
        author: Mapping[str, Any] | None = None,
    ) -> str:
        """Object to a decision, as the person affected or for her; returns the statement's id.

        Args:
            decision: the decision's statement.
            by: who appeals; sealed.
            grounds: why; sealed.
            subject: under whose key both are sealed.
            author: what she signed herself, see `sign_as_author`.

        Raises:
            DeadlineError: too late.
            InputError: there was an appeal already, or the decision is not in force.
        """
        until = self._clock() + self.deadlines.review_s * _SECOND
        body: dict[str, Any] = {"then": THEN_SUSPENDED, "until": until}
        if author is not None:
            body["author"] = dict(author)
        fields = _by(by, grounds=grounds)
        return self._state(
            Draft("decision.appealed", body, {"decision": [decision]}, fields=fields, subject=subject)
        )

    def review(self, decision: str, *, by: str, to: str = "", note: str = "") -> str:
        """Look at an appealed decision again; the second person who says the same settles it.

        Args:
            decision: the decision's statement.
            by: who looks; not who asked, appealed or reviewed before.
            to: the label that should count instead; empty upholds the decision.
            note: why; sealed.

        Returns:
            The review's statement. When it settles the appeal against the decision, the override is recorded with it.

        Raises:
            AccessDeniedError: this person cannot be one of the four eyes.
            InputError: there is no open appeal.
        """
        with self._lock:
            self._catch_up()
            appeal, votes = self._queue.appeal_of(decision), self._queue.votes(decision)
            outcome = OVERTURNED if to else UPHELD
            fields = _by(by, note=note, to=_label(to) if to else "")
            links = {"decision": [decision], **({"appeal": [appeal]} if appeal else {})}
            drafts = [Draft("decision.reviewed", {"outcome": outcome}, links, fields=fields)]
            if to and self._queue.settles({**votes, by: (outcome, to)}, (outcome, to)):
                links = {**links, "review": self._queue.reviews_of(decision)}
                reason = "two persons reviewed it after an appeal"
                drafts.append(Draft("decision.overridden", {"reason": reason}, links, fields=fields))
            return self._state(*drafts)

    # -- from and to the journal -----------------------------------------------------------------------------

    def _state(self, *drafts: Draft) -> str:
        """Record drafts, the first of which must count; the others count when it does."""
        with self._lock:
            self._catch_up()
            first = drafts[0]
            seen = Seen("", self._clock(), first.kind, first.body, first.links or {}, first.fields)
            judge = self._controls if first.kind == "control.set" else self._queue
            objection = judge.objection(seen)
            if objection is not None:
                raise objection
            return self._node.record_many(drafts)[0].id

    def _catch_up(self) -> None:
        journal = self._node.journal
        size = journal.size
        # Most entries are decisions that nobody objects to: the index of kinds steps over millions of them.
        for entry in journal.entries(self._read, size, kinds=_KINDS):
            self._read = entry.index + 1
            with suppress(
                DisposedError
            ):  # it speaks of a decision that is gone: nobody can act on that any more
                self._see(entry)
        self._read = size

    def _see(self, entry: Entry) -> None:
        seen = self._seen(entry)
        judge = self._controls if seen.kind == "control.set" else self._queue
        judge.see(seen)

    def _look(self, statement: str) -> Seen:
        return self._seen(self._node.journal.entry(statement))

    def _seen(self, entry: Entry) -> Seen:
        said = entry.statement
        try:
            # By its place: looking up an id among millions costs more.
            sealed = self._node.journal.payload(entry.index) if said.payload is not None else {}
        except DisclosureError:
            sealed = None
        fields = sealed if isinstance(sealed, dict) else None
        return Seen(entry.id, said.at, said.kind, said.body, said.links, fields)


def _person(name: str) -> str:
    # Outer blanks would make two persons of one whose keyboard slipped.
    if not 0 < len(name) <= MAX_PERSON or name != name.strip():
        raise ModelInputError(
            f"a person must be named with 1 to {MAX_PERSON} characters, no blanks around them"
        )
    return name


def _label(label: str) -> str:
    if not 0 < len(label) <= MAX_PERSON:
        raise ModelInputError(f"a label must have 1 to {MAX_PERSON} characters")
    return label


def _by(by: str, **others: str) -> dict[str, str]:
    return {"by": _person(by), **{name: text for name, text in others.items() if text}}
