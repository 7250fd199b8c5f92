"""Fitted models of scikit-learn and LightGBM become integer models that decide alike, gaps and classes included."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from tallystick.errors import ModelInputError
from tallystick.models import TreeModel, from_lightgbm, from_sklearn, parse_model

KINDS = {
    "linear": lambda: LogisticRegression(C=0.01, max_iter=5000),
    "scaled-linear": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "shifted-linear": lambda: make_pipeline(StandardScaler(with_std=False), LogisticRegression(C=0.01)),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=15, max_depth=4, min_samples_leaf=5),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=15, random_state=0),
    "boosting-zero": lambda: GradientBoostingClassifier(n_estimators=15, init="zero", random_state=0),
    "perceptron": lambda: MLPClassifier((8,), max_iter=150, random_state=1),
    "scaled-perceptron": lambda: make_pipeline(
        StandardScaler(), MLPClassifier((8,), max_iter=150, random_state=1)
    ),
}


def fitted(kind: str, x: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopped before it converged: no matter here
        return KINDS[kind]().fit(x, y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_a_fitted_model_decides_as_before(kind: str, load: Any) -> None:
    x, y = load(return_X_y=True)
    held = np.arange(len(x)) % 3 == 0
    estimator = fitted(kind, x[~held], y[~held])
    made = from_sklearn(estimator, x[held], name="m", target="benign")
    model = made.model
    assert made.fidelity.rows == held.sum()
    assert made.fidelity.equal_decisions == held.sum()
    assert made.fidelity.largest_logit_error < 0.1
    labels = ("no", "yes") if load is load_breast_cancer else ("0", "1", "2")
    assert model.labels == labels
    row = {name: repr(float(v)) for name, v in zip(model.quantiser.names, x[0], strict=True)}
    assert model.decision(model.scores(row)) == labels[int(estimator.predict(x[:1])[0])]
    assert parse_model(model.bytes) == model
    assert any("distribution" in note for note in made.notes) == (len(labels) > 2)


def test_half_logits_of_exponential_loss_are_doubled() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    estimator = GradientBoostingClassifier(n_estimators=10, loss="exponential", random_state=0).fit(x, y)
    model = from_sklearn(estimator, x).model
    scores = model.scores_inputs_many(model.quantiser.inputs_of_array(x))[:, 0]
    chances = 1 / (1 + np.exp(-scores / model.unit))
    assert np.abs(chances - estimator.predict_proba(x)[:, 1]).max() < 1e-3


@pytest.mark.parametrize("kind", ["histogram", "boosting"])
def test_numbers_far_outside_and_on_thresholds_go_where_they_went(kind: str) -> None:
    dice = np.random.default_rng(4)
    x = np.stack(
        [dice.integers(0, 40, 400) / 4, dice.normal(0, 8e3, 400).round(), dice.random(400).round(4)], axis=1
    )
    y = (x[:, 0] + x[:, 1] / 8e3 + dice.normal(0, 0.5, 400) > 5).astype(int)
    estimator = fitted(kind, x, y)
    far = np.concatenate([x, x * 1e3, -x * 1e3, np.zeros((1, 3))])
    made = from_sklearn(estimator, far)
    assert made.fidelity.equal_decisions == len(far)
    # A third of a logit would show a single row that went another way in a single tree.
    assert made.fidelity.largest_logit_error < 0.002


def test_gaps_go_where_histogram_boosting_sends_them() -> None:
    dice = np.random.default_rng(2)
    x = dice.normal(size=(400, 2)).round(3)
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    x[dice.random(400) < 0.2, 0] = np.nan
    stump = HistGradientBoostingClassifier(max_iter=1, max_depth=1).fit(x[:, :1], y)
    made = from_sklearn(stump, x[:, :1])
    assert made.fidelity.equal_decisions == 400
    assert made.fidelity.largest_logit_error < 1e-3
    score = made.model.score({"x0": None})
    assert score == pytest.approx(stump.decision_function([[np.nan]])[0] * made.model.unit, abs=2)
    deep = HistGradientBoostingClassifier(max_iter=20, max_depth=4).fit(x, y)
    assert any("gap" in note for note in from_sklearn(deep).notes)
    with pytest.raises(ModelInputError, match="gap"):
        from_sklearn(deep, x)
    assert from_sklearn(deep, np.nan_to_num(x)).fidelity.equal_decisions == 400


def test_thresholds_span_the_inputs_and_short_decimals_stay_what_they_are() -> None:
    x = np.round(np.linspace(36.0, 41.0, 51), 1)[:, None]
    y = (x[:, 0] > 38.2).astype(int)
    model = from_sklearn(HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5).fit(x, y), x).model
    assert isinstance(model, TreeModel)
    feature = model.quantiser.features[0]
    inputs = [feature.inputs(f"{value:.1f}")[0] for value in x[:, 0]]
    assert len(set(np.diff(inputs).tolist())) == 1
    assert model.score({"x0": "38.2"}) < 0 <= model.score({"x0": "38.3"})


def test_names_and_labels_are_those_of_the_fit_unless_others_are_given() -> None:
    pandas = pytest.importorskip("pandas")
    x, y = load_iris(return_X_y=True)
    frame = pandas.DataFrame(x, columns=["sl", "sw", "pl", "pw"])
    estimator = LogisticRegression(max_iter=1000).fit(frame, np.array(["a", "b", "c"])[y])
    made = from_sklearn(estimator, x).model
    assert (made.quantiser.names, made.labels) == (("sl", "sw", "pl", "pw"), ("a", "b", "c"))
    made = from_sklearn(estimator, frame, names=["1", "2", "3", "4"], labels=["x", "y", "z"]).model
    assert (made.quantiser.names, made.labels) == (("1", "2", "3", "4"), ("x", "y", "z"))


def test_weights_get_inputs_that_hold_every_row_given() -> None:
    dice = np.random.default_rng(6)
    x = np.concatenate([dice.normal(size=(500, 1)), [[90.0]]])
    y = (x[:, 0] > 0).astype(int)
    made = from_sklearn(LogisticRegression().fit(x, y), x)
    assert made.fidelity.largest_logit_error < 0.05
    feature = made.model.quantiser.features[0]
    assert not feature.is_outside("99")
    assert feature.is_outside("9000")


def test_a_column_that_never_changes_is_no_trouble() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x = x.copy()
    x[:, 0] = 0.37
    for kind in ("linear", "histogram"):
        made = from_sklearn(fitted(kind, x, y), x)
        assert made.fidelity.equal_decisions == len(x)
        assert made.fidelity.largest_logit_error < 0.01
    dice = np.random.default_rng(8)
    x = np.concatenate([dice.normal(size=(300, 3)), np.full((300, 1), 5e-2)], axis=1)
    x[0, 3] = 2.0  # the rows to judge by do not hold it: the other weights must not get coarse for it
    y = (x[:, :3].sum(axis=1) > 0).astype(int)
    made = from_sklearn(MLPClassifier((6,), max_iter=900, random_state=2).fit(x, y), x[1:])
    assert made.fidelity.equal_decisions == 299
    assert made.fidelity.largest_logit_error < 0.02


def bad_estimators() -> dict[str, Any]:
    x, y = load_iris(return_X_y=True)
    two = y > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "a forest": RandomForestClassifier(5).fit(x, y),
            "a machine of vectors": SVC().fit(x, y),
            "a regression": LinearRegression().fit(x, y),
            "not fitted": LogisticRegression(),
            "no estimator": object(),
            "another scaler": make_pipeline(MinMaxScaler(), LogisticRegression()).fit(x, y),
            "scaled trees": make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=2)).fit(
                x, y
            ),
            "two hidden layers": MLPClassifier((4, 4), max_iter=3).fit(x, y),
            "another unit": MLPClassifier((4,), activation="tanh", max_iter=3).fit(x, y),
            "several at once": MLPClassifier((4,), max_iter=3).fit(x, np.stack([two, ~two], axis=1)),
            "too deep": GradientBoostingClassifier(n_estimators=2, max_depth=12).fit(
                np.random.default_rng(0).random((600, 4)), np.random.default_rng(1).integers(0, 2, 600)
            ),
            "another start": GradientBoostingClassifier(n_estimators=2, init=DummyClassifier()).fit(x, two),
            "categories": HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(
                x.astype(int), y
            ),
        }


def test_what_does_not_fit_is_refused_with_a_reason() -> None:
    x, y = load_iris(return_X_y=True)
    from_sklearn(LogisticRegression(max_iter=500).fit(x, y), x)
    for what, estimator in bad_estimators().items():
        with pytest.raises(ModelInputError) as caught:
            from_sklearn(estimator, x)
        assert caught.value.message, what
        if what == "a forest":
            assert "mean of probabilities" in caught.value.hint


@pytest.mark.parametrize(
    "rows", [None, np.zeros((3, 5)), np.full((3, 4), np.nan), np.full((3, 4), np.inf), np.zeros(4)]
)
def test_rows_that_do_not_fit_are_refused(rows: Any) -> None:
    x, y = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(x, y)
    from_sklearn(estimator, x)
    with pytest.raises(ModelInputError):
        from_sklearn(estimator, rows)


def test_trees_need_no_rows_and_say_that_nothing_was_compared() -> None:
    x, y = load_iris(return_X_y=True)
    estimator = HistGradientBoostingClassifier(max_iter=3, max_depth=3).fit(x, y)
    made, compared = from_sklearn(estimator), from_sklearn(estimator, x)
    assert made.fidelity.rows == 0
    assert any("nothing was compared" in note for note in made.notes)
    assert not any("nothing was compared" in note for note in compared.notes)


@pytest.mark.parametrize(
    ("load", "more"),
    [
        (load_breast_cancer, {}),
        (load_breast_cancer, {"sigmoid": 2.0}),
        (load_breast_cancer, {"boosting_type": "rf", "subsample_freq": 1, "subsample": 0.6}),
        (load_iris, {}),
        (load_iris, {"objective": "multiclassova"}),
    ],
)
def test_a_model_of_lightgbm_says_what_lightgbm_says(lightgbm: Any, load: Any, more: dict) -> None:
    x, y = load(return_X_y=True)
    held = np.arange(len(x)) % 3 == 0
    classifier = lightgbm.LGBMClassifier(n_estimators=15, max_depth=4, verbosity=-1, n_jobs=1, **more)
    classifier.fit(x[~held], y[~held])
    made = from_lightgbm(classifier, x[held])
    assert made.fidelity.equal_decisions == made.fidelity.rows == held.sum()
    assert made.fidelity.largest_logit_error < 1e-3
    assert from_lightgbm(classifier.booster_, x[held]).model.digest == made.model.digest
    if made.model.heads == 1:
        model = made.model
        chances = [
            model.probability(int(s))
            for s in model.scores_inputs_many(model.quantiser.inputs_of_array(x))[:, 0]
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.abs(np.array(chances) - classifier.predict_proba(x)[:, 1]).max() < 1e-3


def test_gaps_go_where_lightgbm_sends_them(lightgbm: Any) -> None:
    dice = np.random.default_rng(2)
    x = dice.normal(size=(400, 1)).round(3)
    y = (x[:, 0] > 0).astype(int)
    x[dice.random(400) < 0.1, 0] = np.nan
    y[np.isnan(x[:, 0])] = 1
    settings = {"objective": "binary", "max_depth": 1, "num_threads": 1, "verbosity": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), 3)
    made = from_lightgbm(booster, x)
    assert made.fidelity.equal_decisions == 400
    assert made.fidelity.largest_logit_error < 1e-3
    plain = lightgbm.train(settings, lightgbm.Dataset(np.nan_to_num(x), y), 3)
    assert from_lightgbm(plain, x).fidelity.equal_decisions == 400  # here a gap counts as zero


def test_objectives_splits_and_depths_that_do_not_fit_are_refused(lightgbm: Any) -> None:
    dice = np.random.default_rng(3)
    x, y = dice.random((2000, 3)), dice.integers(0, 2, 2000)
    base = {"num_threads": 1, "verbosity": -1}

    def train(data: Any = x, **more: Any) -> Any:
        return lightgbm.train({**base, **more}, lightgbm.Dataset(data, y), 2)

    from_lightgbm(train(objective="binary", max_depth=3))
    codes = lightgbm.Dataset(np.floor(x * 5), y, categorical_feature=[0, 1, 2])
    bad = [
        train(objective="regression"),
        train(objective="binary", num_leaves=200, min_data_in_leaf=1),
        train(objective="binary", linear_tree=True),
        lightgbm.train({**base, "objective": "binary", "max_depth": 2}, codes, 2),
        object(),
    ]
    for model in bad:
        with pytest.raises(ModelInputError):
            from_lightgbm(model)
