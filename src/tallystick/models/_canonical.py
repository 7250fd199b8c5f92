"""The bytes of a model file: the proof room's canonical JSON, without floats."""

from __future__ import annotations

from typing import Any

from tallystick.errors import EncodingError, ModelFileError
from tallystick.proof import format_json, parse_json


def format_canonical(value: dict[str, Any]) -> bytes:
    """Write a value of ASCII-keyed dicts, lists, strings, integers, booleans and null.

    Raises:
        StatementError: a text is no valid Unicode.
    """
    return format_json(value)


def parse_canonical(data: bytes, *, limit: int) -> Any:
    """Read what `format_canonical` writes, and nothing else.

    Raises:
        ModelFileError: too long, not JSON, or not the canonical bytes of what they say.
    """
    try:
        return parse_json(data, limit=limit)
    except EncodingError as error:
        raise ModelFileError(f"a model file must be intact canonical JSON: {error.message}") from error
