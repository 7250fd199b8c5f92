"""Models that scikit-learn or LightGBM fitted on raw numbers, as integer models in one line.

    fitted = from_sklearn(pipeline, held_out_rows, labels=["on time", "late"])
    fitted.model, fitted.fidelity

Weights take up a quantiser's offsets and steps; trees get a quantiser made of their own thresholds. What the float
model says of the rows is asked of the library itself, so the fidelity report covers everything that conversion cost.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ModelInputError
from tallystick.models._ensembles import SOFTMAX_NOTE, Ensemble, Naming, convert_trees, raw_rows
from tallystick.models._examples import Fitted, fit_quantiser, learning_numpy
from tallystick.models._features import INT16_HIGH, INT16_LOW, ONE, NumericFeature
from tallystick.models._fidelity import compare
from tallystick.models._fitting import _HIDDEN_BITS, _shift, _whole, _whole_rows
from tallystick.models._float_trees import LEAF, FloatTree
from tallystick.models._lightgbm_dump import ensemble_of_lightgbm, sigmoid_of
from tallystick.models._linear import LinearModel
from tallystick.models._perceptron import PerceptronModel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tallystick.models._quantiser import Quantiser

_MARGIN: Final = 1.25  # how much larger than the rows given an input may be before it is clipped
_READ: Final = (
    "LogisticRegression, HistGradientBoostingClassifier, GradientBoostingClassifier, MLPClassifier with one hidden "
    "layer, and pipelines of StandardScaler and one of these"
)


def from_sklearn(
    estimator: Any,
    rows: ArrayLike | None = None,
    *,
    name: str = "model",
    target: str = "",
    labels: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Fitted:
    """Turn a fitted scikit-learn classifier into an integer model.

    Args:
        estimator: LogisticRegression, HistGradientBoostingClassifier, GradientBoostingClassifier, MLPClassifier with
            one hidden layer of ReLU units, or a Pipeline of StandardScaler and one of the first and the last.
        rows: raw features, float64 of shape (rows, features), best held-out ones. Both models are compared over them;
            for weights they are needed, because the inputs' range is chosen from them. NaN is a gap, for histogram
            boosting only.
        name: of the model.
        target: what a yes means; the second label when empty.
        labels: of the classes, in scikit-learn's order; its own when empty.
        names: of the features; those that it was fitted with, or x0, x1, ..., when empty.

    Raises:
        ModelInputError: an estimator of another kind or not fitted, trees deeper than 8, splits by categories, or
            rows that do not fit.
        MissingExtraError: numpy or scikit-learn is not installed.
    """
    learning_numpy()
    naming = Naming(name, target, tuple(labels), tuple(names))
    estimator, scaler = _unpacked(estimator)
    kind = type(estimator).__name__
    convert = _KINDS.get(kind)
    if convert is None or not type(estimator).__module__.startswith("sklearn."):
        raise ModelInputError(f"expected a classifier that fits, got {kind}", hint=_hint(kind))
    if not hasattr(estimator, "classes_") or (scaler is not None and not hasattr(scaler, "n_features_in_")):
        raise ModelInputError(f"expected a fitted {kind}, got one before fit")
    return convert(estimator, scaler, rows, naming)


def from_lightgbm(
    booster: Any,
    rows: ArrayLike | None = None,
    *,
    name: str = "model",
    target: str = "",
    labels: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Fitted:
    """Turn a fitted LightGBM model into an integer model.

    Args:
        booster: a Booster or an LGBMClassifier; binary, multiclass or multiclassova.
        rows: raw features to compare over, float64 of shape (rows, features), best held-out ones; NaN is a gap.
        name: of the model.
        target: what a yes means; the second label when empty.
        labels: of the classes, in LightGBM's order; its own when empty.
        names: of the features; LightGBM's own when empty.

    Raises:
        ModelInputError: another objective, trees deeper than 8, splits by categories, or rows that do not fit.
        MissingExtraError: numpy is not installed.
    """
    np = learning_numpy()
    if not (hasattr(booster, "dump_model") or hasattr(booster, "booster_")):
        raise ModelInputError(f"expected a fitted Booster or LGBMClassifier, got {type(booster).__name__}")
    classes = getattr(booster, "classes_", ())
    booster = getattr(booster, "booster_", booster)
    naming = Naming(name, target, tuple(labels), tuple(names))
    dump = booster.dump_model()
    grown = ensemble_of_lightgbm(dump, naming)
    found = raw_rows(rows, len(grown.names), gaps=True)
    said = None
    if found is not None:
        raw = np.asarray(booster.predict(found, raw_score=True, num_threads=1))
        said = _column(raw) * sigmoid_of(dump["objective"], len(grown.heads))
        if dump.get("average_output"):  # raw scores are sums even then
            said = said / len(grown.heads[0])
    return convert_trees(grown, found, naming, classes=classes, logits=said)


def _hint(kind: str) -> str:
    if "Forest" in kind or "ExtraTrees" in kind:
        return (
            "a forest's score is a mean of probabilities, no sum of logits: train HistGradientBoostingClassifier "
            "or fit_trees instead"
        )
    return f"what can be read: {_READ}"


def _unpacked(estimator: Any) -> tuple[Any, Any]:
    """Return the classifier of a pipeline, and its scaler."""
    steps = getattr(estimator, "steps", None)
    if type(estimator).__name__ != "Pipeline" or steps is None:
        return estimator, None
    steps = [step for _, step in steps if step not in (None, "passthrough")]
    if len(steps) == 2 and type(steps[0]).__name__ == "StandardScaler":
        return steps[1], steps[0]
    if len(steps) == 1:
        return steps[0], None
    raise ModelInputError(
        "a pipeline must be a StandardScaler and a classifier", hint=f"what can be read: {_READ}"
    )


def _names(estimator: Any, scaler: Any, naming: Naming) -> tuple[str, ...]:
    known = getattr(scaler if scaler is not None else estimator, "feature_names_in_", ())
    return naming.features(int(estimator.n_features_in_), tuple(known))


def _from_logistic(estimator: Any, scaler: Any, rows: Any, naming: Naming) -> Fitted:
    layer = _Folded(estimator, scaler, rows, naming)
    weights, intercepts = layer.fold(estimator.coef_, estimator.intercept_)
    shift = _shift(weights, "a weight")
    unit = ONE << shift
    model = LinearModel(
        **naming.fields(len(weights), estimator.classes_), quantiser=layer.quantiser, unit=unit,
        weights=_whole_rows(weights * 2**shift), biases=_whole(intercepts * unit), centre=layer.centre,
    )  # fmt: skip
    said = _column(layer.scaled @ estimator.coef_.T + estimator.intercept_)
    notes = (SOFTMAX_NOTE,) if len(weights) > 1 else ()
    return Fitted(model, compare(model, layer.inputs, said), notes)


def _from_mlp(estimator: Any, scaler: Any, rows: Any, naming: Naming) -> Fitted:
    np = learning_numpy()
    if estimator.activation != "relu" or len(estimator.coefs_) != 2:
        raise ModelInputError("a perceptron must have one hidden layer of ReLU units")
    if estimator.out_activation_ == "logistic" and estimator.coefs_[1].shape[1] > 1:
        raise ModelInputError("a perceptron must choose one class for each row, got several at once")
    layer = _Folded(estimator, scaler, rows, naming)
    body, offsets = layer.fold(estimator.coefs_[0].T, estimator.intercepts_[0])
    head, intercepts = estimator.coefs_[1].T, estimator.intercepts_[1]
    shift = _shift(body, "a hidden weight")
    drop = max(0, shift - _HIDDEN_BITS)
    one = ONE << (shift - drop)
    head_shift = _shift(head, "a weight")
    unit = one << head_shift
    model = PerceptronModel(
        **naming.fields(len(head), estimator.classes_), quantiser=layer.quantiser, unit=unit,
        hidden_weights=_whole_rows(np.rint(body * 2**shift)), hidden_biases=_whole(offsets * ONE * 2**shift),
        shift=drop, weights=_whole_rows(head * 2**head_shift), biases=_whole(intercepts * unit), centre=layer.centre,
    )  # fmt: skip
    hidden = np.maximum(layer.scaled @ estimator.coefs_[0] + estimator.intercepts_[0], 0)
    notes = (SOFTMAX_NOTE,) if len(head) > 1 else ()
    return Fitted(model, compare(model, layer.inputs, _column(hidden @ head.T + intercepts)), notes)


class _Folded:
    """Raw rows, their quantiser, and a way to fold both into weights that were fitted on raw numbers."""

    def __init__(self, estimator: Any, scaler: Any, rows: Any, naming: Naming) -> None:
        np = learning_numpy()
        names = _names(estimator, scaler, naming)
        found = raw_rows(rows, len(names))
        if found is None:
            raise ModelInputError(
                "weights need rows: the range of the inputs is chosen from them", hint="give held-out rows"
            )
        chosen = fit_quantiser(found)
        self.quantiser: Quantiser = type(chosen)(
            tuple(
                _widened(feature, name, found[:, place])
                for place, (feature, name) in enumerate(zip(chosen.features, names, strict=True))
            )
        )
        self.inputs = self.quantiser.inputs_of_array(found)
        self._means = np.zeros(len(names)) if scaler is None or scaler.mean_ is None else scaler.mean_
        self._scales = np.ones(len(names)) if scaler is None or scaler.scale_ is None else scaler.scale_
        self.scaled = (found - self._means) / self._scales  # what the float model reads
        powers = np.array([10.0**f.decimals for f in self.quantiser.features])  # type: ignore[union-attr]
        self._steps = np.array([f.step for f in self.quantiser.features]) / powers  # type: ignore[union-attr]
        self._offsets = np.array([f.offset for f in self.quantiser.features]) / powers  # type: ignore[union-attr]
        constant = np.ptp(found, axis=0) == 0
        self._offsets[constant] = found[0, constant] - self.inputs[0, constant] * self._steps[constant]
        centre = np.clip(np.rint(self.inputs.astype(np.float64).mean(axis=0)), INT16_LOW, INT16_HIGH)
        self.centre = tuple(centre.astype(int).tolist())

    def fold(self, weights: Any, intercepts: Any) -> tuple[Any, Any]:
        """Return weights for inputs as multiples of ONE, shape (heads, width), and the intercepts that belong to them."""
        own = weights / self._scales
        return own * self._steps * ONE, intercepts + own @ self._offsets - own @ self._means


def _widened(feature: Any, name: str, column: Any) -> NumericFeature:
    """Give a feature its name, and steps that hold all rows and a quarter more: weights take nothing clipped."""
    np = learning_numpy()
    fields = {key: value for key, value in feature.fields().items() if key not in ("kind", "name", "title")}
    reach = float(np.abs(column * 10.0**feature.decimals - feature.offset).max())
    if np.ptp(column) == 0:
        # Nothing is known of such a column's spread but that weights of one size usually meet numbers of one size.
        size = max(1.0, abs(float(column[0])))
        decimals = max(0, math.ceil(math.log10(ONE / size)))
        step = max(1, round(10**decimals * size / ONE))
        offset = round(float(column[0]) * 10**decimals)
        return NumericFeature(name, name, decimals, offset, step, INT16_LOW, INT16_HIGH, 0, gaps=False)
    fields["step"] = max(feature.step, math.ceil(_MARGIN * reach / INT16_HIGH))
    return NumericFeature(name=name, title=name, **fields)


def _column(logits: Any) -> Any:
    return logits.reshape(len(logits), -1)


def _asked(estimator: Any, rows: Any) -> Any:
    """Return what an estimator says of raw rows, shape (rows, heads)."""
    with warnings.catch_warnings():
        # It may have been fitted on a data frame and now misses the columns' names.
        warnings.simplefilter("ignore")
        return _column(estimator.decision_function(rows))


def _without_scaler(scaler: Any) -> None:
    if scaler is not None:
        raise ModelInputError(
            "trees need no scaler: their thresholds would stand in scaled numbers",
            hint="train the trees on the raw numbers; they decide the same",
        )


def _from_histogram(estimator: Any, scaler: Any, rows: Any, naming: Naming) -> Fitted:
    np = learning_numpy()
    _without_scaler(scaler)
    if estimator.is_categorical_ is not None and np.any(estimator.is_categorical_):
        raise ModelInputError("a split by categories does not fit into integer trees")
    grown = list(zip(*estimator._predictors, strict=True))
    heads = tuple(tuple(FloatTree.of_histogram(one.nodes) for one in trees) for trees in grown)
    bases = tuple(float(one) for one in np.ravel(estimator._baseline_prediction))
    names = _names(estimator, None, naming)
    ensemble = Ensemble(heads, bases, names, softmax=len(heads) > 1)
    found = raw_rows(rows, len(names), gaps=True)
    said = None if found is None else _asked(estimator, found)
    return convert_trees(ensemble, found, naming, classes=estimator.classes_, logits=said)


def _from_boosting(estimator: Any, scaler: Any, rows: Any, naming: Naming) -> Fitted:
    np = learning_numpy()
    _without_scaler(scaler)
    if estimator.init not in (None, "zero"):
        raise ModelInputError("boosting must start from the classes' shares or zero, got another estimator")
    factor = 2.0 if estimator.loss == "exponential" else 1.0  # its score is half a logit
    names = _names(estimator, None, naming)
    heads = tuple(
        tuple(_tree(one.tree_, factor * estimator.learning_rate) for one in trees)
        for trees in estimator.estimators_.T
    )
    origin = np.zeros((1, len(names)))
    grown = Ensemble(heads, (0.0,) * len(heads), names, single=True, softmax=len(heads) > 1)
    start = factor * _asked(estimator, origin) - grown.logits(origin)
    grown = Ensemble(heads, tuple(start[0].tolist()), names, single=True, softmax=len(heads) > 1)
    found = raw_rows(rows, len(names))
    said = None if found is None else factor * _asked(estimator, found)
    return convert_trees(grown, found, naming, classes=estimator.classes_, logits=said)


def _tree(grown: Any, factor: float) -> FloatTree:
    left = grown.children_left.tolist()
    feature = [LEAF if child == -1 else int(at) for child, at in zip(left, grown.feature, strict=True)]
    return FloatTree(
        tuple(feature),
        tuple(grown.threshold.tolist()),
        tuple(left),
        tuple(grown.children_right.tolist()),
        tuple((grown.value[:, 0, 0] * factor).tolist()),
        tuple(grown.n_node_samples.tolist()),
    )


_KINDS: Final[dict[str, Callable[[Any, Any, Any, Naming], Fitted]]] = {
    "GradientBoostingClassifier": _from_boosting,
    "HistGradientBoostingClassifier": _from_histogram,
    "LogisticRegression": _from_logistic,
    "MLPClassifier": _from_mlp,
}
