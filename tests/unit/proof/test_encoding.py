"""Canonical JSON and strict base64: one spelling per value, and types before encoding."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from tallystick.errors import EncodingError, StatementError, UnknownFormatError
from tallystick.proof import (
    check_format,
    decode_base64,
    decode_base64url,
    encode_base64url,
    format_json,
    parse_json,
)


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


def test_keys_are_sorted_and_nothing_is_spaced() -> None:
    assert format_json({"b": [1, {"d": None, "c": True}], "a": "\u00e9\n\x01/"}) == (
        '{"a":"\u00e9\\n\\u0001/","b":[1,{"c":true,"d":null}]}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [
        1.0, float("nan"), float("inf"), Decimal(1), datetime(2026, 11, 23, tzinfo=UTC), b"x", (1,), {1}, {1: 2}, {"": 1}, {"\u00e4": 1},
        {"a\n": 1}, {None: 1}, 2**53, -(2**53), Colour.RED, Text("a"), {Text("a"): 1}, "\ud800", {"a": "\udfff"}, object(), ...,
    ],
    ids=lambda value: "object" if type(value) is object else repr(value),  # the same name in every run
)  # fmt: skip
def test_a_value_outside_the_profile_is_refused_before_it_is_encoded(value: Any) -> None:
    for document in (value, [value], {"a": [value]}):
        with pytest.raises(StatementError):
            format_json(document)


def test_the_bounds_themselves_are_inside_the_profile() -> None:
    for value in (2**53 - 1, -(2**53) + 1, True, None, "", [], {}, "\uffff\U0010ffff"):
        assert parse_json(format_json(value)) == value


def test_a_document_has_at_most_eight_levels() -> None:
    value: Any = 1
    for _ in range(8):
        value = [value]
    assert parse_json(format_json(value)) == value
    with pytest.raises(StatementError):
        format_json([value])
    with pytest.raises(EncodingError):
        parse_json(b"[" + format_json(value) + b"]")


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"nul", b'{"a":1,"a":2}', b"-0", b"1.0", b"1e2", b"01", b"[1,2,]", b'{"b":1,"a":2}', b'{"a" :1}', b'"\\u0061"',
        b'"\\/"', b'"\xff"', b'"\\ud800"', b"NaN", b"Infinity", b"9007199254740992", b"18446744073709551616", b"[1]\n",
        b"\xef\xbb\xbf1", b"'a'", b'"a\nb"', b'{"\\u0061":1}', b"1" * 100_000,
    ],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_json(data)


def test_a_document_above_the_callers_limit_is_not_looked_at() -> None:
    assert parse_json(b"[1]", limit=3) == [1]
    with pytest.raises(EncodingError):
        parse_json(b"[12]", limit=3)


def test_a_format_is_known_by_type_and_version() -> None:
    document = {"type": "tallystick/x", "v": 1}
    assert check_format(document, "tallystick/x") is document
    for other in (
        [],
        None,
        5,
        {},
        {"type": "tallystick/y", "v": 1},
        {"v": 1},
        {"type": ["tallystick/x"], "v": 1},
    ):
        with pytest.raises(EncodingError):
            check_format(other, "tallystick/x")
    for version in (2, 0, "1", None, True, 1.0, [1]):
        with pytest.raises(UnknownFormatError):
            check_format({"type": "tallystick/x", "v": version}, "tallystick/x")
    with pytest.raises(UnknownFormatError):
        check_format({"type": "tallystick/x"}, "tallystick/x")


@pytest.mark.parametrize(
    "text", ["h9=", "h8", "h8==", "h8=\n", " h8=", "h8=h8=", "h-8=", "====", "A", "AAA", "é===", "AA=A"]
)
def test_base64_with_junk_or_spare_bits_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_base64(text)


@pytest.mark.parametrize("text", ["h9", "h8=", "h/8", "+w", "h8\n", "A", "AAAAA", "é", "AA AA"])
def test_base64url_with_padding_or_spare_bits_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_base64url(text)


def test_python_alone_would_read_spare_bits() -> None:
    assert base64.b64decode("h8==", validate=True) == base64.b64decode("h9==", validate=True)
    assert decode_base64("hw==") == b"\x87"


def test_a_length_that_is_asked_for_is_checked() -> None:
    assert decode_base64url(encode_base64url(b"\xff" * 32), size=32) == b"\xff" * 32
    with pytest.raises(EncodingError):
        decode_base64url(encode_base64url(b"\xff" * 31), size=32)
