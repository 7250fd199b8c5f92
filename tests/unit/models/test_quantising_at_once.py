"""Numbers without gaps are quantised all columns at once, and just as column by column."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from tallystick.errors import ModelInputError
from tallystick.models import NumericFeature, Quantiser

EXTREMES = (0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 1e-9, 123.455, -99_999.995, 1e9, -1e9)


def random_features(seed: int, *, outside: Any = "clip") -> tuple[NumericFeature, ...]:
    dice = random.Random(seed)
    return tuple(
        NumericFeature(
            f"f{number}", "feature", dice.randrange(0, 7), dice.randrange(-(10**9), 10**9),
            dice.choice((1, 2, 3, 7, 1_000, 12_345)), dice.randrange(-(2**15), 0), dice.randrange(1, 2**15), 0, False,
            outside,
        )
        for number in range(9)
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_all_at_once_equals_each_column_by_itself(seed: int) -> None:
    features = random_features(seed)
    dice = np.random.default_rng(seed)
    numbers = np.concatenate(
        [dice.normal(0, 10.0 ** dice.integers(0, 8, 9), (200, 9)), dice.choice(EXTREMES, (50, 9))]
    )
    together = Quantiser(features).inputs_of_array(numbers)
    alone = [one.inputs_of_numbers(numbers[:, at]) for at, one in enumerate(features)]
    assert together.dtype == np.int16
    assert np.array_equal(together, np.concatenate(alone, axis=1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_number_that_cannot_be_read_names_its_column(value: float) -> None:
    numbers = np.zeros((3, 9))
    numbers[1, 4] = value
    with pytest.raises(ModelInputError, match="f4"):
        Quantiser(random_features(1)).inputs_of_array(numbers)


def test_a_number_outside_is_refused_where_the_feature_says_so() -> None:
    numbers = np.zeros((3, 9))
    numbers[2, 6] = 9e8
    clipping = random_features(1)
    assert Quantiser(clipping).inputs_of_array(numbers).shape == (3, 9)
    refusing = (*clipping[:6], random_features(1, outside="refuse")[6], *clipping[7:])
    with pytest.raises(ModelInputError, match="f6"):
        Quantiser(refusing).inputs_of_array(numbers)
