"""Features of a history, computed by the very code that computes them when a payment is decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final

from tallystick.apps.fraud.features import FeatureSource, Signals
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["make_features"]

BATCH: Final = 512  # payments handed over at once; a source's numbers do not depend on it


def make_features(
    payments: Iterable[Payment],
    labels: Sequence[Label],
    source: FeatureSource,
    *,
    signals: Signals | None = None,
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Walk through a history as a running service does: labels arrive when they become known, payments in their order.

    Args:
        payments: in the order of their times.
        labels: in any order; each is handed to the source before the first payment that may know it, and the source
            uses it from its `known_at` on.
        source: what computes features; afterwards it stands where the history ends.
        signals: what other banks let this one know; its columns come last.

    Returns:
        float64, shape (payments, columns), and the columns' names.

    Raises:
        DataError: the payments are not in order, or there are none.
    """
    import numpy as np

    waiting, given, before = sorted(labels, key=lambda label: label.known_at), 0, 0
    parts: list[NDArray[np.float64]] = []
    walk, ahead = iter(payments), list[Payment]()
    while ahead := [*ahead, *islice(walk, BATCH - len(ahead))]:
        if ahead[0].at < before or any(one.at > two.at for one, two in pairwise(ahead)):
            raise DataError("payments must be in the order of their times")
        batch = ahead[: _until_own_label(ahead, waiting, given)]
        ahead, before = ahead[len(batch) :], batch[-1].at
        stop = given
        while stop < len(waiting) and waiting[stop].known_at <= before:
            stop += 1
        if stop > given:
            source.learn(waiting[given:stop])
            given = stop
        found = source.take(batch)
        parts.append(found if signals is None else np.hstack([found, signals.look(batch)]))
    if not parts:
        raise DataError("there must be at least one payment")
    return np.concatenate(parts), (*source.names, *(() if signals is None else signals.names))


def _until_own_label(ahead: Sequence[Payment], waiting: Sequence[Label], given: int) -> int:
    """Return how many payments come before the first label of one of them: a label never precedes its payment."""
    for place in range(given, len(waiting)):
        label = waiting[place]
        if label.known_at > ahead[-1].at:
            break
        if label.payment.at >= ahead[0].at:
            return max(1, sum(payment.at < label.known_at for payment in ahead))
    return len(ahead)
