"""Labels: what a payment turned out to be, stated first, then learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import NotFoundError, PaymentError, TallystickError
from tallystick.proof import Clock, Draft, Entry

from ._batches import Admission, LabelAsk
from ._placing import Times, placed_label
from ._remembered import payment_key
from ._restoring import LABEL_KIND, State
from ._stats import Counters

_SECOND: Final = 1_000_000


class Writer(Protocol):
    """Where labels are stated."""

    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]: ...


class Labelling:
    """States labels and teaches them to the windows.

    Args:
        node: where they are stated.
        state: windows and labels as they stand.
        admission: finds payments and their decisions.
        counters: counts labels.
        clock: microseconds since the epoch.
        times: see `EngineSettings`.
        ahead_s: how far a label may be ahead of the clock, seconds.
    """

    def __init__(
        self,
        node: Writer,
        state: State,
        admission: Admission,
        counters: Counters,
        *,
        clock: Clock,
        ahead_s: int,
        times: Times,
    ) -> None:
        self._node, self._state, self._admission, self._counters = node, state, admission, counters
        self._clock, self._ahead, self._times = clock, ahead_s * _SECOND, times

    def learn(self, ask: LabelAsk) -> int:
        """State a label, learn it and tell who asked; no batch may be on its way.

        Returns:
            How many labels the windows learned: none when it was known, or is refused.

        Raises:
            StorageError: it could not be recorded.
        """
        try:
            payment, statement = self._payment(ask)
            known = self._state.labels.get(payment_key(payment.id))
            label = None if known and known[0] == ask.fraud else self._label(payment, ask)
        except TallystickError as error:
            ask.fail(error)
            return 0
        if label is None:
            assert known is not None
            ask.future.set_result(known[1])
            return 0
        ask.future.set_result(self._state_label(label, statement, ask.source))
        return 1

    def _label(self, payment: Payment, ask: LabelAsk) -> Label:
        now = self._clock()
        if ask.known_at is None:
            # A payment's own clock may be a little ahead of this one.
            return Label(payment, ask.fraud, max(now, payment.at))
        if ask.known_at > now + self._ahead:
            raise PaymentError("a label cannot be known later than now")
        return Label(payment, ask.fraud, ask.known_at)

    def _state_label(self, label: Label, decision: str, source: str) -> str:
        payment = label.payment
        fields = {"fraud": label.fraud, "known_at": label.known_at, "payment": payment.id, "source": source}
        draft = Draft(LABEL_KIND, {}, {"decision": [decision]}, fields=fields, subject=payment.customer)
        learned = placed_label(label, self._admission.sealed(decision), self._times)
        entry = self._node.record_many([draft])[0]
        self._state.features.learn([learned])
        self._state.labels[payment_key(payment.id)] = (label.fraud, entry.id)
        self._counters.labels += 1
        return entry.id

    def _payment(self, ask: LabelAsk) -> tuple[Payment, str]:
        """Find the payment that a label is of, and its decision's statement."""
        if ask.decision:
            payment, statement = self._admission.payment_of(ask.decision)
            if ask.payment not in ("", payment.id):
                raise PaymentError("this decision is on another payment")
            return payment, statement
        found = self._admission.payment(ask.payment)
        if found is None:
            raise NotFoundError(
                "no such payment is remembered",
                hint="labels are of payments that were decided here; name the decision's statement for old ones",
            )
        return found
