"""Fitting a model on a table and judging it by the rows that were held out, in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallystick.errors import ConfigurationError

from ._judging import Judged, judge, judge_inputs

if TYPE_CHECKING:
    from tallystick.models import Fitted, Table

__all__ = ["FAMILIES", "Fitting", "fit"]

FAMILIES = ("linear", "perceptron", "trees")


def fit(
    family: str, table: Table, *, held_out: float = 0.2, seed: int = 0, **options: Any
) -> tuple[Fitted, Judged]:
    """Fit a model on most of a table and judge it by the rest.

    Args:
        family: linear, perceptron or trees.
        table: rows with a yes-or-no target.
        held_out: share of the rows to judge by, above 0 and below 1.
        seed: of the split and of the training.
        options: of `fit_linear`, `fit_perceptron` or `fit_trees`.

    Returns:
        The model with its fidelity, and how good it is on the rows that were held out.

    Raises:
        ConfigurationError: another family or share.
        DataError: too few rows.
        MissingExtraError: scikit-learn is not installed.
    """
    from tallystick.models import fit_linear, fit_perceptron, fit_trees, make_examples

    ways = {"linear": fit_linear, "perceptron": fit_perceptron, "trees": fit_trees}
    if family not in ways:
        raise ConfigurationError(f"a family must be {', '.join(FAMILIES)}, got {family[:20]!r}")
    if not 0 < held_out < 1:
        raise ConfigurationError(f"the held-out share must be above 0 and below 1, got {held_out}")
    fitted = ways[family](table, held_out=held_out, seed=seed, **options)
    # The same share and seed part the same rows: these are the ones that it did not learn from.
    parted = make_examples(table, quantiser=fitted.model.quantiser, held_out=held_out, seed=seed)
    classes = [int(number) for number in parted.test_classes]
    return fitted, judge_inputs(fitted.model, parted.test, classes)


class Fitting:
    """The side of a party's models that comes before any statement: fit and judge."""

    def fit_linear(self, data: Any, classes: Any = None, **options: Any) -> Fitted:
        """Fit a logistic regression; see `tallystick.models.fit_linear`."""
        from tallystick.models import fit_linear

        return fit_linear(data, classes, **options)

    def fit_trees(self, data: Any, classes: Any = None, **options: Any) -> Fitted:
        """Fit gradient-boosted trees; see `tallystick.models.fit_trees`."""
        from tallystick.models import fit_trees

        return fit_trees(data, classes, **options)

    def fit_perceptron(self, data: Any, classes: Any = None, **options: Any) -> Fitted:
        """Fit a perceptron with one hidden layer; see `tallystick.models.fit_perceptron`."""
        from tallystick.models import fit_perceptron

        return fit_perceptron(data, classes, **options)

    def evaluate(self, model: Any, rows: Any, labels: Sequence[Any], **options: Any) -> Judged:
        """Judge a model by rows that it has not learned from; see `judge`."""
        return judge(model, rows, labels, **options)
