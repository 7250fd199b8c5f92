"""What a site says about its rows before a cohort opens, in buckets so that no single person shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from tallystick.errors import DataError
from tallystick.models import Table, parse_decimal

LEAST_FOR_RANGE: Final = 20
_BOUNDS: Final = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 100_000, 1_000_000)
_MOST_GROUPS: Final = 8


def bucket(count: int) -> str:
    """Return the range that a count lies in, such as "251-500" or "0-5"."""
    if count < 0:
        raise DataError(f"a count must be >= 0, got {count}")
    low = 0
    for bound in _BOUNDS:
        if count <= bound:
            return f"{low}-{bound}"
        low = bound + 1
    return f"over {_BOUNDS[-1]}"


def assess(table: Table, *, groups: Sequence[str] = ("sex",), age: str = "age") -> dict[str, Any]:
    """Describe one site's rows: ranges, gaps, duplicates, balance of target and groups.

    Args:
        table: rows of one site.
        groups: category columns whose balance is told, where they exist.
        age: a numeric column told in bands of ten years, where it exists.

    Returns:
        Plain data of texts, lists and dicts, fit for a statement's body. Counts are buckets; a range is the
        5th to 95th percentile at two significant digits, and "not enough data" below twenty values.
    """
    names = {column.name: column for column in table.columns}
    chosen = [name for name in groups if name in names and names[name].kind == "category"]
    report: dict[str, Any] = {
        "columns": {column.name: _column(table, column.name, column.kind) for column in table.columns},
        "duplicates": bucket(len(table) - len(set(zip(table.rows, table.targets, strict=True)))),
        "groups": {name: _balance(table, table.column(name)) for name in chosen},
        "rows": bucket(len(table)),
        "target": _buckets(["yes" if target else "no" for target in table.targets]),
    }
    if age in names and names[age].kind == "numeric":
        report["groups"][f"{age} band"] = _balance(table, [_band(cell) for cell in table.column(age)])
    return report


def _column(table: Table, name: str, kind: str) -> dict[str, Any]:
    cells = [cell for cell in table.column(name) if cell is not None]
    known: dict[str, Any] = {"missing": bucket(len(table) - len(cells))}
    if kind == "numeric":
        known["range"] = _range(cells)
    return known


def _range(cells: Sequence[str]) -> str:
    if len(cells) < LEAST_FOR_RANGE:
        return "not enough data"
    values = sorted(parse_decimal(cell) for cell in cells)
    low, high = values[len(values) * 5 // 100], values[len(values) * 95 // 100]
    return f"{_rough(low)} to {_rough(high)}"


def _rough(value: Decimal) -> str:
    """Write a number at two significant digits, without an exponent."""
    if not value:
        return "0"
    text = format(round(value, 1 - value.adjusted()), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _band(cell: str | None) -> str:
    if cell is None:
        return "missing"
    low = int(parse_decimal(cell)) // 10 * 10
    return f"{low}-{low + 9}"


def _balance(table: Table, values: Sequence[str | None]) -> dict[str, dict[str, str]]:
    """Tell rows and positives of every group; groups beyond the eight most frequent are told together."""
    named = ["missing" if value is None else value for value in values]
    often = {name for name, _ in Counter(named).most_common(_MOST_GROUPS)}
    named = [name if name in often else "other" for name in named]
    result = {}
    for name in sorted(set(named)):
        targets = [target for value, target in zip(named, table.targets, strict=True) if value == name]
        # A key of a statement is printable ASCII; any other letter of a code is told by its number.
        result[ascii(name)[1:-1]] = {"rows": bucket(len(targets)), "yes": bucket(sum(targets))}
    return result


def _buckets(values: Sequence[str]) -> dict[str, str]:
    return {name: bucket(count) for name, count in sorted(Counter(values).items())}
