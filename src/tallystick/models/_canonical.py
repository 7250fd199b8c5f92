"""The bytes of a model file: canonical JSON without floats."""

from __future__ import annotations

import orjson

from tallystick.errors import ModelFileError


def format_canonical(value: object) -> bytes:
    """Write a value of ASCII-keyed dicts, lists, strings, integers, booleans and null."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def parse_canonical(data: bytes) -> object:
    """Read what `format_canonical` writes, and nothing else.

    Raises:
        ModelFileError: not JSON, or not the canonical bytes of what they say.
    """
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ModelFileError("a model file is canonical JSON, got bytes that are not JSON") from error
    if format_canonical(value) != data:
        raise ModelFileError("a model file is canonical JSON, got another spelling of it")
    return value
