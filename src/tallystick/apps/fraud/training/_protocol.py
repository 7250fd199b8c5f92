"""What a detector learns from and what it is judged by: parted by time, never by chance.

The protocol of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi 2022, chapter 3): some training
days, then a gap as long as labels take to become known, then the test days. Customers of whom a fraud in the training
days or later is already known leave the test: their cards are blocked, and catching them again is no merit.

Two things are stricter than there. A detector learns a fraud only when it was known by the first test day: a report
that came later was not there to learn from, so that payment counts as genuine in training, as it did in the bank. And
"already known" is asked of every single payment's own time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["DAY", "Protocol", "TimeSplit", "time_split"]

DAY: Final = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Protocol:
    """How payments are parted.

    Args:
        train_days: that are learned from.
        delay_days: between them and the test: how long labels take to become known.
        test_days: that are judged by.
        drop_known: whether customers leave the test once a fraud of theirs is known.

    Raises:
        DataError: a number of days is out of its range.
    """

    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7
    drop_known: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.train_days <= 3650 or not 1 <= self.test_days <= 3650:
            raise DataError("there must be 1 to 3,650 training days, and as many test days")
        if not 0 <= self.delay_days <= 365:
            raise DataError("labels must be delayed by 0 to 365 days")

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "delay_days": self.delay_days,
            "drop_known": self.drop_known,
            "test_days": self.test_days,
            "train_days": self.train_days,
        }


@dataclass(frozen=True)
class TimeSplit:
    """Which payments are learned from, and which are judged by.

    Args:
        protocol: how they were parted.
        train: places of the training payments, ascending.
        learned: bool for each of them: what was known when the test began.
        test: places of the test payments, ascending.
        dropped: payments that left the test because a fraud of their customer was known.
        train_start: microseconds.
        test_start: microseconds.
    """

    protocol: Protocol
    train: NDArray[np.int64]
    learned: NDArray[np.bool_]
    test: NDArray[np.int64]
    dropped: int
    train_start: int
    test_start: int


def time_split(
    at: ArrayLike,
    fraud: ArrayLike,
    known_at: ArrayLike,
    customers: ArrayLike,
    *,
    protocol: Protocol | None = None,
    end: int | None = None,
) -> TimeSplit:
    """Part payments by time.

    Args:
        at: microseconds, one a payment.
        fraud: bool.
        known_at: microseconds, when that was known; read for frauds only.
        customers: who pays: numbers or text.
        protocol: how; the Handbook's when None.
        end: where the test days end, microseconds; after the last whole day when None.

    Raises:
        DataError: the payments do not reach back far enough, or no day is left to learn from or to judge by.
    """
    import numpy as np

    protocol = protocol or Protocol()
    times, truth = np.asarray(at, dtype=np.int64), np.asarray(fraud, dtype=np.bool_)
    known, who = np.asarray(known_at, dtype=np.int64), np.asarray(customers)
    if not len(times) or not times.shape == truth.shape == known.shape == who.shape:
        raise DataError("there must be payments, each with its time, label, time of the label and customer")
    # The last day counts when it is whole but for its last hour: a table often ends with its last payment.
    last = (int(times.max()) + DAY // 24) // DAY * DAY if end is None else end
    test_start = last - protocol.test_days * DAY
    train_stop = test_start - protocol.delay_days * DAY
    train_start = train_stop - protocol.train_days * DAY
    if train_start < int(times.min()) - DAY:
        has = (int(times.max()) - int(times.min())) / DAY
        needed = protocol.train_days + protocol.delay_days + protocol.test_days
        raise DataError(
            f"the payments must cover {needed} days, got {has:.1f}",
            hint="fewer training days, test days or days of delay, or a longer history",
        )
    train = np.flatnonzero((times >= train_start) & (times < train_stop))
    test = np.flatnonzero((times >= test_start) & (times < last))
    gone = np.zeros(len(test), dtype=np.bool_)
    if protocol.drop_known:
        gone = _known_before(times, truth & (times >= train_start), known, who)[test]
    if not len(train) or not (~gone).any():
        raise DataError("no payment is left to learn from, or none to judge by")
    learned = truth[train] & (known[train] <= test_start)
    return TimeSplit(protocol, train, learned, test[~gone], int(gone.sum()), train_start, test_start)


def _known_before(times: Any, counted: Any, known: Any, who: Any) -> Any:
    """Say of each payment whether a counted fraud of its customer was known before it."""
    import numpy as np

    _, person = np.unique(who, return_inverse=True)
    first = np.full(int(person.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, person[counted], known[counted])
    return first[person] <= times
