"""Payments from somebody's table: CSV, JSON lines or Parquet, row by row in bounded memory.

Messages name the line and the column, never what stands there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

import orjson

from tallystick.errors import DataError, MissingExtraError, PaymentError

from ._currencies import check_currency
from ._mapping import NEEDED, ColumnMapping
from ._payment import Payment
from ._times import format_exactly

__all__ = ["Row", "read_payments"]

MAX_LINE: Final = 64 * 1024  # characters of one line
MAX_COLUMNS: Final = 2_000
BATCH_ROWS: Final = 8_192  # rows of a Parquet file that are in memory at once
_YES: Final = frozenset({"1", "1.0", "true", "yes", "y", "t"})
_NO: Final = frozenset({"0", "0.0", "false", "no", "n", "f"})
_ENDINGS: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "lines", ".ndjson": "lines", ".parquet": "parquet",
    ".pq": "parquet",
}  # fmt: skip

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Args:
        payment: what it says.
        fraud: its label; None where the table has none.
        line: of a text file, from 1; the row's number in a Parquet file.
    """

    payment: Payment
    fraud: bool | None
    line: int


def read_payments(
    path: Path | str, mapping: ColumnMapping, *, form: str = "", check_sorted: bool = True
) -> Iterator[Row]:
    """Read a table of payments, a row at a time.

    Args:
        path: the file.
        mapping: which column is which field.
        form: ``csv`` (with a header; commas, semicolons, tabs or bars), ``lines`` (one JSON object a line) or
            ``parquet``; by the file's ending when empty.
        check_sorted: refuse a row that is earlier than the one before it: history is played in its order.

    Raises:
        DataError: the file cannot be read, a column is missing, or a cell does not fit.
        MissingExtraError: Parquet without pyarrow.
    """
    path = Path(path)
    form = form or _ENDINGS.get(path.suffix.lower(), "")
    sources = {"csv": _csv_rows, "lines": _json_rows, "parquet": _parquet_rows}
    if form not in sources:
        raise DataError(
            "the table must be CSV, JSON lines or Parquet", hint="name it .csv, .jsonl or .parquet"
        )
    before = 0
    try:
        for line, cells in sources[form](path, mapping):
            row = _row(line, cells, mapping)
            if check_sorted and row.payment.at < before:
                raise DataError(
                    f"line {line}: earlier than the line before it", hint="sort the table by its time first"
                )
            before = row.payment.at
            yield row
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror or 'input error'}") from None


def _row(line: int, cells: Cells, mapping: ColumnMapping) -> Row:
    for name in ("id", *NEEDED):
        if cells.get(name) == "":
            raise DataError(
                f"line {line}, column {mapping.columns[name]!r}: is empty",
                hint=f"every payment needs its {name}: fill the cell, or leave the line out",
            )
    name = "currency"
    values: dict[str, Any] = {**mapping.constants, **cells}
    try:
        currency = check_currency(values[name])
        name = "amount"
        values["amount"] = mapping.minor(values[name], currency)
        name = "at"
        values["at"] = mapping.times.read(values[name])
        name = "fraud"
        fraud = _label(values.pop(name, None))
        name = ""
        values.setdefault("id", f"row-{line}")
        values["channel"] = values.get("channel") or "card"
        return Row(Payment(**values), fraud, line)
    except PaymentError as error:
        column = f", column {mapping.columns[name]!r}" if name in mapping.columns else ""
        raise DataError(f"line {line}{column}: {error.message}", hint=error.hint) from None


def _label(text: str | None) -> bool | None:
    if text is None:
        return None
    plain = text.lower()
    if plain in _YES or plain in _NO:
        return plain in _YES
    raise PaymentError("a label must be 0 or 1, yes or no, true or false")


def _csv_rows(path: Path, mapping: ColumnMapping) -> Iterator[tuple[int, Cells]]:
    with path.open("r", encoding="utf-8-sig", newline="") as file:
        try:
            first = file.readline(MAX_LINE)
            mark = max(",;\t|", key=first.count)
            file.seek(0)
            reader = csv.reader(_lines(file), delimiter=mark, strict=True)
            header = [name.strip() for name in next(reader, [])]
            places = _places(header, mapping)
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise DataError(
                        f"line {reader.line_num}: {len(header)} cells wanted, as in the header, got {len(cells)}"
                    )
                yield reader.line_num, {name: cells[place].strip() for name, place in places.items()}
        except csv.Error:
            raise DataError(
                "the table is not CSV: a quotation mark is not closed, or a cell is too long"
            ) from None
        except UnicodeDecodeError:
            raise DataError("the table must be UTF-8", hint="iconv -f latin1 -t utf-8 FILE") from None


def _lines(file: TextIO) -> Iterator[str]:
    """Yield lines of a bounded length; a file without line ends must not fill the memory."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith("\n"):
            raise DataError(f"a line must have fewer than {MAX_LINE} characters")
        yield line


def _places(header: list[str], mapping: ColumnMapping) -> dict[str, int]:
    if not any(header):
        raise DataError(
            "the table is empty",
            hint="its first line must name the columns, such as at,amount,customer,payee",
        )
    if len(header) > MAX_COLUMNS:
        raise DataError(f"the table must have 1 to {MAX_COLUMNS} columns")
    for column in mapping.columns.values():
        if header.count(column) != 1:
            raise DataError(
                f"the table must have one column {column!r}, got {header.count(column)}",
                hint=f"its columns are: {', '.join(header[:20])}",
            )
    return {name: header.index(column) for name, column in mapping.columns.items()}


def _json_rows(path: Path, mapping: ColumnMapping) -> Iterator[tuple[int, Cells]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                raise DataError(f"line {number}: must have fewer than {MAX_LINE} bytes")
            if not line.strip():
                continue
            try:
                found = orjson.loads(line)
            except orjson.JSONDecodeError:
                raise DataError(f"line {number}: must be a JSON object") from None
            if type(found) is not dict:
                raise DataError(f"line {number}: must be a JSON object")
            yield number, _picked(number, found, mapping)


def _picked(number: int, found: dict[str, Any], mapping: ColumnMapping) -> Cells:
    cells = {}
    for name, column in mapping.columns.items():
        if column not in found:
            raise DataError(f"line {number}: has no {column!r}")
        cells[name] = _cell(number, column, found[column])
    return cells


def _parquet_rows(path: Path, mapping: ColumnMapping) -> Iterator[tuple[int, Cells]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet needs pyarrow", hint="pip install 'tallystick[parquet]'") from error
    try:
        with pq.ParquetFile(path) as file:
            _places(list(file.schema_arrow.names), mapping)
            names = list(dict.fromkeys(mapping.columns.values()))
            number = 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                columns = {name: _plain_column(pa, batch.column(name)) for name in names}
                for place in range(batch.num_rows):
                    number += 1
                    found = {name: cells[place] for name, cells in columns.items()}
                    yield number, _picked(number, found, mapping)
    except pa.ArrowException:
        raise DataError("the table is not a Parquet file, or is damaged") from None


def _plain_column(pa: Any, column: Any) -> list[Any]:
    """Return a column's cells; timestamps as ISO 8601 text in UTC."""
    if pa.types.is_timestamp(column.type):
        whole = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_pylist()
        return [None if cell is None else format_exactly(cell) for cell in whole]
    found: list[Any] = column.to_pylist()
    return found


def _cell(number: int, column: str, value: Any) -> str:
    """Return a cell as text, as a CSV would hold it."""
    kind = type(value)
    if kind is str:
        return str(value).strip()
    if kind is int:
        return str(value)
    if kind is bool:
        return "1" if value else "0"
    if kind is float:
        text = repr(value)
        # Beyond fifteen digits a float no longer tells decimals apart.
        if text.replace(".", "").isdecimal() and len(text.replace(".", "").strip("0")) <= 15:
            return text
        raise DataError(f"line {number}, column {column!r}: must be a plain decimal of at most 15 digits")
    if kind is Decimal:
        return format(value, "f")
    if value is None:
        return ""
    raise DataError(f"line {number}, column {column!r}: must be text or a number, got {kind.__name__}")
