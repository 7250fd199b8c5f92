"""Labels of observed payments: what each turned out to be, stated first, then learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from tallystick.apps.fraud.deciding import payment_key, payment_of
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import DisclosureError, NotFoundError, PaymentError
from tallystick.proof import Clock, Draft, Entry

from ._restoring import State
from ._stating import DECISION_KIND, LABEL_KIND, Observed, Reading, sealed_of

__all__ = ["LabelAsk", "Labelling"]


@dataclass(slots=True, eq=False)
class LabelAsk:
    """A label that waits to be stated."""

    payment: str
    fraud: bool
    source: str
    decision: str
    future: Future[str]


class Labelling:
    """States labels and teaches them to the windows; on the worker that states payments, so that both keep one order.

    Args:
        journal: to read.
        record: makes statements durable.
        state: windows and memory.
        find: finds what was stated of a payment.
        scorer: the present scorer's hash.
        clock: microseconds since the epoch.
    """

    def __init__(
        self,
        journal: Reading,
        record: Callable[[Sequence[Draft]], Sequence[Entry]],
        state: State,
        *,
        find: Callable[[str], Observed],
        scorer: str,
        clock: Clock,
    ) -> None:
        self._journal, self._record, self._state, self._find = journal, record, state, find
        self._scorer, self._clock = scorer, clock
        self._stated = 0

    def state(self, asks: Sequence[LabelAsk]) -> int:
        """State labels, learn them and tell who asked.

        Returns:
            How many were stated: none of those that were known, or are refused.

        Raises:
            TallystickError: they could not be recorded; who was not told yet has to be.
        """
        before = self._stated
        ready: dict[bytes, tuple[LabelAsk, Label, str]] = {}
        for ask in asks:
            try:
                payment, statement = self._payment(ask)
                key = payment_key(payment.id)
                if key in ready:
                    self._learn(ready)  # another word on the same payment comes after the first one
                known = self._label_of(key)
            except (DisclosureError, NotFoundError, PaymentError) as error:
                ask.future.set_exception(error)
                continue
            if known is not None and known[0] == ask.fraud:
                ask.future.set_result(known[1])
            else:
                # A payment's own clock may be a little ahead of this one.
                ready[key] = ask, Label(payment, ask.fraud, max(self._clock(), payment.at)), statement
        self._learn(ready)
        return self._stated - before

    def _learn(self, ready: dict[bytes, tuple[LabelAsk, Label, str]]) -> None:
        drafts = [
            Draft(
                LABEL_KIND,
                {},
                {"decision": [statement]},
                fields={
                    "fraud": label.fraud,
                    "known_at": label.known_at,
                    "payment": label.payment.id,
                    "source": ask.source,
                },
                subject=label.payment.customer,
            )
            for ask, label, statement in ready.values()
        ]
        if not drafts:
            return
        entries = self._record(drafts)
        self._state.features.learn([label for _, label, _ in ready.values()])
        for (key, (ask, _, _)), entry in zip(ready.items(), entries, strict=True):
            self._state.labels.add(key, entry.index, 0)
            ask.future.set_result(entry.id)
        self._stated += len(ready)
        ready.clear()

    def _label_of(self, key: bytes) -> tuple[bool, str] | None:
        index = self._state.labels.find(key)
        if index is None:
            return None
        entry = self._journal.entry(index)
        sealed = sealed_of(self._journal, entry)
        return None if sealed is None else (sealed["fraud"], entry.id)

    def _payment(self, ask: LabelAsk) -> tuple[Payment, str]:
        if not ask.decision:
            found = self._find(ask.payment)
            return found.payment, found.statement
        entry = self._journal.entry(ask.decision)
        said = entry.statement
        if said.kind != DECISION_KIND or said.body.get("model") != self._scorer:
            raise NotFoundError("this statement is no observation of this scorer")
        sealed = sealed_of(self._journal, entry)
        if sealed is None:
            raise DisclosureError("this observation was erased")
        payment = payment_of(sealed)
        if ask.payment not in ("", payment.id):
            raise PaymentError("this observation is of another payment")
        return payment, entry.id
