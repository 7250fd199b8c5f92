"""How good scores are at putting frauds first: figures of weighted rows, for the rows themselves and for every draw.

Rows of equal score are one step: no figure depends on the order in which they came. Oracles for the first two are
scikit-learn's; card precision and the protocol are described in Le Borgne, Siblini, Lebichot, Bontempi 2022,
"Reproducible Machine Learning for Credit Card Fraud Detection", chapter 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallystick.errors import ModelInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Ranking",
    "area_under_roc",
    "average_precision",
    "card_precision",
    "daily_card_precision",
    "precision_recall",
    "recall_at_budget",
    "value_stopped",
]


class Ranking:
    """Rows in falling order of their scores, frauds and amounts beside them.

    Every method takes weights of the rows, float64, shape (draws, rows), and returns one value a draw, shape (draws,);
    NaN where a draw holds no fraud or nothing genuine.

    Args:
        scores: one a row, finite; any increasing change of them changes nothing.
        fraud: bool, one a row.
        amounts: what stopping a fraud saves, one a row; ones when None.

    Raises:
        ModelInputError: lengths differ, or a score is not finite.
    """

    def __init__(self, scores: ArrayLike, fraud: ArrayLike, amounts: ArrayLike | None = None) -> None:
        import numpy as np

        found, truth = np.asarray(scores), np.asarray(fraud, dtype=np.bool_)
        worth = np.ones(len(truth)) if amounts is None else np.asarray(amounts, dtype=np.float64)
        if found.ndim != 1 or found.shape != truth.shape or worth.shape != truth.shape:
            raise ModelInputError("scores, frauds and amounts must be equally many")
        if not np.isfinite(found).all():
            raise ModelInputError("scores must be finite")
        self.order: NDArray[np.int64] = np.argsort(-found, kind="stable")
        ordered = found[self.order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(found) else self.order
        self._fraud, self._worth = truth[self.order].astype(np.float64), worth[self.order]

    def __len__(self) -> int:
        return len(self.order)

    def steps(self, weights: NDArray[np.float64]) -> tuple[Any, Any, Any]:
        """Return frauds, genuine payments and fraud value at or above each distinct score; shape (draws, steps)."""
        import numpy as np

        weighed = weights[:, self.order]
        found = weighed * self._fraud
        parts = (found, weighed - found, found * self._worth)
        summed = [np.cumsum(np.add.reduceat(part, self._starts, axis=1), axis=1) for part in parts]
        return summed[0], summed[1], summed[2]

    def average_precision(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the area under the steps of precision over recall."""
        import numpy as np

        frauds, genuine, _ = self.steps(weights)
        caught = np.diff(frauds, axis=1, prepend=0.0)
        precision = frauds / np.maximum(frauds + genuine, 1e-12)
        return _over((caught * precision).sum(axis=1), frauds[:, -1])

    def area_under_roc(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chance that a fraud has a higher score than a genuine payment; ties count half."""
        import numpy as np

        frauds, genuine, _ = self.steps(weights)
        caught, passed = np.diff(frauds, axis=1, prepend=0.0), np.diff(genuine, axis=1, prepend=0.0)
        below = genuine[:, -1:] - genuine
        return _over((caught * (below + passed / 2)).sum(axis=1), frauds[:, -1] * genuine[:, -1])

    def recall_at_budget(self, weights: NDArray[np.float64], budget: float) -> NDArray[np.float64]:
        """Return the share of frauds that is found when at most this share of all payments raises an alert.

        Within the last step, whose rows cannot be told apart, as many are taken as fit, at their mean share of frauds.
        """
        frauds, genuine, _ = self.steps(weights)
        every = frauds + genuine
        return _over(_reached(frauds, every, budget * every[:, -1]), frauds[:, -1])

    def value_stopped(self, weights: NDArray[np.float64], genuine_share: float) -> NDArray[np.float64]:
        """Return the share of fraud value that is stopped when at most this share of genuine payments is stopped."""
        _, genuine, value = self.steps(weights)
        return _over(_reached(value, genuine, genuine_share * genuine[:, -1]), value[:, -1])

    def genuine_share(self, weights: NDArray[np.float64], genuine_per_fraud: float) -> NDArray[np.float64]:
        """Return the largest share of genuine payments stopped at which alerts hold at most so many per fraud."""
        import numpy as np

        frauds, genuine, _ = self.steps(weights)
        within = np.where(genuine <= genuine_per_fraud * frauds, genuine, 0.0)
        return _over(within.max(axis=1, initial=0.0), genuine[:, -1])


def average_precision(scores: ArrayLike, fraud: ArrayLike) -> float:
    """Return the area under the steps of precision over recall, as scikit-learn's `average_precision_score`.

    Args:
        scores: one a row.
        fraud: bool, one a row.

    Returns:
        0 to 1; NaN without a fraud.
    """
    made = Ranking(scores, fraud)
    return float(made.average_precision(_once(made))[0])


def area_under_roc(scores: ArrayLike, fraud: ArrayLike) -> float:
    """Return the chance that a fraud has a higher score than a genuine payment; NaN where one of them is missing."""
    made = Ranking(scores, fraud)
    return float(made.area_under_roc(_once(made))[0])


def recall_at_budget(scores: ArrayLike, fraud: ArrayLike, *, budget: float = 0.005) -> float:
    """Return the share of frauds found when at most this share of payments raises an alert.

    Args:
        scores: one a row.
        fraud: bool, one a row.
        budget: share of all payments, 0 to 1.
    """
    made = Ranking(scores, fraud)
    return float(made.recall_at_budget(_once(made), budget)[0])


def value_stopped(
    scores: ArrayLike,
    fraud: ArrayLike,
    amounts: ArrayLike,
    *,
    genuine_share: float | None = None,
    genuine_per_fraud: float | None = None,
) -> float:
    """Return the share of fraud value stopped at a false-positive ratio, said in one of two ways.

    Args:
        scores: one a row.
        fraud: bool, one a row.
        amounts: one a row.
        genuine_share: share of the genuine payments that may be stopped.
        genuine_per_fraud: genuine payments that may be stopped for each fraud that is.

    Raises:
        ModelInputError: neither, or both.
    """
    if (genuine_share is None) == (genuine_per_fraud is None):
        raise ModelInputError(
            "a false-positive ratio must be said in one way: genuine_share or genuine_per_fraud"
        )
    made = Ranking(scores, fraud, amounts)
    once = _once(made)
    share = genuine_share
    if share is None:
        share = float(made.genuine_share(once, float(genuine_per_fraud or 0))[0])
    return float(made.value_stopped(once, share)[0])


def precision_recall(
    scores: ArrayLike, fraud: ArrayLike, *, points: int = 200
) -> tuple[tuple[float, float], ...]:
    """Return points (recall, precision) of the curve, recall ascending; empty without a fraud.

    Args:
        scores: one a row.
        fraud: bool, one a row.
        points: at most so many, evenly spread over recall.
    """
    import numpy as np

    made = Ranking(scores, fraud)
    if not len(made):
        return ()
    frauds, genuine, _ = (part[0] for part in made.steps(_once(made)))
    if not frauds[-1]:
        return ()
    kept = np.flatnonzero(np.diff(frauds, prepend=0.0))
    if len(kept) > points:
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, points).round().astype(np.int64))]
    recall, precision = frauds[kept] / frauds[-1], frauds[kept] / (frauds[kept] + genuine[kept])
    return tuple(zip(recall.tolist(), precision.tolist(), strict=True))


def daily_card_precision(
    scores: ArrayLike, fraud: ArrayLike, cards: ArrayLike, days: ArrayLike, *, k: int = 100
) -> NDArray[np.float64]:
    """Return for each day the share of really defrauded cards among the k of the highest score.

    A card's score is that of its highest payment of the day; a card that was found leaves the later days, as the
    fraud's investigation blocks it.

    Args:
        scores: one a row.
        fraud: bool, one a row.
        cards: whose row it is.
        days: on which day, whole numbers.
        k: cards that investigators look at in a day, >= 1.

    Returns:
        float64, shape (days,), in the order of the days; a day of fewer than k cards is divided by k all the same.
    """
    import numpy as np

    found, truth = np.asarray(scores, dtype=np.float64), np.asarray(fraud, dtype=np.bool_)
    _, card = np.unique(np.asarray(cards), return_inverse=True)
    of_days = np.asarray(days)
    blocked = np.zeros(int(card.max(initial=-1)) + 1, dtype=np.bool_)
    shares = []
    for day in np.unique(of_days):
        rows = np.flatnonzero((of_days == day) & ~blocked[card])
        best = np.full(len(blocked), -np.inf)
        np.maximum.at(best, card[rows], found[rows])
        robbed = np.zeros(len(blocked), dtype=np.bool_)
        robbed[card[rows[truth[rows]]]] = True
        present = np.unique(card[rows])
        top = present[np.argsort(-best[present], kind="stable")[:k]]
        shares.append(robbed[top].sum() / k)
        blocked[top[robbed[top]]] = True
    return np.array(shares, dtype=np.float64)


def card_precision(
    scores: ArrayLike, fraud: ArrayLike, cards: ArrayLike, days: ArrayLike, *, k: int = 100
) -> float:
    """Return the mean over days of `daily_card_precision`; NaN without a day."""
    shares = daily_card_precision(scores, fraud, cards, days, k=k)
    return float(shares.mean()) if len(shares) else float("nan")


def _once(made: Ranking) -> Any:
    import numpy as np

    return np.ones((1, len(made)))


def _over(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    shares: NDArray[np.float64] = np.full(len(part), np.nan)
    return np.divide(part, whole, out=shares, where=whole > 0)


def _reached(gained: Any, spent: Any, most: Any) -> Any:
    """Return what is gained where what is spent reaches the most that may be, part of a step where it lies inside one."""
    import numpy as np

    made = np.empty(len(gained))
    for draw in range(len(gained)):
        xs, ys = np.r_[0.0, spent[draw]], np.r_[0.0, gained[draw]]
        place = int(np.searchsorted(xs, most[draw], side="right"))
        if place == len(xs):
            made[draw] = ys[-1]
            continue
        # `place` is the first step that spends too much; what it gains is shared out evenly over what it spends.
        inside = (most[draw] - xs[place - 1]) / (xs[place] - xs[place - 1])
        made[draw] = ys[place - 1] + inside * (ys[place] - ys[place - 1])
    return made
