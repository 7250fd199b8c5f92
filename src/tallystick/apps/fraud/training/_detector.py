"""Training a detector: integer trees that a service, and a contract, compute alike bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import DataError, ModelInputError
from tallystick.models import (
    YES_OR_NO,
    Fitted,
    Quantiser,
    TreeArrays,
    TreeModel,
    compare,
    fit_trees,
    make_examples,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DEEP", "Growth", "fit_detector"]

LEAST_FRAUDS: Final = 20
TARGET: Final = "the payment is fraud"
MAX_BOOSTERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees are grown: by several boosters, whose mean is the score.

    Boosting is unstable where frauds are few: a leaf that holds frauds only would move the score at once by one over
    their share, and one booster learns its few frauds by heart. So every fraud is repeated, and several boosters choose
    their splits from other columns. Then the base is set so that the mean probability of the payments
    learned from is their share of fraud, and the counts of the leaves are those of these payments.

    Args:
        trees: how many in all; with depth 4 a contract executes up to about 240.
        depth: 1 to 8; up to 4 a contract can execute the model.
        rate: how much of each tree counts, above 0 and at most 1.
        boosters: that the trees are grown by, each by as many; no more than trees.
        columns: share of the columns that a split chooses from, above 0 and at most 1.
        most_genuine: genuine payments that are learned from, drawn by chance where there are more.
        genuine_per_fraud: every fraud is learned from so often that there are only so many genuine payments for one.
        least_frauds: fewest frauds of a leaf, or as many genuine payments as weigh as much.
    """

    trees: int = 50
    depth: int = 4
    rate: float = 0.4
    boosters: int = 5
    columns: float = 0.2
    most_genuine: int = 300_000
    genuine_per_fraud: float = 5.0
    least_frauds: int = 3

    def check(self) -> None:
        """Check the numbers that no trainer below checks.

        Raises:
            ModelInputError: one is out of its range.
        """
        if not 1 <= self.boosters <= MAX_BOOSTERS or self.trees < 1:
            raise ModelInputError(f"there must be at least one tree, and 1 to {MAX_BOOSTERS:,} boosters")
        if not self.genuine_per_fraud >= 1 or self.least_frauds < 1 or self.most_genuine < 1:
            raise ModelInputError(
                "there must be at least one genuine payment for each fraud, and one fraud in a leaf"
            )


DEEP: Final = Growth(trees=100, depth=8, rate=0.6, boosters=20, columns=0.15, least_frauds=2)
"""For a service alone: deeper trees rank frauds better, and no contract executes them."""


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

    Inputs are spread by quantiles over the whole of int16. The threshold stays at even odds; thresholds that alerts are
    raised at follow from an alert budget (`DecisionPolicy.for_budget`).

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
    growth.check()
    if features.ndim != 2 or fraud.shape != features.shape[:1] or len(names) != features.shape[1]:
        raise ModelInputError("there must be a label for every row, and a name for every column")
    rarer = min(int(fraud.sum()), int((~fraud).sum()))
    if rarer < LEAST_FRAUDS:
        raise DataError(
            f"there must be {LEAST_FRAUDS} frauds and as many genuine payments to learn from, got {rarer}",
            hint="a longer history, or more training days",
        )
    labels = fraud.astype("int64")
    titled = [(titles or {}).get(column, column) for column in names]
    examples = make_examples(
        features, labels.tolist(), names=tuple(names), target=TARGET, spread="quantile", held_out=0
    )
    parts = zip(examples.quantiser.features, titled, strict=True)
    quantiser = Quantiser(tuple(replace(feature, title=title) for feature, title in parts))
    rows, often = _rows(labels, growth, seed)
    count = min(growth.boosters, growth.trees)
    share, rest = divmod(growth.trees, count)
    boosters = [
        fit_trees(
            features[rows],
            labels[rows].tolist(),
            trees=share + (number < rest),
            depth=growth.depth,
            rate=growth.rate,
            least_rows=growth.least_frauds * often,
            columns=growth.columns,
            names=tuple(names),
            quantiser=quantiser,
            held_out=0,  # judged by later days, never by a part of the same ones
            seed=seed * MAX_BOOSTERS + number,
        )
        for number in range(count)
    ]
    return _mean_of(boosters, examples.train, labels, name)


def _rows(labels: Any, growth: Growth, seed: int) -> tuple[Any, int]:
    """Return the rows to learn from, every fraud as often as it counts, and how often that is."""
    import numpy as np

    found, genuine = np.flatnonzero(labels), np.flatnonzero(labels == 0)
    if len(genuine) > growth.most_genuine:
        dice = np.random.Generator(np.random.PCG64(seed))
        genuine = np.sort(dice.choice(genuine, growth.most_genuine, replace=False))
    often = max(1, round(len(genuine) / len(found) / growth.genuine_per_fraud))
    return np.concatenate([genuine, np.repeat(found, often)]), often


def _mean_of(boosters: Sequence[Fitted], inputs: Any, fraud: Any, name: str) -> Fitted:
    """Make one model of all boosters: their trees side by side, a logit of it being as many units as there are."""
    import numpy as np

    models = [one.model for one in boosters if isinstance(one.model, TreeModel)]
    # Units are powers of two: the smallest one holds the leaves of all.
    unit, depth = min(one.unit for one in models), models[0].depth
    leaves = [np.rint(one.arrays.leaves.astype(np.float64) * (unit / one.unit)) for one in models]
    features = np.concatenate([one.arrays.features for one in models])
    thresholds = np.concatenate([one.arrays.thresholds for one in models])
    counts = _counts(features, thresholds, inputs, depth)
    moved = np.mean(
        [(one.scores_inputs_many(inputs)[:, 0] - one.bases[0]) / one.unit for one in models], axis=0
    )
    base = _base(moved, float(fraud.mean()))
    model = TreeModel.of(
        TreeArrays(features, thresholds, np.concatenate(leaves).astype(np.int16), counts),
        name=name,
        target=TARGET,
        quantiser=models[0].quantiser,
        labels=YES_OR_NO,
        unit=unit * len(models),
        threshold=0,
        depth=depth,
        bases=(round(base * unit * len(models)),),
    )
    found = compare(model, inputs, base + moved[:, None])
    # What rounding cost the boosters comes on top of what putting them together cost.
    worst = max(one.fidelity.largest_logit_error for one in boosters)
    return Fitted(model, replace(found, largest_logit_error=found.largest_logit_error + worst))


def _base(moved: Any, share: float) -> float:
    """Return the base, as a logit, at which the mean probability of the rows is their share of fraud."""
    import numpy as np

    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        said = 1 / (1 + np.exp(-np.clip(moved + middle, -500, 500)))
        low, high = (middle, high) if said.mean() < share else (low, middle)
    return (low + high) / 2


def _counts(features: Any, thresholds: Any, inputs: Any, depth: int) -> Any:
    """Count the rows that reach each leaf, every row once: reasons compare with the average payment."""
    import numpy as np

    leaves = 1 << depth
    made = np.empty((len(features), leaves), dtype=np.uint32)
    rows = np.arange(len(inputs))
    for tree, (looked_at, limits) in enumerate(zip(features, thresholds, strict=True)):
        node = np.zeros(len(inputs), dtype=np.int64)
        for _ in range(depth):
            node = 2 * node + 1 + (inputs[rows, looked_at[node]] > limits[node])
        made[tree] = np.bincount(node - (leaves - 1), minlength=leaves)
    return made
