"""The user's own CSV: as a table to learn from, or as rows to score; with defaults that are said, or a clear refusal."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from tallystick.errors import DataError, ModelInputError
from tallystick.models._numbers import parse_decimal, units
from tallystick.models._table import Column, Table

MAX_FILE_BYTES: Final = 256 * 2**20
MAX_COLUMNS: Final = 500
MAX_SITES: Final = 32
LEAST_SITE_ROWS: Final = 20
EVERYWHERE: Final = "all"  # the site of every row where no column says
MAX_CODES: Final = 40  # a category with more is taken for an identifier or free text
MAX_CODE_CHARACTERS: Final = 80
MAX_NAME_CHARACTERS: Final = 60
_GAPS: Final = frozenset({"", "?", "na", "n/a", "nan", "null"})
_YES: Final = frozenset({"1", "1.0", "true", "yes", "y", "positive"})
_NO: Final = frozenset({"0", "0.0", "false", "no", "n", "negative"})
_IDENTIFIER: Final = re.compile(r"(^|[_\W])(id|uuid|guid|key|number|nr|no|index)$|[a-z]I[dD]$", re.IGNORECASE)
_DECIMALS: Final = 6
_INFINITE: Final = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE).fullmatch

Cells = list[list[str | None]]


def load_csv(path: Path | str, *, target: str, site: str = "", positive: str | None = None) -> Table:
    """Read a table of one's own: UTF-8 CSV with a header.

    Columns whose cells are all numbers are numeric, columns of at most forty texts are categories; constant
    columns, identifiers and free text are left out, and the table's notes say so.

    Args:
        path: the file; commas, semicolons, tabs or bars between the cells.
        target: the column to predict; two values such as 0 and 1, yes and no.
        site: the column that says whose row it is; without one all rows belong together.
        positive: which value means yes (needed when it is not obvious), or ">NUMBER" for larger numbers.

    Raises:
        DataError: the file or the table cannot be used; the message says why.
    """
    header, body = _read(Path(path), least_columns=3 if site else 2)
    for name in (site, target) if site else (target,):
        if name not in header:
            raise DataError(
                f"the file has no column {name!r}", hint=f"its columns are: {', '.join(header[:20])}"
            )
    if site == target:
        raise DataError("site and target must be two columns, got one")
    notes: list[str] = []
    taken = {header.index(name) for name in (site, target) if name}
    kept = [row for row in body if all(row[at] is not None for at in taken)]
    if len(kept) < len(body):
        what = "a site or a target" if site else "a target"
        notes.append(f"{len(body) - len(kept)} rows without {what} left out")
    sites = [row[header.index(site)] or "" for row in kept] if site else [EVERYWHERE] * len(kept)
    if site:
        _check_sites(sites)
    targets, meaning = read_targets([row[header.index(target)] or "" for row in kept], target, positive)
    _check_targets(targets)
    columns, places = _columns(header, kept, taken, notes)
    rows = tuple(tuple(row[place] for place in places) for row in kept)
    return Table(
        name=_table_name(path),
        columns=columns,
        rows=rows,
        sites=tuple(sites),
        targets=tuple(targets),
        target=meaning,
        notes=tuple(notes),
    )


def load_rows(path: Path | str) -> tuple[list[str], list[dict[str, str | None]]]:
    """Read the rows of a CSV file by column name, None where a cell is missing; nothing is left out.

    Columns are named as `load_csv` names them, so that a model that learned from such a file finds its own.

    Returns:
        The header as it stands in the file, and the rows.

    Raises:
        DataError: the file cannot be read.
    """
    header, body = _read(Path(path), least_columns=1)
    names = _plain_names(header)
    return header, [
        {**dict(zip(header, row, strict=True)), **dict(zip(names, row, strict=True))} for row in body
    ]


def _read(path: Path, *, least_columns: int) -> tuple[list[str], Cells]:
    """Return the header and the cells; None where a cell is missing."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"the file must be at most {MAX_FILE_BYTES >> 20} MiB")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}", hint="check the path given to --data"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"the file must be UTF-8, got another byte at {error.start}",
            hint="save it again as CSV UTF-8, or: iconv -f latin1 -t utf-8 FILE",
        ) from None
    if not text.strip():
        raise DataError("the file is empty")
    first = text.lstrip().splitlines()[0]
    mark = max(",;\t|", key=first.count)
    try:
        lines = [
            line for line in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True) if line
        ]
    except csv.Error as error:
        raise DataError(f"the file is not CSV: {error}") from None
    header = _header(lines[0], least_columns)
    cells: Cells = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise DataError(f"row {number} must have {len(header)} cells like the header, got {len(line)}")
        cells.append([None if cell.strip().lower() in _GAPS else cell.strip() for cell in line])
    if not cells:
        raise DataError("the file has a header but no rows")
    return header, cells


def _header(line: Sequence[str], least: int) -> list[str]:
    header = [name.strip() for name in line]
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        raise DataError(f"column names must differ, got {twice[0]!r} twice", hint="rename one of the columns")
    # An unnamed column is what spreadsheets and data frames write for their row numbers.
    header = [name or f"column {index}" for index, name in enumerate(header, start=1)]
    if len(set(header)) != len(header) or not least <= len(header) <= MAX_COLUMNS:
        raise DataError(f"the file must have {least} to {MAX_COLUMNS} columns with names, got {len(header)}")
    return header


def _check_sites(sites: Sequence[str]) -> None:
    sizes = Counter(sites)
    if len(sizes) < 2:
        raise DataError(
            f"the rows must belong to at least two sites, got {len(sizes)}",
            hint="--site names the column that says whose row it is",
        )
    if len(sizes) > MAX_SITES:
        raise DataError(
            f"the rows must belong to at most {MAX_SITES} sites, got {len(sizes)}",
            hint="is that column an identifier? name one that says which organisation a row comes from",
        )
    name, least = min(sizes.items(), key=lambda item: (item[1], item[0]))
    if least < LEAST_SITE_ROWS:
        raise DataError(
            f"every site must have at least {LEAST_SITE_ROWS} rows, got {least} at {name!r}",
            hint="leave that site out, or join it with another",
        )
    if any(len(name) > MAX_CODE_CHARACTERS or not name.isprintable() for name in sizes):
        raise DataError(f"a site's name must be printable and at most {MAX_CODE_CHARACTERS} characters long")


def read_targets(cells: Sequence[str], name: str, positive: str | None = None) -> tuple[list[int], str]:
    """Read a yes-or-no column.

    Args:
        cells: its texts, none of them missing.
        name: of the column.
        positive: which value means yes (needed when it is not obvious), or ">NUMBER" for larger numbers.

    Returns:
        0 or 1 per row, and what 1 means.

    Raises:
        DataError: it is not clear what means yes.
    """
    values = sorted(set(cells))
    if positive is not None and positive.startswith(">"):
        bound, numbers = _number(positive[1:].strip()), {value: _number(value) for value in values}
        return [int(numbers[cell] > bound) for cell in cells], f"{name} above {positive[1:].strip()}"
    if positive is not None:
        if positive not in values:
            raise DataError(f"the target has no value {positive!r}", hint=f"its values are: {_few(values)}")
        return [int(cell == positive) for cell in cells], f"{name} is {positive}"
    if not all(value.lower() in _YES | _NO for value in values):
        raise DataError(
            f"the target must be yes or no (1 or 0), got {len(values)} values: {_few(values)}",
            hint="say which value means yes, for example positive='1' or positive='>0' (--positive)",
        )
    return [int(cell.lower() in _YES) for cell in cells], f"{name} is yes"


def _number(text: str) -> float:
    try:
        return float(parse_decimal(text))
    except ModelInputError:
        raise DataError(f"a target compared by '>' must be a number, got {text[:20]!r}") from None


def _check_targets(targets: Sequence[int]) -> None:
    rarer = min(sum(targets), len(targets) - sum(targets))
    if rarer == 0:
        raise DataError("the target must have both values, got one only: there is nothing to learn")
    if rarer < LEAST_SITE_ROWS:
        raise DataError(f"the rarer target must have at least {LEAST_SITE_ROWS} rows, got {rarer}")


def _columns(
    header: Sequence[str], body: Cells, taken: set[int], notes: list[str]
) -> tuple[tuple[Column, ...], list[int]]:
    columns, places = [], []
    plain = _plain_names(header)
    for place, name in enumerate(header):
        if place in taken:
            continue
        cells = [row[place] for row in body if row[place] is not None]
        known = [cell for cell in cells if cell is not None]
        column, why_not = _column(name, known, len(body))
        if column is None:
            notes.append(f"column {name!r} left out: {why_not}")
            continue
        if plain[place] != name:
            notes.append(f"column {name!r} is called {plain[place]!r} in statements")
            column = replace(column, name=plain[place], title=_one_line(name))
        columns.append(column)
        places.append(place)
    if not columns:
        raise DataError("no column is left to learn from", hint="; ".join(notes))
    return tuple(columns), places


def _plain_names(header: Sequence[str]) -> list[str]:
    """Give every column a name that can be a key of a statement and of a record: ASCII, no dots or brackets."""
    names: list[str] = []
    for place, title in enumerate(header, start=1):
        letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
        name = re.sub(r"[^ -~]|[.\[\]]", "_", letters).strip(" _")[:MAX_NAME_CHARACTERS] or f"column {place}"
        while name in names or (name != title and name in header):
            name = f"{name}_{place}"
        names.append(name)
    return names


def _one_line(title: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in title)
    return shown if len(shown) <= MAX_CODE_CHARACTERS else f"{shown[: MAX_CODE_CHARACTERS - 1]}…"


def _column(name: str, known: Sequence[str], rows: int) -> tuple[Column | None, str]:
    """Return the column, or why it is left out."""
    codes = set(known)
    if len(codes) < 2:
        return None, "it is empty" if not codes else "all its cells are alike"
    if all(_is_number(cell) for cell in codes):
        if len(codes) == len(known) and (_IDENTIFIER.search(name) or _counts_up(known)):
            return None, "it looks like an identifier"
        return Column(name, "numeric", name), ""
    infinite = {code for code in codes if _INFINITE(code)}
    if infinite and all(_is_number(code) for code in codes - infinite):
        raise DataError(
            f"column {name!r} must hold finite numbers, got infinity",
            hint="leave the cell empty where nothing is known",
        )
    if len(codes) > MAX_CODES:
        like = "an identifier or free text" if len(codes) * 2 > len(known) else "too fine a category"
        return None, f"its {len(codes)} different texts look like {like}"
    if any(len(code) > MAX_CODE_CHARACTERS for code in codes):
        return None, "it holds long texts"
    if len(codes) * 2 > rows:
        return None, "nearly every row has its own text"
    return Column(name, "category", name, tuple(sorted(codes))), ""


def _is_number(cell: str) -> bool:
    try:
        units(cell, _DECIMALS)
    except ModelInputError:
        return False
    return True


def _counts_up(cells: Sequence[str]) -> bool:
    """Say whether the cells are whole numbers in a row, such as row numbers."""
    numbers = [units(cell, _DECIMALS) for cell in cells]
    return len(numbers) > 2 and all(right - left == 10**_DECIMALS for left, right in pairwise(numbers))


def _few(values: Sequence[str]) -> str:
    shown = ", ".join(repr(value[:20]) for value in values[:5])
    return shown + (", …" if len(values) > 5 else "")


def _table_name(path: Path | str) -> str:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).stem)[:40].strip("-.")
    return stem if stem and stem != "heart" else "table"
