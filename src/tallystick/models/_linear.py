"""The linear integer model: a logistic regression whose score is a whole number.

    score  = sum of weight * input + bias            (int16 * int16, accumulated in int64)
    logit  = score / (ONE * 2^shift)
    answer = score >= threshold

Pure Python and numpy give the same score bit for bit, because neither uses a float before the logit. That no
sum can overflow follows from the bounds checked when a model is made.
"""

from __future__ import annotations

import builtins
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from tallystick.errors import ModelFileError, ModelInputError
from tallystick.models._features import INT16_HIGH, INT16_LOW, ONE, Feature
from tallystick.models._parameters import (
    FRACTION_BITS,
    MAX_PARAMETERS,
    MAX_SHIFT,
    parse_parameters,
    weights_of,
)
from tallystick.models._table import Row
from tallystick.proof import format_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = "tallystick/model"
VERSION: Final = 1
FAMILY: Final = "linear"
MAX_BIAS: Final = 2**53 - 1  # what JSON holds exactly
MAX_REASONS: Final = 4
_ACCUMULATOR: Final = 2**63 - 1
_MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a score is what it is: one feature's part of it, against the average of the training rows.

    Args:
        feature: the column's name.
        text: the cell in plain words and which way it moved the score.
        contribution: whole number in the score's own unit; all features' add up to score - base score.
    """

    feature: str
    text: str
    contribution: int


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What turning real parameters into int16 weights cost, over some rows.

    Args:
        rows: how many rows were compared.
        equal_decisions: in how many of them the real and the integer model decide alike.
        largest_logit_error: the largest difference of the two logits.
    """

    rows: int
    equal_decisions: int
    largest_logit_error: float


@dataclass(frozen=True)
class LinearModel:
    """One linear model with its quantiser.

    Args:
        name: a short noun, such as "heart".
        target: what a yes means, in plain words.
        features: the quantiser, in the order of the inputs.
        weights: one int16 per input.
        bias: whole number in the score's own unit.
        shift: see the module's text.
        threshold: the least score that means yes.
        centre: the training rows' mean of each input, what reasons compare with.

    Raises:
        ModelFileError: a value is out of its bounds, or a sum could overflow.
    """

    name: str
    target: str
    features: tuple[Feature, ...]
    weights: tuple[int, ...]
    bias: int
    shift: int
    threshold: int
    centre: tuple[int, ...]

    def __post_init__(self) -> None:
        for text in (self.name, self.target):
            if not 0 < len(text) <= _MAX_TEXT:
                raise ModelFileError(f"name and target must have 1 to {_MAX_TEXT} characters")
        names = [feature.name for feature in self.features]
        if not names or len(set(names)) != len(names):
            raise ModelFileError("a model must have features, each name once")
        width = sum(feature.width for feature in self.features)
        if not width == len(self.weights) == len(self.centre) or width >= MAX_PARAMETERS:
            raise ModelFileError(f"weights and centre must be {width} numbers each, as the features ask")
        for value in (*self.weights, *self.centre):
            if not INT16_LOW <= value <= INT16_HIGH:
                raise ModelFileError(f"weights and centre must be int16, got {value}")
        if not 0 <= self.shift <= MAX_SHIFT or abs(self.threshold) > MAX_BIAS or abs(self.bias) > MAX_BIAS:
            raise ModelFileError("shift, threshold or bias is out of its bounds")
        # The worst input is INT16_LOW everywhere against weights of one sign.
        if abs(self.bias) + sum(abs(weight) for weight in self.weights) * -INT16_LOW > _ACCUMULATOR:
            raise ModelFileError("the weights could overflow the 64-bit accumulator")

    @cached_property
    def bytes(self) -> bytes:
        """The model file."""
        return format_json(
            {
                "bias": self.bias,
                "centre": list(self.centre),
                "family": FAMILY,
                "features": [feature.fields() for feature in self.features],
                "name": self.name,
                "one": ONE,
                "shift": self.shift,
                "target": self.target,
                "threshold": self.threshold,
                "type": FORMAT,
                "v": VERSION,
                "weights": list(self.weights),
            }
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the model file, in hex: the model's name in every statement."""
        return hashlib.sha256(self.bytes).hexdigest()

    @property
    def base_score(self) -> int:
        """The score of the average training row, from which reasons count."""
        return self.bias + sum(w * c for w, c in zip(self.weights, self.centre, strict=True))

    def quantise(self, row: Row) -> list[int]:
        """Turn one row into int16 inputs.

        Raises:
            ModelInputError: a column is missing or not the model's, or a number cannot be read.
        """
        if len(row) != len(self.features) or any(feature.name not in row for feature in self.features):
            raise ModelInputError(
                f"a row must hold exactly the model's {len(self.features)} columns, got {len(row)}",
                hint="write a value that is not known as null",
            )
        return [value for feature in self.features for value in feature.inputs(row[feature.name])]

    def quantise_many(self, rows: Sequence[Row]) -> NDArray[np.int16]:
        """Turn rows into int16 inputs, shape (len(rows), inputs); equal to `quantise` row by row."""
        import numpy as np

        names = {feature.name for feature in self.features}
        if any(row.keys() != names for row in rows):
            raise ModelInputError(f"every row must hold exactly the model's {len(names)} columns")
        parts = [feature.inputs_many([row[feature.name] for row in rows]) for feature in self.features]
        return np.concatenate(parts, axis=1)

    def score(self, row: Row) -> int:
        """Return one row's score, in pure Python.

        Raises:
            ModelInputError: see `quantise`.
        """
        return self.score_inputs(self.quantise(row))

    def score_inputs(self, inputs: Sequence[int]) -> int:
        """Return the score of int16 inputs, in pure Python.

        Raises:
            ModelInputError: not as many inputs as weights, or one is not int16.
        """
        if len(inputs) != len(self.weights):
            raise ModelInputError(f"inputs must be {len(self.weights)}, got {len(inputs)}")
        if any(not INT16_LOW <= value <= INT16_HIGH for value in inputs):
            raise ModelInputError("inputs must be int16")
        return self.bias + sum(w * x for w, x in zip(self.weights, inputs, strict=True))

    def score_many(self, rows: Sequence[Row]) -> NDArray[np.int64]:
        """Return every row's score, by numpy; equal to `score` bit for bit."""
        return self.score_inputs_many(self.quantise_many(rows))

    def score_inputs_many(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the scores of int16 inputs, shape (rows, inputs).

        Raises:
            ModelInputError: another dtype or shape.
        """
        import numpy as np

        if inputs.dtype != np.int16 or inputs.ndim != 2 or inputs.shape[1] != len(self.weights):
            raise ModelInputError(f"inputs must be int16 of shape (rows, {len(self.weights)})")
        weights = np.array(self.weights, dtype=np.int64)
        return np.asarray(inputs.astype(np.int64) @ weights + self.bias, dtype=np.int64)

    @property
    def score_per_logit(self) -> int:
        """How much score stands for one unit of log-odds."""
        return ONE << self.shift

    def logit(self, score: int) -> float:
        """Return the log-odds that a score stands for."""
        return score / self.score_per_logit

    def probability(self, score: int) -> float:
        """Return the probability of yes that a score stands for, 0 to 1."""
        logit = self.logit(score)
        if logit >= 0:
            return 1.0 / (1.0 + math.exp(-min(logit, 700.0)))
        odds = math.exp(max(logit, -700.0))
        return odds / (1.0 + odds)

    def decide(self, score: int) -> bool:
        """Say whether a score means yes."""
        return score >= self.threshold

    def contributions(self, row: Row) -> dict[str, int]:
        """Return every feature's exact part of (score - base score), by feature name."""
        inputs = self.quantise(row)
        result: dict[str, int] = {}
        at = 0
        for feature in self.features:
            places = range(at, at + feature.width)
            result[feature.name] = sum(self.weights[i] * (inputs[i] - self.centre[i]) for i in places)
            at += feature.width
        return result

    def reasons(self, row: Row, k: int = 3) -> tuple[Reason, ...]:
        """Return the k features that moved this row's score most, the largest first.

        Args:
            row: the model's columns.
            k: 1 to 4.

        Raises:
            ModelInputError: k is out of range; see `quantise`.
        """
        if not 1 <= k <= MAX_REASONS:
            raise ModelInputError(f"reasons must be 1 to {MAX_REASONS}, got {k}")
        parts = self.contributions(row)
        titles = {feature.name: feature for feature in self.features}
        ranked = sorted(parts.items(), key=lambda item: (-abs(item[1]), item[0]))[:k]
        return tuple(
            Reason(feature=name, text=f"{titles[name].describe(row[name])}, {_way(part)}", contribution=part)
            for name, part in ranked
        )

    def fidelity(self, rows: Sequence[Row], parameters: builtins.bytes) -> Fidelity:
        """Compare this model with the real parameters that it was made from.

        Args:
            rows: at least one row, best held-out ones.
            parameters: the bytes whose int16 weights this model has.

        Raises:
            ModelInputError: the model was made from other parameters.
        """
        import numpy as np

        made = weights_of(parameters)
        if (made.weights, made.bias, made.shift) != (self.weights, self.bias, self.shift):
            raise ModelInputError("the model was not made from these parameters")
        *weights, intercept = np.array(parse_parameters(parameters), dtype=np.float64) / 2**FRACTION_BITS
        inputs = self.quantise_many(rows)
        real = inputs.astype(np.float64) / ONE @ np.array(weights) + intercept
        scores = self.score_inputs_many(inputs)
        whole = scores / float(self.score_per_logit)
        alike = (real >= self.logit(self.threshold)) == (scores >= self.threshold)
        return Fidelity(
            rows=len(rows),
            equal_decisions=int(alike.sum()),
            largest_logit_error=float(np.abs(real - whole).max()),
        )


def _way(contribution: int) -> str:
    if contribution == 0:
        return "leaves the score as it is"
    return "raises the score" if contribution > 0 else "lowers the score"
