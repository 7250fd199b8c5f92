"""Retention: how long entries are kept, legal holds, and disposal of what nobody needs any more.

- Nothing is disposed of unless the settings say so or a person asks; then only whole segments go, and of these only
  entries of the classes in `CLASSES`: models, controls, consents, and what persons said always stay, and so do decisions
  that a person confirmed, overrode, reviewed, judged or appealed against, and those that were withheld.
- Only what an anchor or a witness covers may go: a receipt of it is then tied to a head that others know.
- A legal hold is a statement. While it stands, segments that it touches are not disposed of and no subject is erased.
  One person places it, two different persons release it; their names are sealed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tallystick.decisions import is_same_person
from tallystick.errors import (
    AccessDeniedError,
    ConfigurationError,
    DisclosureError,
    LegalHoldError,
    NotFoundError,
    StatementError,
)
from tallystick.proof import Disposed, Entry, parse_checkpoint

if TYPE_CHECKING:
    from ._deciding import Deciding

__all__ = ["CLASSES", "Hold", "Plan", "Retention"]

CLASSES: Final = {
    "access": ("access.allowed", "access.denied"),
    "answers": ("answer.given",),
    "decisions": ("decision.made", "decision.ruled"),
    "documents": ("document.recorded",),
}
"""Classes of entries that may be disposed of, and their kinds; everything else stays."""

HELD: Final = "retention.held"
RELEASED: Final = "retention.released"
_HUMAN: Final = (
    "decision.appealed",
    "decision.confirmed",
    "decision.overridden",
    "decision.proposed",
    "decision.reviewed",
    # Of the fraud application: a case that a person judged or works on, and what only a person may still give out.
    "case.judged",
    "case.taken",
    "decision.withheld",
)
_DAY: Final = 86_400 * 1_000_000  # microseconds
_PERSON: Final = 200  # characters


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold that stands.

    Args:
        statement: its statement.
        reason: why, in words that everybody may read.
        first: first entry that it covers.
        last: last entry that it covers; None for all, also those to come.
        until: microseconds at which it ends by itself, or None.
    """

    statement: str
    reason: str
    first: int = 0
    last: int | None = None
    until: int | None = None

    def touches(self, first: int, stop: int) -> bool:
        """Tell whether it covers one of the entries ``first`` to ``stop - 1``."""
        return self.first < stop and (self.last is None or first <= self.last)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a disposal would do.

    Args:
        segments: what would go.
        classes: of which classes.
        covered: entries below this are covered by an anchor or a witness.
        aged: entries below this are old enough.
        hold: a legal hold that refuses it, or None.
    """

    segments: Disposed
    classes: tuple[str, ...]
    covered: int
    aged: int
    hold: Hold | None


class Retention:
    """Retention of one node's journal; made by `Node.retention`."""

    def __init__(self, node: Deciding) -> None:
        self._node, self._journal = node, node.journal
        self._lock = threading.RLock()

    # -- legal holds -----------------------------------------------------------------------------------------

    def holds(self) -> list[Hold]:
        """The legal holds that stand now, the oldest first."""
        standing = dict[str, Hold]()
        for entry in self._journal.entries(kinds=(HELD, RELEASED)):
            said = entry.statement
            if said.kind == HELD:
                body = said.body
                standing[entry.id] = Hold(
                    entry.id, body["reason"], body.get("first", 0), body.get("last"), body.get("until")
                )
            elif self._releases(entry):
                for held in said.links.get("hold", ()):
                    standing.pop(held, None)
        now = self._node.clock()
        return [hold for hold in standing.values() if hold.until is None or now < hold.until]

    def hold(
        self,
        reason: str,
        *,
        by: str,
        first: int | None = None,
        last: int | None = None,
        until: int | None = None,
    ) -> Hold:
        """Place a legal hold; one person may.

        Args:
            reason: why, without personal data: everybody may read it.
            by: who places it; sealed.
            first: first entry that it covers; the journal's first when None.
            last: last entry; when None, every entry, also those to come.
            until: microseconds at which it ends by itself; when None, only a release ends it.

        Raises:
            StatementError: the range is empty, or the end is over already.
        """
        if last is not None and last < (first or 0):
            raise StatementError("a hold must not end before it begins")
        if until is not None and until <= self._node.clock():
            raise StatementError("a hold must end in the future")
        given = {"first": first, "last": last, "until": until}
        body = {"reason": reason, **{name: value for name, value in given.items() if value is not None}}
        with self._lock:
            entry = self._node.record(HELD, body, fields={"by": _person(by)})
        return Hold(entry.id, reason, first or 0, last, until)

    def release(self, hold: str, *, reason: str, by: str, second: str) -> str:
        """End a legal hold; it takes two different persons.

        Args:
            hold: the hold's statement.
            reason: why, without personal data.
            by: who releases it; sealed.
            second: another person who agrees; sealed.

        Returns:
            The statement's id.

        Raises:
            AccessDeniedError: the two are one.
            NotFoundError: no such hold stands.
        """
        if is_same_person(_person(by), _person(second)):
            raise AccessDeniedError(
                "two different persons are needed to release a legal hold", hint="name the second person too"
            )
        with self._lock:
            if hold not in {standing.statement for standing in self.holds()}:
                raise NotFoundError("no such legal hold stands", hint="see `tallystick retention show`")
            return self._node.record(
                RELEASED, {"reason": reason}, links={"hold": [hold]}, fields={"by": by, "second": second}
            ).id

    def _releases(self, entry: Entry) -> bool:
        """However the statement came into the journal: without two different persons it releases nothing."""
        try:
            sealed = self._journal.payload(entry.index)
        except DisclosureError:
            return False
        by, second = (sealed.get("by"), sealed.get("second")) if isinstance(sealed, dict) else (None, None)
        return bool(by and second and not is_same_person(by, second))

    # -- disposal --------------------------------------------------------------------------------------------

    def covered(self) -> int:
        """Size of the largest head of this journal that stands on a chain or was cosigned by a witness."""
        size = max((claim.size for claim in self._node.claims), default=0)
        while (note := self._journal.cosigned(size)) is not None:
            size = parse_checkpoint(note).size
        return size

    def plan(self, *, older_than_days: int | None = None) -> Plan:
        """Say what would be disposed of.

        Args:
            older_than_days: all classes of this age; when None, the classes that the settings give days, as soon as the
                longest of these is over.
        """
        days = self._node.settings.retention.days()
        classes = tuple(CLASSES if older_than_days is not None else days)
        oldest = older_than_days if older_than_days is not None else max(days.values(), default=None)
        if oldest is not None and oldest < 0:
            raise ConfigurationError(f"days must be >= 0, got {oldest}")
        aged = 0 if oldest is None else self._node.first_at(self._node.clock() - oldest * _DAY)
        covered = self.covered()
        segments = self._journal.disposable(min(aged, covered))
        touching = (hold for hold in self.holds() if hold.touches(segments.first, segments.stop))
        return Plan(segments, classes, covered, aged, next(touching, None) if segments.segments else None)

    def dispose(
        self, *, older_than_days: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> Disposed:
        """Dispose of what `plan` says, for ever; proofs and receipts stay good.

        Raises:
            LegalHoldError: a legal hold covers one of these entries; nothing was disposed of.
        """
        with self._lock:
            plan = self.plan(older_than_days=older_than_days)
            if not plan.segments.segments:
                return plan.segments
            if plan.hold is not None:
                raise _held(plan.hold, "nothing was disposed of")
            may_go = {kind for name in plan.classes for kind in CLASSES[name]}
            return self._journal.dispose(
                plan.segments.stop,
                keep=_kept(self._journal.kinds, may_go),
                also=set(self._of_persons(plan.segments.stop)),
                progress=progress,
            )

    def erase(self, subject: str) -> bool:
        """Destroy a subject's key: her payloads and salts become unknowable. True when there was one.

        Raises:
            LegalHoldError: a legal hold stands; nothing was erased.
        """
        with self._lock:
            for hold in self.holds():
                raise _held(hold, "nothing was erased")
            return self._journal.erase(subject)

    def _of_persons(self, stop: int) -> Iterator[int]:
        """Places of decisions that a person dealt with."""
        for entry in self._journal.entries(kinds=_HUMAN):
            yield entry.index
            for decision in entry.statement.links.get("decision", ()):
                try:
                    index = self._journal.index(decision)
                except NotFoundError:
                    continue  # of another party's journal
                if index < stop:
                    yield index


def _kept(kinds: list[str], may_go: set[str]) -> list[str]:
    """Name the kinds that stay, by their nouns where no verb of it goes."""
    nouns = {kind.partition(".")[0] for kind in may_go}
    kept = {
        kind if (noun := kind.partition(".")[0]) in nouns else f"{noun}."
        for kind in kinds
        if kind not in may_go
    }
    return sorted(kept)


def _held(hold: Hold, done: str) -> LegalHoldError:
    return LegalHoldError(
        f"a legal hold stands ({hold.reason}): {done}",
        hint=f"its statement is {hold.statement[:12]}; two persons release it: `tallystick retention release`",
    )


def _person(name: str) -> str:
    if not 0 < len(name) <= _PERSON or name != name.strip():
        raise StatementError(f"a person must be named with 1 to {_PERSON} characters, no blanks around them")
    return name
