"""An assessment describes a table without telling about a single row."""

from __future__ import annotations

import json

import pytest

from tallystick.errors import DataError
from tallystick.learning import assess, bucket
from tallystick.models import Column, Table

COLUMNS = (
    Column("age", "numeric", "age"),
    Column("sex", "category", "sex", ("f", "m")),
    Column("dose", "numeric", "dose"),
)


def table(rows: int = 60) -> Table:
    cells = tuple((str(30 + i), "f" if i % 3 else "m", None if i % 2 else f"0.{i:03}7") for i in range(rows))
    return Table("t", COLUMNS, cells, ("a",) * rows, tuple(int(i % 4 == 0) for i in range(rows)), "yes")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0-5"),
        (5, "0-5"),
        (6, "6-10"),
        (303, "251-500"),
        (10**6, "100001-1000000"),
        (10**7, "over 1000000"),
    ],
)
def test_a_count_is_told_as_a_range(count: int, text: str) -> None:
    assert bucket(count) == text


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(DataError):
        bucket(-1)


def test_ranges_gaps_duplicates_and_balance_are_told() -> None:
    found = assess(table())
    assert found["rows"] == "51-100"
    assert found["target"] == {"no": "26-50", "yes": "11-25"}
    assert found["columns"]["age"] == {"missing": "0-5", "range": "33 to 87"}
    assert found["columns"]["dose"]["missing"] == "26-50"
    assert found["columns"]["sex"] == {"missing": "0-5"}
    assert found["groups"]["sex"]["m"] == {"rows": "11-25", "yes": "0-5"}
    assert "30-39" in found["groups"]["age band"]
    assert found["duplicates"] == "0-5"


def test_an_assessment_holds_no_number_and_no_rare_value() -> None:
    found = assess(table())

    def leaves(value: object) -> list[object]:
        if isinstance(value, dict):
            return [leaf for part in value.values() for leaf in leaves(part)]
        return [value]

    assert all(type(leaf) is str for leaf in leaves(found))
    assert "0.0587" not in json.dumps(found)  # the largest dose of a single row


def test_few_values_have_no_range() -> None:
    assert assess(table(10))["columns"]["age"]["range"] == "not enough data"
