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
        least_rows: fewest rows of a leaf.
        genuine_per_fraud: genuine payments that are learned from for each fraud, drawn by chance; all when there are
            fewer. The base is set back by the share that was drawn, so a probability is still one of all payments.
    """

    trees: int = 50
    depth: int = 4
    rate: float = 0.1
    least_rows: int = 20
    genuine_per_fraud: float = 200.0


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

    Frauds are rare: all of them are learned from, genuine payments are drawn (`Growth.genuine_per_fraud`), and the
    base of the score is corrected for it. Inputs are spread by quantiles over the whole of int16. The threshold stays
    at even odds; thresholds that alerts are raised at follow from an alert budget (`DecisionPolicy.for_budget`).

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
    growth = growth or Growth()
    if not growth.genuine_per_fraud >= 1:
        raise ModelInputError("there must be at least one genuine payment for each fraud")
    if features.ndim != 2 or fraud.shape != features.shape[:1] or len(names) != features.shape[1]:
        raise ModelInputError("there must be a label for every row, and a name for every column")
    rows, share = _drawn(fraud, growth.genuine_per_fraud, seed)
    fitted = fit_trees(
        features[rows],
        fraud[rows].astype("int64").tolist(),
        name=name,
        trees=growth.trees,
        depth=growth.depth,
        rate=growth.rate,
        least_rows=growth.least_rows,
        names=tuple(names),
        target=TARGET,
        held_out=0,  # judged by later days, never by a part of the same ones
        seed=seed,
    )
    model = fitted.model
    if not isinstance(model, TreeModel):
        raise ModelInputError(f"expected trees, got {model.family}")
    # Drawing a share of the genuine payments divides the odds of every row by that share.
    bases = tuple(base + round(math.log(share) * model.unit) for base in model.bases)
    return replace(fitted, model=replace(model, bases=bases, quantiser=_titled(model, titles or {})))


def _drawn(fraud: Any, genuine_per_fraud: float, seed: int) -> tuple[Any, float]:
    """Return the rows to learn from, ascending, and the share of genuine ones that was drawn."""
    import numpy as np

    found, genuine = np.flatnonzero(fraud), np.flatnonzero(~fraud)
    rarer = min(len(found), len(genuine))
    if rarer < LEAST_FRAUDS:
        raise DataError(
            f"there must be {LEAST_FRAUDS} frauds and as many genuine payments to learn from, got {rarer}",
            hint="a longer history, or more training days",
        )
    wanted = round(len(found) * genuine_per_fraud)
    if wanted >= len(genuine):
        return np.arange(len(fraud)), 1.0
    dice = np.random.Generator(np.random.PCG64(seed))
    kept = dice.choice(genuine, wanted, replace=False)
    return np.sort(np.concatenate([found, kept])), wanted / len(genuine)


def _titled(model: TreeModel, titles: Mapping[str, str]) -> Any:
    parts = tuple(replace(one, title=titles.get(one.name, one.title)) for one in model.quantiser.features)
    return replace(model.quantiser, features=parts)
