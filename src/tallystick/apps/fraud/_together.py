"""What a pilot's banks learn together, played along its history: reports as they came, a masked sum every day.

Live decisions and the matrix that models learn from read the same `SharedSignals`, each as of a payment's own time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tallystick.apps.fraud.sharing import (
    MAX_POINTS,
    HoldAfterReport,
    Limits,
    Member,
    RiskCounts,
    RiskHistory,
    RiskRule,
    SharedSignals,
    StatedHold,
    hold_risk_round,
    report_to_hold,
    share_in_process,
)
from tallystick.node import Consortium, Node

from ._history import DAY, BankHistory, History

__all__ = ["Moment", "Together"]

SETTLED: Final = DAY  # the youngest payments are hardly reported yet
COUNTED: Final = 21 * DAY  # how far back a sum goes
RULE: Final = RiskRule(floor=2, least=5, weight=8.0, bucket_bits=10)
MOVED: Final = ("instant", "transfer")  # where a payee can be a mule; a merchant is known by its terminals
PRIOR: Final = 0.005  # what the banks agree on for what nobody has counted yet
LIMITS: Final = Limits(per_second=1.0, burst=20_000)
ACCOUNTS: Final = 20_000_000  # that a bank could want to try out: a small country's
TRIED: Final = 1_024


@dataclass
class Moment:
    """The time of what is replayed; a clock for everybody in the pilot.

    Args:
        now: microseconds.
    """

    now: int

    def __call__(self) -> int:
        return self.now


@dataclass(order=True)
class _Due:
    """Something that happens at a time: a report of a bank's customer, or the day's sum."""

    at: int
    bank: int
    place: int = field(compare=False)


class Together:
    """The sharing of a pilot's banks.

    Args:
        consortium: their nodes.
        history: what is played.
        moment: the time, moved on by `advance`.
    """

    def __init__(self, consortium: Consortium, history: History, moment: Moment) -> None:
        self.history, self.moment = history, moment
        self.nodes: Sequence[Node] = consortium.nodes
        self.members: list[Member] = share_in_process(
            consortium.nodes,
            policy=consortium.policy(),
            since=history.since - DAY,
            until=history.until + DAY,
            limits=LIMITS,
            clock=moment,
        )
        self.risks = RiskHistory()
        self.signals = [
            SharedSignals(member, risks=self.risks, patience_s=None, channels=MOVED)
            for member in self.members
        ]
        self.reports = [0] * len(self.members)
        self.rounds = 0
        self.suppressed = 0
        self._due = list(self._schedule())
        heapq.heapify(self._due)
        self._terminals = history.terminals
        self._columns = [self._numbers(bank) for bank in history.banks]

    def look_up_history(self) -> None:
        """Make the tokens of all payees before the replay, so that the days' sums count them."""
        for member, bank in zip(self.members, self.history.banks, strict=True):
            paid = {one.payee for one in bank.payments[: bank.cut] if one.channel in MOVED}
            member.tokens.ask(sorted(paid), purpose="payment")

    def _schedule(self) -> Iterator[_Due]:
        for number, bank in enumerate(self.history.banks):
            for place in bank.fraud.nonzero()[0].tolist():
                if bank.payments[place].channel in MOVED:
                    yield _Due(int(bank.known_at[place]), number, place)
        first = self.history.since + SETTLED + 7 * DAY
        for at in range(first, self.history.until, DAY):
            yield _Due(at, -1, 0)

    def _numbers(self, bank: BankHistory) -> dict[str, Any]:
        """A bank's payments as numbers, so that a day's counts take no time."""
        import numpy as np

        place = {name: number for number, name in enumerate(self._terminals)}
        return {"terminal": np.array([place.get(one.terminal, -1) for one in bank.payments], dtype=np.int64)}

    @property
    def next_at(self) -> int:
        """When the next thing happens; after everything when nothing is left."""
        return self._due[0].at if self._due else self.history.until

    def advance(self, until: int) -> None:
        """Let everything happen that is due up to a time."""
        while self._due and self._due[0].at <= until:
            due = heapq.heappop(self._due)
            self.moment.now = max(self.moment.now, due.at)
            if due.bank < 0:
                self._sum(due.at)
            else:
                self._report(due)
        self.moment.now = max(self.moment.now, until)

    def _report(self, due: _Due) -> None:
        payment = self.history.banks[due.bank].payments[due.place]
        self.members[due.bank].report(payment.payee, customer=payment.customer, at=due.at)
        self.reports[due.bank] += 1

    def _sum(self, now: int) -> None:
        self.rounds += 1
        counts = [self._counts(number, now) for number in range(len(self.members))]
        made = hold_risk_round(
            self.members, counts, terminals=self._terminals, number=self.rounds, known_at=now, rule=RULE
        )
        # A prior that moved from day to day would tell a model which day it is, and nothing about a terminal.
        self.risks.add(replace(made.table, prior=PRIOR))
        self.suppressed = len(self._terminals) - len(made.table.terminals)

    def _counts(self, number: int, now: int) -> RiskCounts:
        import numpy as np

        bank = self.history.banks[number]
        first, last = np.searchsorted(bank.at, (now - COUNTED - SETTLED, now - SETTLED))
        part = slice(int(first), int(last))
        known = bank.fraud[part] & (bank.known_at[part] <= now)
        terminal = self._columns[number]["terminal"][part]
        at_terminal = terminal >= 0
        size = len(self._terminals)
        every = np.bincount(terminal[at_terminal], minlength=size).tolist()
        frauds = np.bincount(terminal[at_terminal & known], minlength=size).tolist()
        buckets: dict[int, list[int]] = {}
        find = self.members[number].tokens.find
        for place in (np.flatnonzero(~at_terminal) + int(first)).tolist():
            token = find(bank.payments[place].payee)
            if token is not None:
                counted = buckets.setdefault(RULE.bucket(token), [0, 0])
                counted[0] += 1
                counted[1] += bool(known[place - int(first)])
        return RiskCounts(
            {name: (n, f) for name, n, f in zip(self._terminals, every, frauds, strict=True) if n},
            {bucket: (n, f) for bucket, (n, f) in buckets.items()},
        )

    def lookups(self, number: int) -> int:
        """How many payees a bank has looked up, by its own statements."""
        journal = self.nodes[number].journal
        return sum(entry.statement.body["count"] for entry in journal.entries(kinds=("lookup.made",)))

    def listed(self, at: int) -> tuple[bytes, ...]:
        """The tokens on the list at a moment."""
        return tuple(entry.token for entry in self.members[0].payees.statement(0, at=at).entries)

    def ever_listed(self) -> set[bytes]:
        """The tokens that were on the list on any day of the replay."""
        days = range(self.history.start, self.history.until, DAY)
        return {token for at in days for token in self.listed(at)}

    def held_after_reports(self, number: int, holds: Sequence[StatedHold]) -> tuple[HoldAfterReport, ...]:
        """The first holds of a bank after other banks' reports."""
        return report_to_hold(self.members[number], holds)

    def enumeration(self) -> str:
        """Try accounts as a dishonest member would, and say what that shows and how long all would take."""
        self.settle()  # what was counted before must not count for this
        member, before = self.members[-1], self._served()
        for first in range(0, TRIED, MAX_POINTS):
            accounts = [f"TRY-{first + number:09}" for number in range(MAX_POINTS)]
            member.tokens.ask(accounts, purpose="payment")
        self.settle()
        shown = self._served() - before
        days = LIMITS.seconds_for(ACCOUNTS) / 86_400
        return (
            f"Bank C tried {TRIED:,} made-up accounts on purpose: the other banks' journals show {shown:,} more look-ups "
            f"by it. At {LIMITS.burst:,} at once and {LIMITS.per_second:g} a second after that, {ACCOUNTS:,} accounts would "
            f"take {days:,.0f} days."
        )

    def _served(self) -> int:
        """Look-ups of the last bank that the first one's journal shows."""
        asker = self.members[-1].id
        entries = self.nodes[0].journal.entries(kinds=("lookup.served",))
        return sum(
            said.body["count"] for entry in entries if (said := entry.statement).body["asker"] == asker
        )

    def settle(self) -> None:
        """State all counts that wait."""
        for member in self.members:
            member.settle()

    def close(self) -> None:
        """State all counts that wait."""
        for signals in self.signals:
            signals.close()
        for member in self.members:
            member.close()
