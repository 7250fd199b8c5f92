"""The linear integer model: a logistic regression whose score is a whole number.

score = sum of weight * input + bias        (int16 * int16, accumulated in int64)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tallystick.errors import ModelFileError
from tallystick.models._features import INT16_LOW
from tallystick.models._integer import (
    MAX_NUMBER,
    IntegerModel,
    check_head,
    check_matrix,
    check_range,
    product_many,
)
from tallystick.models._packing import Packed, pack_int16
from tallystick.models._table import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LINEAR_CODE: Final = 1  # the family's number in packed scalars


@dataclass(frozen=True)
class LinearModel(IntegerModel):
    """One linear model; the first six arguments are `IntegerModel`'s.

    Args:
        weights: int16, shape (heads, width).
        biases: one whole number per head, in the score's own unit.
        centre: the training rows' mean of each input, what reasons compare with.

    Raises:
        ModelFileError: a value is out of its bounds, or a sum could overflow.
    """

    family: ClassVar[str] = "linear"

    weights: tuple[tuple[int, ...], ...]
    biases: tuple[int, ...]
    centre: tuple[int, ...]

    def _check_parameters(self) -> None:
        check_matrix("weights", self.weights, (self.heads, self.quantiser.width))
        check_matrix("centre", [self.centre], (1, self.quantiser.width))
        if len(self.biases) != self.heads:
            raise ModelFileError(f"biases must be {self.heads}, got {len(self.biases)}")
        for bias in self.biases:
            check_range("bias", bias, -MAX_NUMBER, MAX_NUMBER)

    @property
    def largest_score(self) -> int:
        return max(
            abs(bias) + sum(map(abs, weights)) * -INT16_LOW
            for bias, weights in zip(self.biases, self.weights, strict=True)
        )

    def _parameters(self) -> dict[str, Any]:
        return {
            "biases": list(self.biases),
            "centre": list(self.centre),
            "weights": [list(weights) for weights in self.weights],
        }

    def _pack(self) -> Packed:
        scalars = (LINEAR_CODE, self.quantiser.width, self.heads, *self.biases)
        return Packed(scalars, b"".join(map(pack_int16, self.weights)))

    def _score(self, inputs: Sequence[int]) -> tuple[int, ...]:
        return tuple(
            bias + sum(w * x for w, x in zip(weights, inputs, strict=True))
            for bias, weights in zip(self.biases, self.weights, strict=True)
        )

    def _score_many(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        return product_many(inputs, self.weights, self.biases, largest=self.largest_score)

    def base_score(self, head: int = 0) -> int:
        """Return the score of the average training row, from which reasons count."""
        check_head(head, self.heads)
        return self._score(self.centre)[head]

    def contributions(self, row: Row, *, head: int = 0) -> Mapping[str, int]:
        """Return every feature's exact part of (score - base score), by feature name."""
        check_head(head, self.heads)
        parts = self._parts(self.quantiser.inputs(row), head)
        return dict(zip(self.quantiser.names, parts, strict=True))

    def _parts(self, inputs: Sequence[int], head: int) -> list[int]:
        weights, centre = self.weights[head], self.centre
        spans = map(self.quantiser.places, self.quantiser.names)
        return [sum(weights[i] * (inputs[i] - centre[i]) for i in span) for span in spans]

    def _parts_many(self, inputs: NDArray[np.int16], head: int) -> NDArray[np.float64]:
        import numpy as np

        moved = inputs.astype(np.int64) - np.array(self.centre, dtype=np.int64)
        parts = moved * np.array(self.weights[head], dtype=np.int64)
        # Every sum stays below 2^43, so float64 holds it exactly.
        return np.asarray(np.add.reduceat(parts, self.quantiser.starts, axis=1), dtype=np.float64)
