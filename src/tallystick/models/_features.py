"""How a cell becomes int16 inputs: the quantiser, which is part of the model.

- A number is read as a whole number of units of 10^-decimals; its input is
  floor((units - offset + step // 2) / step), clipped to [low, high]. Integers only, so that no machine
  rounds it differently.
- A missing number gets the input `missing` and, when training rows had gaps, a second input of ONE.
- A category gives one input per code: ONE at its own code, 0 elsewhere; a gap or an unknown code gives 0
  everywhere and, when training rows had gaps, ONE at a last input.
- What lies outside (a number beyond the range, a code never seen) is clipped, or counted as missing, and
  flagged; or, where the feature says "refuse", the row is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tallystick.errors import ModelFileError, ModelInputError
from tallystick.models._numbers import LARGEST_UNITS, units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ONE: Final = 4096  # the input that stands for 1.0
INT16_LOW: Final = -(2**15)
INT16_HIGH: Final = 2**15 - 1
MAX_CODES: Final = 256
MAX_DECIMALS: Final = 12

Outside = Literal["clip", "refuse"]


@dataclass(frozen=True, slots=True)
class NumericFeature:
    """A number and how it is quantised; see the module's text for the rule."""

    name: str
    title: str
    decimals: int
    offset: int
    step: int
    low: int
    high: int
    missing: int
    gaps: bool
    outside: Outside = "clip"

    def __post_init__(self) -> None:
        _check_name(self.name, self.title)
        _check_outside(self.outside)
        _check_range("decimals", self.decimals, 0, MAX_DECIMALS)
        _check_range("offset", self.offset, -LARGEST_UNITS, LARGEST_UNITS)
        _check_range("step", self.step, 1, LARGEST_UNITS)
        _check_range("low", self.low, INT16_LOW, INT16_HIGH)
        _check_range("high", self.high, self.low, INT16_HIGH)
        _check_range("missing", self.missing, self.low, self.high)

    @property
    def width(self) -> int:
        """How many inputs this feature gives."""
        return 1 + self.gaps

    def fields(self) -> dict[str, object]:
        """Return the feature as it stands in a model file."""
        return {
            "decimals": self.decimals, "gaps": self.gaps, "high": self.high, "kind": "numeric",
            "low": self.low, "missing": self.missing, "name": self.name, "offset": self.offset,
            "outside": self.outside, "step": self.step, "title": self.title,
        }  # fmt: skip

    def inputs(self, cell: str | None) -> list[int]:
        """Quantise one cell.

        Raises:
            ModelInputError: the cell is not a finite decimal number, or lies outside and is refused.
        """
        if cell is None:
            value = self.missing
        else:
            steps = self._steps(cell)
            value = min(max(steps, self.low), self.high)
            if value != steps and self.outside == "refuse":
                raise self._refusal()
        return [value, ONE if cell is None else 0] if self.gaps else [value]

    def inputs_many(self, cells: Sequence[str | None]) -> NDArray[np.int16]:
        """Quantise a column; int16, shape (len(cells), width)."""
        import numpy as np

        gap = np.array([cell is None for cell in cells], dtype=bool)
        raw = np.array([0 if cell is None else units(cell, self.decimals) for cell in cells], dtype=np.int64)
        return self._inputs_of_units(raw, gap)

    def inputs_of_numbers(self, numbers: NDArray[np.float64]) -> NDArray[np.int16]:
        """Quantise binary floats, each counting as rint(number * 10^decimals) units.

        Args:
            numbers: float64, shape (rows,).

        Returns:
            int16, shape (rows, width).

        Raises:
            ModelInputError: a number is NaN, infinite or too large, or lies outside and is refused.
        """
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):
            raw = np.rint(numbers * 10.0**self.decimals)
        if not (np.abs(raw) <= LARGEST_UNITS).all():
            raise ModelInputError(
                f"{self.name}: expected finite numbers below 2^53 units of 10^-{self.decimals}, got NaN, "
                "infinity or a larger one",
                hint="a value that is not known is None in a row; an array has no place for it",
            )
        return self._inputs_of_units(raw.astype(np.int64), np.zeros(len(raw), dtype=bool))

    def _inputs_of_units(self, raw: NDArray[np.int64], gap: NDArray[np.bool_]) -> NDArray[np.int16]:
        import numpy as np

        steps = (raw - self.offset + self.step // 2) // self.step
        clipped = np.clip(steps, self.low, self.high)
        if self.outside == "refuse" and ((steps != clipped) & ~gap).any():
            raise self._refusal()
        result = np.empty((len(raw), self.width), dtype=np.int16)
        result[:, 0] = np.where(gap, self.missing, clipped)
        if self.gaps:
            result[:, 1] = np.where(gap, ONE, 0)
        return result

    def cell(self, inputs: Sequence[int]) -> str | None:
        """Return a cell that gives these inputs; None for a gap."""
        if self.gaps and inputs[1]:
            return None
        value = self.offset + self.step * int(inputs[0])
        digits = f"{abs(value):0{self.decimals + 1}d}"
        whole, fraction = digits[: len(digits) - self.decimals], digits[len(digits) - self.decimals :]
        return f"{'-' if value < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"

    def is_outside(self, cell: str | None) -> bool:
        """Say whether a cell is a number beyond the range, which scoring clips or refuses."""
        return cell is not None and not self.low <= self._steps(cell) <= self.high

    def _steps(self, cell: str) -> int:
        return (units(cell, self.decimals) - self.offset + self.step // 2) // self.step

    def _refusal(self) -> ModelInputError:
        return ModelInputError(
            f"{self.name} must lie within the range that the model was made for, got a number outside",
            hint="the model refuses such rows by its own rule: let a person decide",
        )

    def describe(self, cell: str | None) -> str:
        """Say in plain words what the cell holds."""
        return f"{self.title}: not recorded" if cell is None else f"{self.title}: {cell}"


@dataclass(frozen=True, slots=True)
class CategoryFeature:
    """A choice among codes; see the module's text for the rule."""

    name: str
    title: str
    codes: tuple[str, ...]
    gaps: bool
    outside: Outside = "clip"

    def __post_init__(self) -> None:
        _check_name(self.name, self.title)
        _check_outside(self.outside)
        _check_range("codes", len(self.codes), 1, MAX_CODES)
        if len(set(self.codes)) != len(self.codes) or not all(self.codes):
            raise ModelFileError(f"feature {self.name!r} must have distinct codes that are not empty")

    @property
    def width(self) -> int:
        """How many inputs this feature gives."""
        return len(self.codes) + self.gaps

    def fields(self) -> dict[str, object]:
        """Return the feature as it stands in a model file."""
        return {
            "codes": list(self.codes), "gaps": self.gaps, "kind": "category", "name": self.name,
            "outside": self.outside, "title": self.title,
        }  # fmt: skip

    def inputs(self, cell: str | None) -> list[int]:
        """Quantise one cell; an unknown code counts as missing.

        Raises:
            ModelInputError: the code is unknown, and is refused.
        """
        if self.outside == "refuse" and self.is_outside(cell):
            raise self._refusal()
        result = [ONE if cell == code else 0 for code in self.codes]
        if self.gaps:
            result.append(0 if ONE in result else ONE)
        return result

    def inputs_many(self, cells: Sequence[str | None]) -> NDArray[np.int16]:
        """Quantise a column; int16, shape (len(cells), width)."""
        import numpy as np

        place = {code: index for index, code in enumerate(self.codes)}
        if self.outside == "refuse" and any(map(self.is_outside, cells)):
            raise self._refusal()
        places = np.array([place.get(cell or "", -1) for cell in cells], dtype=np.int64)
        result = np.zeros((len(cells), self.width), dtype=np.int16)
        known = np.flatnonzero(places >= 0)
        result[known, places[known]] = ONE
        if self.gaps:
            result[places < 0, -1] = ONE
        return result

    def cell(self, inputs: Sequence[int]) -> str | None:
        """Return a cell that gives these inputs; None for a gap or an unknown code."""
        return next((code for code, value in zip(self.codes, inputs, strict=False) if value), None)

    def describe(self, cell: str | None) -> str:
        """Say in plain words what the cell holds."""
        if cell is None:
            return f"{self.title}: not recorded"
        if cell not in self.codes:
            return f"{self.title}: a kind unknown to the model"
        return f"{self.title}: {cell}"

    def is_outside(self, cell: str | None) -> bool:
        """Say whether a cell holds a code that the model never saw."""
        return cell is not None and cell not in self.codes

    def _refusal(self) -> ModelInputError:
        return ModelInputError(
            f"{self.name} must be one of the model's {len(self.codes)} codes, got one that it never saw",
            hint="the model refuses such rows by its own rule: let a person decide",
        )


Feature = NumericFeature | CategoryFeature


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ModelFileError(f"{what} must be {low} to {high}, got {value}")


def _check_outside(value: str) -> None:
    if value not in ("clip", "refuse"):
        raise ModelFileError("outside must be clip or refuse")


def _check_name(name: str, title: str) -> None:
    if not name or not title:
        raise ModelFileError("a feature must have a name and a title")
