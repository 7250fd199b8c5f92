"""Hashing the leaves of a record of fields, quickly.

A journal commits to thousands of records a second, and they look alike: what depends only on their shape (which keys,
how long the lists) is worked out once. Whatever is out of the ordinary, and everything that must be refused, is left to
the plain way in `_commitments`; a property test holds the two equal, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256, shake_256
from typing import Any

import orjson

from tallystick.proof._encoding import JSON_DEPTH_LIMIT, JSON_INTEGER_LIMIT

FIELD_LIMIT = 4096  # leaves of one record
PATH_LIMIT = 300  # characters
FIELD_PREFIX = b"tallystick/field/v1\x00"
SALTS_PREFIX = b"tallystick/salts/v1\x00"
SALT = 32  # bytes
_PLACE_LIMIT = (
    20_000  # places that are remembered, some 10 MB; above it everything is forgotten and learnt again
)
_BLOCK = 64  # bytes of SHA-256
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_name = re.compile(r"[ -\-/-Z\\^-~]+").fullmatch  # printable ASCII without dot and brackets
_dumps, _LEAST = orjson.dumps, -JSON_INTEGER_LIMIT


def keyed_hash(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 under one key of at most 64 bytes, its two pads hashed once (RFC 2104, section 4)."""
    padded = key.ljust(_BLOCK, b"\0")
    inner, outer = sha256(padded.translate(_INNER)).copy, sha256(padded.translate(_OUTER)).copy

    def digest(message: bytes) -> bytes:
        first, second = inner(), outer()
        first.update(message)
        second.update(first.digest())
        return second.digest()

    return digest


def make_salts(record_salt: bytes, count: int) -> bytes:
    """The salt of a record's list, and then the own salts of its leaves in the byte order of their paths; 32 bytes each.

    One call of SHAKE256 (FIPS 202) makes all of them: nobody can tell one of them from the others, and together they
    cost less than a keyed hash for each.
    """
    return shake_256(SALTS_PREFIX + record_salt).digest(SALT * (count + 1))


class _UnusualError(Exception):
    """The plain way has to look at this record."""


class _Place:
    """A place in records: its path, and the places below it that were met so far."""

    __slots__ = ("depth", "items", "path", "shapes", "tail")

    def __init__(self, path: str, depth: int) -> None:
        self.path, self.depth = path, depth
        self.tail = path.encode() + b"\x00"
        self.shapes: dict[tuple[str, ...], list[_Place]] = {}
        self.items: list[_Place] = []


class _Places:
    """All places that were met, as a tree; threads may share it, for what one adds twice is equal."""

    def __init__(self) -> None:
        self._root, self._count = _Place("", 0), 0
        self._ranks: dict[tuple[_Place, ...], list[int]] = {}

    def root(self) -> _Place:
        if self._count > _PLACE_LIMIT:
            self._root, self._count, self._ranks = _Place("", 0), 0, {}
        return self._root

    def salt_places(self, places: list[_Place]) -> list[int]:
        """Where each leaf's own salt begins in a record's salts: they follow the byte order of the paths."""
        shape = tuple(places)
        known = self._ranks.get(shape)
        if known is None:
            known = [0] * len(places)
            order = sorted(range(len(places)), key=lambda at: places[at].path)
            for rank, at in enumerate(order, start=1):
                known[at] = SALT * rank
            self._count += len(places)
            self._ranks[shape] = known
        return known

    def below(self, place: _Place, keys: tuple[str, ...]) -> list[_Place]:
        """Learn the shape of an object."""
        if not all(type(key) is str and _name(key) for key in keys):
            raise _UnusualError
        made = [self._make(f"{place.path}.{key}" if place.path else key, place.depth + 1) for key in keys]
        place.shapes[keys] = made
        return made

    def items(self, place: _Place, count: int) -> list[_Place]:
        """Learn the items of a list, at least ``count`` of them."""
        known = place.items
        if count > FIELD_LIMIT:
            raise _UnusualError
        made = [self._make(f"{place.path}[{at}]", place.depth + 1) for at in range(len(known), count)]
        place.items = [*known, *made]
        return place.items

    def _make(self, path: str, depth: int) -> _Place:
        if len(path) > PATH_LIMIT or depth > JSON_DEPTH_LIMIT:
            raise _UnusualError
        self._count += 1
        return _Place(path, depth)


_places = _Places()


def salted_hashes(record: Mapping[str, Any], salt: bytes) -> bytes | None:
    """The salt of a record's list of leaves and then their sorted hashes, joined.

    Args:
        record: a JSON object.
        salt: the record's salt, 32 bytes.

    Returns:
        None when the plain way has to say what they are, or that there are none.
    """
    if type(record) is not dict or not record or len(salt) > _BLOCK:
        return None
    places: list[_Place] = []
    texts: list[bytes] = []
    try:
        _collect(_places.root(), record, places, texts)
    except (_UnusualError, TypeError):
        return None
    if len(places) > FIELD_LIMIT:
        return None
    salts = make_salts(salt, len(places))
    hashes = [
        sha256(FIELD_PREFIX + salts[at : at + SALT] + place.tail + text).digest()
        for place, text, at in zip(places, texts, _places.salt_places(places), strict=True)
    ]
    hashes.sort()
    return salts[:SALT] + b"".join(hashes)


def _collect(
    place: _Place, value: dict[str, Any] | list[Any], places: list[_Place], texts: list[bytes]
) -> None:
    """Add the leaves of an object or a list that is not empty.

    Raises:
        TypeError: a text that is not valid Unicode.
        _UnusualError: anything else that the plain way must look at.
    """
    items: Any
    if type(value) is dict:
        keys = tuple(value)
        below = place.shapes.get(keys) or _places.below(place, keys)
        items = value.values()
    else:
        below, items = place.items, value
        if len(below) < len(items):
            below = _places.items(place, len(items))
    for one, item in zip(below, items, strict=False):
        kind = type(item)
        if (
            kind is str
            or (kind is int and _LEAST <= item <= JSON_INTEGER_LIMIT)
            or kind is bool
            or item is None
        ):
            places.append(one)
            texts.append(_dumps(item))
        elif kind is not dict and kind is not list:
            raise _UnusualError
        elif not item:
            if one.depth >= JSON_DEPTH_LIMIT:
                raise _UnusualError
            places.append(one)
            texts.append(b"{}" if kind is dict else b"[]")
        elif len(places) > FIELD_LIMIT:
            raise _UnusualError
        else:
            _collect(one, item, places, texts)
