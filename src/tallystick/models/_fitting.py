"""Train integer models: one line from data to a model and what its integers cost.

    fitted = fit_trees(X, y, trees=50)
    fitted.model, fitted.fidelity

Every function trains on quantised inputs and turns what it learned into int16 parameters; with more than two classes
there is one score per class (one against the rest). The same data and seed give the same model on one machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from tallystick.errors import MissingExtraError, ModelInputError
from tallystick.models._examples import Examples, Fitted, learning_numpy, make_examples, scaled
from tallystick.models._features import INT16_HIGH, ONE
from tallystick.models._fidelity import compare
from tallystick.models._float_trees import FloatTree, assemble_trees, logits_of
from tallystick.models._integer import MAX_NUMBER
from tallystick.models._linear import LinearModel
from tallystick.models._perceptron import MAX_HIDDEN, PerceptronModel
from tallystick.models._trees import MAX_DEPTH

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tallystick.models._table import Table

Engine = Literal["scikit-learn", "lightgbm"]
MAX_SHIFT: Final = 14
_HIDDEN_BITS: Final = 3  # how much finer than an input a hidden value is kept


def fit_linear(
    data: Table | ArrayLike,
    classes: Sequence[object] | None = None,
    *,
    name: str = "model",
    penalty: float = 1.0,
    **options: Any,
) -> Fitted:
    """Train a logistic regression (scikit-learn).

    Args:
        data: a table, or numbers of shape (rows, features).
        classes: what each row of an array is.
        name: of the model.
        penalty: strength of the L2 penalty, > 0.
        options: see `make_examples`: names, labels, target, quantiser, held_out, seed.

    Raises:
        ModelInputError: see `make_examples`; or a weight that int16 cannot hold.
        DataError: too few rows, or all of one class.
        MissingExtraError: scikit-learn is not installed.
    """
    examples = make_examples(data, classes, **options)
    coefficients, intercepts = _logistic(examples.scaled, examples, penalty)
    shift = _shift(coefficients, "a weight")
    unit = ONE << shift
    model = LinearModel(
        **examples.fields(name),
        unit=unit,
        weights=_whole_rows(coefficients * 2**shift),
        biases=_whole(intercepts * unit),
        centre=examples.centre,
    )
    logits = scaled(examples.test) @ coefficients.T + intercepts
    return Fitted(model, compare(model, examples.test, logits))


def fit_trees(
    data: Table | ArrayLike,
    classes: Sequence[object] | None = None,
    *,
    name: str = "model",
    trees: int = 50,
    depth: int = 4,
    rate: float = 0.1,
    least_rows: int = 20,
    columns: float = 1.0,
    engine: Engine = "scikit-learn",
    **options: Any,
) -> Fitted:
    """Train gradient-boosted trees (scikit-learn's histogram boosting, or LightGBM).

    Args:
        data: a table, or numbers of shape (rows, features).
        classes: what each row of an array is.
        name: of the model.
        trees: how many for each score.
        depth: 1 to 8; up to 4 a contract can execute the model.
        rate: how much of each tree counts, above 0 and at most 1.
        least_rows: fewest rows of a leaf.
        columns: share of the inputs that a split chooses from, drawn anew for each, above 0 and at most 1.
        engine: "scikit-learn" or "lightgbm".
        options: see `make_examples`: names, labels, target, quantiser, held_out, seed.

    Raises:
        ModelInputError: see `make_examples`; or depth or number of trees out of range.
        DataError: too few rows, or all of one class.
        MissingExtraError: the engine is not installed.
    """
    if not 1 <= depth <= MAX_DEPTH or trees < 1 or not 0 < rate <= 1 or not 0 < columns <= 1:
        raise ModelInputError(
            f"depth must be 1 to {MAX_DEPTH}, trees at least 1, rate and columns above 0 and at most 1"
        )
    examples = make_examples(data, classes, spread="quantile", **options)
    how = {
        "columns": columns,
        "depth": depth,
        "least_rows": least_rows,
        "rate": rate,
        "seed": options.get("seed", 0),
        "trees": trees,
    }
    boost = _boost_lightgbm if engine == "lightgbm" else _boost_sklearn
    heads, bases = [], []
    for classes_of in examples.one_against_rest():
        grown, base = boost(examples.train, classes_of, **how)
        heads.append(grown)
        bases.append(base)
    model = assemble_trees(heads, bases, depth=depth, **examples.fields(name))
    return Fitted(model, compare(model, examples.test, logits_of(heads, bases, examples.test)))


def fit_perceptron(
    data: Table | ArrayLike,
    classes: Sequence[object] | None = None,
    *,
    name: str = "model",
    hidden: int = 16,
    penalty: float = 1e-3,
    rounds: int = 500,
    **options: Any,
) -> Fitted:
    """Train a perceptron with one hidden layer (scikit-learn).

    The hidden layer is learned with real numbers and rounded; then the head is fitted again on the integer values
    that the hidden units really have.

    Args:
        data: a table, or numbers of shape (rows, features).
        classes: what each row of an array is.
        name: of the model.
        hidden: hidden units, 1 to 1,024; up to 256 a contract can execute the model.
        penalty: strength of the L2 penalty of the hidden layer.
        rounds: most passes over the rows.
        options: see `make_examples`: names, labels, target, quantiser, held_out, seed.

    Raises:
        ModelInputError: see `make_examples`; or the number of hidden units is out of range.
        DataError: too few rows, or all of one class.
        MissingExtraError: scikit-learn is not installed.
    """
    if not 1 <= hidden <= MAX_HIDDEN:
        raise ModelInputError(f"hidden units must be 1 to {MAX_HIDDEN}, got {hidden}")
    np = learning_numpy()
    examples = make_examples(data, classes, **options)
    body, offsets = _hidden_layer(examples, hidden, penalty, rounds, options.get("seed", 0))
    shift = _shift(body, "a hidden weight")
    weights, biases = np.rint(body * 2**shift), np.rint(offsets * ONE * 2**shift)
    drop = max(0, shift - _HIDDEN_BITS)
    one = ONE << (shift - drop)  # what a hidden value of 1.0 is as a whole number
    sums = examples.train.astype(np.float64) @ weights.T + biases
    whole = np.floor(np.maximum(sums, 0) / 2**drop)
    head, intercepts = _logistic(whole / one, examples, 1.0)
    head_shift = _shift(head, "a weight")
    unit = one << head_shift
    model = PerceptronModel(
        **examples.fields(name),
        unit=unit,
        hidden_weights=_whole_rows(weights),
        hidden_biases=_whole(biases),
        shift=drop,
        weights=_whole_rows(head * 2**head_shift),
        biases=_whole(intercepts * unit),
        centre=examples.centre,
    )
    real = np.maximum(scaled(examples.test) @ body.T + offsets, 0)
    return Fitted(model, compare(model, examples.test, real @ head.T + intercepts))


def _logistic(inputs: Any, examples: Examples, penalty: float) -> tuple[Any, Any]:
    """Return weights of shape (heads, inputs) and one intercept per head."""
    np = learning_numpy()
    from sklearn.linear_model import LogisticRegression

    made = []
    for classes in examples.one_against_rest():
        with warnings.catch_warnings():
            # A model that stopped early is judged like any other; the figures tell.
            warnings.simplefilter("ignore")
            made.append(LogisticRegression(C=1 / penalty, max_iter=2000).fit(inputs, classes))
    return np.concatenate([one.coef_ for one in made]), np.concatenate([one.intercept_ for one in made])


def _hidden_layer(examples: Examples, hidden: int, penalty: float, rounds: int, seed: int) -> tuple[Any, Any]:
    """Return a hidden layer's weights, shape (hidden, inputs), and offsets, learned with real numbers."""
    np = learning_numpy()
    from sklearn.neural_network import MLPClassifier

    heads = examples.one_against_rest()
    classes = heads[0] if len(heads) == 1 else np.stack(heads, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = MLPClassifier((hidden,), alpha=penalty, max_iter=rounds, random_state=seed)
        made.fit(examples.scaled, classes)
    return made.coefs_[0].T, made.intercepts_[0]


def _boost_sklearn(
    inputs: Any,
    classes: Any,
    *,
    trees: int,
    depth: int,
    rate: float,
    least_rows: int,
    columns: float,
    seed: int,
) -> tuple[list[FloatTree], float]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    grower = HistGradientBoostingClassifier(
        max_iter=trees,
        max_depth=depth,
        max_leaf_nodes=2**depth,
        learning_rate=rate,
        min_samples_leaf=least_rows,
        max_features=columns,
        early_stopping=False,
        random_state=seed,
    )
    # Threads wait for each other longer than they work on tables of a pilot's size.
    with threadpool_limits(1, "openmp"):
        made = grower.fit(inputs.astype("float64"), classes)
    return [FloatTree.of_histogram(one[0].nodes) for one in made._predictors], float(
        made._baseline_prediction.ravel()[0]
    )


def _boost_lightgbm(
    inputs: Any,
    classes: Any,
    *,
    trees: int,
    depth: int,
    rate: float,
    least_rows: int,
    columns: float,
    seed: int,
) -> tuple[list[FloatTree], float]:
    try:
        import lightgbm
    except (ModuleNotFoundError, OSError) as error:  # OSError: the system's libgomp is not there
        raise MissingExtraError(
            "this engine needs LightGBM, which needs the system's libgomp1",
            hint="pip install 'tallystick[lightgbm]', and apt install libgomp1",
        ) from error
    settings = {
        "objective": "binary", "num_leaves": 2**depth, "max_depth": depth, "learning_rate": rate, "verbosity": -1,
        "min_data_in_leaf": least_rows, "seed": seed, "deterministic": True, "num_threads": 1, "force_row_wise": True,
        "feature_fraction_bynode": columns,
    }  # fmt: skip
    rows = lightgbm.Dataset(inputs.astype("float64"), label=classes)
    made = lightgbm.train(settings, rows, num_boost_round=trees).dump_model()
    return [FloatTree.of_lightgbm(one["tree_structure"]) for one in made["tree_info"]], 0.0


def _shift(values: Any, what: str) -> int:
    """Return the largest shift, at most 14, at which every value fits into int16."""
    np = learning_numpy()
    largest = float(np.abs(values).max(initial=0.0))
    for shift in range(MAX_SHIFT, -1, -1):
        if np.rint(largest * 2**shift) <= INT16_HIGH:
            return shift
    raise ModelInputError(f"{what} must be below 32768: training has diverged")


def _whole(values: Any) -> tuple[int, ...]:
    made = tuple(round(float(value)) for value in values)
    if any(abs(value) > MAX_NUMBER for value in made):
        raise ModelInputError("an intercept must be below 2^53 score units: training has diverged")
    return made


def _whole_rows(values: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(round(float(value)) for value in row) for row in values)
