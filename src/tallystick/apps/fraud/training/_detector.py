"""Training a detector: integer trees that a service, and a contract, compute alike bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import DataError, ModelInputError
from tallystick.models import Fitted, TreeModel, fit_trees

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Growth", "fit_detector"]

LEAST_FRAUDS: Final = 20
TARGET: Final = "the payment is fraud"


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees are grown.

    Args:
        trees: how many; with depth 4 a contract executes up to about 240.
        depth: 1 to 8; up to 4 a contract can execute the model.
        rate: how much of each tree counts, above 0 and at most 1.
        least_frauds: fewest frauds of a leaf, or as many genuine payments as weigh as much.
        genuine_per_fraud: every fraud is learned from so often that there are only so many genuine payments for one.
            Boosting of rare frauds is unstable without: a leaf that holds frauds only would move the score at once by
            one over their share. The base is set back, so that a probability is one of all payments.
        most_genuine: genuine payments that are learned from, drawn by chance where there are more.
    """

    trees: int = 50
    depth: int = 4
    rate: float = 0.2
    least_frauds: int = 5
    genuine_per_fraud: float = 5.0
    most_genuine: int = 500_000


def fit_detector(
    features: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    names: Sequence[str],
    *,
    name: str = "fraud",
    growth: Growth | None = None,
    titles: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Fitted:
    """Train gradient-boosted integer trees on payments of which it is known what they turned out to be.

    Frauds are rare: they are repeated (`Growth.genuine_per_fraud`), and base and counts of the trees are set back to
    the payments as they are. Inputs are spread by quantiles over the whole of int16. The threshold stays at even odds;
    thresholds that alerts are raised at follow from an alert budget (`DecisionPolicy.for_budget`).

    Args:
        features: float64, shape (payments, columns); finite.
        fraud: bool, shape (payments,).
        names: of the columns.
        name: of the model.
        growth: how the trees are grown.
        titles: columns in plain words, by name.
        seed: same rows and seed, same model on one machine.

    Raises:
        DataError: fewer than `LEAST_FRAUDS` frauds or genuine payments.
        ModelInputError: shapes do not fit, a value is not finite, or a number of `growth` is out of its range.
        MissingExtraError: scikit-learn is not installed.
    """
    import numpy as np

    growth = growth or Growth()
    if not growth.genuine_per_fraud >= 1 or growth.least_frauds < 1 or growth.most_genuine < 1:
        raise ModelInputError(
            "there must be at least one genuine payment for each fraud, and one fraud in a leaf"
        )
    if features.ndim != 2 or fraud.shape != features.shape[:1] or len(names) != features.shape[1]:
        raise ModelInputError("there must be a label for every row, and a name for every column")
    drawn, often = _drawn(fraud, growth, seed)
    rows = np.concatenate([drawn, np.repeat(drawn[fraud[drawn]], often - 1)])
    fitted = fit_trees(
        features[rows],
        fraud[rows].astype("int64").tolist(),
        name=name,
        trees=growth.trees,
        depth=growth.depth,
        rate=growth.rate,
        least_rows=growth.least_frauds * often,
        names=tuple(names),
        target=TARGET,
        held_out=0,  # judged by later days, never by a part of the same ones
        seed=seed,
    )
    model = fitted.model
    if not isinstance(model, TreeModel):
        raise ModelInputError(f"expected trees, got {model.family}")
    # Drawing genuine payments divides the odds of every row by the share that was drawn; repeating multiplies them.
    share = (len(drawn) - fraud.sum()) / (len(fraud) - fraud.sum())
    bases = tuple(base + round(math.log(share / often) * model.unit) for base in model.bases)
    counts = _counts(model, model.quantiser.inputs_of_array(features[drawn]))
    return replace(
        fitted, model=replace(model, bases=bases, counts=counts, quantiser=_titled(model, titles or {}))
    )


def _drawn(fraud: Any, growth: Growth, seed: int) -> tuple[Any, int]:
    """Return the rows to learn from, ascending, and how often each of their frauds counts."""
    import numpy as np

    found, genuine = np.flatnonzero(fraud), np.flatnonzero(~fraud)
    rarer = min(len(found), len(genuine))
    if rarer < LEAST_FRAUDS:
        raise DataError(
            f"there must be {LEAST_FRAUDS} frauds and as many genuine payments to learn from, got {rarer}",
            hint="a longer history, or more training days",
        )
    if len(genuine) > growth.most_genuine:
        dice = np.random.Generator(np.random.PCG64(seed))
        genuine = dice.choice(genuine, growth.most_genuine, replace=False)
    often = max(1, round(len(genuine) / len(found) / growth.genuine_per_fraud))
    return np.sort(np.concatenate([found, genuine])), often


def _counts(model: TreeModel, inputs: Any) -> bytes:
    """Count the rows that reach each leaf, every row once: reasons compare with the average payment."""
    import numpy as np

    arrays, leaves = model.arrays, 1 << model.depth
    made = np.empty((len(arrays.features), leaves), dtype=">u4")
    for tree, (looked_at, thresholds) in enumerate(zip(arrays.features, arrays.thresholds, strict=True)):
        node = np.zeros(len(inputs), dtype=np.int64)
        for _ in range(model.depth):
            right = inputs[np.arange(len(inputs)), looked_at[node]] > thresholds[node]
            node = 2 * node + 1 + right
        made[tree] = np.bincount(node - (leaves - 1), minlength=leaves)
    return made.tobytes()


def _titled(model: TreeModel, titles: Mapping[str, str]) -> Any:
    parts = tuple(replace(one, title=titles.get(one.name, one.title)) for one in model.quantiser.features)
    return replace(model.quantiser, features=parts)
