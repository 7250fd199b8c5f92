"""A bank's own counts for a round of masked sums, from what its journal holds: no table beside it, nothing that it did not state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.deciding import DECISION_KINDS, payment_of
from tallystick.apps.fraud.payments import Payment
from tallystick.apps.fraud.sharing import RiskCounts, RiskRule, count_risk
from tallystick.errors import TallystickError

if TYPE_CHECKING:
    from tallystick.node import Node

__all__ = ["JournalCounts", "recent_payees"]

LABEL: Final = "label.reported"
DAY: Final = 86_400 * 1_000_000  # microseconds


class JournalCounts:
    """Counts payments whose label is old enough to be believed.

    A payment counts as fraud when it was labelled so before the round, else as genuine: it is `delay` old by then. What was
    erased is not counted, and neither is a payee whose token is not in memory.

    Args:
        node: the bank's.
        days: payments so far back.
        delay: the label delay of the features, microseconds: later payments are left out.
    """

    def __init__(self, node: Node, *, delay: int, days: int = 30) -> None:
        self._node, self._delay, self._window = node, delay, days * DAY

    def __call__(self, rule: RiskRule, *, before: int, find: Callable[[str], bytes | None]) -> RiskCounts:
        """Count.

        Args:
            rule: the members' rule.
            before: the round's time, microseconds; what was known later does not count.
            find: payee -> token, or None.
        """
        since, until = before - self._delay - self._window, before - self._delay
        frauds, tokens = self._frauds(since, before), dict[str, bytes]()

        def payments() -> Iterator[tuple[Payment, bool]]:
            for sealed in self._sealed(since, before, DECISION_KINDS):
                payment = payment_of(sealed)
                if since <= payment.at < until:
                    if payment.payee not in tokens and (token := find(payment.payee)) is not None:
                        tokens[payment.payee] = token
                    yield payment, payment.id in frauds

        return count_risk(payments(), tokens=tokens, rule=rule)

    def _frauds(self, since: int, before: int) -> set[str]:
        found: dict[str, bool] = {}
        for sealed in self._sealed(since, before, (LABEL,)):
            if sealed.get("known_at", before) < before:
                found[str(sealed.get("payment"))] = sealed.get("fraud") is True
        return {payment for payment, fraud in found.items() if fraud}

    def _sealed(self, since: int, before: int, kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        journal = self._node.journal
        for entry in journal.entries(self._first(since), kinds=kinds):
            if entry.statement.at >= before:
                return
            try:
                content = journal.payload(entry.id)
            except TallystickError:  # erased, or disposed of
                continue
            if isinstance(content, dict):
                yield content

    def _first(self, since: int) -> int:
        """The first entry that is not older; statements stand in the order of their times."""
        journal = self._node.journal
        low, high = journal.disposed, journal.size
        while low < high:
            middle = (low + high) // 2
            if journal.statement(middle).at < since:
                low = middle + 1
            else:
                high = middle
        return low


def recent_payees(node: Node, *, most: int = 1_000) -> list[str]:
    """Return the payees of the newest decisions, newest first.

    Args:
        node: the bank's.
        most: decisions that are looked at; fewer payees than a member may look up at once.
    """
    journal, found = node.journal, dict[str, None]()
    start = max(journal.disposed, journal.size - 4 * most)
    for entry in deque(journal.entries(start, kinds=DECISION_KINDS), maxlen=most):
        try:
            content = journal.payload(entry.id)
            payee = payment_of(content).payee if isinstance(content, dict) else ""
        except TallystickError:  # erased
            continue
        found.pop(payee, None)
        found[payee] = None
    return [payee for payee in reversed(found) if payee]
