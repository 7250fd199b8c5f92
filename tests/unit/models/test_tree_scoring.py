"""Scoring many rows through trees: the bit planes against the walk node by node."""

from __future__ import annotations

import numpy as np
import pytest

from tallystick.models import NumericFeature, Quantiser, TreeArrays, TreeModel
from tallystick.models import _tree_scoring as tree_scoring

LOW, HIGH = -(2**15), 2**15 - 1


def quantiser(width: int) -> Quantiser:
    return Quantiser(
        tuple(NumericFeature(f"x{i}", f"x{i}", 0, 0, 1, LOW, HIGH, 0, False) for i in range(width))
    )


def numbers(dice: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Int16, a third of it extreme, a third of it alike, so that ties with thresholds happen."""
    wild = dice.integers(LOW, HIGH + 1, shape)
    kinds = dice.integers(0, 3, shape)
    edge = dice.choice([LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH], shape)
    return np.choose(kinds, [wild, edge, dice.integers(-3, 4, shape)]).astype(np.int16)


def made(dice: np.random.Generator, *, depth: int, trees: int, heads: int = 1, width: int = 9) -> TreeModel:
    count = trees * heads
    arrays = TreeArrays(
        dice.integers(0, width, (count, 2**depth - 1)).astype(np.uint8),
        numbers(dice, (count, 2**depth - 1)),
        numbers(dice, (count, 2**depth)),
        np.zeros((count, 2**depth), np.uint32),
    )
    labels = ("no", "yes") if heads == 1 else tuple("abcdefgh"[:heads])
    bases = tuple(int(base) for base in dice.integers(-(2**53) + 1, 2**53, heads))
    return TreeModel.of(
        arrays, name="made", target="made", quantiser=quantiser(width), labels=labels, unit=4096, threshold=0,
        depth=depth, bases=bases,
    )  # fmt: skip


def assert_equal_to_the_reference(model: TreeModel, inputs: np.ndarray) -> None:
    scores = model.scores_inputs_many(inputs)
    assert scores.dtype == np.int64
    assert scores.tolist() == [list(model.scores_inputs(row)) for row in inputs.tolist()]


@pytest.mark.parametrize("depth", range(1, 9))
@pytest.mark.parametrize("heads", [1, 3])
def test_every_depth_gives_the_scores_of_the_reference(depth: int, heads: int) -> None:
    dice = np.random.default_rng([depth, heads])
    for trees in (1, 2, 7):  # also fewer than share a table, and a last table that is not full
        model = made(dice, depth=depth, trees=trees, heads=heads)
        assert_equal_to_the_reference(model, numbers(dice, (60, 9)))


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9])
def test_a_number_of_rows_that_fills_no_byte_is_scored_like_any_other(rows: int) -> None:
    dice = np.random.default_rng(rows)
    assert_equal_to_the_reference(made(dice, depth=4, trees=5), numbers(dice, (rows, 9)))


def test_blocks_of_rows_and_of_trees_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(5)
    monkeypatch.setattr(tree_scoring, "BLOCK_ROWS", 24)
    monkeypatch.setattr(tree_scoring, "BLOCK_NODES", 64)
    model = made(dice, depth=3, trees=41, heads=3)
    assert_equal_to_the_reference(model, numbers(dice, (100, 9)))
    assert len(model._prepared.blocks) > 4


def test_an_input_at_the_threshold_goes_left_and_one_above_it_goes_right() -> None:
    arrays = TreeArrays(
        np.array([[1]], np.uint8), np.array([[7]], np.int16), np.array([[10, 20]], np.int16), np.ones((1, 2), np.uint32)
    )  # fmt: skip
    model = TreeModel.of(
        arrays, name="made", target="made", quantiser=quantiser(2), labels=("no", "yes"), unit=1, threshold=0,
        depth=1, bases=(100,),
    )  # fmt: skip
    inputs = np.array([[99, 7], [99, 8], [99, LOW], [99, HIGH]], np.int16)
    assert model.scores_inputs_many(inputs)[:, 0].tolist() == [110, 120, 110, 120]


def test_the_largest_leaves_of_many_trees_do_not_wrap() -> None:
    trees = 3000
    for leaf in (LOW, HIGH):
        arrays = TreeArrays(
            np.zeros((trees, 1), np.uint8), np.zeros((trees, 1), np.int16),
            np.full((trees, 2), leaf, np.int16), np.zeros((trees, 2), np.uint32),
        )  # fmt: skip
        model = TreeModel.of(
            arrays, name="made", target="made", quantiser=quantiser(1), labels=("no", "yes"), unit=1, threshold=0,
            depth=1, bases=(2**53 - 1,),
        )  # fmt: skip
        scores = model.scores_inputs_many(np.zeros((3, 1), np.int16))
        assert scores[:, 0].tolist() == [2**53 - 1 + trees * leaf] * 3


def test_the_inputs_array_is_not_changed() -> None:
    dice = np.random.default_rng(8)
    inputs = numbers(dice, (50, 9))
    before = inputs.copy()
    made(dice, depth=4, trees=3).scores_inputs_many(inputs)
    assert (inputs == before).all()


def test_columns_that_lie_apart_in_memory_are_read_right() -> None:
    dice = np.random.default_rng(9)
    model = made(dice, depth=4, trees=6)
    inputs = numbers(dice, (90, 18))[::3, ::2]
    assert_equal_to_the_reference(model, inputs)
