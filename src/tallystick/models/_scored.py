"""What every kind of model can be asked, the product's own and foreign ones alike.

An integer model's score can be computed again by anybody; a foreign model's cannot, and every answer must say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Protocol

from tallystick.models._integer import IntegerModel
from tallystick.models._table import Row

MILLIONTHS: Final = 1_000_000  # the unit of a foreign model's scores, so that statements need no float
OPAQUE_WORDS: Final = (
    "the score comes from an ONNX file in floating point: it is recorded, and no contract can re-execute it"
)
EXTERNAL_WORDS: Final = (
    "the score comes from somebody else's program: that it came from the model named is that program's word, "
    "and nobody can re-execute it"
)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says of one row.

    Args:
        decision: the label.
        scores: whole numbers, one per head or label.
        unit: how many of them make 1: a logit of an integer model, the foreign model's own figure otherwise.
        probability: 0 to 1, of the second label, or of the one decided for when there are more; None when unknown.
    """

    decision: str
    scores: tuple[int, ...]
    unit: int
    probability: float | None


class ForeignModel(Protocol):
    """A model that is not the product's own: `OpaqueModel` or `ExternalModel`."""

    @property
    def family(self) -> str: ...

    @property
    def reexecutable(self) -> bool: ...

    @property
    def words(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def bytes(self) -> bytes: ...

    @property
    def hash(self) -> str: ...

    def score_row(self, row: Row) -> Scored: ...


def ask_row(model: IntegerModel | ForeignModel, row: Row) -> Scored:
    """Ask any kind of model about one row.

    Raises:
        ModelInputError: the row does not fit the model.
        TallystickError: whatever else a foreign model's `score_row` raises.
    """
    if not isinstance(model, IntegerModel):
        return model.score_row(row)
    scores = model.scores(row)
    head = 0 if model.heads == 1 else model.answer(scores)
    return Scored(model.decision(scores), scores, model.unit, model.probability(scores[head]))


def scored_of_numbers(
    numbers: Sequence[float], labels: Sequence[str], *, threshold: Decimal, probabilities: bool
) -> Scored:
    """Turn a foreign model's finite numbers into a decision.

    Args:
        numbers: one for two labels (it speaks for the second), else one for each label.
        labels: what they stand for.
        threshold: the least number that means the second label, where there is one number.
        probabilities: whether the numbers are probabilities.
    """
    scores = tuple(
        round(Fraction(number) * MILLIONTHS) for number in numbers
    )  # exact, no context's precision
    if len(numbers) == 1:
        decided, speaks = int(Decimal(numbers[0]) >= threshold), 0
    else:
        decided = max(range(len(numbers)), key=lambda place: (numbers[place], -place))
        speaks = 1 if len(labels) == 2 else decided
    return Scored(labels[decided], scores, MILLIONTHS, numbers[speaks] if probabilities else None)
