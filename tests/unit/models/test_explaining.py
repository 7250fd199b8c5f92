"""Explanations are exact Shapley values: equal to brute force over all subsets, and to LightGBM's own."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from tallystick.errors import MissingExtraError, ModelInputError
from tallystick.models import (
    CategoryFeature,
    IntegerModel,
    NumericFeature,
    PerceptronModel,
    Quantiser,
    TreeArrays,
    TreeModel,
)
from tallystick.models._float_trees import FloatTree, assemble_trees

LOW, HIGH = -(2**15), 2**15 - 1


def quantiser(width: int) -> Quantiser:
    return Quantiser(
        tuple(NumericFeature(f"x{n}", f"x{n}", 0, 0, 1, LOW, HIGH, 0, False) for n in range(width))
    )


def row_of(inputs: np.ndarray) -> dict[str, str]:
    return {f"x{n}": str(value) for n, value in enumerate(inputs.tolist())}


def fields(width: int, labels: int = 2) -> dict[str, object]:
    return {
        "name": "made", "target": "made up", "quantiser": quantiser(width), "unit": 64, "threshold": 0,
        "labels": tuple("abcdef"[:labels]),
    }  # fmt: skip


def counted(dice: np.random.Generator, trees: int, depth: int, least: int = 0) -> np.ndarray:
    counts = dice.integers(least, 9, (trees, 2**depth))
    counts[dice.random(counts.shape) < 0.3] = least
    return counts.astype(np.uint32)


def trees(
    dice: np.random.Generator, *, width: int, depth: int, count: int, labels: int = 2, padded: bool = False
) -> TreeModel:
    heads = 1 if labels == 2 else labels
    shape = (heads * count, 2**depth - 1)
    thresholds = dice.integers(-50, 50, shape)
    if padded:
        thresholds[dice.random(shape) < 0.4] = HIGH
    arrays = TreeArrays(
        dice.integers(0, width, shape).astype(np.uint8),
        thresholds.astype(np.int16),
        dice.integers(LOW, HIGH + 1, (shape[0], 2**depth)).astype(np.int16),
        counted(dice, shape[0], depth),
    )
    return TreeModel.of(arrays, **fields(width, labels), depth=depth, bases=(1234,) * heads)


def value_of(model: TreeModel, head: int, inputs: list[int], members: frozenset[int]) -> float:
    """What a coalition is worth, by walking every tree as the definition says."""
    features, thresholds, leaves, counts = model.arrays
    inner = 2**model.depth - 1

    def rows(tree: int, node: int) -> int:
        if node >= inner:
            return int(counts[tree, node - inner])
        return rows(tree, 2 * node + 1) + rows(tree, 2 * node + 2)

    def walk(tree: int, node: int) -> float:
        if node >= inner:
            return float(leaves[tree, node - inner])
        left, right, cut = 2 * node + 1, 2 * node + 2, int(thresholds[tree, node])
        if int(features[tree, node]) in members:
            return walk(tree, right if inputs[int(features[tree, node])] > cut else left)
        if cut == HIGH:
            return walk(tree, left)
        here = rows(tree, node)
        share = rows(tree, left) / here if here else 0.5
        return share * walk(tree, left) + (1 - share) * walk(tree, right)

    first = head * model.trees
    return model.bases[head] + sum(walk(tree, 0) for tree in range(first, first + model.trees))


def shapley(players: int, value: Callable[[frozenset[int]], float]) -> list[float]:
    parts = []
    for player in range(players):
        others, part = [p for p in range(players) if p != player], 0.0
        for size in range(players):
            weight = 1 / (players * math.comb(players - 1, size))
            for chosen in combinations(others, size):
                part += weight * (value(frozenset({*chosen, player})) - value(frozenset(chosen)))
        parts.append(part)
    return parts


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 8])
def test_parts_of_trees_equal_brute_force_over_all_subsets(depth: int, padded: bool) -> None:
    dice = np.random.default_rng(depth)
    model = trees(dice, width=4, depth=depth, count=3 if depth < 8 else 1, padded=padded)
    for inputs in dice.integers(-60, 60, (3, 4)):
        plain = inputs.tolist()
        wanted = shapley(4, lambda members, plain=plain: value_of(model, 0, plain, members))
        assert list(model.contributions(row_of(inputs)).values()) == pytest.approx(wanted, rel=1e-9, abs=1e-6)
        assert model.base_score() == pytest.approx(value_of(model, 0, plain, frozenset()), rel=1e-12)


@pytest.mark.parametrize(("depth", "count", "labels"), [(4, 50, 2), (8, 9, 3), (1, 7, 2), (6, 20, 4)])
def test_parts_and_base_add_up_to_the_score_of_every_head(depth: int, count: int, labels: int) -> None:
    dice = np.random.default_rng(1)
    model = trees(dice, width=12, depth=depth, count=count, labels=labels, padded=True)
    for inputs in dice.integers(-60, 60, (5, 12)):
        for head, score in enumerate(model.scores_inputs(inputs.tolist())):
            parts = model.contributions(row_of(inputs), head=head)
            assert all(math.isfinite(part) for part in parts.values())
            assert sum(parts.values()) + model.base_score(head) == pytest.approx(score, rel=1e-9, abs=1e-6)


def test_a_model_that_is_too_large_to_keep_prepared_is_explained_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = trees(np.random.default_rng(5), width=6, depth=5, count=11)
    row = row_of(np.arange(6))
    wanted, base = dict(model.contributions(row)), model.base_score()
    monkeypatch.setattr("tallystick.models._tree_explaining.KEPT_PLACES", 0)
    monkeypatch.setattr("tallystick.models._tree_explaining.BLOCK_PLACES", 400)
    again = TreeModel.of(model.arrays, **fields(6), depth=5, bases=model.bases)
    assert again.contributions(row) == pytest.approx(wanted, rel=1e-12)
    assert again.base_score() == pytest.approx(base, rel=1e-12)


def test_trees_without_counts_go_both_ways_and_never_into_what_only_fills_them_up() -> None:
    leaves = np.array([[8, 0, 2, 4]])
    arrays = TreeArrays(
        np.array([[0, 0, 1]], np.uint8),
        np.array([[10, HIGH, 20]], np.int16),
        leaves.astype(np.int16),
        np.zeros((1, 4), np.uint32),
    )
    model = TreeModel.of(arrays, **fields(2), depth=2, bases=(100,))
    assert model.base_score() == 100 + (8 + (2 + 4) / 2) / 2
    assert model.contributions({"x0": "11", "x1": "21"}) == pytest.approx({"x0": -2.25, "x1": 0.75})


def test_a_feature_of_several_inputs_gets_the_sum_of_theirs_and_reasons_name_it() -> None:
    columns = Quantiser(
        (
            CategoryFeature("colour", "the colour", ("blue", "red"), gaps=True),
            NumericFeature("size", "the size", 0, 0, 1, LOW, HIGH, 0, False),
        )
    )
    width = columns.width
    dice = np.random.default_rng(3)
    arrays = TreeArrays(
        dice.integers(0, width, (5, 7)).astype(np.uint8),
        np.zeros((5, 7), np.int16),
        dice.integers(-99, 99, (5, 8)).astype(np.int16),
        np.ones((5, 8), np.uint32),
    )
    model = TreeModel.of(arrays, **{**fields(1), "quantiser": columns}, depth=3, bases=(0,))
    row = {"colour": "red", "size": "4"}
    plain = columns.inputs(row)
    wanted = shapley(width, lambda members: value_of(model, 0, plain, members))
    parts = model.contributions(row)
    assert parts["colour"] == pytest.approx(sum(wanted[i] for i in columns.places("colour")))
    reasons = model.reasons(row, 2)
    assert {reason.feature: reason.contribution for reason in reasons} == {
        name: round(part) for name, part in parts.items()
    }
    assert model.explains


def test_parts_of_trees_equal_lightgbms() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="needs the system's libgomp1", exc_type=ImportError)
    dice = np.random.default_rng(2)
    rows = dice.integers(-1000, 1000, (600, 8)).astype(np.float64)
    labels = (rows[:, 0] * rows[:, 1] + 500 * rows[:, 2] > 0).astype(int)
    settings = {"objective": "binary", "num_leaves": 12, "max_depth": 4, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, labels), 30)
    grown = [FloatTree.of_lightgbm(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    model = assemble_trees([grown], [0.0], **{k: v for k, v in fields(8).items() if k != "unit"})
    theirs = booster.predict(rows[:50], pred_contrib=True)
    # A leaf is rounded to half a unit, and a part sums at most one leaf of every tree.
    within = model.trees / model.unit
    for inputs, wanted in zip(rows[:50], theirs, strict=True):
        parts = model.contributions(row_of(inputs.astype(int)))
        assert [part / model.unit for part in parts.values()] == pytest.approx(wanted[:-1], abs=within)
        assert model.base_score() / model.unit == pytest.approx(wanted[-1], abs=within)
    assert within < 0.002 < np.abs(theirs).max() / 100


def perceptron(dice: np.random.Generator, width: int, labels: int = 2, hidden: int = 5) -> PerceptronModel:
    heads = 1 if labels == 2 else labels

    def matrix(*shape: int) -> tuple[tuple[int, ...], ...]:
        return tuple(map(tuple, dice.integers(-90, 90, shape).tolist()))

    return PerceptronModel(
        **fields(width, labels), hidden_weights=matrix(hidden, width), hidden_biases=(7,) * hidden, shift=2,
        weights=matrix(heads, hidden), biases=(11,) * heads, centre=tuple(range(width)),
    )  # fmt: skip


@pytest.mark.parametrize("labels", [2, 3])
def test_parts_of_a_perceptron_equal_brute_force_against_the_average_row(labels: int) -> None:
    dice = np.random.default_rng(4)
    model = perceptron(dice, 5, labels)
    inputs = dice.integers(-60, 60, 5)
    for head in range(model.heads):
        wanted = shapley(
            5,
            lambda members, head=head: model.scores_inputs(
                [int(inputs[i]) if i in members else model.centre[i] for i in range(5)]
            )[head],
        )
        parts = model.contributions(row_of(inputs), head=head)
        assert list(parts.values()) == pytest.approx(wanted)
        assert sum(parts.values()) + model.base_score(head) == pytest.approx(
            model.scores(row_of(inputs))[head]
        )


def test_a_perceptron_of_many_features_says_that_it_gives_no_parts() -> None:
    dice = np.random.default_rng(4)
    few, many = perceptron(dice, 12), perceptron(dice, 13)
    assert few.explains
    assert len(few.reasons(row_of(np.ones(12, int)), 4)) == 4
    assert not many.explains
    with pytest.raises(ModelInputError, match="at most 12 features, got 13"):
        many.contributions(row_of(np.ones(13, int)))


@pytest.mark.parametrize("head", [-1, 1])
def test_a_head_that_is_not_there_is_refused(head: int) -> None:
    dice = np.random.default_rng(4)
    models: list[IntegerModel] = [perceptron(dice, 3), trees(dice, width=3, depth=2, count=2)]
    for model in models:
        with pytest.raises(ModelInputError, match="the head must be 0 to 0"):
            model.contributions(row_of(np.ones(3, int)), head=head)
        with pytest.raises(ModelInputError, match="the head must be 0 to 0"):
            model.base_score(head)


def test_without_numpy_trees_and_perceptrons_give_no_reasons_and_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dice = np.random.default_rng(4)
    models: list[IntegerModel] = [perceptron(dice, 3), trees(dice, width=3, depth=2, count=2)]
    row = row_of(np.ones(3, int))
    assert all(model.explains for model in models)
    monkeypatch.setitem(sys.modules, "numpy", None)
    for model in models:
        assert not model.explains
        with pytest.raises(MissingExtraError, match="needs numpy"):
            model.contributions(row)
        assert model.scores(row)
