"""A quantiser for trees that were grown on raw numbers: chosen from the thresholds themselves.

A tree only asks on which side of a threshold a number lies. So a feature's steps are laid over the span of its
thresholds, as fine as int16 allows; what lies beyond is clipped, and goes where it went. Steps are 1, 2 or 5 units of a
power of ten, so numbers written with few decimals stay exactly what they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ModelInputError
from tallystick.models._features import INT16_HIGH, INT16_LOW, MAX_DECIMALS, NumericFeature
from tallystick.models._float_trees import LEAF, FloatTree
from tallystick.models._numbers import LARGEST_UNITS
from tallystick.models._quantiser import Quantiser

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPANNED: Final = 60_000  # steps between the lowest and the highest threshold; the rest of int16 is margin
FAR: Final = 1e15  # a threshold beyond is no number's: it parts gaps from numbers
_ROOM: Final = 16  # how much larger than what is known numbers may be before they are refused


@dataclass(frozen=True)
class Grid:
    """A quantiser, and where each threshold stands on it.

    Args:
        quantiser: one numeric feature for each column.
        single: whether the trees compare numbers of 32 bits.
        unclear: features whose nodes send a gap different ways, so that no input can stand for it.
        merged: how many thresholds fall together with another one of their feature.
    """

    quantiser: Quantiser
    single: bool
    unclear: tuple[str, ...] = ()
    merged: int = 0
    _found: dict[tuple[int, float, bool], int] = field(default_factory=dict)

    def cut(self, place: int, threshold: float, below: bool) -> int:
        """Return the largest input that goes left: a `Cut`."""
        key = (place, threshold, below)
        if key not in self._found:
            feature = self.quantiser.features[place]
            assert isinstance(feature, NumericFeature)  # a grid is made of numbers only
            self._found[key] = _cut(feature, threshold, below, single=self.single)
        return self._found[key]

    def inputs(self, rows: NDArray[np.float64]) -> NDArray[np.int16]:
        """Turn rows into inputs; NaN is a gap.

        Raises:
            ModelInputError: infinity, or a gap where no input can stand for it.
        """
        import numpy as np

        gaps = np.isnan(rows)
        holes: list[bool] = np.any(gaps, axis=0).tolist()
        holed = [name for name, gap in zip(self.quantiser.names, holes, strict=True) if gap]
        if unclear := sorted(set(holed) & set(self.unclear)):
            raise ModelInputError(
                f"the trees send a gap of {', '.join(unclear[:5])} left at some splits and right at others: "
                "no input can stand for it",
                hint="fill such gaps before training, or train on a Table, where a gap has an input of its own",
            )
        made = self.quantiser.inputs_of_array(np.where(gaps, 0.0, rows))
        missing = [getattr(feature, "missing") for feature in self.quantiser.features]  # noqa: B009
        filled: NDArray[np.int16] = np.where(gaps, np.array(missing, dtype=np.int16), made)
        return filled


def lay_grid(
    trees: Sequence[FloatTree],
    names: Sequence[str],
    *,
    single: bool = False,
    rows: NDArray[np.float64] | None = None,
) -> Grid:
    """Choose a quantiser from the thresholds of trees.

    Args:
        trees: all of a model.
        names: the features' names.
        single: whether the trees compare numbers of 32 bits.
        rows: some raw rows, which say how large numbers are; NaN is a gap.

    Raises:
        ModelInputError: a threshold is not a number, or a feature that is not there.
    """
    nodes: dict[int, dict[tuple[float, bool], set[bool]]] = {}
    for tree in trees:
        ways = tree.missing_left or (False,) * len(tree.feature)
        for place, threshold, left in zip(tree.feature, tree.threshold, ways, strict=True):
            if place == LEAF:
                continue
            if not 0 <= place < len(names) or math.isnan(threshold):
                raise ModelInputError("a split must have a feature of the model and a threshold")
            nodes.setdefault(place, {}).setdefault((threshold, tree.below), set()).add(left)
    features, unclear, merged = [], [], 0
    for place, name in enumerate(names):
        asked = nodes.get(place, {})
        made = _feature(name, [threshold for threshold, _ in asked], None if rows is None else rows[:, place])
        cuts = {key: _cut(made, *key, single=single) for key in asked}
        merged += len(cuts) - len(set(cuts.values()))
        missing = _missing(made, cuts, asked)
        if missing is None:
            unclear.append(name)
        features.append(_with_missing(made, missing or 0))
    return Grid(Quantiser(tuple(features)), single, tuple(unclear), merged)


def _feature(name: str, thresholds: Sequence[float], column: Any) -> NumericFeature:
    """Lay steps over the span of a feature's thresholds."""
    known = [threshold for threshold in thresholds if abs(threshold) <= FAR]
    sizes = [] if column is None else [float(v) for v in column if math.isfinite(v) and abs(v) <= FAR]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if not known:
        return NumericFeature(name, name, 0, 0, 1, INT16_LOW, INT16_HIGH, 0, gaps=False)
    span = high - low
    if span == 0:  # a single threshold: the finer of its own size and that of the rows
        ranged = max(sizes) - min(sizes) if sizes else 0.0
        span = min(ranged or math.inf, max(abs(high), 1.0))
    largest = _ROOM * max(abs(low), abs(high), span, *map(abs, sizes))
    most = min(MAX_DECIMALS, max(0, math.floor(math.log10(LARGEST_UNITS / largest))))
    size = span / SPANNED
    power = math.floor(math.log10(size))
    digit = next(digit for digit in (1, 2, 5, 10) if digit * 10.0**power >= size)
    if -power <= most:
        decimals, step = max(0, -power), digit * 10 ** max(0, power)
    else:
        decimals, step = most, max(1, math.ceil(size * 10**most))
    offset = round((low + high) / 2 * 10**decimals / step) * step
    return NumericFeature(name, name, decimals, offset, step, INT16_LOW, INT16_HIGH, 0, gaps=False)


def _cut(feature: NumericFeature, threshold: float, below: bool, *, single: bool) -> int:
    """Return the largest input whose number goes left; INT16_LOW - 1 where none does."""
    if abs(threshold) > FAR:
        return INT16_HIGH if threshold > 0 else INT16_LOW - 1
    if single:
        import numpy as np
    low, high = INT16_LOW - 1, INT16_HIGH
    while low < high:
        middle = (low + high + 1) // 2
        number = (feature.offset + middle * feature.step) / 10**feature.decimals
        if single:
            number = float(np.float32(number))
        if number < threshold or (number == threshold and not below):
            low = middle
        else:
            high = middle - 1
    return low


def _missing(
    feature: NumericFeature,
    cuts: Mapping[tuple[float, bool], int],
    asked: Mapping[tuple[float, bool], set[bool]],
) -> int | None:
    """Return an input that every node sends where it sends a gap; None where there is none."""
    low, high = feature.low, feature.high
    for key, cut in cuts.items():
        if True in asked[key]:
            high = min(high, cut)
        if False in asked[key]:
            low = max(low, cut + 1)
    if low > high:
        return None
    return low if high < feature.high else high


def _with_missing(feature: NumericFeature, missing: int) -> NumericFeature:
    return NumericFeature(
        feature.name, feature.title, feature.decimals, feature.offset, feature.step, feature.low, feature.high,
        missing, gaps=False,
    )  # fmt: skip
