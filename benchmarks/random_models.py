"""Random integer models of every family, and inputs at which things go wrong; the same in every run of one seed."""

from __future__ import annotations

import random
from typing import Any

from tallystick.models import (
    IntegerModel,
    LinearModel,
    NumericFeature,
    PerceptronModel,
    Quantiser,
    TreeModel,
)

LOW, HIGH = -32_768, 32_767
EXTREMES = (LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH)


def quantiser(width: int) -> Quantiser:
    features = (
        NumericFeature(f"f{place}", f"feature {place}", decimals=0, offset=0, step=4096, low=LOW, high=HIGH, missing=0, gaps=False)
        for place in range(width)
    )  # fmt: skip
    return Quantiser(tuple(features))


def fields(width: int, heads: int, name: str = "random") -> dict[str, Any]:
    return {
        "name": name,
        "target": "something",
        "quantiser": quantiser(width),
        "labels": ("no", "yes") if heads == 1 else tuple(f"label {head}" for head in range(heads)),
        "unit": 256,
        "threshold": 0,
    }


def number(rng: random.Random) -> int:
    """An int16, often one of those at which things go wrong."""
    return rng.choice(EXTREMES) if rng.random() < 0.2 else rng.randint(LOW, HIGH)


def numbers(rng: random.Random, count: int) -> tuple[int, ...]:
    return tuple(number(rng) for _ in range(count))


def linear(rng: random.Random, width: int, heads: int = 1, **more: Any) -> LinearModel:
    return LinearModel(
        **{**fields(width, heads), **more},
        weights=tuple(numbers(rng, width) for _ in range(heads)),
        biases=tuple(rng.randint(-(2**50), 2**50) for _ in range(heads)),
        centre=(0,) * width,
    )


def trees(
    rng: random.Random, width: int, count: int, heads: int = 1, depth: int = 4, **more: Any
) -> TreeModel:
    nodes, leaves = heads * count * (2**depth - 1), heads * count * 2**depth
    return TreeModel(
        **{**fields(width, heads), **more},
        depth=depth,
        bases=tuple(rng.randint(-(2**50), 2**50) for _ in range(heads)),
        features=bytes(rng.randrange(width) for _ in range(nodes)),
        thresholds=b"".join(value.to_bytes(2, "big", signed=True) for value in numbers(rng, nodes)),
        leaves=b"".join(value.to_bytes(2, "big", signed=True) for value in numbers(rng, leaves)),
        counts=bytes(4 * leaves),
    )


def perceptron(
    rng: random.Random, width: int, hidden: int, heads: int = 1, shift: int = 8, **more: Any
) -> PerceptronModel:
    def row(count: int) -> tuple[int, ...]:
        # An empty hidden unit now and then, and one that never fires.
        return (0,) * count if rng.random() < 0.1 else numbers(rng, count)

    return PerceptronModel(
        **{**fields(width, heads), **more},
        hidden_weights=tuple(row(width) for _ in range(hidden)),
        hidden_biases=tuple(rng.choice([0, -(2**40), rng.randint(-(2**34), 2**34)]) for _ in range(hidden)),
        shift=shift,
        weights=tuple(row(hidden) for _ in range(heads)),
        biases=tuple(rng.randint(-(2**50), 2**50) for _ in range(heads)),
        centre=(0,) * width,
    )


def inputs_near(rng: random.Random, model: IntegerModel) -> tuple[int, ...]:
    """Inputs for a model: random and extreme ones, and for trees the thresholds themselves and beside them."""
    width = model.quantiser.width
    if rng.random() < 0.1:
        return (rng.choice(EXTREMES),) * width
    if isinstance(model, TreeModel):
        ends = [model.thresholds[at : at + 2] for at in range(0, len(model.thresholds), 2)]
        near = [
            int.from_bytes(rng.choice(ends), "big", signed=True) + rng.choice((-1, 0, 1))
            for _ in range(width)
        ]
        return tuple(min(max(value, LOW), HIGH) for value in near)
    return numbers(rng, width)
