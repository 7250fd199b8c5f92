"""The user's own logger readings from a CSV file: lot, time, temperature in °C; with clear refusals.

- One row a reading, in any order. Times are ISO 8601, or whole minutes; zones are honoured, and either all times have
  one or none has.
- Columns of other names are mapped: ``lot=Batch,time=Zeit,temperature=T``. Doors, handling and kilometres are welcome
  and need not be there.
- A comma may be the decimal mark where semicolons or tabs part the cells.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from tallystick.errors import DataError, StorageError

from ._readings import Reading, Trip

__all__ = ["FIELDS", "load_readings", "parse_mapping"]

NEEDED: Final = ("lot", "time", "temperature")
FIELDS: Final = (*NEEDED, "doors", "handling", "km")
MAX_FILE_BYTES: Final = 64 * 2**20
MAX_LOTS: Final = 200
MAX_NAME: Final = 80
MAX_COUNT: Final = 10_000
COLDEST, WARMEST = Decimal(-90), Decimal(90)
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "lot": ("lot", "lot_id", "batch", "shipment"),
    "time": ("time", "timestamp", "datetime", "date_time"),
    "temperature": ("temperature", "temperature_c", "temp", "temp_c", "celsius"),
    "doors": ("doors", "door_openings"),
    "handling": ("handling", "handling_minutes"),
    "km": ("km", "distance_km"),
}
_whole = re.compile(r"[0-9]{1,7}").fullmatch


def parse_mapping(text: str) -> dict[str, str]:
    """Read a mapping of columns, such as ``lot=Batch,temperature=T1``.

    Returns:
        Our name -> the file's column.

    Raises:
        DataError: malformed, or a name that is not ours.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column or name not in FIELDS or name in found:
            raise DataError(
                f"columns must be given as NAME=COLUMN, each name once, got {part[:40]!r}",
                hint=f"names: {', '.join(FIELDS)}",
            )
        found[name] = column
    return found


def load_readings(path: Path, *, columns: Mapping[str, str] | None = None) -> list[Trip]:
    """Read trips from a CSV file.

    Args:
        path: UTF-8, with a header; commas, semicolons or tabs between the cells.
        columns: our name -> the file's column, for columns of other names.

    Returns:
        One trip a lot, in the order in which the lots first appear.

    Raises:
        DataError: the file or a row of it cannot be used; the message names the line.
    """
    header, rows, mark = _rows(path)
    places = _places(header, columns or {})
    lots: dict[str, list[tuple[int, int, Sequence[str]]]] = {}
    zoned: set[bool] = set()
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"line {line} must have {len(header)} cells, got {len(cells)}")
        lot = cells[places["lot"]].strip()
        if not lot or len(lot) > MAX_NAME or not lot.isprintable():
            raise DataError(f"line {line}: a lot must be 1 to {MAX_NAME} printable characters")
        minute, has_zone = _minute(cells[places["time"]].strip(), line)
        zoned.add(has_zone)
        lots.setdefault(lot, []).append((minute, line, cells))
    if not lots:
        raise DataError("the file has no readings", hint="one row a reading, below the header")
    if len(zoned) > 1:
        raise DataError("either all times must have a zone or none, got both")
    if len(lots) > MAX_LOTS:
        raise DataError(f"there must be at most {MAX_LOTS} lots, got {len(lots)}")
    return [_trip(lot, found, places, mark) for lot, found in lots.items()]


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    try:
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} must have at most {MAX_FILE_BYTES} bytes, got {path.stat().st_size}")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text", hint="save it again as CSV UTF-8") from error
    except OSError as error:
        raise StorageError(f"{path} could not be read: {error.strerror}") from error
    if "\0" in text:
        raise DataError(f"{path} must be text, got a zero byte")
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file: {error}") from error
    if not rows:
        raise DataError(f"{path} is empty")
    header = [name.strip() for name in rows[0][1]]
    if len(set(header)) != len(header):
        raise DataError("each column must have a name of its own")
    return header, rows[1:], mark


def _places(header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    lower = {name.lower(): place for place, name in enumerate(header)}
    places: dict[str, int] = {}
    for name in FIELDS:
        if name in columns:
            if columns[name] not in header:
                raise DataError(
                    f"the file has no column {columns[name]!r}", hint=f"its columns are: {_listed(header)}"
                )
            places[name] = header.index(columns[name])
            continue
        place = next((lower[alias] for alias in _ALIASES[name] if alias in lower), None)
        if place is not None:
            places[name] = place
        elif name in NEEDED:
            raise DataError(
                f"the file has no column {name!r}",
                hint=f"name it with --columns {name}=COLUMN; its columns are: {_listed(header)}",
            )
    if len(set(places.values())) != len(places):
        raise DataError("two names must not stand for one column")
    return places


def _listed(header: Sequence[str]) -> str:
    return ", ".join(header[:20])


def _minute(text: str, line: int) -> tuple[int, bool]:
    """Return whole minutes since an epoch of the file's own, and whether the time has a zone."""
    if _whole(text):
        return int(text), False
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(
            f"line {line}: a time must be ISO 8601 or whole minutes, got {text[:40]!r}",
            hint="for example 2026-03-01T08:15 or 2026-03-01 08:15:00+01:00",
        ) from None
    has_zone = when.tzinfo is not None
    return int((when if has_zone else when.replace(tzinfo=UTC)).timestamp() // 60), has_zone


def _trip(
    lot: str, found: list[tuple[int, int, Sequence[str]]], places: Mapping[str, int], mark: str
) -> Trip:
    found.sort(key=lambda one: one[:2])
    start = found[0][0]
    readings = []
    before = -1
    for minute, line, cells in found:
        if minute == before:
            raise DataError(
                f"line {line}: lot {lot} has two readings in one minute",
                hint="keep one logger a lot, and one reading a minute",
            )
        before = minute
        counts = [_count(cells[places[name]], name, line) if name in places else None for name in FIELDS[3:]]
        readings.append(
            Reading(minute - start, _tenths(cells[places["temperature"]], line, mark=mark), *counts)
        )
    return Trip(lot, tuple(readings))


def _tenths(text: str, line: int, *, mark: str) -> int:
    plain = text.strip()
    if mark != ",":
        plain = plain.replace(",", ".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise DataError(f"line {line}: a temperature must be a number, got {plain[:20]!r}") from None
    if not value.is_finite():
        raise DataError(
            f"line {line}: a temperature must be a finite number, got {plain[:20]!r}",
            hint="leave the row out when the logger saw nothing: the minutes then count as unseen",
        )
    if not COLDEST <= value <= WARMEST:
        raise DataError(
            f"line {line}: a temperature must be {COLDEST} to {WARMEST} °C, got {plain[:20]}",
            hint="kelvin or tenths of a degree must be turned into °C first",
        )
    return int((value * 10).to_integral_value(rounding=ROUND_HALF_EVEN))


def _count(text: str, name: str, line: int) -> int | None:
    plain = text.strip()
    if not plain:
        return None
    if not _whole(plain) or int(plain) > MAX_COUNT:
        raise DataError(
            f"line {line}: {name} must be a whole number up to {MAX_COUNT}, or empty, got {plain[:20]!r}"
        )
    return int(plain)
