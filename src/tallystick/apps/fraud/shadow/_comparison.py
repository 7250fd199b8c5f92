"""What two scorers would have caught of the same payments, at the same share of genuine customers stopped.

The present scorer is taken as it decided. Ours gets the threshold at which it stops at most as many genuine payments
as the present one did: a comparison in hindsight, on the same days, and it says so. Intervals come from drawing whole
days anew, because payments of one day are not independent.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ._stating import Observed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Caught", "Columns", "Comparison", "compare", "compare_columns"]

LEAST_FRAUDS: Final = 20
LEAST_DAYS: Final = 5
_DAY: Final = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Caught:
    """What one scorer caught.

    Args:
        frauds: payments that were fraud and raised an alert.
        value: their amounts, minor units.
        false_alerts: genuine payments that raised an alert.
    """

    frauds: int
    value: int
    false_alerts: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both scorers over the same payments.

    Args:
        days: that the payments cover.
        payments: with a known label.
        frauds: among them.
        value: of the frauds, minor units.
        present: what the present scorer caught.
        ours: what ours would have caught at no more false alerts.
        only_present, only_ours: frauds that one caught and the other did not.
        threshold: ours, in its integer score; None when no threshold keeps to the false alerts.
        gain: ours less the present one's share of the fraud value, with its 95% interval; None when there is not
            enough data, and `why_not` says what is missing.
        why_not: empty when there is enough data.
        observed: payments that were observed, with or without a known label.
        assumed: of `payments`, those that count as genuine because nobody has said otherwise for so long.
    """

    days: int
    payments: int
    frauds: int
    value: int
    present: Caught
    ours: Caught
    only_present: int
    only_ours: int
    threshold: int | None
    gain: tuple[float, float, float] | None
    why_not: str
    observed: int = 0
    assumed: int = 0

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        found = asdict(self)
        found["gain"] = (
            None if self.gain is None else dict(zip(("value", "low", "high"), self.gain, strict=True))
        )
        return found


def compare(
    observed: Sequence[Observed], labels: Mapping[str, bool], *, resamples: int = 500, seed: int = 0
) -> Comparison:
    """Compare both scorers where the truth is known.

    Args:
        observed: as `Shadow.observe` made them.
        labels: payment id -> whether it was fraud; payments without one are left out.
        resamples: draws for the interval.
        seed: of the draws.
    """
    columns = Columns()
    for one in observed:
        if one.payment.id in labels:
            payment, fraud = one.payment, labels[one.payment.id]
            columns.add(
                fraud=fraud, alert=one.alert, score=one.score, value=payment.amount, day=payment.at // _DAY
            )
    return compare_columns(columns, observed=len(observed), resamples=resamples, seed=seed)


class Columns:
    """What a comparison counts of each payment with a known outcome; 26 bytes each."""

    def __init__(self) -> None:
        self.fraud, self.alert = array("b"), array("b")
        self.score, self.value, self.day = array("q"), array("q"), array("q")

    def add(self, *, fraud: bool, alert: bool, score: int, value: int, day: int) -> None:
        """Add a payment.

        Args:
            fraud: what it was.
            alert: whether the present scorer raised an alert.
            score: ours.
            value: minor units.
            day: since the epoch, UTC.
        """
        self.fraud.append(fraud)
        self.alert.append(alert)
        self.score.append(score)
        self.value.append(value)
        self.day.append(day)


def compare_columns(
    columns: Columns, *, observed: int, assumed: int = 0, resamples: int = 500, seed: int = 0
) -> Comparison:
    """Compare both scorers where the truth is known.

    Args:
        columns: payments with a known outcome.
        observed: payments, with or without one.
        assumed: how many of the columns' payments are genuine because nobody said otherwise.
        resamples: draws for the interval.
        seed: of the draws.
    """
    import numpy as np

    fraud, alert = np.array(columns.fraud, dtype=bool), np.array(columns.alert, dtype=bool)
    scores, value = np.array(columns.score, dtype=np.int64), np.array(columns.value, dtype=np.int64)
    days = np.array(columns.day, dtype=np.int64)
    threshold = _threshold(scores[~fraud], int((alert & ~fraud).sum()))
    ours = np.zeros(len(fraud), dtype=bool) if threshold is None else scores >= threshold
    why_not = _why_not(int(fraud.sum()), len(set(days.tolist())))
    gain = None if why_not else _gain(fraud, alert, ours, value, days, resamples=resamples, seed=seed)
    return Comparison(
        days=len(set(days.tolist())),
        payments=len(fraud),
        frauds=int(fraud.sum()),
        value=int(value[fraud].sum()),
        present=_caught(fraud, alert, value),
        ours=_caught(fraud, ours, value),
        only_present=int((fraud & alert & ~ours).sum()),
        only_ours=int((fraud & ours & ~alert).sum()),
        threshold=threshold,
        gain=gain,
        why_not=why_not,
        observed=observed,
        assumed=assumed,
    )


def _threshold(genuine: NDArray[np.int64], most: int) -> int | None:
    """Return the least score from which at most `most` genuine payments are stopped; None when there are none."""
    import numpy as np

    if not len(genuine):
        return None
    ordered = np.sort(genuine)[::-1]
    # Equal scores are stopped together, so the threshold lies above the first one that is too many.
    return int(ordered[-1]) if most >= len(ordered) else int(ordered[most]) + 1


def _why_not(frauds: int, days: int) -> str:
    if frauds < LEAST_FRAUDS:
        return f"not enough data: {frauds} frauds, at least {LEAST_FRAUDS} are needed"
    if days < LEAST_DAYS:
        return f"not enough data: {days} days, at least {LEAST_DAYS} are needed"
    return ""


def _caught(fraud: Any, stopped: Any, value: Any) -> Caught:
    return Caught(
        int((fraud & stopped).sum()), int(value[fraud & stopped].sum()), int((stopped & ~fraud).sum())
    )


def _gain(
    fraud: Any, alert: Any, ours: Any, value: Any, days: Any, *, resamples: int, seed: int
) -> tuple[float, float, float]:
    import numpy as np

    _, numbers = np.unique(days, return_inverse=True)
    per_day = np.zeros((numbers.max() + 1, 3))
    for column, stopped in enumerate((fraud & ours, fraud & alert, fraud)):
        np.add.at(per_day[:, column], numbers[stopped], value[stopped].astype(np.float64))
    drawn = np.random.default_rng(seed).integers(0, len(per_day), (resamples, len(per_day)))
    sums = np.vstack([per_day.sum(axis=0)[None], per_day[drawn].sum(axis=1)])
    gains = (sums[:, 0] - sums[:, 1]) / np.maximum(sums[:, 2], 1.0)
    low, high = np.quantile(gains[1:], (0.025, 0.975))
    return float(gains[0]), float(low), float(high)
