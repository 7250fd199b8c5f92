"""Trained models are integers from the start: they decide like the floats that were trained, and say what it cost."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import roc_auc_score

from tallystick.errors import DataError, ModelInputError
from tallystick.models import (
    CategoryFeature,
    Column,
    NumericFeature,
    Table,
    TreeModel,
    fit_linear,
    fit_perceptron,
    fit_quantiser,
    fit_trees,
    make_examples,
    parse_model,
)

WAYS = {
    "linear": lambda *data, **more: fit_linear(*data, **more),
    "perceptron": lambda *data, **more: fit_perceptron(*data, hidden=8, rounds=200, **more),
    "trees": lambda *data, **more: fit_trees(*data, trees=15, **more),
    "trees-lightgbm": lambda *data, **more: fit_trees(*data, trees=15, engine="lightgbm", **more),
}


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    if "lightgbm" in request.node.name:
        request.getfixturevalue("lightgbm")


@pytest.fixture(scope="module")
def cancer() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_breast_cancer(return_X_y=True)
    return x, y


@pytest.mark.parametrize("way", WAYS)
def test_a_trained_model_decides_like_its_floats_and_ranks_well(way: str, cancer: tuple) -> None:
    x, y = cancer
    fitted = WAYS[way](x, y, names=[f"f{n}" for n in range(30)], target="benign", seed=3)
    assert fitted.fidelity.equal_decisions == fitted.fidelity.rows == 114
    assert fitted.fidelity.largest_logit_error < 0.01
    assert parse_model(fitted.model.bytes) == fitted.model
    assert fitted.model.packed is not None
    inputs = fitted.model.quantiser.inputs_of_array(x)
    scores = fitted.model.scores_inputs_many(inputs)[:, 0]
    assert roc_auc_score(y, scores) > 0.97
    assert np.mean((scores >= fitted.model.threshold) == y) > 0.9


@pytest.mark.parametrize("way", WAYS)
def test_the_same_data_and_seed_give_the_same_model(way: str, cancer: tuple) -> None:
    x, y = cancer
    one, again, other = (WAYS[way](x[:200], y[:200], seed=seed).model.hash for seed in (1, 1, 2))
    assert one == again
    assert one != other


@pytest.mark.parametrize("way", ["linear", "perceptron", "trees"])
def test_several_classes_get_a_score_each(way: str) -> None:
    x, y = load_digits(return_X_y=True)
    keep = y < 4
    fitted = WAYS[way](x[keep], y[keep], labels=["zero", "one", "two", "three"])
    model = fitted.model
    assert (model.heads, model.labels[3]) == (4, "three")
    assert fitted.fidelity.equal_decisions >= 0.995 * fitted.fidelity.rows
    scores = model.scores_inputs_many(model.quantiser.inputs_of_array(x[keep].astype(float)))
    assert np.mean(scores.argmax(axis=1) == y[keep]) > 0.9


def table(rows: int = 120) -> Table:
    dice = np.random.default_rng(5)
    cells, targets = [], []
    for _ in range(rows):
        sick = bool(dice.random() < 0.5)
        age = None if dice.random() < 0.1 else f"{50 + 10 * sick + dice.normal():.1f}"
        sex = None if dice.random() < 0.1 else str(dice.choice(["f", "m"]))
        cells.append((age, sex))
        targets.append(int(sick))
    columns = (Column("age", "numeric", "age (years)"), Column("sex", "category", "sex", ("f", "m")))
    return Table("made", columns, tuple(cells), ("here",) * rows, tuple(targets), "illness")


@pytest.mark.parametrize("way", WAYS)
def test_a_table_with_gaps_and_categories_is_learned_from_as_it_is(way: str) -> None:
    fitted = WAYS[way](table(), name="illness")
    model = fitted.model
    assert (model.name, model.target, model.labels) == ("illness", "illness", ("no", "yes"))
    assert model.decision(model.scores({"age": "64.0", "sex": None})) == "yes"
    assert model.decision(model.scores({"age": "46.0", "sex": "m"})) == "no"
    assert isinstance(model.score({"age": None, "sex": "f"}), int)


def test_counts_of_leaves_are_the_training_rows(cancer: tuple) -> None:
    x, y = cancer
    model = fit_trees(x, y, trees=5, depth=3).model
    assert isinstance(model, TreeModel)
    assert set(model.arrays.counts.sum(axis=1).tolist()) == {len(x) - 114}


def test_a_quantiser_reads_whole_numbers_as_they_are_and_others_finely() -> None:
    dice = np.random.default_rng(1)
    small = np.stack([dice.integers(0, 9, 500), dice.random(500) * 1e-6, dice.random(500) * 1e9], axis=1)
    whole, tiny, huge = fit_quantiser(small.astype(float), spread="quantile").features
    assert isinstance(whole, NumericFeature)
    assert (whole.decimals, whole.step) == (0, 1)
    for place, feature in ((1, tiny), (2, huge)):
        assert isinstance(feature, NumericFeature)
        inputs = feature.inputs_of_numbers(small[:, place])[:, 0].astype(float)
        assert len(np.unique(inputs)) > 450
        assert np.corrcoef(inputs, small[:, place])[0, 1] > 0.999999


def test_a_constant_column_and_an_empty_one_are_no_trouble() -> None:
    made = table(40)
    rows = tuple(("7", None) for _ in made.rows)
    quantiser = fit_quantiser(Table("made", made.columns, rows, made.sites, made.targets, "x"))
    age, sex = quantiser.features
    assert isinstance(sex, CategoryFeature)
    assert quantiser.inputs({"age": "7", "sex": None}) == [0, 0, 0, 4096]
    assert age.width == 1


GOOD_X, GOOD_Y = np.arange(40.0).reshape(20, 2), [0, 1] * 10


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (np.where(GOOD_X == 5, np.nan, GOOD_X), GOOD_Y, ModelInputError),
        (np.where(GOOD_X == 5, np.inf, GOOD_X), GOOD_Y, ModelInputError),
        (GOOD_X.ravel(), GOOD_Y, ModelInputError),
        (GOOD_X.astype(str), GOOD_Y, ModelInputError),
        (GOOD_X, GOOD_Y[:-1], ModelInputError),
        (GOOD_X, None, ModelInputError),
        (GOOD_X, [0] * 20, DataError),
        (GOOD_X[:5], GOOD_Y[:5], DataError),
        (GOOD_X, [0] * 19 + [1], DataError),
    ],
)
def test_data_that_nothing_can_be_learned_from_is_refused(x: np.ndarray, y: list, error: type) -> None:
    make_examples(GOOD_X, GOOD_Y)
    with pytest.raises(error):
        make_examples(x, y)


@pytest.mark.parametrize(
    "more", [{"names": ["a"]}, {"labels": ["a", "b", "c"]}, {"held_out": 1.0}, {"held_out": -0.1}]
)
def test_options_that_do_not_fit_the_data_are_refused(more: dict) -> None:
    make_examples(GOOD_X, GOOD_Y, names=["a", "b"], labels=["n", "y"], held_out=0)
    with pytest.raises((ModelInputError, DataError)):
        make_examples(GOOD_X, GOOD_Y, **more)


@pytest.mark.parametrize(
    "more", [{"depth": 0}, {"depth": 9}, {"trees": 0}, {"rate": 0.0}, {"rate": 1.5}, {"columns": 0.0}]
)
def test_trees_out_of_range_are_refused(more: dict) -> None:
    fit_trees(GOOD_X, GOOD_Y, trees=1, depth=1, least_rows=2)
    with pytest.raises(ModelInputError):
        fit_trees(GOOD_X, GOOD_Y, **more)
    with pytest.raises(ModelInputError):
        fit_perceptron(GOOD_X, GOOD_Y, hidden=0)
