"""All features of a model together: how a row becomes int16 inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ModelFileError, ModelInputError
from tallystick.models._features import Feature, NumericFeature
from tallystick.models._numbers import LARGEST_UNITS
from tallystick.models._table import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_WIDTH: Final = 4096


@dataclass(frozen=True)
class Quantiser:
    """What a model reads, in the order of its inputs.

    Args:
        features: at least one, each name once; at most 4,096 inputs together.

    Raises:
        ModelFileError: no features, a name twice, or too many inputs.
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features or len(self._by_name) != len(self.features):
            raise ModelFileError("a model must have features, each name once")
        if self.width > MAX_WIDTH:
            raise ModelFileError(f"a model must have at most {MAX_WIDTH} inputs, got {self.width}")

    @cached_property
    def width(self) -> int:
        """How many int16 inputs a row becomes."""
        return sum(feature.width for feature in self.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def _by_name(self) -> dict[str, Feature]:
        return {feature.name: feature for feature in self.features}

    @cached_property
    def _places(self) -> dict[str, range]:
        places, at = {}, 0
        for feature in self.features:
            places[feature.name] = range(at, at + feature.width)
            at += feature.width
        return places

    def places(self, name: str) -> range:
        """Return which inputs a feature fills."""
        return self._places[name]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Every feature's first input, in order."""
        return tuple(self._places[name].start for name in self.names)

    def cells(self, names: Iterable[str], inputs: Sequence[int]) -> dict[str, str | None]:
        """Return cells that give these inputs: what is left of the ones measured.

        Args:
            names: of the features that are asked for.
            inputs: a whole row's, as many as `width`.

        Returns:
            By name: the number that the input stands for, with the feature's decimals (the true one may lie half a
            step beside it, or beyond the range); the code; None for a gap or, for a category, an unknown code.
        """
        by_name, places = self._by_name, self._places
        return {name: by_name[name].cell(inputs[places[name].start : places[name].stop]) for name in names}

    def inputs(self, row: Row) -> list[int]:
        """Turn one row into int16 inputs.

        Raises:
            ModelInputError: a column is missing or not the model's, a number cannot be read, or a cell lies
                outside and is refused.
        """
        self._check(row)
        return [value for feature in self.features for value in feature.inputs(row[feature.name])]

    def inputs_many(self, rows: Sequence[Row]) -> NDArray[np.int16]:
        """Turn rows into int16 inputs, shape (len(rows), width); equal to `inputs` row by row."""
        import numpy as np

        for row in rows:
            self._check(row)
        parts = [feature.inputs_many([row[feature.name] for row in rows]) for feature in self.features]
        return np.concatenate(parts, axis=1)

    def inputs_of_array(self, numbers: NDArray[np.float64]) -> NDArray[np.int16]:
        """Turn an array of numbers into int16 inputs.

        Args:
            numbers: float64, shape (rows, features).

        Returns:
            int16, shape (rows, width).

        Raises:
            ModelInputError: another shape or dtype, NaN or infinity, or a feature that is a category.
        """
        import numpy as np

        if numbers.ndim != 2 or numbers.shape[1] != len(self.features) or numbers.dtype != np.float64:
            raise ModelInputError(
                f"expected float64 of shape (rows, {len(self.features)}), got {numbers.dtype} of {numbers.shape}"
            )
        at_once = self._inputs_at_once(numbers)
        if at_once is not None:
            return at_once
        parts = []
        for column, feature in enumerate(self.features):
            if not isinstance(feature, NumericFeature):
                raise ModelInputError(f"{feature.name} is a category: give rows by name, not an array")
            parts.append(feature.inputs_of_numbers(numbers[:, column]))
        return np.concatenate(parts, axis=1)

    def _inputs_at_once(self, numbers: NDArray[np.float64]) -> NDArray[np.int16] | None:
        """Quantise all columns in one go; None where each column has to be looked at by itself, as for an error."""
        import numpy as np

        columns = self._columns
        if columns is None:
            return None
        scale, offset, half, step, low, high, refuses = columns
        with np.errstate(over="ignore", invalid="ignore"):
            raw = np.rint(numbers * scale)
            if not (np.abs(raw) <= LARGEST_UNITS).all():
                return None
        steps = (raw.astype(np.int64) - offset + half) // step
        clipped = np.minimum(np.maximum(steps, low), high)
        if refuses.any() and ((steps != clipped) & refuses).any():
            return None
        return np.asarray(clipped, dtype=np.int16)

    @cached_property
    def _columns(self) -> tuple[NDArray[Any], ...] | None:
        """What quantising numbers without gaps needs, per column; None where a feature is another."""
        import numpy as np

        plain = [one for one in self.features if isinstance(one, NumericFeature) and not one.gaps]
        if len(plain) != len(self.features):
            return None
        return (
            np.array([10.0**one.decimals for one in plain]),
            np.array([one.offset for one in plain], dtype=np.int64),
            np.array([one.step // 2 for one in plain], dtype=np.int64),
            np.array([one.step for one in plain], dtype=np.int64),
            np.array([one.low for one in plain], dtype=np.int64),
            np.array([one.high for one in plain], dtype=np.int64),
            np.array([one.outside == "refuse" for one in plain], dtype=bool),
        )

    def flags(self, row: Row) -> tuple[str, ...]:
        """Return the names of the features whose cell lies outside what the model was made for."""
        self._check(row)
        return tuple(feature.name for feature in self.features if feature.is_outside(row[feature.name]))

    def describe(self, name: str, cell: str | None) -> str:
        """Say in plain words what a cell holds."""
        return self._by_name[name].describe(cell)

    def _check(self, row: Row) -> None:
        if row.keys() != self._by_name.keys():
            raise ModelInputError(
                f"a row must hold exactly the model's {len(self.features)} columns, got {len(row)}",
                hint="write a value that is not known as null",
            )
