"""Rows that a command is given: one as JSON, many as CSV, always as text for the model's own columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tallystick.cli._verify import read_bytes
from tallystick.errors import DataError, ModelInputError

if TYPE_CHECKING:
    from tallystick.models import Row

__all__ = ["columns_of", "own_cells", "read_row"]

ROW_LIMIT = 1024 * 1024  # bytes


def read_row(path: Path) -> dict[str, str | None]:
    """Read one row: a JSON object of column and cell; numbers become text, null is a missing cell.

    Raises:
        DataError: not such an object.
    """
    try:
        value = orjson.loads(read_bytes(path, limit=ROW_LIMIT))
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"{path} must be JSON: {error}", hint='for example {"age": "63", "sex": "male"}'
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold one JSON object: column and cell")
    return {name: _cell(name, cell) for name, cell in value.items()}


def _cell(name: str, cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return str(cell)
    raise DataError(f"the cell {name[:40]!r} must be text, a number or null")


def columns_of(model: Any) -> tuple[str, ...] | None:
    """The columns that a model reads; None when it does not say."""
    quantiser = getattr(model, "quantiser", None)
    if quantiser is not None:
        return tuple(quantiser.names)
    description = getattr(model, "description", None)
    columns = getattr(description, "columns", None) or [f.name for f in getattr(description, "request", ())]
    return tuple(columns) or None


def own_cells(model: Any, row: Row) -> dict[str, str | None]:
    """The cells that a model reads: what else a row holds is nobody's business in a statement.

    Raises:
        ModelInputError: one of them is not there.
    """
    columns = columns_of(model)
    if columns is None:
        return dict(row)
    missing = [name for name in columns if name not in row]
    if missing:
        raise ModelInputError(
            f"the row must have the column {missing[0]!r}",
            hint="write a value that is not known as null; see `tallystick model show` for all columns",
        )
    return {name: row[name] for name in columns}
