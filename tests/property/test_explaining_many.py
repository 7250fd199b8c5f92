"""Many rows are explained as each of them alone is: the same parts, the same reasons, over random models and rows."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from benchmarks import random_models
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import ModelInputError
from tallystick.models import (
    CategoryFeature,
    IntegerModel,
    LinearModel,
    NumericFeature,
    PerceptronModel,
    Quantiser,
    TreeModel,
)

LOW, HIGH = -(2**15), 2**15 - 1


def quantiser(rng: random.Random, count: int) -> Quantiser:
    """Features of every kind: with gaps and without, coarse steps, decimals, categories; names not in their order."""
    made: list[Any] = []
    for place in range(count):
        name, gaps = f"f{rng.randrange(1000)}-{place}", rng.random() < 0.3
        if rng.random() < 0.25:
            codes = tuple("abc"[: rng.randint(1, 3)])
            made.append(CategoryFeature(name, f"kind {place}", codes, gaps))
        else:
            numbers = rng.randint(0, 3), rng.randint(-500, 500), rng.choice([1, 1, 7, 100])
            made.append(NumericFeature(name, f"number {place}", *numbers, LOW, HIGH, 0, gaps))
    return Quantiser(tuple(made))


def model_of(rng: random.Random) -> IntegerModel:
    heads = rng.choice([1, 1, 1, 3])
    more = {"quantiser": quantiser(rng, rng.randint(1, 6))}
    width = more["quantiser"].width
    family = rng.choice(["linear", "perceptron", "trees", "trees", "trees"])
    if family == "linear":
        return random_models.linear(rng, width, heads, **more)
    if family == "perceptron":
        return random_models.perceptron(rng, width, 4, heads, **more)
    depth = rng.randint(1, 8)
    made = random_models.trees(rng, width, rng.randint(1, 12 if depth < 6 else 2), heads, depth, **more)
    dice = np.random.default_rng(rng.randrange(2**32))
    size = len(made.leaves) // 2
    # Small leaves and no counts give parts that lie exactly between two whole numbers.
    leaves = dice.integers(-9, 9, size) if rng.random() < 0.5 else dice.integers(LOW, HIGH + 1, size)
    counts = np.zeros(size) if rng.random() < 0.3 else dice.integers(0, 9, size)
    return dataclasses.replace(
        made, leaves=leaves.astype(">i2").tobytes(), counts=counts.astype(">u4").tobytes()
    )


def row_of(rng: random.Random, model: IntegerModel) -> dict[str, str | None]:
    near = random_models.inputs_near(rng, model)
    cells = model.quantiser.cells(model.quantiser.names, near)
    for name in cells:
        if rng.random() < 0.1:
            cells[name] = None
    return cells


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_parts_and_reasons_of_many_rows_are_those_of_each_row(seed: int) -> None:
    rng = random.Random(seed)
    model = model_of(rng)
    rows = [
        row_of(rng, model) for _ in range(rng.choice([0, 1, 5, 140 if model.family != "perceptron" else 3]))
    ]
    inputs = model.quantiser.inputs_many(rows) if rows else np.zeros((0, model.quantiser.width), np.int16)
    for head in range(model.heads):
        many = model.contributions_inputs_many(inputs, head=head)
        alone = np.array([[*model.contributions(row, head=head).values()] for row in rows])
        assert many.dtype == np.float64
        assert many.shape == (len(rows), len(model.quantiser.names))
        assert many == pytest.approx(alone.reshape(many.shape), rel=1e-9, abs=1e-6)
    k = rng.randint(1, 4)
    assert model.reasons_inputs_many(inputs, k, rows=rows) == [model.reasons(row, k) for row in rows]
    # Without the rows, the texts are those of the cells that the inputs stand for.
    stood_for = [model.quantiser.cells(model.quantiser.names, values) for values in inputs.tolist()]
    assert model.reasons_inputs_many(inputs, k) == [model.reasons(row, k) for row in stood_for]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_cells_that_inputs_stand_for_give_these_inputs(seed: int) -> None:
    rng = random.Random(seed)
    made = quantiser(rng, 5)
    row = {name: None if rng.random() < 0.2 else text_of(rng, made, name) for name in made.names}
    inputs = made.inputs(row)
    assert made.inputs(made.cells(made.names, inputs)) == inputs


def text_of(rng: random.Random, made: Quantiser, name: str) -> str:
    feature = next(feature for feature in made.features if feature.name == name)
    if isinstance(feature, CategoryFeature):
        return rng.choice([*feature.codes, "unknown"])
    return f"{rng.uniform(-50, 50):.{feature.decimals}f}"


def some_trees(count: int = 9, depth: int = 4) -> TreeModel:
    made = random_models.trees(random.Random(3), 7, count, depth=depth)
    ones = np.ones(len(made.leaves) // 2)
    return dataclasses.replace(made, counts=ones.astype(">u4").tobytes())


def test_an_ensemble_too_large_for_tables_is_explained_row_by_row_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = np.arange(21, dtype=np.int16).reshape(3, 7) * 900
    wanted = some_trees()
    monkeypatch.setattr("tallystick.models._trees.MAX_ENTRIES", 9 * 2 * 8 * 256 - 1)
    model = some_trees()
    assert model._part_tables == (None,)
    assert model.contributions_inputs_many(inputs) == pytest.approx(
        wanted.contributions_inputs_many(inputs), rel=1e-12
    )
    assert model.reasons_inputs_many(inputs) == wanted.reasons_inputs_many(inputs)
    monkeypatch.setattr("tallystick.models._trees.MAX_ENTRIES", 9 * 2 * 8 * 256)
    assert some_trees()._part_tables != (None,)


def test_trees_that_say_nothing_have_no_parts() -> None:
    made = some_trees()
    model = dataclasses.replace(made, leaves=bytes(len(made.leaves)))
    inputs = np.zeros((2, 7), np.int16)
    assert not model.contributions_inputs_many(inputs).any()
    assert model.reasons_inputs_many(inputs, 1)[0][0].text.endswith("leaves the score as it is")


def test_what_lies_between_two_whole_numbers_is_rounded_as_for_one_row() -> None:
    made = dataclasses.replace(some_trees(depth=1, count=3), counts=bytes(4 * 6))
    model = dataclasses.replace(made, leaves=np.array([1, 0] * 3).astype(">i2").tobytes())
    inputs = np.array([[LOW] * 7, [HIGH] * 7], np.int16)
    halves = model.contributions_inputs_many(inputs)
    assert np.isin(np.abs(halves[halves != 0]) % 1, 0.5).any()
    rows = [model.quantiser.cells(model.quantiser.names, values) for values in inputs.tolist()]
    assert model.reasons_inputs_many(inputs) == [model.reasons(row) for row in rows]


def models_of_each_family() -> list[LinearModel | TreeModel | PerceptronModel]:
    rng = random.Random(1)
    return [random_models.linear(rng, 7), some_trees(), random_models.perceptron(rng, 7, 3)]


@pytest.mark.parametrize("model", models_of_each_family(), ids=lambda model: model.family)
def test_inputs_of_another_shape_or_head_or_number_of_reasons_are_refused(model: IntegerModel) -> None:
    good = np.zeros((2, 7), np.int16)
    for bad in (good[:, :6], good[0], good.astype(np.int32)):
        with pytest.raises(ModelInputError, match=r"inputs must be int16 of shape \(rows, 7\)"):
            model.contributions_inputs_many(bad)
        with pytest.raises(ModelInputError, match=r"inputs must be int16 of shape \(rows, 7\)"):
            model.reasons_inputs_many(bad)
    with pytest.raises(ModelInputError, match="the head must be 0 to 0, got 1"):
        model.contributions_inputs_many(good, head=1)
    for k in (0, 5):
        with pytest.raises(ModelInputError, match=f"reasons must be 1 to 4, got {k}"):
            model.reasons_inputs_many(good, k)
    with pytest.raises(ModelInputError, match="rows must be as many as the inputs, 2, got 1"):
        model.reasons_inputs_many(good, rows=[{}])


def test_many_rows_of_a_perceptron_of_many_features_are_refused_as_one_is() -> None:
    model = random_models.perceptron(random.Random(1), 13, 3)
    with pytest.raises(ModelInputError, match="at most 12 features, got 13"):
        model.contributions_inputs_many(np.zeros((1, 13), np.int16))
