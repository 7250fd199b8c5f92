"""How good a detector is on payments that it has not learned from, each figure with its interval.

Intervals are the 2.5 and 97.5 percentiles of a bootstrap that draws whole customers anew (payments of one customer
are not independent), or whole days; card precision, which is one figure a day, is drawn over days. Below
`LEAST_FRAUDS` frauds, or below `LEAST_DRAWN` customers or days, there is "not enough data" instead of a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ModelInputError
from tallystick.models import Interval

from ._ranking import Ranking, daily_card_precision, precision_recall

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Quality", "draw_intervals", "measure_quality"]

LEAST_FRAUDS: Final = 10
LEAST_DRAWN: Final = 5  # customers or days; fewer say nothing about the next ones
_CHUNK: Final = 4_000_000  # weights held in memory at once
NOT_ENOUGH: Final = "not enough data"

Measure = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one detector over one set of payments; None where there is not enough data.

    Args:
        payments: that were judged.
        frauds: among them.
        budget: share of payments that may raise an alert.
        genuine_share: share of genuine payments that may be stopped.
        cards: that investigators look at in a day.
        average_precision: area under the steps of precision over recall; a random order has the share of frauds.
        auroc: chance that a fraud has a higher score than a genuine payment.
        card_precision: share of defrauded cards among the highest of each day.
        recall_at_budget: share of frauds found within the budget.
        value_stopped: share of the fraud value stopped at the genuine share.
        curve: (recall, precision), recall ascending.
        why_not: why figures are None; empty otherwise.
    """

    payments: int
    frauds: int
    budget: float
    genuine_share: float
    cards: int
    average_precision: Interval | None
    auroc: Interval | None
    card_precision: Interval | None
    recall_at_budget: Interval | None
    value_stopped: Interval | None
    curve: tuple[tuple[float, float], ...]
    why_not: str = ""

    def lines(self) -> list[tuple[str, str]]:
        """Return (what, figure) for people, with intervals."""
        named = (
            ("average precision", self.average_precision),
            ("AUROC", self.auroc),
            (f"card precision@{self.cards}", self.card_precision),
            (f"recall at {self.budget:.2%} alerts", self.recall_at_budget),
            (f"value stopped at {self.genuine_share:.2%} of genuine", self.value_stopped),
        )
        return [(name, NOT_ENOUGH if found is None else found.text(3)) for name, found in named]

    def record(self) -> dict[str, Any]:
        """Return plain data whose decimals are text, as a statement may hold it."""
        named = {
            "auroc": self.auroc,
            "average_precision": self.average_precision,
            "card_precision": self.card_precision,
            "recall_at_budget": self.recall_at_budget,
            "value_stopped": self.value_stopped,
        }
        said = {name: NOT_ENOUGH if found is None else found.text(3) for name, found in named.items()}
        return {
            **said,
            "budget": f"{self.budget:.6g}",
            "cards": self.cards,
            "frauds": self.frauds,
            "genuine_share": f"{self.genuine_share:.6g}",
            "interval": "95% bootstrap",
            "payments": self.payments,
            "why_not": self.why_not,
        }


def measure_quality(
    scores: ArrayLike,
    fraud: ArrayLike,
    amounts: ArrayLike,
    *,
    customers: ArrayLike,
    days: ArrayLike,
    budget: float = 0.005,
    genuine_share: float = 0.002,
    cards: int = 100,
    resamples: int = 300,
    seed: int = 0,
) -> Quality:
    """Measure scores against what payments turned out to be.

    Args:
        scores: one a payment; any increasing change of them changes nothing.
        fraud: bool.
        amounts: minor units of one currency.
        customers: who pays; drawn anew for the intervals.
        days: on which day, whole numbers; drawn anew for the interval of card precision.
        budget: share of payments that may raise an alert, above 0 and below 1.
        genuine_share: share of genuine payments that may be stopped, likewise.
        cards: that investigators look at in a day, >= 1.
        resamples: bootstrap draws, >= 1.
        seed: of the draws.

    Raises:
        ModelInputError: lengths differ, a score is not finite, or a number is out of its range.
    """
    import numpy as np

    if not 0 < budget < 1 or not 0 < genuine_share < 1 or cards < 1 or resamples < 1:
        raise ModelInputError("shares must be above 0 and below 1, cards and resamples at least 1")
    ranking, truth = Ranking(scores, fraud, amounts), np.asarray(fraud, dtype=np.bool_)
    who, when = np.asarray(customers), np.asarray(days)
    if who.shape != truth.shape or when.shape != truth.shape:
        raise ModelInputError("there must be a customer and a day for every score")
    measures: dict[str, Measure] = {
        "auroc": ranking.area_under_roc,
        "average_precision": ranking.average_precision,
        "recall_at_budget": lambda weights: ranking.recall_at_budget(weights, budget),
        "value_stopped": lambda weights: ranking.value_stopped(weights, genuine_share),
    }
    frauds, people = int(truth.sum()), len(np.unique(who))
    why_not = _why_not(frauds, len(truth) - frauds, people)
    found: dict[str, Interval | None] = dict.fromkeys((*measures, "card_precision"))
    if not why_not:
        found |= draw_intervals(measures, who, resamples=resamples, seed=seed)
        daily = daily_card_precision(scores, truth, who, when, k=cards)
        found["card_precision"] = _over_days(daily, resamples, seed)
    curve = precision_recall(scores, truth)
    return Quality(len(truth), frauds, budget, genuine_share, cards, curve=curve, why_not=why_not, **found)


def draw_intervals(
    measures: dict[str, Measure], groups: ArrayLike, *, resamples: int = 300, seed: int = 0
) -> dict[str, Interval]:
    """Return each measure over the rows, with the interval of draws in which whole groups are drawn anew.

    Args:
        measures: from weights of rows, float64 of shape (draws, rows), to values; a NaN draw is left out.
        groups: which group each row belongs to: a customer, or a day.
        resamples: draws.
        seed: of the draws; numpy's PCG64.
    """
    import numpy as np

    dice = np.random.Generator(np.random.PCG64(seed))
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    count = int(group.max(initial=-1)) + 1
    drawn: dict[str, list[Any]] = {name: [] for name in measures}
    step = max(1, _CHUNK // max(len(group), 1))
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        picks = dice.integers(0, count, (draws, count)) + np.arange(draws)[:, None] * count
        often = np.bincount(picks.ravel(), minlength=draws * count).reshape(draws, count)
        weights = often[:, group].astype(np.float64)
        for name, measure in measures.items():
            drawn[name].append(measure(weights))
    once = np.ones((1, len(group)))
    return {
        name: _interval(float(measure(once)[0]), np.concatenate(drawn[name]))
        for name, measure in measures.items()
    }


def _interval(value: float, draws: Any) -> Interval:
    import numpy as np

    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return Interval(value, float(low), float(high))


def _over_days(daily: Any, resamples: int, seed: int) -> Interval | None:
    import numpy as np

    if len(daily) < LEAST_DRAWN:
        return None
    dice = np.random.Generator(np.random.PCG64(seed))
    means = daily[dice.integers(0, len(daily), (resamples, len(daily)))].mean(axis=1)
    return _interval(float(daily.mean()), means)


def _why_not(frauds: int, genuine: int, people: int) -> str:
    if min(frauds, genuine) < LEAST_FRAUDS:
        rarer = "frauds" if frauds <= genuine else "genuine payments"
        return f"{NOT_ENOUGH}: {min(frauds, genuine)} {rarer}, at least {LEAST_FRAUDS} are needed"
    if people < LEAST_DRAWN:
        return f"{NOT_ENOUGH}: {people} customers, at least {LEAST_DRAWN} are needed"
    return ""
