"""A batch on its way: who is let in, what is judged, what is to be stated.

Idempotency is decided here, under one lock with what the recording side adds: a payment is unknown, on its way (then
whoever brings it again waits for the same answer), or decided (then its statement tells the answer).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.payments import CURRENCIES, Payment
from tallystick.decisions import Control
from tallystick.errors import (
    AccessDeniedError,
    ConflictError,
    DisclosureError,
    NotFoundError,
    PaymentError,
    TallystickError,
)
from tallystick.proof import Draft, Entry

from ._decision import Decision
from ._judging import Judging, Verdict
from ._remembered import payment_key
from ._restoring import Records, State
from ._sealed import DECISION_KINDS, decided_of, payment_of, seal
from ._stats import Counters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Admission", "Batch", "Item", "LabelAsk", "make_drafts"]

LEVEL: Final = "L0"
THEN_LAPSES: Final = "no decision is made"
_SECOND: Final = 1_000_000


@dataclass(slots=True, eq=False)
class Item:
    """One payment that waits.

    Args:
        payment: which one.
        future: gets its decision.
        received_at: microseconds since the epoch.
        began: the timer when it came, nanoseconds.
    """

    payment: Payment
    future: Future[Decision]
    received_at: int
    began: int
    key: bytes = b""
    followers: list[Future[Decision]] = field(default_factory=list)

    def fail(self, error: BaseException) -> None:
        """Give the error to everybody who waits for this payment."""
        for future in (self.future, *self.followers):
            refuse_future(future, error)


@dataclass(slots=True, eq=False)
class LabelAsk:
    """A label that waits to be stated."""

    payment: str
    fraud: bool
    source: str
    known_at: int | None
    future: Future[str]
    decision: str = ""

    def fail(self, error: BaseException) -> None:
        """Give the error to whoever waits."""
        refuse_future(self.future, error)


@dataclass(slots=True, eq=False)
class Batch:
    """A judged batch that is to be made durable."""

    items: list[Item]
    verdicts: list[Verdict]
    drafts: list[Draft]
    control: Control
    model: str  # hash that stands in the statements; empty where rules decide alone
    inputs: NDArray[np.int16] | None
    scores: NDArray[np.int64] | None


class Admission:
    """Who is let in.

    Args:
        state: what is remembered; changed under `lock` only.
        journal: where decided payments are read again.
        ahead_s: seconds that a payment's time may lie ahead of the clock.
        counters: what is counted.
    """

    def __init__(self, state: State, journal: Records, *, ahead_s: int, counters: Counters) -> None:
        self._state, self._journal, self._counters = state, journal, counters
        self._ahead = ahead_s * _SECOND
        self._under_way: dict[bytes, Item] = {}
        self.lock = threading.Lock()

    def admit(self, items: Sequence[Item], now: int) -> list[Item]:
        """Answer or refuse what needs no decision; return the payments that do.

        Args:
            items: in the order of their arrival.
            now: microseconds since the epoch.
        """
        fresh: list[Item] = []
        decided: list[tuple[Item, int]] = []
        for item in items:
            item.key = payment_key(item.payment.id)
            try:
                with self.lock:
                    index = self._find(item)
                    if index is None and not self._follows(item):
                        self._check(item.payment, now)
                        self._under_way[item.key] = item
                        fresh.append(item)
                if index is not None:
                    decided.append((item, index))
            except TallystickError as error:
                self._refuse(item, error)
        for item, index in decided:
            try:
                item.future.set_result(self._again(item.payment, index))
            except TallystickError as error:
                self._refuse(item, error)
        return fresh

    def find(self, payment_id: str) -> Decision | None:
        """Return the decision of a payment; None when none is remembered.

        Raises:
            AccessDeniedError: it was withheld.
            DisclosureError: it was erased.
        """
        key = payment_key(payment_id)
        with self.lock:
            index = self._state.remembered.find(key)
            if key in self._state.withheld:
                raise _withheld()
        if index is None:
            return None
        entry = self._journal.entry(index)
        return decided_of(entry, _sealed(self._journal, entry))

    def payment(self, payment_id: str) -> tuple[Payment, str] | None:
        """Return a decided payment and its decision's statement; None when none is remembered.

        Raises:
            DisclosureError: it was erased.
        """
        with self.lock:
            index = self._state.remembered.find(payment_key(payment_id))
        if index is None:
            return None
        entry = self._journal.entry(index)
        return payment_of(_sealed(self._journal, entry)), entry.id

    def payment_of(self, statement: str) -> tuple[Payment, str]:
        """Return the payment of a decision's statement, however long ago it was decided, and the statement's id.

        Raises:
            DisclosureError: it was erased.
            NotFoundError: no such statement, disposed of, or no decision on a payment.
        """
        entry = self._journal.entry(statement)
        if entry.statement.kind not in DECISION_KINDS:
            raise NotFoundError("this statement is no decision on a payment")
        return payment_of(_sealed(self._journal, entry)), entry.id

    def sealed(self, statement: str) -> dict[str, Any]:
        """Return what is sealed in a decision.

        Raises:
            DisclosureError: it was erased.
        """
        return _sealed(self._journal, self._journal.entry(statement))

    def decided(self, items: Sequence[Item], indexes: Sequence[int]) -> None:
        """Remember payments whose statements are durable; nobody follows them any more."""
        with self.lock:
            for item, index in zip(items, indexes, strict=True):
                self._state.remembered.add(item.key, index, item.payment.at)
                self._under_way.pop(item.key, None)

    def release(self, items: Sequence[Item]) -> None:
        """Forget payments that could not be decided, so that they may come again."""
        with self.lock:
            for item in items:
                self._under_way.pop(item.key, None)

    def withhold(self, items: Sequence[Item]) -> None:
        """Never give out the decisions of these payments."""
        with self.lock:
            self._state.withheld.update(item.key for item in items)

    def _find(self, item: Item) -> int | None:
        if item.key in self._state.withheld:
            raise _withheld()
        return self._state.remembered.find(item.key)

    def _follows(self, item: Item) -> bool:
        first = self._under_way.get(item.key)
        if first is None:
            return False
        if first.payment != item.payment:
            raise _conflict()
        first.followers.append(item.future)
        self._counters.repeat()
        return True

    def _check(self, payment: Payment, now: int) -> None:
        if payment.currency not in CURRENCIES:
            raise PaymentError(
                "a currency must be one of ISO 4217", hint="three capital letters, such as EUR"
            )
        if payment.at > now + self._ahead:
            raise PaymentError(
                f"a payment's time must not lie more than {self._ahead // _SECOND} s ahead of this clock",
                hint="compare both clocks; the unit is microseconds since 1970",
            )
        if payment.at <= self._state.remembered.forgotten_until:
            # It might have been decided: a second decision would be worse than none.
            raise PaymentError(
                "this payment is older than what is remembered of decided payments",
                hint="look its decision up in the journal; raise `remember` where payments come this late",
            )

    def _again(self, payment: Payment, index: int) -> Decision:
        entry = self._journal.entry(index)
        try:
            sealed = _sealed(self._journal, entry)
        except DisclosureError as error:
            raise ConflictError("this payment was decided, and erased since") from error
        if payment_of(sealed) != payment:
            raise _conflict()
        self._counters.repeat()
        return decided_of(entry, sealed)

    def _refuse(self, item: Item, error: TallystickError) -> None:
        self._counters.refuse(error.code)
        refuse_future(item.future, error)


def refuse_future(future: Future[Any], error: BaseException) -> None:
    """Give an error to whoever waits, unless an answer came first: two workers may end one wait when both fail."""
    with suppress(InvalidStateError):
        future.set_exception(error)


def make_drafts(
    items: Sequence[Item],
    verdicts: Sequence[Verdict],
    *,
    judging: Judging,
    links: Mapping[str, Sequence[str]],
    control: Control,
    until: int,
) -> list[Draft]:
    """Return what is to be stated of each verdict.

    Args:
        items: the payments.
        verdicts: theirs.
        judging: whose verdicts they are.
        links: label -> statements that every decision links.
        control: what counted.
        until: when what a person has to confirm lapses, microseconds.
    """
    champion = judging.detectors.champion
    shared = {label: list(ids) for label, ids in links.items()}
    scored = {"model": [champion.published], **shared} if champion and champion.published else shared
    ruled = {"control": [control.statement], **shared} if control.statement else shared
    made = {"level": LEVEL, "model": champion.hash} if champion else {}
    by_rule = {"rule": f"payment rules {judging.book.digest[:16]}"}
    drafts = []
    for item, verdict in zip(items, verdicts, strict=True):
        fields = seal(item.payment, verdict, received_at=item.received_at)
        subject = item.payment.customer
        if verdict.score is None:
            draft = Draft("decision.ruled", by_rule, ruled, fields=fields, subject=subject)
        elif verdict.outcome.proposal:
            body: dict[str, Any] = {**made, "then": THEN_LAPSES, "until": until}
            draft = Draft("decision.proposed", body, scored, fields=fields, subject=subject)
        else:
            draft = Draft("decision.made", made, scored, fields=fields, subject=subject)
        drafts.append(draft)
    return drafts


def _sealed(journal: Records, entry: Entry) -> dict[str, Any]:
    content = journal.payload(entry)
    if not isinstance(content, dict):
        raise DisclosureError("this decision's payload is no record of fields")
    return content


def _conflict() -> ConflictError:
    return ConflictError(
        "this payment id was used for another payment", hint="every payment needs an id of its own"
    )


def _withheld() -> AccessDeniedError:
    return AccessDeniedError(
        "the decision of this payment was withheld: a control was set while it was on its way",
        hint="a person has to decide: override its statement",
    )
