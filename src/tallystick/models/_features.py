"""How a cell becomes int16 inputs: the quantiser, which is part of the model.

- A number is read as a whole number of units of 10^-decimals; its input is
  floor((units - offset + step // 2) / step), clipped to [low, high]. Integers only, so that no machine
  rounds it differently.
- A missing number gets the input `missing` and, when training rows had gaps, a second input of ONE.
- A category gives one input per code: ONE at its own code, 0 elsewhere; a gap or an unknown code gives 0
  everywhere and, when training rows had gaps, ONE at a last input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tallystick.errors import ModelFileError
from tallystick.models._numbers import LARGEST_UNITS, units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ONE: Final = 4096  # the input that stands for 1.0
INT16_LOW: Final = -(2**15)
INT16_HIGH: Final = 2**15 - 1
MAX_CODES: Final = 256
MAX_DECIMALS: Final = 12


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

    def __post_init__(self) -> None:
        _check_name(self.name, self.title)
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
            "step": self.step, "title": self.title,
        }  # fmt: skip

    def inputs(self, cell: str | None) -> list[int]:
        """Quantise one cell.

        Raises:
            ModelInputError: the cell is not a finite decimal number.
        """
        if cell is None:
            value = self.missing
        else:
            steps = (units(cell, self.decimals) - self.offset + self.step // 2) // self.step
            value = min(max(steps, self.low), self.high)
        return [value, ONE if cell is None else 0] if self.gaps else [value]

    def inputs_many(self, cells: Sequence[str | None]) -> NDArray[np.int16]:
        """Quantise a column; int16, shape (len(cells), width)."""
        import numpy as np

        gap = np.array([cell is None for cell in cells], dtype=bool)
        raw = np.array([0 if cell is None else units(cell, self.decimals) for cell in cells], dtype=np.int64)
        steps = np.clip((raw - self.offset + self.step // 2) // self.step, self.low, self.high)
        result = np.empty((len(cells), self.width), dtype=np.int16)
        result[:, 0] = np.where(gap, self.missing, steps)
        if self.gaps:
            result[:, 1] = np.where(gap, ONE, 0)
        return result

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

    def __post_init__(self) -> None:
        _check_name(self.name, self.title)
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
            "title": self.title,
        }  # fmt: skip

    def inputs(self, cell: str | None) -> list[int]:
        """Quantise one cell; an unknown code counts as missing."""
        result = [ONE if cell == code else 0 for code in self.codes]
        if self.gaps:
            result.append(0 if ONE in result else ONE)
        return result

    def inputs_many(self, cells: Sequence[str | None]) -> NDArray[np.int16]:
        """Quantise a column; int16, shape (len(cells), width)."""
        import numpy as np

        place = {code: index for index, code in enumerate(self.codes)}
        places = np.array([place.get(cell or "", -1) for cell in cells], dtype=np.int64)
        result = np.zeros((len(cells), self.width), dtype=np.int16)
        known = np.flatnonzero(places >= 0)
        result[known, places[known]] = ONE
        if self.gaps:
            result[places < 0, -1] = ONE
        return result

    def describe(self, cell: str | None) -> str:
        """Say in plain words what the cell holds."""
        if cell is None:
            return f"{self.title}: not recorded"
        if cell not in self.codes:
            return f"{self.title}: a kind unknown to the model"
        return f"{self.title}: {cell}"


Feature = NumericFeature | CategoryFeature


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ModelFileError(f"{what} must be {low} to {high}, got {value}")


def _check_name(name: str, title: str) -> None:
    if not name or not title:
        raise ModelFileError("a feature must have a name and a title")
