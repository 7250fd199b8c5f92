"""What a model learns from and is judged by: quantised inputs, classes, and what the classes are called.

Models are trained on the inputs that they will see, not on the numbers that these came from: so the integer score is
the score, and no approximation of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from tallystick.errors import DataError, MissingExtraError, ModelInputError
from tallystick.models._features import INT16_HIGH, INT16_LOW, ONE, CategoryFeature, Feature, NumericFeature
from tallystick.models._fidelity import Fidelity
from tallystick.models._integer import MAX_LABELS, YES_OR_NO, IntegerModel
from tallystick.models._numbers import LARGEST_UNITS, parse_decimal, units
from tallystick.models._quantiser import Quantiser
from tallystick.models._table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Spread = Literal["deviation", "quantile"]
LEAST_ROWS: Final = 10
STEPS: Final = 64_000  # how many steps a quantile spread has between its ends
_MAX_DECIMALS: Final = 12
_MAX_WRITTEN: Final = 6  # decimals of a table's cells that count; finer ones are rounded
_TAIL: Final = 0.0005  # of the training rows, on each side, may lie outside a quantile spread


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model, and what turning it into integers cost.

    Args:
        model: the integer model.
        fidelity: the float model that was trained against the integer model, over the held-out rows.
        notes: what was left out or guessed.
    """

    model: IntegerModel
    fidelity: Fidelity
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examples:
    """Rows to learn from and rows to judge by.

    Args:
        quantiser: how the rows became inputs.
        labels: what the classes are called, in order.
        target: what the second of two labels means.
        train: int16 inputs, shape (rows, width).
        train_classes: int64, which label each row has.
        test: int16 inputs of the held-out rows.
        test_classes: int64.
    """

    quantiser: Quantiser
    labels: tuple[str, ...]
    target: str
    train: NDArray[np.int16]
    train_classes: NDArray[np.int64]
    test: NDArray[np.int16]
    test_classes: NDArray[np.int64]

    @property
    def centre(self) -> tuple[int, ...]:
        """The mean of every input over the rows to learn from, as int16."""
        import numpy as np

        means = np.rint(self.train.astype(np.float64).mean(axis=0)).astype(int)
        return tuple(np.clip(means, INT16_LOW, INT16_HIGH).tolist())

    def fields(self, name: str) -> dict[str, Any]:
        """Return what every model's constructor takes, but `unit`."""
        return {
            "labels": self.labels, "name": name, "quantiser": self.quantiser, "target": self.target, "threshold": 0,
        }  # fmt: skip

    @property
    def scaled(self) -> NDArray[np.float64]:
        """The inputs to learn from as multiples of ONE."""
        return scaled(self.train)

    def one_against_rest(self) -> list[NDArray[np.int64]]:
        """Return 0 or 1 for each row to learn from, for every head."""
        heads = range(1, 2) if len(self.labels) == 2 else range(len(self.labels))
        return [(self.train_classes == head).astype("int64") for head in heads]


def scaled(inputs: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return int16 inputs as float64 multiples of ONE, exactly."""
    import numpy as np

    return inputs.astype(np.float64) / ONE


def make_examples(
    data: Table | ArrayLike,
    classes: Sequence[object] | None = None,
    *,
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    target: str = "",
    quantiser: Quantiser | None = None,
    spread: Spread = "deviation",
    held_out: float = 0.2,
    seed: int = 0,
) -> Examples:
    """Part data into rows to learn from and rows to judge by, and quantise both.

    Args:
        data: a table, or numbers of shape (rows, features) without NaN.
        classes: what each row of an array is: 0 and 1, or as many values as there are labels.
        names: an array's features; x0, x1, ... when None.
        labels: what the classes are called, in the order of their sorted values; the values themselves when None.
        target: what a yes means.
        quantiser: how rows become inputs; chosen from the rows to learn from when None.
        spread: see `fit_quantiser`.
        held_out: share of the rows to judge by, 0 to below 1; 0 judges by the rows that were learned from.
        seed: of the split.

    Raises:
        ModelInputError: another shape, NaN or infinity, or classes that do not fit.
        DataError: too few rows, or all of one class.
        MissingExtraError: numpy or scikit-learn is not installed.
    """
    np = learning_numpy()
    whole = _of_table(data) if isinstance(data, Table) else _of_array(data, names)
    found: list[Any] = list(data.targets) if isinstance(data, Table) and classes is None else []
    if classes is not None:
        found = np.asarray(classes).tolist()
    if len(found) != len(whole):
        raise ModelInputError(f"there must be a class for each of {len(whole)} rows, got {len(found)}")
    values = sorted(set(found), key=lambda value: (str(type(value)), value))
    called = tuple(labels) if labels else _labels(values)
    if not 2 <= len(values) == len(called) <= MAX_LABELS:
        raise DataError(
            f"expected rows of {len(called) if len(called) > 1 else '2 or more'} classes, got {len(values)}"
        )
    order = {value: number for number, value in enumerate(values)}
    numbers = np.array([order[value] for value in found], dtype=np.int64)
    train, test = _part(numbers, held_out, seed)
    quantiser = quantiser or fit_quantiser(whole.take(train), spread=spread)
    inputs = whole.inputs(quantiser)
    meaning = target or (
        data.target if isinstance(data, Table) else called[1] if len(called) == 2 else "class"
    )
    return Examples(quantiser, called, meaning, inputs[train], numbers[train], inputs[test], numbers[test])


def fit_quantiser(data: Table | ArrayLike | Cells, *, spread: Spread = "deviation") -> Quantiser:
    """Choose how columns become int16 inputs.

    Args:
        data: the rows to learn from: a table, or numbers of shape (rows, features).
        spread: "deviation" makes one standard deviation ONE and clips at eight of them, for linear models and
            perceptrons; "quantile" spreads 99.9% of the rows over the whole of int16, for trees.
    """
    if isinstance(data, Table):
        data = _of_table(data)
    cells = data if isinstance(data, Cells) else _of_array(data, None)
    return Quantiser(tuple(cells.feature(place, spread) for place in range(len(cells.names))))


class Cells:
    """Columns of cells, either text or numbers, that a quantiser can be chosen from."""

    def __init__(self, names: Sequence[str], titles: Sequence[str], columns: Sequence[Any]) -> None:
        self.names, self.titles, self.columns = tuple(names), tuple(titles), list(columns)

    def __len__(self) -> int:
        return len(self.columns[0])

    def take(self, places: NDArray[np.int64]) -> Cells:
        """Return these rows."""
        return Cells(self.names, self.titles, [_take(column, places) for column in self.columns])

    def inputs(self, quantiser: Quantiser) -> NDArray[np.int16]:
        """Quantise all rows, shape (rows, width)."""
        np = learning_numpy()
        if quantiser.names != self.names:
            raise ModelInputError("the quantiser must be of the data's columns, in their order")
        parts = []
        for feature, column in zip(quantiser.features, self.columns, strict=True):
            if isinstance(column, np.ndarray):
                if not isinstance(feature, NumericFeature):
                    raise ModelInputError(f"{feature.name} is a category: give a table, not an array")
                parts.append(feature.inputs_of_numbers(column))
            else:
                parts.append(feature.inputs_many([None if cell is None else str(cell) for cell in column]))
        made: NDArray[Any] = np.concatenate(parts, axis=1)
        return made

    def feature(self, place: int, spread: Spread) -> Feature:
        """Choose one column's feature."""
        np = learning_numpy()
        name, title, column = self.names[place], self.titles[place], self.columns[place]
        if isinstance(column, np.ndarray):
            decimals = _decimals_of(column, spread)
            return _numeric(name, title, np.rint(column * 10.0**decimals), decimals, spread, gaps=False)
        known = [cell for cell in column if cell is not None]
        gaps = len(known) < len(column)
        if isinstance(column, _Categories):
            return CategoryFeature(name, title, column.codes, gaps)
        numbers = np.array([float(parse_decimal(cell)) for cell in known] or [0.0])
        written = min(max((_places(cell) for cell in known), default=0), _MAX_WRITTEN)
        decimals = max(written, _decimals_of(numbers, spread))
        raw = np.array([units(cell, decimals) for cell in known] or [0], dtype=np.float64)
        return _numeric(name, title, raw, decimals, spread, gaps=gaps)


class _Categories(tuple[str | None, ...]):
    """A column of codes; `codes` are those that the table's schema names."""

    codes: tuple[str, ...]

    @classmethod
    def of(cls, cells: Sequence[str | None], codes: Sequence[str]) -> _Categories:
        made = cls(cells)
        made.codes = tuple(codes)
        return made


def _of_table(table: Table) -> Cells:
    columns: list[Any] = []
    for column in table.columns:
        cells = table.column(column.name)
        if column.kind == "category":
            codes = column.categories or tuple(sorted({cell for cell in cells if cell is not None}))
            columns.append(_Categories.of(cells, codes))
        else:
            columns.append(cells)
    return Cells([c.name for c in table.columns], [c.title for c in table.columns], columns)


def _of_array(data: Any, names: Sequence[str] | None) -> Cells:
    np = learning_numpy()
    numbers = np.asarray(data)
    if numbers.ndim != 2 or numbers.dtype.kind not in "fiub" or not numbers.size:
        raise ModelInputError(
            f"expected numbers of shape (rows, features), got {numbers.dtype} of {numbers.shape}"
        )
    numbers = numbers.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ModelInputError(
            "expected finite numbers, got NaN or infinity",
            hint="a gap has a place in a Table: there it is None",
        )
    names = [f"x{place}" for place in range(numbers.shape[1])] if names is None else list(names)
    if len(names) != numbers.shape[1]:
        raise ModelInputError(f"expected {numbers.shape[1]} names, got {len(names)}")
    return Cells(names, names, [np.ascontiguousarray(numbers[:, place]) for place in range(len(names))])


def _take(column: Any, places: Any) -> Any:
    if isinstance(column, _Categories):
        return _Categories.of([column[place] for place in places], column.codes)
    return [column[place] for place in places] if isinstance(column, tuple) else column[places]


def _labels(values: Sequence[object]) -> tuple[str, ...]:
    if list(values) in ([0, 1], [False, True]):
        return YES_OR_NO
    return tuple(str(value) for value in values)


def _part(classes: Any, held_out: float, seed: int) -> tuple[Any, Any]:
    """Return the places to learn from and to judge by, alike in classes."""
    np = learning_numpy()
    if len(classes) < LEAST_ROWS:
        raise DataError(f"expected at least {LEAST_ROWS} rows, got {len(classes)}")
    if not 0 <= held_out < 1:
        raise DataError(f"the held-out share must be 0 to below 1, got {held_out}")
    every = np.arange(len(classes))
    if held_out == 0:
        return every, every
    from sklearn.model_selection import train_test_split

    alike = classes if np.bincount(classes).min() >= 2 else None
    train, test = train_test_split(every, test_size=held_out, random_state=seed, stratify=alike)
    if len(np.unique(classes[train])) < len(np.unique(classes)):
        raise DataError("a class is too rare to hold rows out", hint="hold out nothing, or bring more rows")
    return np.sort(train), np.sort(test)


def _numeric(name: str, title: str, raw: Any, decimals: int, spread: Spread, *, gaps: bool) -> NumericFeature:
    """Choose offset and step of a number; `raw` are whole numbers of units of 10^-decimals, float64."""
    np = learning_numpy()
    if not (np.abs(raw) <= LARGEST_UNITS).all():
        raise ModelInputError(f"{name}: numbers must be below 2^53 units of 10^-{decimals}")
    if spread == "deviation":
        offset, step = int(np.rint(raw.mean())), max(1, int(np.rint(raw.std() / ONE)))
    else:
        low, high = (int(end) for end in np.quantile(raw, (_TAIL, 1 - _TAIL)))
        offset, step = (low + high) // 2, max(1, -(-(high - low) // STEPS))
    middle = (int(np.median(raw)) - offset + step // 2) // step
    missing = 0 if spread == "deviation" else min(max(middle, INT16_LOW), INT16_HIGH)
    return NumericFeature(name, title, decimals, offset, step, INT16_LOW, INT16_HIGH, missing, gaps)


def _decimals_of(numbers: Any, spread: Spread) -> int:
    """Return how many decimals keep a column sixteen times finer than its inputs will be."""
    np = learning_numpy()
    size = float(numbers.std()) / ONE if spread == "deviation" else float(np.ptp(numbers)) / STEPS
    largest = float(np.abs(numbers).max())
    if size == 0 or (spread == "quantile" and size < 1 and (numbers == np.rint(numbers)).all()):
        return 0  # whole numbers that int16 holds one by one
    wanted = int(np.ceil(np.log10(16 / size)))
    most = int(np.floor(np.log10(LARGEST_UNITS / largest)))
    return max(0, min(wanted, most, _MAX_DECIMALS))


def _places(cell: str) -> int:
    exponent = parse_decimal(cell).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def learning_numpy() -> Any:
    """Return numpy, or say what to install."""
    try:
        import numpy as np
        import sklearn  # noqa: F401 - everything that learns needs it
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "training needs numpy and scikit-learn", hint="pip install 'tallystick[ai]'"
        ) from error
    return np
