"""Canonical JSON in a restricted profile, and strict base64.

The rules, and why:

- Values are RFC 8785 (JCS) documents of printable ASCII keys, strings, integers within 2^53, booleans,
  null, arrays and objects, at most 8 levels deep. No floats: decimals travel as strings.
- Types are checked *before* encoding, because orjson would write NaN as null and dates as strings.
- ``parse_json`` refuses bytes that differ from their own re-encoding, which also refuses duplicate keys,
  ``-0``, escapes that were not needed and white space. So a document has one spelling, and a hash of it
  means one thing.

Example:
    >>> format_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import orjson

from tallystick.errors import EncodingError, StatementError, UnknownFormatError

__all__ = [
    "JSON_DEPTH_LIMIT",
    "check_format",
    "check_json",
    "decode_base64",
    "decode_base64url",
    "encode_base64",
    "encode_base64url",
    "format_json",
    "parse_json",
]

JSON_DEPTH_LIMIT = 8
JSON_INTEGER_LIMIT = 2**53 - 1
JSON_SIZE_LIMIT = 64 * 1024 * 1024  # bytes; callers set far lower limits of their own

_printable = re.compile(r"[ -~]+").fullmatch


def format_json(value: Any, *, depth: int = JSON_DEPTH_LIMIT) -> bytes:
    """Encode a value of the restricted profile as its only canonical bytes.

    Args:
        value: JSON value; tuples, floats, bytes, dates and subclasses are refused.
        depth: levels of arrays and objects that are allowed.

    Raises:
        StatementError: the value is outside the profile.
    """
    check_json(value, depth=depth)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, TypeError) as error:  # what is left: lone surrogates
        raise StatementError("a string must be valid Unicode, got a lone surrogate") from error


def parse_json(data: bytes, *, limit: int = JSON_SIZE_LIMIT, depth: int = JSON_DEPTH_LIMIT) -> Any:
    """Decode canonical bytes; accepts exactly what ``format_json`` makes.

    Args:
        data: UTF-8 bytes.
        limit: most bytes that are looked at.
        depth: levels of arrays and objects that are allowed.

    Raises:
        EncodingError: not JSON, outside the profile, or not in canonical form.
    """
    if len(data) > limit:
        raise EncodingError(f"a document must have at most {limit} bytes, got {len(data)}")
    try:
        value = orjson.loads(data)
        again = format_json(value, depth=depth)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise EncodingError("a document must be JSON, got something else") from error
    except StatementError as error:
        raise EncodingError(f"outside the profile: {error.message}") from error
    if again != data:
        raise EncodingError("a document must be in canonical form (RFC 8785), got another spelling")
    return value


def check_json(value: Any, *, depth: int = JSON_DEPTH_LIMIT) -> None:
    """Refuse a value that is outside the profile, before anything encodes it.

    Raises:
        StatementError: names the offending type or bound.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -JSON_INTEGER_LIMIT <= value <= JSON_INTEGER_LIMIT:
            raise StatementError("an integer must lie within 2^53 - 1; write larger ones as strings")
        return
    if kind is not dict and kind is not list:
        raise StatementError(
            f"a value must be text, integer, boolean, null, list or object, got {kind.__name__}",
            hint="write decimals and dates as strings",
        )
    if depth <= 0:
        raise StatementError(f"a document must be at most {JSON_DEPTH_LIMIT} levels deep")
    if kind is list:
        for item in value:
            check_json(item, depth=depth - 1)
        return
    for key, item in value.items():
        if type(key) is not str or not _printable(key):
            raise StatementError("a key must be printable ASCII text")
        check_json(item, depth=depth - 1)


def check_format(document: Any, name: str, *, version: int = 1) -> dict[str, Any]:
    """Check the envelope that every stored JSON format of ours has: ``type`` and ``v``.

    Args:
        document: a parsed document.
        name: the format expected, for instance ``tallystick/receipt``.
        version: the only version that is known.

    Raises:
        EncodingError: another format.
        UnknownFormatError: a version that this program does not know.
    """
    if not isinstance(document, dict) or document.get("type") != name:
        raise EncodingError(f"expected a {name} document, got something else")
    if document.get("v") != version or type(document["v"]) is not int:
        raise UnknownFormatError(f"expected version {version} of {name}, got another one")
    return document


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Decode strictly: one spelling per value (Python alone reads ``h8=`` and ``h9=`` alike).

    Raises:
        EncodingError: junk, wrong padding or spare bits.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise EncodingError("expected strict base64") from error
    if encode_base64(data) != text:
        raise EncodingError("expected strict base64, got spare bits")
    return data


def encode_base64url(data: bytes) -> str:
    """URL-safe base64 without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def decode_base64url(text: str, *, size: int | None = None) -> bytes:
    """Decode strictly, optionally to an exact number of bytes.

    Raises:
        EncodingError: junk, padding, spare bits or another length.
    """
    if not isinstance(text, str) or not text.isascii():
        raise EncodingError("expected strict base64url")
    standard = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    data = decode_base64(standard)
    if encode_base64url(data) != text:
        raise EncodingError("expected strict base64url without padding")
    if size is not None and len(data) != size:
        raise EncodingError(f"expected {size} bytes, got {len(data)}")
    return data
