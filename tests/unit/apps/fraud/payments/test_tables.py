"""Tables of payments: somebody's own columns become payments, and errors say where, never what."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from tallystick.apps.fraud.payments import ColumnMapping, Row, TimeForm, parse_time, read_payments
from tallystick.errors import DataError

PAYSIM = "amount=amount,customer=nameOrig,payee=nameDest,at=step,currency==USD,fraud=isFraud,time==step:3600,start==2026-01-01T00:00:00Z"
HEADER = "step,amount,nameOrig,nameDest,isFraud,extra"
GOOD = ["1,181.00,C1,M1,0,x", "1,9.5,C2,M2,1,y", '3,7,"C,3",M3,No,z']


def write(path: Path, lines: list[str], *, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_a_csv_becomes_rows(tmp_path: Path) -> None:
    rows = list(read_payments(write(tmp_path / "a.csv", GOOD), ColumnMapping.parse(PAYSIM)))
    assert [row.payment.amount for row in rows] == [18_100, 950, 700]
    assert [row.fraud for row in rows] == [False, True, False]
    assert [row.line for row in rows] == [2, 3, 4]
    assert rows[2].payment.customer == "C,3"
    assert rows[0].payment.at == parse_time("2026-01-01T01:00:00Z")
    assert rows[0].payment.id == "row-2"
    assert rows[0].payment.channel == "card"


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_marks_between_cells_are_seen(tmp_path: Path, mark: str) -> None:
    path = write(
        tmp_path / "a.csv", [line.replace(",", mark) for line in GOOD[:2]], header=HEADER.replace(",", mark)
    )
    assert len(list(read_payments(path, ColumnMapping.parse(PAYSIM)))) == 2


def test_json_lines_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    csv = [row.payment for row in read_payments(write(tmp_path / "a.csv", GOOD), ColumnMapping.parse(PAYSIM))]
    mapping = ColumnMapping.parse(PAYSIM + ",id=id")
    columns = {
        "id": [payment.id for payment in csv],
        "step": [1, 1, 3],
        "amount": [181.0, 9.5, 7.0],
        "nameOrig": ["C1", "C2", "C,3"],
        "nameDest": ["M1", "M2", "M3"],
        "isFraud": [False, True, False],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
    lines = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    for name in ("a.parquet", "a.jsonl"):
        rows = list(read_payments(tmp_path / name, mapping))
        assert [row.payment for row in rows] == csv
        assert [row.fraud for row in rows] == [False, True, False]


def test_timestamps_and_decimals_of_parquet_are_exact(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment = datetime.datetime(2026, 5, 1, 12, 30, 0, 250_000)
    table = pa.table({"at": [moment], "amount": [Decimal("1.10")], "c": ["c"], "p": ["p"]})
    pq.write_table(table, tmp_path / "a.parquet")
    mapping = ColumnMapping.parse("at=at,amount=amount,customer=c,payee=p,currency==EUR")
    (row,) = read_payments(tmp_path / "a.parquet", mapping)
    assert (row.payment.at, row.payment.amount) == (parse_time("2026-05-01T12:30:00.250Z"), 110)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,SECRET,C1,M1,0,x", "line 3, column 'amount': an amount must be"),
        ("1,-5,C1,M1,0,x", "line 3, column 'amount'"),
        ("SECRET,5,C1,M1,0,x", "line 3, column 'step': a time must be"),
        ("1,5,C1,M1,SECRET,x", "line 3, column 'isFraud': a label must be"),
        ("1,5,,M1,0,SECRET", "line 3, column 'nameOrig': is empty"),
        ("1,,C1,M1,0,SECRET", "line 3, column 'amount': is empty"),
        ("1,5,ü,M1,0,SECRET", "line 3: a payment's customer"),
        ("1,5,C1,M1,0", "line 3: 6 cells wanted"),
        ("0,5,C1,M1,0,SECRET", "line 3: earlier than the line before"),
        ('1,5,"C1,M1,0,SECRET', "not CSV"),
        ("1,5," + "C" * 70_000 + ",M1,0,SECRET", "fewer than"),
    ],
)
def test_an_error_names_line_and_column_and_never_the_value(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "a.csv", [GOOD[0], line])
    with pytest.raises(DataError, match=message) as caught:
        list(read_payments(path, ColumnMapping.parse(PAYSIM)))
    assert "SECRET" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("mapping", "cells", "words", "hint"),
    [
        ("", "2026-05-01;12,50", "a point before its cents", "12.50"),
        (",amounts==minor", "2026-05-01;12,50", "a point before its cents", "12.50"),
        (",amounts==minor", "2026-05-01;12.50", "whole minor units, such as 1250", "without amounts==minor"),
        ("", "1777587000;12.50", "got a number", "time==unix-s"),
        ("", "1777587000250;12.50", "got a number", "time==unix-ms"),
        ("", "1777587000250000;12.50", "got a number", "time==unix-us"),
        ("", "17;12.50", "got a number", "--time-unit"),
        (",time==unix-s", "2026-05-01;12.50", "whole number of its unit", "no time=="),
    ],
)
def test_amounts_and_times_of_another_form_are_told_how_to_say_so(
    tmp_path: Path, mapping: str, cells: str, words: str, hint: str
) -> None:
    path = write(tmp_path / "a.csv", [f"{cells};C;M"], header="t;a;c;p")
    with pytest.raises(DataError, match=words) as caught:
        list(
            read_payments(
                path, ColumnMapping.parse(f"at=t,amount=a,customer=c,payee=p,currency==EUR{mapping}")
            )
        )
    assert hint in caught.value.hint


@pytest.mark.parametrize("content", ["", "\n", ",,\n"])
def test_an_empty_table_is_called_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match="is empty") as caught:
        list(read_payments(tmp_path / "a.csv", ColumnMapping.parse(PAYSIM)))
    assert "first line" in caught.value.hint


def test_an_unsorted_table_is_read_when_that_is_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [GOOD[2], GOOD[0]])
    assert len(list(read_payments(path, ColumnMapping.parse(PAYSIM), check_sorted=False))) == 2


def test_rows_come_before_the_end_of_the_table_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [*GOOD, "9,broken,C,M,0,x"])
    rows = read_payments(path, ColumnMapping.parse(PAYSIM))
    assert isinstance(next(rows), Row)


@pytest.mark.parametrize("name", ["gone.csv", "a.docx"])
def test_a_table_that_is_not_there_or_of_another_form_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError):
        list(read_payments(tmp_path / name, ColumnMapping.parse(PAYSIM)))


def test_a_damaged_parquet_file_and_other_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really PAR1")
    (tmp_path / "a.csv").write_bytes(HEADER.encode() + b"\n\xff,1,2,3,4,5\n")
    (tmp_path / "a.jsonl").write_bytes(b"[1]\n")
    for name in ("a.parquet", "a.csv", "a.jsonl"):
        with pytest.raises(DataError):
            list(read_payments(tmp_path / name, ColumnMapping.parse(PAYSIM)))


def test_a_column_that_is_missing_or_twice_is_named(tmp_path: Path) -> None:
    for header in (HEADER.replace("nameDest", "other"), HEADER.replace("extra", "amount")):
        with pytest.raises(DataError, match="must have one column"):
            list(read_payments(write(tmp_path / "a.csv", GOOD, header=header), ColumnMapping.parse(PAYSIM)))


@pytest.mark.parametrize(
    "text",
    [
        "", "amount", "amount=", "=x", "amount=a,amount=b", "colour=x,amount=a,customer=b,payee=c,at=d,currency==EUR",
        "amount=a,customer=b,payee=c,at=d", "amount=a,customer=b,payee=c,at==1,currency==EUR",
        "amount=a,customer=b,payee=c,at=d,currency==EUR,time==step:0,start==2026-01-01",
        "amount=a,customer=b,payee=c,at=d,currency==EUR,time==step:60", "amount=a,amount==b",
        "amount=a,customer=b,payee=c,at=d,currency==EUR,amounts==cents",
        "amount=a,customer=b,payee=c,at=d,currency==EUR,time==step:60,start==soon",
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        ColumnMapping.parse(text)


@pytest.mark.parametrize(
    ("form", "cell", "at"),
    [("unix-s", "5", 5_000_000), ("unix-s", "5.0", 5_000_000), ("unix-ms", "5", 5_000), ("unix-us", "5", 5)],
)
def test_numbers_are_times_in_their_unit(form: str, cell: str, at: int) -> None:
    assert TimeForm.parse(form).read(cell) == at


def test_minor_units_and_constants_are_taken_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["C,M,1234,2026-05-01"], header="c,p,a,t")
    mapping = ColumnMapping.parse(
        "amount=a,customer=c,payee=p,at=t,currency==KWD,channel==instant,amounts==minor"
    )
    (row,) = read_payments(path, mapping)
    assert (row.payment.amount, row.payment.currency, row.payment.channel) == (1234, "KWD", "instant")
