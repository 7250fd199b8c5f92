"""The user's own readings are read as people write them, or refused with the line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.apps.supplychain._own_readings import load_readings, parse_mapping
from tallystick.apps.supplychain._readings import Reading
from tallystick.errors import DataError

PLAIN = "lot,time,temperature\nA,2026-03-01T08:00,5.04\nA,2026-03-01T08:15,8.15\n"


def written(path: Path, text: str | bytes) -> Path:
    place = path / "own.csv"
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    return place


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    (trip,) = load_readings(written(tmp_path, PLAIN))
    assert trip.lot == "A"
    assert trip.readings == (Reading(0, 50), Reading(15, 82))


@pytest.mark.parametrize(
    "text",
    [
        "lot;time;temperature\nA;2026-03-01 08:00;5,0\nA;2026-03-01 08:15;8,2\n",
        "Batch\tTimestamp\tTemp_C\nA\t2026-03-01 08:00:59\t5.0\nA\t2026-03-01 08:15\t8.2\n",
        "\ufefflot,time,temperature\r\nA,2026-03-01T08:15Z,8.2\r\n\r\nA,2026-03-01T09:00+01:00,5.0\r\n",
        "lot,time,temperature\nA,100,5.0\nA,115,8.2\n",
        "lot,time,temperature,remark\nA,100,5.0,\nA,115,8.2,late\n",
    ],
)
def test_other_spellings_say_the_same(tmp_path: Path, text: str) -> None:
    (trip,) = load_readings(written(tmp_path, text))
    assert trip.readings == (Reading(0, 50), Reading(15, 82))


def test_columns_of_other_names_are_mapped_and_counts_are_taken(tmp_path: Path) -> None:
    text = "Charge,Zeit,T1,Tür,doors\nA,0,5,2,9\nA,10,6,,9\nB,0,1,1,9\nB,5,2,1,9\n"
    columns = parse_mapping("lot=Charge, time=Zeit,temperature=T1,doors=Tür")
    first, second = load_readings(written(tmp_path, text), columns=columns)
    assert [reading.doors for reading in first.readings] == [2, None]
    assert [reading.doors for reading in second.readings] == [1, 1]
    assert [trip.lot for trip in (first, second)] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("lot,time,temperature\n", "no readings"),
        ("lot,time\nA,1\n", "no column 'temperature'"),
        ("lot,lot,time,temperature\nA,A,1,5\n", "name of its own"),
        ("lot,time,temperature\nA,1\n", "line 2 must have 3 cells, got 2"),
        ("lot,time,temperature\nA,yesterday,5\n", "line 2: a time must be ISO 8601"),
        ("lot,time,temperature\nA,1,warm\n", "line 2: a temperature must be a number"),
        ("lot,time,temperature\nA,1,NaN\n", "finite"),
        ("lot,time,temperature\nA,1,inf\n", "finite"),
        ("lot,time,temperature\nA,1,278.15\n", "-90 to 90"),
        ("lot,time,temperature\nA,1,5\nA,1,6\n", "line 3: lot A has two readings in one minute"),
        ("lot,time,temperature\nA,1,5\n", "2 to 20000 readings"),
        ("lot,time,temperature\n,1,5\n", "line 2: a lot must be"),
        ("lot,time,temperature\nA\x1b[2J,1,5\n", "printable"),
        ("lot,time,temperature,doors\nA,1,5,-2\n", "doors must be a whole number"),
        ("lot,time,temperature,km\nA,1,5,1.5\n", "km must be a whole number"),
        ("lot,time,temperature\nA,2026-03-01T08:00,5\nA,2026-03-01T08:15Z,5\n", "zone"),
        ('lot,time,temperature\n"A,1,5\n', "no CSV file"),
        (b"lot,time,temperature\nA,1,5\0\n", "zero byte"),
        (b"lot,time,temperature\n\xff,1,5\n", "UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        load_readings(written(tmp_path, text))
    assert said in caught.value.message


def test_too_many_lots_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"L{n},0,5\nL{n},5,5\n" for n in range(201))
    with pytest.raises(DataError, match="at most 200 lots"):
        load_readings(written(tmp_path, f"lot,time,temperature\n{rows}"))
    with pytest.raises(DataError, match="there is no file"):
        load_readings(tmp_path / "absent.csv")


@pytest.mark.parametrize("text", ["lot", "lot=", "price=X", "lot=A,lot=B", "=A"])
def test_a_mapping_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="NAME=COLUMN"):
        parse_mapping(text)


def test_a_mapping_to_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_readings(written(tmp_path, PLAIN), columns={"lot": "Batch"})
    assert "temperature" in caught.value.hint
    with pytest.raises(DataError, match="one column"):
        load_readings(written(tmp_path, PLAIN), columns={"lot": "time"})
