"""How good a model is on held-out rows, with intervals, and "not enough data" instead of a guess.

Intervals are the 2.5 and 97.5 percentiles of a bootstrap that draws the rows of each class anew
(stratified, so that no draw lacks a class); the generator is numpy's PCG64 with the stated seed. The four
measures are computed for all draws at once from weights over the sorted scores, which scikit-learn's metrics
do not offer; tests hold them equal to scikit-learn's. The calibration error of a resample is larger on average
than that of the rows themselves (noise adds to gaps), so its draws are shifted back by that bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import MissingExtraError, ModelInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.float64]
    Measure = Callable[[Counts], Counts]

LEAST_OF_EACH_CLASS: Final = 5  # fewer rows of a class say nothing about ranking
BINS: Final = 10
_Z: Final = 1.959963984540054
_CHUNK: Final = 4_000_000  # weights held in memory at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """Return for example "0.87 [0.83, 0.91]"."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of like probability.

    Args:
        count: how many rows.
        mean_probability: what the model said, on average.
        positive_share: how many of them were positive.
        low: lower end of the share's 95% Wilson interval.
        high: upper end.
    """

    count: int
    mean_probability: float
    positive_share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures over one group of rows.

    Args:
        count: rows.
        positives: rows whose label is 1.
        accuracy: share of rows decided right; None without rows.
        auroc: area under the ROC curve; None when there is not enough data, like the next two.
        average_precision: area under the precision-recall steps.
        calibration_error: expected calibration error over ten bins of equal width.
        brier: mean squared error of the probability.
        bins: the calibration bins that hold rows.
        why_not: why figures are None; empty otherwise.
    """

    count: int
    positives: int
    accuracy: Interval | None
    auroc: Interval | None
    average_precision: Interval | None
    brier: Interval | None
    calibration_error: Interval | None
    bins: tuple[Bin, ...]
    why_not: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain data with floats, for a summary."""
        return asdict(self)

    def as_statement(self) -> dict[str, Any]:
        """Return plain data without floats (decimals as text), for a statement's body."""
        figures = {
            name: "not enough data" if interval is None else interval.text(3)
            for name, interval in (
                ("accuracy", self.accuracy),
                ("auroc", self.auroc),
                ("average_precision", self.average_precision),
                ("brier", self.brier),
                ("calibration_error", self.calibration_error),
            )
        }
        return {**figures, "interval": "95% bootstrap", "rows": self.count}


def evaluate(
    probabilities: Sequence[float],
    labels: Sequence[int],
    *,
    threshold: float = 0.5,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities against what turned out.

    Args:
        probabilities: 0 to 1, one per row; any monotone change leaves AUROC and average precision alone.
        labels: 0 or 1, one per row.
        threshold: the least probability that counts as a yes.
        resamples: bootstrap draws, at least 1.
        seed: of the draws.

    Raises:
        ModelInputError: lengths differ, a label is neither 0 nor 1, or a probability is not in 0 to 1.
        MissingExtraError: numpy is not installed.
    """
    np = need_numpy()
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if p.shape != y.shape or p.ndim != 1 or resamples < 1:
        raise ModelInputError("probabilities and labels must be equally many, and draws at least 1")
    if len(p) and (not np.isin(y, (0, 1)).all() or not ((p >= 0) & (p <= 1)).all()):
        raise ModelInputError("labels must be 0 or 1 and probabilities 0 to 1")
    positives = int(y.sum())
    least = min(positives, len(y) - positives)
    why_not = ""
    if least < LEAST_OF_EACH_CLASS:
        why_not = (
            f"not enough data: {least} rows of the rarer class, at least {LEAST_OF_EACH_CLASS} are needed"
        )
    order = np.argsort(-p, kind="stable")
    p, y = p[order], y[order]
    measures: dict[str, Measure] = {
        "accuracy": _mean_of(((p >= threshold) == (y == 1)).astype(np.float64)),
        "auroc": auroc_of(p, y),
        "average_precision": _average_precision(p, y),
        "brier": _mean_of((p - y) ** 2),
        "calibration_error": calibration_error_of(p, y),
    }
    intervals: dict[str, Interval | None] = dict.fromkeys(measures)
    if not why_not:
        intervals = dict(_intervals(measures, y, resamples, seed))
    return Evaluation(count=len(y), positives=positives, bins=_bins(p, y), why_not=why_not, **intervals)


def need_numpy() -> Any:
    """Return numpy, or raise MissingExtraError."""
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluation needs numpy", hint="pip install 'tallystick[ai]'") from error
    return np


def _intervals(measures: dict[str, Measure], y: Any, resamples: int, seed: int) -> dict[str, Interval]:
    np = need_numpy()
    drawn = draw_measures(
        measures, y, resamples=resamples, generator=np.random.Generator(np.random.PCG64(seed))
    )
    ones = np.ones((1, len(y)))
    return {
        name: interval(float(measure(ones)[0]), drawn[name], shift=name == "calibration_error")
        for name, measure in measures.items()
    }


def draw_measures(
    measures: dict[str, Measure], y: Any, *, resamples: int, generator: Any
) -> dict[str, NDArray[np.float64]]:
    """Return each measure's value over bootstrap draws of the rows, shape (resamples,).

    Args:
        measures: from weights of rows, shape (draws, rows), to values.
        y: labels, 0 or 1; at least one.
        resamples: draws.
        generator: numpy's.
    """
    np = need_numpy()
    drawn: dict[str, list[Any]] = {name: [] for name in measures}
    step = max(1, _CHUNK // len(y))
    for start in range(0, resamples, step):
        counts = _draw(generator, y, min(step, resamples - start))
        for name, measure in measures.items():
            drawn[name].append(measure(counts))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def interval(value: float, draws: Any, *, shift: bool) -> Interval:
    """Return a figure with the interval of its draws.

    Args:
        value: the figure over the rows themselves.
        draws: the figure over resamples.
        shift: whether resamples give more (or less) than the rows do on average, so that the draws are shifted
            back by that bias; for figures from 0 to 1.
    """
    np = need_numpy()
    if shift:
        draws = np.clip(draws - (draws.mean() - value), 0, 1)
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(value, float(low), float(high))


def _draw(generator: Any, y: Any, draws: int) -> Any:
    """Return how often each row is drawn, shape (draws, rows), each class as often as it is there."""
    np = need_numpy()
    counts = np.zeros((draws, len(y)))
    for label in (0, 1):
        places = np.flatnonzero(y == label)
        if not len(places):
            continue
        picks = generator.integers(0, len(places), size=(draws, len(places)))
        flat = np.arange(draws)[:, None] * len(places) + picks
        found = np.bincount(flat.ravel(), minlength=draws * len(places))
        counts[:, places] = found.reshape(draws, len(places))
    return counts


def _mean_of(values: Any) -> Measure:
    def measure(counts: Any) -> Any:
        return counts @ values / counts.sum(axis=1)

    return measure


def _tied(p: Any) -> Any:
    """Return where each run of equal probabilities starts in the descending order."""
    np = need_numpy()
    return np.flatnonzero(np.r_[True, p[1:] != p[:-1]]) if len(p) else np.zeros(0, dtype=int)


def auroc_of(p: Any, y: Any) -> Measure:
    """Return the area under the ROC curve as a measure of rows in falling order of p."""
    np, starts = need_numpy(), _tied(p)

    def measure(counts: Any) -> Any:
        positive = np.add.reduceat(counts * y, starts, axis=1)
        negative = np.add.reduceat(counts * (1 - y), starts, axis=1)
        below = negative.sum(axis=1, keepdims=True) - np.cumsum(negative, axis=1)
        won = (positive * (below + negative / 2)).sum(axis=1)
        return won / (positive.sum(axis=1) * negative.sum(axis=1))

    return measure


def _average_precision(p: Any, y: Any) -> Measure:
    np, starts = need_numpy(), _tied(p)

    def measure(counts: Any) -> Any:
        positive = np.add.reduceat(counts * y, starts, axis=1)
        every = np.add.reduceat(counts, starts, axis=1)
        precision = np.cumsum(positive, axis=1) / np.maximum(np.cumsum(every, axis=1), 1)
        return (positive * precision).sum(axis=1) / positive.sum(axis=1)

    return measure


def _membership(p: Any) -> Any:
    """Return which of the ten bins of equal width holds each row, shape (rows, bins)."""
    np = need_numpy()
    return np.eye(BINS)[np.minimum((p * BINS).astype(int), BINS - 1)]


def calibration_error_of(p: Any, y: Any) -> Measure:
    """Return the expected calibration error over ten bins of equal width as a measure of rows."""
    np, member = need_numpy(), _membership(p)

    def measure(counts: Any) -> Any:
        gaps = np.abs(counts @ (member * (p - y)[:, None]))
        return gaps.sum(axis=1) / counts.sum(axis=1)

    return measure


def _bins(p: Any, y: Any) -> tuple[Bin, ...]:
    member = _membership(p)
    counts, sums, positives = member.sum(axis=0), p @ member, y @ member
    return tuple(
        Bin(
            int(count), float(total / count), float(positive / count), *_wilson(float(positive), float(count))
        )
        for count, total, positive in zip(counts, sums, positives, strict=True)
        if count
    )


def _wilson(positives: float, count: float) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson 1927), which holds for small counts too."""
    share, z2 = positives / count, _Z * _Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
