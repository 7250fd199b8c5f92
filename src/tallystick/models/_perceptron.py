"""The integer perceptron: one hidden layer of ReLU units.

hidden = max(0, sum of weight * input + bias) >> shift
score  = sum of weight * hidden + bias

The recorded shift brings a hidden value back to the size of an input; it is exact, because it only ever meets
numbers that are not negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tallystick.errors import ModelFileError, ModelInputError
from tallystick.models._features import INT16_LOW
from tallystick.models._integer import (
    MAX_NUMBER,
    IntegerModel,
    check_head,
    check_matrix,
    check_range,
    has_numpy,
    need_numpy,
    product_many,
)
from tallystick.models._packing import Packed, pack_int16
from tallystick.models._table import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PERCEPTRON_CODE: Final = 3  # the family's number in packed scalars
MAX_HIDDEN: Final = 1024
MAX_CHAIN_HIDDEN: Final = 256
MAX_SHIFT: Final = 30
MAX_PLAYERS: Final = 12  # 4,096 rows to score for one explanation


@dataclass(frozen=True)
class PerceptronModel(IntegerModel):
    """One perceptron; the first six arguments are `IntegerModel`'s.

    Args:
        hidden_weights: int16, shape (hidden units, width).
        hidden_biases: one whole number per hidden unit.
        shift: 0 to 30.
        weights: int16, shape (heads, hidden units).
        biases: one whole number per head, in the score's own unit.
        centre: the training rows' mean of each input, what reasons compare with.

    Raises:
        ModelFileError: a value is out of its bounds, or a sum could overflow.
    """

    family: ClassVar[str] = "perceptron"

    hidden_weights: tuple[tuple[int, ...], ...]
    hidden_biases: tuple[int, ...]
    shift: int
    weights: tuple[tuple[int, ...], ...]
    biases: tuple[int, ...]
    centre: tuple[int, ...]

    @property
    def hidden(self) -> int:
        """How many hidden units there are."""
        return len(self.hidden_biases)

    def _check_parameters(self) -> None:
        check_range("hidden units", self.hidden, 1, MAX_HIDDEN)
        check_range("shift", self.shift, 0, MAX_SHIFT)
        check_matrix("hidden weights", self.hidden_weights, (self.hidden, self.quantiser.width))
        check_matrix("weights", self.weights, (self.heads, self.hidden))
        check_matrix("centre", [self.centre], (1, self.quantiser.width))
        if len(self.biases) != self.heads:
            raise ModelFileError(f"biases must be {self.heads}, got {len(self.biases)}")
        for bias in (*self.hidden_biases, *self.biases):
            check_range("bias", bias, -MAX_NUMBER, MAX_NUMBER)

    def _largest_sums(self) -> list[int]:
        """Bound the hidden units' sums before the shift."""
        return [
            abs(bias) + sum(map(abs, weights)) * -INT16_LOW
            for bias, weights in zip(self.hidden_biases, self.hidden_weights, strict=True)
        ]

    @property
    def largest_score(self) -> int:
        sums = self._largest_sums()
        hidden = [value >> self.shift for value in sums]
        scores = [
            abs(bias) + sum(abs(w) * h for w, h in zip(weights, hidden, strict=True))
            for bias, weights in zip(self.biases, self.weights, strict=True)
        ]
        return max(*sums, *scores)

    def _parameters(self) -> dict[str, Any]:
        return {
            "biases": list(self.biases),
            "centre": list(self.centre),
            "hidden_biases": list(self.hidden_biases),
            "hidden_weights": [list(weights) for weights in self.hidden_weights],
            "shift": self.shift,
            "weights": [list(weights) for weights in self.weights],
        }

    def _pack(self) -> Packed | None:
        if self.hidden > MAX_CHAIN_HIDDEN:
            return None
        scalars = (
            PERCEPTRON_CODE,
            self.quantiser.width,
            self.heads,
            self.hidden,
            self.shift,
            *self.biases,
        )
        biases = b"".join(bias.to_bytes(32, "big", signed=True) for bias in self.hidden_biases)
        layers = b"".join(map(pack_int16, self.hidden_weights)), b"".join(map(pack_int16, self.weights))
        return Packed(scalars, layers[0] + biases + layers[1])

    def _score(self, inputs: Sequence[int]) -> tuple[int, ...]:
        hidden = [
            max(0, bias + sum(w * x for w, x in zip(weights, inputs, strict=True))) >> self.shift
            for bias, weights in zip(self.hidden_biases, self.hidden_weights, strict=True)
        ]
        return tuple(
            bias + sum(w * h for w, h in zip(weights, hidden, strict=True))
            for bias, weights in zip(self.biases, self.weights, strict=True)
        )

    def _score_many(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        import numpy as np

        largest = self.largest_score
        sums = product_many(inputs, self.hidden_weights, self.hidden_biases, largest=largest)
        return product_many(np.maximum(sums, 0) >> self.shift, self.weights, self.biases, largest=largest)

    @property
    def explains(self) -> bool:
        return len(self.quantiser.features) <= MAX_PLAYERS and has_numpy()

    def base_score(self, head: int = 0) -> int:
        """Return the score of the average training row, from which reasons count."""
        check_head(head, self.heads)
        return self._score(self.centre)[head]

    def contributions(self, row: Row, *, head: int = 0) -> Mapping[str, float]:
        """Return every feature's exact part of (score - base score), by feature name.

        Shapley values over all coalitions of features: a member has the row's inputs, another the centre's. There
        is no closed form and 2^features rows are scored, so models of more than 12 features give none.

        Raises:
            ModelInputError: more than 12 features, no such head, or see `Quantiser.inputs`.
            MissingExtraError: numpy is not installed.
        """
        check_head(head, self.heads)
        self._check_players()
        need_numpy("explaining a perceptron")
        parts = self._parts(self.quantiser.inputs(row), head)
        return dict(zip(self.quantiser.names, parts, strict=True))

    def _check_players(self) -> None:
        players = len(self.quantiser.names)
        if players > MAX_PLAYERS:
            raise ModelInputError(
                f"a perceptron can be explained with at most {MAX_PLAYERS} features, got {players}",
                hint="ask without reasons, or fit trees",
            )

    def _parts(self, inputs: Sequence[int], head: int) -> list[float]:
        import numpy as np

        self._check_players()
        names = self.quantiser.names
        owner = np.repeat(np.arange(len(names)), [len(self.quantiser.places(name)) for name in names])
        members = np.arange(1 << len(names))[:, None] >> np.arange(len(names)) & 1 == 1
        row, centre = np.array(inputs, dtype=np.int16), np.array(self.centre, dtype=np.int16)
        return _shapley(self._score_many(np.where(members[:, owner], row, centre))[:, head], members)


def _shapley(values: NDArray[np.int64], members: NDArray[np.bool_]) -> list[float]:
    """Return every player's Shapley value.

    Args:
        values: what each coalition is worth, shape (2^players,).
        members: who belongs to it, shape (2^players, players).
    """
    import numpy as np

    players = members.shape[1]
    sizes = members.sum(axis=1)
    weights = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    parts = []
    for player in range(players):
        inside = np.flatnonzero(members[:, player])
        gains = values[inside] - values[inside ^ (1 << player)]
        parts.append(float(weights[sizes[inside] - 1] @ gains))
    return parts
