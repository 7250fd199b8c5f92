"""Federated scaling: one quantiser for all sites, from sums that no site shows alone.

Every site adds, per number: how many there are, their sum and their sum of squares; per category: how many
gaps there are and how many rows of each code. The totals give one mean and one standard deviation for the
whole cohort, so every site scales alike (scaling per site would hide the differences between sites and costs
accuracy). A missing number becomes that mean, with an input of its own that says so.

From the totals to the quantiser there are integers only: whoever holds the aggregate re-executes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from tallystick.errors import DataError, EncodingError
from tallystick.learning._vectors import format_vector, parse_vector
from tallystick.models import ONE, CategoryFeature, Column, Feature, NumericFeature, Table, units

DECIMALS: Final = 6  # numbers are read in millionths
CLIP: Final = 4 * ONE  # an input reaches at most four standard deviations
MAX_ROWS: Final = 2**20  # squares of 2^53 over as many rows still fit into a lane


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the totals say: the quantiser, the mean of every input, and how many rows there are."""

    features: tuple[Feature, ...]
    centre: tuple[int, ...]
    rows: int
    positives: int


def totals(table: Table) -> bytes:
    """Return one site's plain sums, to be masked before they leave.

    Raises:
        DataError: more rows than sums can hold.
    """
    if len(table) > MAX_ROWS:
        raise DataError(f"a site must have at most {MAX_ROWS} rows, got {len(table)}")
    values = [len(table), sum(table.targets)]
    for column in table.columns:
        cells = [cell for cell in table.column(column.name) if cell is not None]
        if column.kind == "numeric":
            numbers = [units(cell, DECIMALS) for cell in cells]
            values += [len(numbers), sum(numbers), sum(number * number for number in numbers)]
        else:
            values += [len(table) - sum(cell in column.categories for cell in cells)]
            values += [cells.count(code) for code in column.categories]
    return format_vector(values, lane=16)


def scaling_of(columns: Sequence[Column], aggregate: bytes) -> Scaling:
    """Turn the cohort's totals into its quantiser, by integer arithmetic only.

    Raises:
        EncodingError: the totals do not belong to these columns.
    """
    values, lane = parse_vector(aggregate)
    if lane != 16 or len(values) != 2 + sum(_width(column) for column in columns):
        raise EncodingError("the totals must have the lanes that the columns ask for")
    rows, positives = values[:2]
    if rows < 1 or any(value < 0 for value in values[:2]):
        raise EncodingError("the totals are of no cohort: a site's vector is missing or foreign")
    features: list[Feature] = []
    centre: list[int] = []
    at = 2
    for column in columns:
        own = values[at : at + _width(column)]
        at += len(own)
        feature, means = (
            _numeric(column, own, rows) if column.kind == "numeric" else _category(column, own, rows)
        )
        features.append(feature)
        centre += means
    return Scaling(tuple(features), tuple(centre), rows, positives)


def _width(column: Column) -> int:
    return 3 if column.kind == "numeric" else 1 + len(column.categories)


def _numeric(column: Column, own: Sequence[int], rows: int) -> tuple[Feature, list[int]]:
    count, total, squares = own
    if not 0 <= count <= rows:
        raise EncodingError("the totals count more numbers than rows")
    mean = total // count if count else 0
    deviation = isqrt(max(0, squares * count - total * total)) // count if count else 0
    feature = NumericFeature(
        name=column.name,
        title=column.title,
        decimals=DECIMALS,
        offset=mean,
        step=max(1, (deviation + ONE // 2) // ONE),
        low=-CLIP,
        high=CLIP,
        missing=0,
        gaps=count < rows,
    )
    # A gap counts as the mean, so the mean of the first input is 0.
    return feature, [0, _share(rows - count, rows)] if feature.gaps else [0]


def _category(column: Column, own: Sequence[int], rows: int) -> tuple[Feature, list[int]]:
    gaps, *counts = own
    if gaps + sum(counts) != rows:
        raise EncodingError("the totals count other rows than there are")
    feature = CategoryFeature(column.name, column.title, column.categories, gaps=gaps > 0)
    shares = [*counts, gaps] if feature.gaps else counts
    return feature, [_share(count, rows) for count in shares]


def _share(count: int, rows: int) -> int:
    return (count * ONE + rows // 2) // rows
