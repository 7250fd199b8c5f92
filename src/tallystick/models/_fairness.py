"""How a model treats groups: figures over each, and measures of the worst difference between any two.

- Rates are over rows decided yes (probability >= threshold). Equal opportunity compares true positive rates,
  demographic parity shares of yes. A difference is the largest rate less the smallest, a ratio the smallest by the
  largest (1 where all are 0), as fairlearn has them.
- A measure needs a stated count of rows in *every* group (positives, negatives or both, as the rate asks). One group
  below it makes the measure "not enough data": leaving the group out would hide the people who are fewest.
- Intervals are 95% bootstrap percentiles; rows are drawn anew within each group (and label, except for demographic
  parity, where the share of labels counts too). A rate's draws are binomial, so no rows need drawing for them.
  Noise makes the worst difference look worse on average, so its draws are shifted back by that bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ModelInputError
from tallystick.models._evaluation import (
    LEAST_OF_EACH_CLASS,
    Evaluation,
    Interval,
    auroc_of,
    calibration_error_of,
    draw_measures,
    evaluate,
    interval,
    need_numpy,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Drawn = NDArray[np.float64]

LEAST_IN_GROUP: Final = 20  # rows behind every rate: below it the interval is wider than any sensible limit
MAX_GROUPS: Final = 64
MAX_GROUP_NAME: Final = 200

Spread = Callable[["Drawn"], "Drawn"]


@dataclass(frozen=True, slots=True)
class GroupedEvaluation:
    """Figures over all rows and over each group, and how far the groups are apart.

    Args:
        overall: over all rows.
        groups: over each group, in the order of names.
        fairness: every measure of fairness; None where there is not enough data.
        why_not: for each of those, why.
        least: how many rows every rate needed.
    """

    overall: Evaluation
    groups: Mapping[str, Evaluation]
    fairness: Mapping[str, Interval | None]
    why_not: Mapping[str, str]
    least: int

    @property
    def counts(self) -> dict[str, str]:
        """Rows of each group, as everybody may read them: a small group's exact count is not told."""
        return {
            name: str(found.count) if found.count >= self.least else f"fewer than {self.least}"
            for name, found in self.groups.items()
        }

    def as_statement(self) -> dict[str, Any]:
        """Return plain data without floats, for a statement's body."""
        return {
            **self.overall.as_statement(),
            "fairness": {
                name: self.why_not[name] if found is None else found.text(3)
                for name, found in self.fairness.items()
            },
            "groups": {name: found.as_statement() | {"rows": self.counts[name]} for name, found in self.groups.items()},
        }  # fmt: skip


def evaluate_groups(
    probabilities: Sequence[float],
    labels: Sequence[int],
    groups: Sequence[str],
    *,
    threshold: float = 0.5,
    least: int = LEAST_IN_GROUP,
    resamples: int = 1000,
    seed: int = 0,
) -> GroupedEvaluation:
    """Measure probabilities against what turned out, over all rows and for each group.

    Args:
        probabilities: 0 to 1, one per row.
        labels: 0 or 1, one per row.
        groups: which group each row belongs to, in words; at most 64 different ones.
        threshold: the least probability that counts as a yes.
        least: how many rows a rate needs in every group, at least 5.
        resamples: bootstrap draws, at least 1.
        seed: of the draws.

    Raises:
        ModelInputError: see `evaluate`; or the groups are not one short text per row, or too many.
        MissingExtraError: numpy is not installed.
    """
    np = need_numpy()
    options: dict[str, Any] = {"threshold": threshold, "resamples": resamples, "seed": seed}
    overall = evaluate(probabilities, labels, **options)
    if least < LEAST_OF_EACH_CLASS:
        raise ModelInputError(f"a rate must need at least {LEAST_OF_EACH_CLASS} rows, got {least}")
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    places = _places(groups, len(y))
    found = {name: evaluate(p[rows], y[rows], **options) for name, rows in places.items()}
    split = [(p[rows], y[rows]) for rows in places.values()]
    generator = np.random.Generator(np.random.PCG64(seed))
    fairness, why_not = _measure(split, threshold, least, resamples=resamples, generator=generator)
    return GroupedEvaluation(overall, found, fairness, why_not, least)


def _places(groups: Sequence[str], rows: int) -> dict[str, Any]:
    np = need_numpy()
    if len(groups) != rows:
        raise ModelInputError(f"there must be a group for each of {rows} rows, got {len(groups)}")
    if any(type(name) is not str or not 0 < len(name) <= MAX_GROUP_NAME for name in groups):
        raise ModelInputError(
            f"a group must be a text of 1 to {MAX_GROUP_NAME} characters",
            hint='say for example "not known" where a row has none',
        )
    names = sorted(set(groups))
    if len(names) > MAX_GROUPS:
        raise ModelInputError(
            f"there must be at most {MAX_GROUPS} groups, got {len(names)}",
            hint="band a number, such as an age",
        )
    told = np.array(groups, dtype=object)
    return {name: np.flatnonzero(told == name) for name in names}


_Split = Sequence[tuple[Any, Any]]


def _measure(
    split: _Split, threshold: float, least: int, *, resamples: int, generator: Any
) -> tuple[dict[str, Interval | None], dict[str, str]]:
    """Return every measure, and for those that are None why."""
    fairness: dict[str, Interval | None] = {}
    why_not: dict[str, str] = {}

    def add(rate: str, needs: Callable[[Any, Any], int], what: str, spreads: Mapping[str, Spread]) -> None:
        fewest = min((needs(p, y) for p, y in split), default=0)
        why = ""
        if len(split) < 2:
            why = f"not enough data: {len(split)} groups, at least 2 are needed"
        elif fewest < least:
            why = f"not enough data: fewer than {least} {what} in the smallest group"
        if why:
            fairness.update(dict.fromkeys(spreads))
            why_not.update(dict.fromkeys(spreads, why))
            return
        pairs = [_rate(rate, p, y, threshold, resamples, generator) for p, y in split]
        values, draws = (need_numpy().stack(column) for column in zip(*pairs, strict=True))
        for name, spread in spreads.items():
            fairness[name] = interval(float(spread(values)[0]), spread(draws), shift=True)

    def of_class(label: int) -> Callable[[Any, Any], int]:
        return lambda p, y: int((y == label).sum())

    add("calibration", lambda p, y: len(y), "rows", {"calibration_in_groups": _largest})
    add(
        "selection", lambda p, y: len(y), "rows",
        {"demographic_parity_difference": _difference, "demographic_parity_ratio": _ratio},
    )  # fmt: skip
    add("true positive", of_class(1), "positive rows", {"equal_opportunity_difference": _difference})
    add(
        "false positive", of_class(0), "negative rows",
        {"false_positive_rate_gap": _difference, "false_positive_rate_ratio": _ratio},
    )  # fmt: skip
    add(
        "auroc", lambda p, y: min(int(y.sum()), int(len(y) - y.sum())), "rows of either class",
        {"worst_group_auroc": _smallest},
    )  # fmt: skip
    return fairness, why_not


def _rate(rate: str, p: Any, y: Any, threshold: float, resamples: int, generator: Any) -> tuple[Drawn, Drawn]:
    """Return one group's figure, shape (1,), and its draws, shape (resamples,)."""
    np = need_numpy()
    if rate in ("auroc", "calibration"):
        order = np.argsort(-p, kind="stable")
        p, y = p[order], y[order]
        measure = auroc_of(p, y) if rate == "auroc" else calibration_error_of(p, y)
        drawn = draw_measures({rate: measure}, y, resamples=resamples, generator=generator)
        return measure(np.ones((1, len(y)))), drawn[rate]
    of = {"selection": slice(None), "true positive": y == 1, "false positive": y == 0}[rate]
    yes = p[of] >= threshold
    share = yes.mean()
    return np.array([share]), generator.binomial(len(yes), share, resamples) / len(yes)


def _difference(rates: Drawn) -> Drawn:
    made: Drawn = rates.max(axis=0) - rates.min(axis=0)
    return made


def _ratio(rates: Drawn) -> Drawn:
    np = need_numpy()
    largest = rates.max(axis=0)
    made: Drawn = np.where(largest > 0, rates.min(axis=0) / np.where(largest > 0, largest, 1), 1.0)
    return made


def _largest(rates: Drawn) -> Drawn:
    made: Drawn = rates.max(axis=0)
    return made


def _smallest(rates: Drawn) -> Drawn:
    made: Drawn = rates.min(axis=0)
    return made
