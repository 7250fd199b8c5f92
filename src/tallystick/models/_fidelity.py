"""What turning real numbers into integers cost: the float model and the integer model, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallystick.errors import ModelInputError
from tallystick.models._features import ONE
from tallystick.models._parameters import FRACTION_BITS, parse_parameters, weights_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tallystick.models._integer import IntegerModel
    from tallystick.models._linear import LinearModel
    from tallystick.models._table import Row


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How alike a float model and its integer model are over some rows.

    Args:
        rows: how many rows were compared.
        equal_decisions: in how many of them both decide alike.
        largest_logit_error: the largest difference of the two logits.
    """

    rows: int
    equal_decisions: int
    largest_logit_error: float


def compare(model: IntegerModel, inputs: NDArray[np.int16], logits: NDArray[np.float64]) -> Fidelity:
    """Compare a model with the float model that it was made from.

    Args:
        model: the integer model.
        inputs: int16, shape (rows, width).
        logits: what the float model says of these rows, float64, shape (rows, heads).

    Raises:
        ModelInputError: another shape.
    """
    import numpy as np

    scores = model.scores_inputs_many(inputs)
    if logits.shape != scores.shape:
        raise ModelInputError(f"logits must have the shape {scores.shape}, got {logits.shape}")
    if model.heads == 1:
        alike = (logits[:, 0] >= model.threshold / model.unit) == (scores[:, 0] >= model.threshold)
    else:
        alike = logits.argmax(axis=1) == scores.argmax(axis=1)
    error = float(np.abs(logits - scores / float(model.unit)).max()) if len(scores) else 0.0
    return Fidelity(len(scores), int(alike.sum()), error)


def fidelity_of_parameters(model: LinearModel, rows: Sequence[Row], parameters: bytes) -> Fidelity:
    """Compare a linear model with the real parameters that it was made from.

    Args:
        model: of two labels.
        rows: at least one row, best held-out ones.
        parameters: the bytes whose int16 weights this model has.

    Raises:
        ModelInputError: the model was made from other parameters.
    """
    import numpy as np

    made = weights_of(parameters)
    if ((made.weights,), (made.bias,), ONE << made.shift) != (model.weights, model.biases, model.unit):
        raise ModelInputError("the model was not made from these parameters")
    *weights, intercept = np.array(parse_parameters(parameters), dtype=np.float64) / 2**FRACTION_BITS
    inputs = model.quantiser.inputs_many(rows)
    real = inputs.astype(np.float64) / ONE @ np.array(weights) + intercept
    return compare(model, inputs, real[:, None])
