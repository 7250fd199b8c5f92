"""What all integer models share: quantiser, labels, file, scores, decision and reasons.

    logit    = score / unit
    decision = labels[1] when score >= threshold (two labels), else labels[0];
               with more labels the one of the largest score, the first of equals (one-vs-rest)

Pure Python, numpy, ONNX and the contracts give the same scores bit for bit, because none of them uses a float
before the logit. That no sum can overflow follows from bounds that are computed when a model is made.
"""

from __future__ import annotations

import hashlib
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tallystick.errors import MissingExtraError, ModelFileError, ModelInputError
from tallystick.models._features import INT16_HIGH, INT16_LOW, ONE
from tallystick.models._packing import NO_DIGEST, Packed
from tallystick.models._quantiser import Quantiser
from tallystick.models._table import Row
from tallystick.proof import format_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = "tallystick/model"
VERSION: Final = 1
YES_OR_NO: Final = ("no", "yes")
MAX_REASONS: Final = 4
MAX_LABELS: Final = 64
MAX_NUMBER: Final = 2**53 - 1  # what JSON holds exactly
MAX_UNIT: Final = 2**40
MAX_SCORE: Final = 2**62  # every accumulator stays below, so int64 holds every sum on the way
EXACT_FLOAT: Final = 2**53  # sums of whole numbers below it are exact in float64, in any order
_MAX_TEXT: Final = 200
_NEAR: Final = 2**-16  # far above what the order of addition changes in a sum below 2^31


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a score is what it is: one feature's part of it, against the average of the training rows.

    Args:
        feature: the column's name.
        text: the cell in plain words and which way it moved the score.
        contribution: in the score's own unit; all features' add up to score - base score (rounded for trees).
    """

    feature: str
    text: str
    contribution: int


@dataclass(frozen=True)
class IntegerModel(ABC):
    """A model whose score is a whole number: `LinearModel`, `TreeModel` or `PerceptronModel`.

    Args:
        name: a short noun, such as "heart".
        target: what a yes means, in plain words.
        quantiser: how a row becomes inputs.
        labels: two, the second being the yes; or three to 64 for one-vs-rest scores.
        unit: score per logit.
        threshold: the least score that means the second label; 0 for more than two labels.
    """

    family: ClassVar[str]
    reexecutable: ClassVar[bool] = True

    name: str
    target: str
    quantiser: Quantiser
    labels: tuple[str, ...]
    unit: int
    threshold: int

    def __post_init__(self) -> None:
        for text in (self.name, self.target, *self.labels):
            if not 0 < len(text) <= _MAX_TEXT:
                raise ModelFileError(f"name, target and labels must have 1 to {_MAX_TEXT} characters")
        if not 2 <= len(self.labels) <= MAX_LABELS or len(set(self.labels)) != len(self.labels):
            raise ModelFileError(f"a model must have 2 to {MAX_LABELS} labels, each once")
        check_range("unit", self.unit, 1, MAX_UNIT)
        check_range("threshold", self.threshold, -MAX_NUMBER, MAX_NUMBER)
        if self.heads > 1 and self.threshold:
            raise ModelFileError("the threshold of a model with several labels must be 0")
        self._check_parameters()
        if self.largest_score > MAX_SCORE:
            raise ModelFileError("the parameters could overflow the 64-bit accumulator")

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise ModelFileError when a parameter is out of its bounds."""

    @property
    @abstractmethod
    def largest_score(self) -> int:
        """A bound that no score, and no sum on the way to one, exceeds in absolute value."""

    @abstractmethod
    def _parameters(self) -> dict[str, Any]:
        """Return the family's own fields as they stand in a model file."""

    @abstractmethod
    def _pack(self) -> Packed | None:
        """Return the parameters as a contract reads them; None where no contract can."""

    @abstractmethod
    def _score(self, inputs: Sequence[int]) -> tuple[int, ...]:
        """Return the scores of checked inputs, in pure Python."""

    @abstractmethod
    def _score_many(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the scores of checked inputs, by numpy."""

    @abstractmethod
    def contributions(self, row: Row, *, head: int = 0) -> Mapping[str, float]:
        """Return every feature's part of (score - base score) of one head, by feature name, in score units."""

    @abstractmethod
    def _parts(self, inputs: Sequence[int], head: int) -> Sequence[float]:
        """Return one row's contributions of checked inputs, in the features' order: the reference."""

    def _parts_many(self, inputs: NDArray[np.int16], head: int) -> NDArray[np.float64]:
        """Return many rows' contributions of checked inputs, by numpy, shape (rows, features)."""
        import numpy as np

        parts = [self._parts(row, head) for row in inputs.tolist()]
        return np.array(parts, dtype=np.float64).reshape(len(inputs), len(self.quantiser.names))

    @abstractmethod
    def base_score(self, head: int = 0) -> float:
        """Return the score of one head from which contributions count."""

    @property
    def explains(self) -> bool:
        """Whether contributions and reasons can be given here; an answer comes without reasons otherwise."""
        return True

    @property
    def heads(self) -> int:
        """How many scores the model gives: one for two labels, else one for each."""
        return 1 if len(self.labels) == 2 else len(self.labels)

    @cached_property
    def packed(self) -> Packed | None:
        """The parameters as a contract reads them; None where no contract can execute the model."""
        packed = self._pack()
        return packed if packed is not None and packed.fits else None

    @property
    def digest(self) -> str:
        """What the contract `Models` computes of the deployed parameters, hex; zeros where none can be."""
        return self.packed.digest if self.packed else NO_DIGEST

    @cached_property
    def bytes(self) -> bytes:
        """The model file. Its first field is the digest, so that a contract can rebuild the hash of it all."""
        return format_json(
            {
                "digest": self.digest,
                "family": self.family,
                "features": [feature.fields() for feature in self.quantiser.features],
                "labels": list(self.labels),
                "name": self.name,
                "one": ONE,
                "parameters": self._parameters(),
                "target": self.target,
                "threshold": self.threshold,
                "type": FORMAT,
                "unit": self.unit,
                "v": VERSION,
            }
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the model file, in hex: the model's name in every statement."""
        return hashlib.sha256(self.bytes).hexdigest()

    def scores_inputs(self, inputs: Sequence[int]) -> tuple[int, ...]:
        """Return one score per head, in pure Python: the reference.

        Raises:
            ModelInputError: not as many inputs as the model reads, or one is not int16.
        """
        if len(inputs) != self.quantiser.width:
            raise ModelInputError(f"inputs must be {self.quantiser.width}, got {len(inputs)}")
        if any(type(value) is not int or not INT16_LOW <= value <= INT16_HIGH for value in inputs):
            raise ModelInputError("inputs must be int16")
        return self._score(inputs)

    def scores_inputs_many(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the scores of many rows by numpy, equal to `scores_inputs` bit for bit.

        Args:
            inputs: int16, shape (rows, width).

        Returns:
            int64, shape (rows, heads).

        Raises:
            ModelInputError: another dtype or shape.
        """
        self._check_many(inputs)
        return self._score_many(inputs)

    def contributions_inputs_many(self, inputs: NDArray[np.int16], *, head: int = 0) -> NDArray[np.float64]:
        """Return every feature's part of (score - base score) of one head, for many rows.

        Equal to `contributions` of each row but for float64's rounding: trees add in another order. Trees work all
        parts out beforehand, at the first call, and keep at most 32 MiB of them; an ensemble that would need more
        (over 1,024 trees of depth 4, 64 of depth 7, 16 of depth 8, divided by the heads) is explained row by row,
        and so is a perceptron.

        Args:
            inputs: int16, shape (rows, width).
            head: whose score.

        Returns:
            float64, shape (rows, features), columns in the order of the quantiser's names.

        Raises:
            ModelInputError: another dtype or shape, no such head, or see `contributions`.
            MissingExtraError: numpy is not installed.
        """
        check_head(head, self.heads)
        need_numpy("explaining many rows")
        self._check_many(inputs)
        return self._parts_many(inputs, head)

    def _check_many(self, inputs: NDArray[np.int16]) -> None:
        width = self.quantiser.width
        if inputs.dtype != "int16" or inputs.ndim != 2 or inputs.shape[1] != width:
            raise ModelInputError(
                f"inputs must be int16 of shape (rows, {width}), got {inputs.dtype} of {inputs.shape}"
            )

    def scores(self, row: Row) -> tuple[int, ...]:
        """Return one row's scores, in pure Python; see `Quantiser.inputs` for what it raises."""
        return self._score(self.quantiser.inputs(row))

    def score(self, row: Row) -> int:
        """Return one row's score, in pure Python.

        Raises:
            ModelInputError: the model has several labels, or see `Quantiser.inputs`.
        """
        self._check_binary()
        return self.scores(row)[0]

    def score_many(self, rows: Sequence[Row]) -> NDArray[np.int64]:
        """Return every row's score, shape (rows,), by numpy; equal to `score` bit for bit."""
        self._check_binary()
        return self.scores_inputs_many(self.quantiser.inputs_many(rows))[:, 0]

    def answer(self, scores: Sequence[int]) -> int:
        """Return what a contract gets: the score itself, or the number of the label with the largest one."""
        return (
            scores[0] if self.heads == 1 else max(range(self.heads), key=lambda head: (scores[head], -head))
        )

    def decision(self, scores: Sequence[int]) -> str:
        """Return the label that the scores mean."""
        return self.labels[int(self.decide(scores[0])) if self.heads == 1 else self.answer(scores)]

    def decide(self, score: int) -> bool:
        """Say whether a score means yes."""
        return score >= self.threshold

    def logit(self, score: int) -> float:
        """Return the log-odds that a score stands for."""
        return score / self.unit

    def probability(self, score: int) -> float:
        """Return the probability of yes that a score stands for, 0 to 1."""
        logit = self.logit(score)
        if logit >= 0:
            return 1.0 / (1.0 + math.exp(-min(logit, 700.0)))
        odds = math.exp(max(logit, -700.0))
        return odds / (1.0 + odds)

    def reasons(self, row: Row, k: int = 3) -> tuple[Reason, ...]:
        """Return the k features that moved this row's score most, the largest first.

        With several labels the score is that of the label decided for.

        Args:
            row: the model's columns.
            k: 1 to 4.

        Raises:
            ModelInputError: k is out of range, or see `Quantiser.inputs` and `contributions`.
        """
        _check_k(k)
        head = 0 if self.heads == 1 else self.answer(self.scores(row))
        parts = {name: round(part) for name, part in self.contributions(row, head=head).items()}
        ranked = sorted(parts.items(), key=lambda item: (-abs(item[1]), item[0]))[:k]
        return tuple(self._reason(name, row[name], part) for name, part in ranked)

    def reasons_inputs_many(
        self, inputs: NDArray[np.int16], k: int = 3, *, rows: Sequence[Row] | None = None
    ) -> list[tuple[Reason, ...]]:
        """Return every row's reasons: the same features in the same order, with the same contributions, as `reasons`.

        The text says what the inputs stand for (`Quantiser.cells`): a number as the quantiser rounded and clipped
        it, a gap as the quantiser filled it. Give the rows where people must read what was measured.

        Args:
            inputs: int16, shape (rows, width).
            k: 1 to 4.
            rows: the rows that these inputs were made of, for the texts alone.

        Raises:
            ModelInputError: k is out of range, not as many rows as inputs, or see `contributions_inputs_many`.
        """
        _check_k(k)
        self._check_many(inputs)
        if rows is not None and len(rows) != len(inputs):
            raise ModelInputError(f"rows must be as many as the inputs, {len(inputs)}, got {len(rows)}")
        import numpy as np

        names, parts = self.quantiser.names, self._decided(inputs)
        by_name = np.array(sorted(range(len(names)), key=names.__getitem__))
        order = by_name[np.argsort(-np.abs(parts[:, by_name]), axis=1, kind="stable")[:, :k]]
        moved = np.take_along_axis(parts, order, axis=1).tolist()
        told = []
        for number, (places, values) in enumerate(zip(order.tolist(), inputs.tolist(), strict=True)):
            chosen = [names[place] for place in places]
            row = rows[number] if rows is not None else self.quantiser.cells(chosen, values)
            told.append(
                tuple(
                    self._reason(name, row[name], int(part))
                    for name, part in zip(chosen, moved[number], strict=True)
                )
            )
        return told

    def _decided(self, inputs: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return the rounded contributions to the score of the label that each row is decided for."""
        import numpy as np

        if self.heads == 1:
            return self._rounded(inputs, 0)
        answers = self._score_many(inputs).argmax(axis=1)  # the first of equals, as `answer` has it
        parts = np.empty((len(inputs), len(self.quantiser.names)))
        for head in np.unique(answers).tolist():
            parts[answers == head] = self._rounded(inputs[answers == head], head)
        return parts

    def _rounded(self, inputs: NDArray[np.int16], head: int) -> NDArray[np.float64]:
        """Return whole contributions, rounded as a single row's are, to the even number of two as near."""
        import numpy as np

        parts = self.contributions_inputs_many(inputs, head=head)
        # So near to the middle of two numbers, the order of addition might decide: then the reference does.
        unsure = np.flatnonzero((np.abs(np.abs(parts - np.rint(parts)) - 0.5) < _NEAR).any(axis=1))
        for place in unsure.tolist():
            parts[place] = self._parts(inputs[place].tolist(), head)
        return np.asarray(np.rint(parts), dtype=np.float64)

    def _reason(self, name: str, cell: str | None, part: int) -> Reason:
        return Reason(name, f"{self.quantiser.describe(name, cell)}, {_way(part)}", part)

    def _check_binary(self) -> None:
        if self.heads != 1:
            raise ModelInputError(f"a model of {self.heads} labels has no single score: ask for its scores")


def check_head(head: int, heads: int) -> None:
    """Raise ModelInputError unless a model of so many heads has this one."""
    if not 0 <= head < heads:
        raise ModelInputError(f"the head must be 0 to {heads - 1}, got {head}")


def _check_k(k: int) -> None:
    if not 1 <= k <= MAX_REASONS:
        raise ModelInputError(f"reasons must be 1 to {MAX_REASONS}, got {k}")


def has_numpy() -> bool:
    """Say whether numpy is installed."""
    return sys.modules.get("numpy") is not None or find_spec("numpy") is not None


def need_numpy(what: str) -> None:
    """Raise MissingExtraError unless numpy is installed."""
    if not has_numpy():
        raise MissingExtraError(f"{what} needs numpy", hint="pip install 'tallystick[ai]'")


def check_range(what: str, value: int, low: int, high: int) -> None:
    """Raise ModelFileError unless low <= value <= high."""
    if not low <= value <= high:
        raise ModelFileError(f"{what} must be {low} to {high}, got {value}")


def check_matrix(what: str, rows: Sequence[Sequence[int]], shape: tuple[int, int]) -> None:
    """Raise ModelFileError unless the rows are int16 of that shape."""
    if len(rows) != shape[0] or any(len(row) != shape[1] for row in rows):
        raise ModelFileError(f"{what} must have the shape {shape}")
    if any(not INT16_LOW <= value <= INT16_HIGH for row in rows for value in row):
        raise ModelFileError(f"{what} must be int16")


def product_many(
    inputs: NDArray[Any], weights: Sequence[Sequence[int]], biases: Sequence[int], *, largest: int
) -> NDArray[np.int64]:
    """Return inputs @ weights.T + biases, exactly.

    Args:
        inputs: whole numbers, shape (rows, width).
        weights: shape (outputs, width).
        biases: one for each output.
        largest: a bound on the absolute value of every sum; below 2^53 the fast float64 product is exact.
    """
    import numpy as np

    kind: Any = np.float64 if largest < EXACT_FLOAT else np.int64
    made = inputs.astype(kind) @ np.array(weights, dtype=kind).T
    return np.asarray(made.astype(np.int64) + np.array(biases, dtype=np.int64), dtype=np.int64)


def _way(contribution: int) -> str:
    if contribution == 0:
        return "leaves the score as it is"
    return "raises the score" if contribution > 0 else "lowers the score"
