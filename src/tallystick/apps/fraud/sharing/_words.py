"""What members say about payees, and what follows: a pure function of the words and a moment.

- A payee is listed from the moment at which two different customers' reports stand: of one bank, or of two.
- A report counts until its bank takes it back, until two members have found the payee innocent, or for `days` days.
- A dispute marks the entry. While all reports are of one bank, which could have made them up, it also suspends the
  entry; reports of two banks outweigh a dispute until the review.
- Words are taken in the order of their times, ties by their statements' ids, so that everybody who has the same words
  computes the same entries, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["CUSTOMERS", "DAY_US", "Listed", "ReporterRecord", "Word", "entry_at", "overturned"]

CUSTOMERS: Final = 2  # different ones whose reports make an entry
REVIEWERS: Final = 2  # different members that remove one
DAY_US: Final = 86_400_000_000
_ENTRY: Final = b"tallystick/payee-entry/v1\x00"

Verb = Literal["reported", "disputed", "withdrawn", "removed"]


@dataclass(frozen=True, slots=True, order=True)
class Word:
    """One thing that a member said about a payee; sorts by time, then by statement.

    Args:
        at: when, microseconds, as the member says.
        statement: id of the statement.
        verb: what.
        bank: party id of who said it.
        token: the payee's, 32 bytes.
        reporter: which customer, by a tag that only that bank can read; empty where no customer is meant.
    """

    at: int
    statement: str
    verb: Verb
    bank: str
    token: bytes
    reporter: bytes = b""


@dataclass(frozen=True, slots=True)
class Listed:
    """A payee on the list.

    Args:
        token: 32 bytes.
        reports: how many different customers' reports stand, >= 2.
        since: when the second of them came, microseconds.
        disputed: its bank objects, and the review is not over.
    """

    token: bytes
    reports: int
    since: int
    disputed: bool

    @property
    def bytes(self) -> bytes:
        """The entry as it stands in the tree: it begins with the token."""
        count = min(self.reports, 2**32 - 1).to_bytes(4, "big")
        return self.token + _ENTRY + count + self.since.to_bytes(8, "big") + bytes([self.disputed])


@dataclass(frozen=True, slots=True)
class ReporterRecord:
    """How a member's reports have stood.

    Args:
        reports: how many it made.
        overturned: of those, taken back or found wrong by two members.
    """

    reports: int
    overturned: int

    @property
    def overturn_rate(self) -> float:
        """Share of its reports that were overturned; 0 when it made none."""
        return self.overturned / self.reports if self.reports else 0.0


@dataclass(slots=True)
class _Standing:
    """What stands about one payee while its words are walked through."""

    reports: dict[tuple[str, bytes], list[int]] = field(default_factory=dict)  # -> since when, last confirmed
    disputes: set[str] = field(default_factory=set)
    removers: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)  # bank of each report
    fallen: list[str] = field(default_factory=list)  # bank of each report that was overturned

    def take(self, word: Word) -> None:
        who = (word.bank, word.reporter)
        if word.verb == "reported":
            if who not in self.reports:
                self.made.append(word.bank)
                self.reports[who] = [word.at, word.at]
            self.reports[who][1] = word.at
        elif word.verb == "withdrawn":
            if self.reports.pop(who, None) is not None:
                self.fallen.append(word.bank)
        elif word.verb == "disputed":
            self.disputes.add(word.bank)
        else:
            self.removers.add(word.bank)
            if len(self.removers) >= REVIEWERS:
                self.fallen.extend(bank for bank, _ in self.reports)
                self.reports.clear()
        if not self.reports:
            # What is said next is about new reports: an old dispute or half a removal must not weigh on them.
            self.disputes.clear()
            self.removers.clear()


def entry_at(words: Sequence[Word], at: int, *, days: int) -> Listed | None:
    """Return a payee's entry at a moment, or None: it is not on the list then.

    Args:
        words: all about one payee, sorted.
        at: microseconds; later words do not count.
        days: how long a report counts.
    """
    standing = _Standing()
    for word in words:
        if word.at > at:
            break
        standing.take(word)
    fresh = {who: since for who, (since, last) in standing.reports.items() if at < last + days * DAY_US}
    if len(fresh) < CUSTOMERS:
        return None
    banks = {bank for bank, _ in fresh}
    if standing.disputes and len(banks) == 1:
        return None
    return Listed(words[0].token, len(fresh), sorted(fresh.values())[CUSTOMERS - 1], bool(standing.disputes))


def overturned(words: Iterable[Sequence[Word]], bank: str) -> ReporterRecord:
    """Count a member's reports, and those of them that were overturned.

    Args:
        words: for each payee all words, sorted.
        bank: party id.
    """
    made, fallen = 0, 0
    for about in words:
        standing = _Standing()
        for word in about:
            standing.take(word)
        made += standing.made.count(bank)
        fallen += standing.fallen.count(bank)
    return ReporterRecord(made, fallen)
