"""Features follow from readings in whole numbers, the same everywhere; pages are read as strictly as they are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.apps.supplychain._readings import (
    COLUMNS,
    FEATURES,
    Reading,
    Trip,
    format_page,
    parse_page,
)
from tallystick.errors import DataError, EncodingError

tenths = st.integers(-400, 600)
counts = st.none() | st.integers(0, 50)


@st.composite
def trips(draw: st.DrawFn) -> Trip:
    steps = draw(st.lists(st.integers(1, 200), min_size=1, max_size=30))
    minutes = [0, *(sum(steps[: n + 1]) for n in range(len(steps)))]
    return Trip(
        "VX-1",
        tuple(Reading(m, draw(tenths), draw(counts), draw(counts), draw(counts)) for m in minutes),
    )


def trip(*readings: tuple[int, int]) -> Trip:
    return Trip("VX-1", tuple(Reading(minute, value, 0, 0, 0) for minute, value in readings))


def test_features_are_what_a_person_counts() -> None:
    row = trip((0, 50), (15, 90), (30, 100), (45, 79), (60, 10), (75, -5), (90, 50)).row()
    assert row == {
        "maximum_c": "10.0",
        "minimum_c": "-0.5",
        "mean_kinetic_c": row["mean_kinetic_c"],
        "minutes_above_8": "30",
        "minutes_below_2": "30",
        "minutes_below_0": "15",
        "longest_above_8": "30",
        "longest_below_2": "30",
        "degree_minutes": "45",
        "excursions": "2",
        "unseen_minutes": "0",
        "hours": "1",
        "door_openings": "0",
        "handling_minutes": "0",
        "distance_km": "0",
    }


def test_eight_and_two_degrees_are_inside() -> None:
    row = trip((0, 80), (15, 20), (30, 80)).row()
    assert (row["minutes_above_8"], row["minutes_below_2"], row["excursions"]) == ("0", "0", "0")


def test_what_lies_long_behind_a_reading_was_seen_by_nobody() -> None:
    row = trip((0, 90), (600, 50), (615, 50)).row()
    assert (row["minutes_above_8"], row["unseen_minutes"]) == ("60", "540")


def test_what_nobody_counted_is_a_gap_and_not_zero() -> None:
    row = Trip("VX-1", (Reading(0, 50, 1, 2, None), Reading(15, 50, None, 2, 3))).row()
    assert (row["door_openings"], row["handling_minutes"], row["distance_km"]) == (None, "4", None)


def test_a_steady_trip_has_its_own_temperature_as_mean_kinetic_one() -> None:
    for value in (-300, 0, 50, 251, 400):
        assert trip((0, value), (30, value), (60, value)).row()["mean_kinetic_c"] == f"{value / 10:.1f}"


@given(trips())
def test_the_mean_kinetic_temperature_is_that_of_the_formula(found: Trip) -> None:
    """Haynes 1971: T = (H/R) / -ln(mean of exp(-H/RT)), with H/R = 10,000 K."""
    spans = [
        (min(after.minute - now.minute, 60), now.tenths / 10 + 273.15)
        for now, after in zip(found.readings, found.readings[1:], strict=False)
    ]
    mean = sum(m * math.exp(-10_000 / kelvin) for m, kelvin in spans) / sum(m for m, _ in spans)
    expected = 10_000 / -math.log(mean) - 273.15
    got = float(found.row()["mean_kinetic_c"] or "nan")
    assert expected - 1e-6 <= got <= expected + 0.1 + 1e-6


@given(trips())
def test_every_feature_is_a_cell_of_a_model(found: Trip) -> None:
    row = found.row()
    assert list(row) == list(FEATURES) == list(COLUMNS)
    for cell in row.values():
        assert cell is None or math.isfinite(float(cell))


@pytest.mark.parametrize(
    "readings",
    [
        [(0, 50)],
        [(5, 50), (10, 50)],
        [(0, 50), (0, 50)],
        [(0, 50), (10, 50), (5, 50)],
        [(0, 50), (15, 901)],
        [(0, 50), (15, -901)],
        [(0, 50), (600_000, 50)],
    ],
)
def test_what_is_no_trip_is_refused(readings: list[tuple[int, int]]) -> None:
    with pytest.raises(DataError):
        trip(*readings)


@given(trips(), st.integers(1, 99))
def test_a_page_is_read_as_it_was_written(found: Trip, number: int) -> None:
    data = format_page(found.lot, number, found.readings)
    assert parse_page(data) == (found.lot, number, found.readings)
    assert format_page(*parse_page(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"lot":"a","page":1,"readings":[],"type":"tallystick/readings","v":2}',
        b'{"lot":"a","page":1,"readings":[[0,50]],"type":"tallystick/readings","v":1}',
        b'{"lot":"a","page":1,"readings":[[0,"50",null,null,null]],"type":"tallystick/readings","v":1}',
        b'{"lot":"a","page":1,"readings":[[0,50,-1,null,null]],"type":"tallystick/readings","v":1}',
        b'{"lot":"a","page":true,"readings":[],"type":"tallystick/readings","v":1}',
        b'{"lot":"a", "page":1,"readings":[],"type":"tallystick/readings","v":1}',
        b'{"lot":1,"page":1,"readings":[],"type":"tallystick/readings","v":1}',
        b'[1]',
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused(data: bytes) -> None:
    with pytest.raises((DataError, EncodingError)):
        parse_page(data)
