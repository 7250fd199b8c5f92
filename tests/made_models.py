"""Small models of every family from a seed, for vectors and tests; numbers alone, nothing learned."""

from __future__ import annotations

import random
import struct
from typing import Any

from tallystick.models import (
    CategoryFeature,
    IntegerModel,
    LinearModel,
    NumericFeature,
    PerceptronModel,
    Quantiser,
    TreeModel,
)

EXTREMES = (-(2**15), -1, 0, 1, 2**15 - 1)
QUANTISER = Quantiser(
    (
        NumericFeature("age", "age (years)", 6, 50_000_000, 2_000, -16_384, 16_384, 0, True),
        CategoryFeature("sex", "sex", ("female", "male"), True),
        NumericFeature("dose", "dose (mg)", 2, 0, 3, -(2**15), 2**15 - 1, 7, False),
    )
)
ROWS: list[dict[str, str | None]] = [
    {"age": "63", "sex": "male", "dose": "2.345"},
    {"age": None, "sex": None, "dose": None},
    {"age": "-1e3", "sex": "female", "dose": "0.005"},
    {"age": "50.0010005", "sex": "unknown", "dose": "-99999.99"},
]


def int16(dice: random.Random) -> int:
    return dice.choice(EXTREMES) if dice.random() < 0.3 else dice.randrange(-(2**15), 2**15)


def matrix(dice: random.Random, rows: int, columns: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int16(dice) for _ in range(columns)) for _ in range(rows))


def make_model(family: str, seed: int, *, labels: int = 2, depth: int = 4, trees: int = 3) -> IntegerModel:
    dice = random.Random(f"{family}/{seed}")
    width, heads = QUANTISER.width, 1 if labels == 2 else labels
    fields: dict[str, Any] = {
        "name": "made", "target": "made up", "quantiser": QUANTISER, "labels": tuple("abcdefgh"[:labels]),
        "unit": 4096, "threshold": 12 if labels == 2 else 0,
    }  # fmt: skip
    biases = tuple(dice.randrange(-(2**30), 2**30) for _ in range(heads))
    centre = (0,) * width
    if family == "linear":
        return LinearModel(**fields, weights=matrix(dice, heads, width), biases=biases, centre=centre)
    if family == "perceptron":
        hidden = 5
        return PerceptronModel(
            **fields, hidden_weights=matrix(dice, hidden, width), shift=9, weights=matrix(dice, heads, hidden),
            hidden_biases=tuple(dice.randrange(-(2**20), 2**20) for _ in range(hidden)), biases=biases, centre=centre,
        )  # fmt: skip
    count = heads * trees
    nodes, leaves = count * (2**depth - 1), count * 2**depth
    return TreeModel(
        **fields, depth=depth, bases=biases,
        features=bytes(dice.randrange(width) for _ in range(nodes)),
        thresholds=struct.pack(f">{nodes}h", *(int16(dice) for _ in range(nodes))),
        leaves=struct.pack(f">{leaves}h", *(int16(dice) for _ in range(leaves))),
        counts=struct.pack(f">{leaves}I", *(dice.randrange(99) for _ in range(leaves))),
    )  # fmt: skip
