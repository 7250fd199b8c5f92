"""How a live shadow's state comes back: the journal alone is the truth.

The sealed payload of an observation holds its payment, and the order of the statements is the order in which payments
were taken; so taking them again in that order gives the same windows and the same memory of what was stated. Labels come
back by their statements, each at its own place.

What was erased or disposed of cannot be read: which payment it was, nobody can say any more. So payments of its time are
refused from then on, instead of being stated a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tallystick.apps.fraud.deciding import Remembered, payment_key, payment_of
from tallystick.apps.fraud.features import FeatureSource
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import DisposedError
from tallystick.proof import Entry

from ._stating import DECISION_KIND, DISPOSED_KIND, LABEL_KIND, Reading, sealed_of

__all__ = ["State", "restore"]

CHUNK: Final = 512  # payments that are taken together


@dataclass
class State:
    """What a live shadow knows beside its model.

    Args:
        features: the windows.
        payments: stated payments.
        labels: the last label of each.
        taken: payments that were taken again at the start.
        unread: observations that could not be opened.
    """

    features: FeatureSource
    payments: Remembered
    labels: Remembered
    taken: int = 0
    unread: int = 0


def restore(
    journal: Reading,
    features: FeatureSource,
    *,
    scorer: str,
    remember: int,
    ahead_us: int,
    begun: tuple[State, int] | None = None,
) -> State:
    """Bring windows and memory to where the journal stands.

    Args:
        journal: to read.
        features: the windows as they stand before the journal's first observation; taken over.
        scorer: hash of the present scorer, whose observations count.
        remember: payments that are remembered at least.
        ahead_us: how far a payment's time may lie ahead of its statement's, microseconds.
        begun: a state, and how many entries of the journal it covers; read from the beginning when None.

    Raises:
        DamagedError: an observation that cannot be read.
    """
    state, start = begun or (State(features, Remembered(remember), Remembered(remember)), 0)
    stop = journal.size
    bodies = [entry.statement.body for entry in journal.entries(0, stop, kinds=(DISPOSED_KIND,))]
    gone = 1 + max((body["last"] for body in bodies), default=-1)
    if gone > start:
        # The entry behind it is there: the last segment is never disposed of, and its time is after all of these.
        state.payments.forget(journal.entry(gone).statement.at + ahead_us)
    waiting: list[Payment] = []
    for entry in journal.entries(start, stop, kinds=(DECISION_KIND, LABEL_KIND)):
        if entry.statement.kind == LABEL_KIND:
            _take(state, waiting)
            _label(state, journal, entry, scorer)
        elif entry.statement.body.get("model") == scorer:
            sealed = sealed_of(journal, entry)
            if sealed is None:
                state.unread += 1
                state.payments.forget(entry.statement.at + ahead_us)
                continue
            payment = payment_of(sealed)
            state.payments.add(payment_key(payment.id), entry.index, payment.at)
            waiting.append(payment)
            if len(waiting) >= CHUNK:
                _take(state, waiting)
    _take(state, waiting)
    return state


def _take(state: State, waiting: list[Payment]) -> None:
    # Features that keep their state elsewhere, such as in Redis, hold these payments already.
    if waiting and hasattr(state.features, "format_state"):
        state.features.take(waiting)
    state.taken += len(waiting)
    waiting.clear()


def _label(state: State, journal: Reading, entry: Entry, scorer: str) -> None:
    sealed, decisions = sealed_of(journal, entry), entry.statement.links.get("decision", ())
    if sealed is None or not decisions:
        return
    try:
        decision = journal.entry(decisions[0])
    except DisposedError:
        return
    if decision.statement.kind != DECISION_KIND or decision.statement.body.get("model") != scorer:
        return
    state.labels.add(payment_key(sealed["payment"]), entry.index, 0)
    decided = sealed_of(journal, decision)
    if decided is not None and hasattr(state.features, "format_state"):
        state.features.learn([Label(payment_of(decided), sealed["fraud"], sealed["known_at"])])
