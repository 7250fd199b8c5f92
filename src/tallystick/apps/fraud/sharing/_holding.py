"""From a customer's report at one bank to the first hold at another, by what both have stated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tallystick.apps.fraud.payments import Payment
from tallystick.errors import DisclosureError, PaymentError
from tallystick.proof import Journal

from ._member import Member

__all__ = ["HoldAfterReport", "StatedHold", "report_to_hold", "stated_holds"]

STOPPING = ("hold", "decline")


@dataclass(frozen=True, slots=True)
class StatedHold:
    """A payment that this bank stopped.

    Args:
        payee: who was to be paid; stays in the bank.
        at: when the payment arrived, as sealed in the decision, or else when the decision was stated; microseconds.
        statement: id of the decision.
    """

    payee: str
    at: int
    statement: str


@dataclass(frozen=True, slots=True)
class HoldAfterReport:
    """The first payment to a payee that this bank stopped after another bank's report.

    Args:
        token: the payee's, 32 bytes.
        reported_at: when a customer of another bank first reported it, microseconds.
        listed_at: when the second customer's report put it on the list; None when only one had reported it by then.
        held_at: when this bank stopped a payment to it.
        statement: id of the decision that stopped it.
    """

    token: bytes
    reported_at: int
    listed_at: int | None
    held_at: int
    statement: str

    @property
    def seconds(self) -> float:
        """From the report to the hold; it holds the wait for a payment, so it is stated apart from decision time."""
        return (self.held_at - self.reported_at) / 1_000_000


def stated_holds(journal: Journal) -> Iterator[StatedHold]:
    """Walk over the payments that a bank stopped, by its own decisions and their sealed payloads.

    Args:
        journal: the bank's own, opened with its keys.
    """
    for entry in journal.entries(kinds=("decision.made", "decision.ruled")):
        try:
            sealed = journal.payload(entry.index)
            if not isinstance(sealed, dict) or sealed.get("answer") not in STOPPING:
                continue
            payment = Payment(**sealed["payment"])
        except (DisclosureError, PaymentError, KeyError, TypeError):
            continue  # erased, or a decision of another application
        yield StatedHold(payment.payee, sealed.get("received_at", entry.statement.at), entry.id)


def report_to_hold(member: Member, holds: Iterable[StatedHold]) -> tuple[HoldAfterReport, ...]:
    """Find, for each payee that other banks reported, this bank's first hold after the first report.

    Args:
        member: the bank that held; its tokens and list of the present epoch are used, nobody is asked.
        holds: its own, see `stated_holds`.
    """
    first: dict[bytes, StatedHold] = {}
    reported: dict[bytes, int] = {}
    for hold in sorted(holds, key=lambda hold: (hold.at, hold.statement)):
        token = member.tokens.find(hold.payee)
        if token is None or token in first:
            continue
        foreign = [w.at for w in member.payees.words(token) if w.verb == "reported" and w.bank != member.id]
        if foreign and min(foreign) <= hold.at:
            first[token], reported[token] = hold, min(foreign)
    found = []
    for token, hold in first.items():
        listed = member.payees.entry(token, hold.at)
        since = listed.since if listed is not None else None
        found.append(HoldAfterReport(token, reported[token], since, hold.at, hold.statement))
    return tuple(sorted(found, key=lambda hold: hold.reported_at))
