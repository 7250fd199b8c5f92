"""A message as a tree of named parts, whether it came as XML or as JSON with the same names.

- XML: document types, entities and everything outside of the document are refused; namespaces are dropped, so that
  every version of a message reads alike; comments and processing instructions are passed over.
- JSON: an object's members are parts, a list repeats a part; an amount is ``{"Ccy": "EUR", "value": "12.34"}``.
- Depth, number of parts and bytes are bounded before anything is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from tallystick.errors import MissingExtraError, PaymentError

__all__ = ["MAX_MESSAGE_BYTES", "Part", "parse_json_object", "read_json", "read_xml"]

MAX_MESSAGE_BYTES: Final = 4 * 2**20
MAX_DEPTH: Final = 24  # levels; the messages that are read have at most 14
MAX_PARTS: Final = 400_000
MAX_TEXT: Final = 2048  # characters of one part's text; the longest field of these messages has 140
MAX_DIGITS: Final = 15  # a binary float tells decimals of so many digits apart
_TEXT_MEMBERS: Final = ("value", "amt", "$", "#text")


class Part:
    """One named part of a message: its text, its currency, and the parts inside.

    Args:
        name: without a namespace.
        currency: the attribute ``Ccy``; empty when there is none.
    """

    __slots__ = ("currency", "name", "parts", "text")

    def __init__(self, name: str, currency: str = "") -> None:
        self.name, self.currency, self.text = name, currency, ""
        self.parts: list[Part] = []

    def all(self, path: str) -> list[Part]:
        """Return every part at a path such as ``GrpHdr/MsgId``."""
        found = [self]
        for name in path.split("/"):
            found = [part for above in found for part in above.parts if part.name == name]
        return found

    def one(self, path: str) -> Part | None:
        """Return the only part at a path, None when there is none.

        Raises:
            PaymentError: there are several: two readers could take different ones.
        """
        found = self.all(path)
        if len(found) > 1:
            raise PaymentError(f"a message must say {path} once, got it {len(found)} times")
        return found[0] if found else None

    def said(self, *paths: str) -> str:
        """Return the text at the first of the paths that is there and not empty; empty when none is."""
        for path in paths:
            part = self.one(path)
            if part is not None and part.text:
                return part.text
        return ""

    def walk(self) -> Iterator[Part]:
        """Yield this part and all inside it."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting += part.parts


class _Building:
    """What the XML parser tells; it stops the parser as soon as a bound is passed."""

    def __init__(self) -> None:
        self.top: Part | None = None
        self._open: list[Part] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_PARTS:
            raise PaymentError(f"a message must have at most {MAX_DEPTH} levels and {MAX_PARTS} parts")
        part = Part(tag.rpartition("}")[2], attributes.get("Ccy", ""))
        if self._open:
            above = self._open[-1]
            # The blanks that indent parts must not add up to a text that is too long.
            above.text = above.text.strip()
            _check_unmixed(above)
            above.parts.append(part)
        else:
            self.top = part
        self._open.append(part)

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text
            if len(self._open[-1].text) > MAX_TEXT:
                raise PaymentError(f"a field must have at most {MAX_TEXT} characters")

    def end(self, _tag: str) -> None:
        part = self._open.pop()
        part.text = part.text.strip()
        if part.parts:
            _check_unmixed(part)

    def close(self) -> Part | None:
        return self.top


def _check_unmixed(part: Part) -> None:
    """Refuse a text around parts: of ``1<x/>2`` one reader makes 12, another one 1."""
    if part.text:
        raise PaymentError("a part must have a text or parts inside, not both")


def read_xml(data: bytes) -> Part:
    """Read an XML document as parts; its top part is the document's.

    Raises:
        MissingExtraError: defusedxml is not installed.
        PaymentError: not XML, with a document type or entities, or beyond a bound.
    """
    try:
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import ParseError, XMLParser
    except ImportError as error:
        raise MissingExtraError(
            "XML messages need defusedxml", hint="pip install 'tallystick[fraud]'"
        ) from error
    _check_size(data)
    parser = XMLParser(target=_Building(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(data)
        top = parser.close()
    except DefusedXmlException:
        raise PaymentError(
            "a message must have no document type and no entities", hint="send the message without <!DOCTYPE>"
        ) from None
    except (ParseError, ValueError, LookupError):  # junk, bytes that are not text, an encoding nobody knows
        raise PaymentError("a message must be well-formed XML in UTF-8") from None
    if not isinstance(top, Part):
        raise PaymentError("a message must be well-formed XML, got no element")
    return top


def read_json(data: bytes) -> Part:
    """Read a JSON object with the same names as parts.

    Raises:
        PaymentError: not a JSON object, or beyond a bound.
    """
    left = [MAX_PARTS]
    top = Part("")
    _fill(top, parse_json_object(data), MAX_DEPTH, left)
    return top


def parse_json_object(data: bytes) -> dict[str, Any]:
    """Parse foreign JSON; of a member that stands there twice the last one counts.

    Raises:
        PaymentError: too large, not JSON, or not an object.
    """
    _check_size(data)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:  # too deep, too
        raise PaymentError("a message must be JSON in UTF-8") from None
    if type(value) is not dict:
        raise PaymentError("a message must be a JSON object")
    return value


def _fill(part: Part, value: Any, depth: int, left: list[int]) -> None:
    """Make a JSON value the content of a part."""
    left[0] -= 1
    if depth <= 0 or left[0] < 0:
        raise PaymentError(f"a message must have at most {MAX_DEPTH} levels and {MAX_PARTS} parts")
    if type(value) is not dict:
        part.text = _text(value)
        return
    for name, inside in value.items():
        if name in ("Ccy", "@Ccy") and type(inside) is str:
            part.currency = _once(part.currency, inside)
            if name == "Ccy":  # an account's currency is an element of its own
                part.parts.append(_leaf(name, inside))
        elif name in _TEXT_MEMBERS and type(inside) is not dict and type(inside) is not list:
            part.text = _once(part.text, _text(inside))
        else:
            for item in inside if type(inside) is list else [inside]:
                made = Part(name.rpartition(":")[2])
                _fill(made, item, depth - 1, left)
                part.parts.append(made)


def _once(before: str, text: str) -> str:
    """Refuse two texts of one part under different names: two readers could take different ones."""
    if before not in ("", text):
        raise PaymentError("a part must say its text and its currency once")
    return text


def _leaf(name: str, text: str) -> Part:
    part = Part(name)
    part.text = _text(text)
    return part


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str:
        if len(value) > MAX_TEXT:
            raise PaymentError(f"a field must have at most {MAX_TEXT} characters")
        return str(value).strip()
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is float:
        text = repr(value)
        digits = text.replace(".", "").replace("-", "").lstrip("0")
        if not digits.isdigit() or len(digits) > MAX_DIGITS:  # an exponent, or more than a float tells apart
            raise PaymentError(
                f"a number must have at most {MAX_DIGITS} digits", hint="write amounts as strings"
            )
        return text
    raise PaymentError("a list must not stand directly inside a list")


def _check_size(data: bytes) -> None:
    if len(data) > MAX_MESSAGE_BYTES:
        raise PaymentError(f"a message must have at most {MAX_MESSAGE_BYTES >> 20} MiB")
