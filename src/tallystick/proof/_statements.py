"""Statements: the one thing that a journal holds.

A statement is canonical JSON of at most 65,535 bytes (the limit of tlog-tiles):

    {"at":..,"body":{..},"kind":"decision.made","links":{"model":["<id>"]},"origin":"<party>/<journal>",
     "payload":{"commitment":..,"form":"fields","media":..,"nonce":..,"size":1024},"v":1}

- ``at`` is microseconds, strictly increasing in a journal, and claimed.
- ``links`` name earlier statements by id; ``payload`` stands only when there is one.
- The id is the hex of the RFC 9162 leaf hash of the bytes.
- ``parse_statement`` accepts exactly what ``format_statement`` makes; what travels is what is hashed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tallystick.errors import EncodingError, StatementError, UnknownFormatError
from tallystick.proof._encoding import (
    JSON_INTEGER_LIMIT,
    check_json,
    decode_base64url,
    parse_json,
)
from tallystick.proof._merkle import leaf_hash

__all__ = ["FORMS", "STATEMENT_SIZE_LIMIT", "PayloadRef", "Statement", "format_statement", "parse_statement"]

STATEMENT_SIZE_LIMIT = 65_535  # bytes
LINK_LIMIT = 400  # ids in one statement
FORMS = ("bytes", "fields")
_BODY_DEPTH = 7

_origin = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]{1,70}/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?").fullmatch
_kind = re.compile(r"[a-z][a-z0-9-]{0,63}\.[a-z][a-z0-9]{0,31}").fullmatch
_label = re.compile(r"[a-z][a-z0-9_]{0,31}").fullmatch
_id = re.compile(r"[0-9a-f]{64}").fullmatch
_media = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}").fullmatch
_FIELDS = {"at", "body", "kind", "links", "origin", "v"}


@dataclass(frozen=True, slots=True)
class PayloadRef:
    """What a statement says of its payload.

    Args:
        commitment: base64url of 32 bytes.
        form: ``bytes`` or ``fields``.
        media: media type, lower case.
        nonce: base64url of 16 bytes, input of the salt.
        size: payload size in bytes, rounded up to a power of two.
    """

    commitment: str
    form: str
    media: str
    nonce: str
    size: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as parsed or formatted, with its exact bytes."""

    at: int
    kind: str
    body: Mapping[str, Any]
    links: Mapping[str, list[str]]
    origin: str
    payload: PayloadRef | None
    bytes: bytes

    @property
    def id(self) -> str:
        """Hex of the RFC 9162 leaf hash."""
        return leaf_hash(self.bytes).hex()

    @property
    def party(self) -> str:
        """Id of the party whose journal this belongs to."""
        return self.origin.partition("/")[0]


def format_statement(
    *,
    at: int,
    kind: str,
    body: Mapping[str, Any],
    origin: str,
    links: Mapping[str, list[str]] | None = None,
    payload: PayloadRef | None = None,
    checked: bool = False,
) -> Statement:
    """Write a statement.

    Args:
        at: microseconds since the epoch, claimed.
        kind: ``noun.verb``.
        body: JSON of the profile.
        origin: journal origin.
        links: label -> ids of earlier statements.
        payload: what is said of the payload.
        checked: the body was checked against its kind, so its types need no second look.

    Raises:
        StatementError: a field is out of bounds, or the whole is too large.
    """
    document: dict[str, Any] = {
        "at": at,
        "body": body,
        "kind": kind,
        "links": links or {},
        "origin": origin,
        "v": 1,
    }
    if payload is not None:
        document["payload"] = {
            "commitment": payload.commitment,
            "form": payload.form,
            "media": payload.media,
            "nonce": payload.nonce,
            "size": payload.size,
        }
    if not checked:
        check_json(body, depth=_BODY_DEPTH)
    _check_envelope(document)
    try:
        data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise StatementError("a string must be valid Unicode, got a lone surrogate") from error
    if len(data) > STATEMENT_SIZE_LIMIT:
        raise StatementError(
            f"a statement must have at most {STATEMENT_SIZE_LIMIT} bytes, got {len(data)}",
            hint="put what is long into the payload",
        )
    return Statement(at, kind, body, document["links"], origin, payload, data)


def parse_statement(data: bytes) -> Statement:
    """Read a statement; accepts exactly what ``format_statement`` makes.

    Raises:
        EncodingError: not canonical, or a field is out of bounds.
        UnknownFormatError: a later version.
    """
    document = parse_json(data, limit=STATEMENT_SIZE_LIMIT)
    if not isinstance(document, dict) or type(document.get("v")) is not int:
        raise EncodingError("a statement must be an object with a version")
    if document["v"] != 1:
        raise UnknownFormatError(f"expected statement version 1, got {document['v']}")
    if set(document) - {"payload"} != _FIELDS or not isinstance(document["body"], dict):
        raise EncodingError("a statement must have exactly the fields of version 1")
    try:
        _check_envelope(document)
        payload = _payload(document["payload"]) if "payload" in document else None
    except StatementError as error:
        raise EncodingError(error.message) from error
    kind, links, origin = document["kind"], document["links"], document["origin"]
    return Statement(document["at"], kind, document["body"], links, origin, payload, data)


def _payload(value: Any) -> PayloadRef:
    if not isinstance(value, dict) or set(value) != {"commitment", "form", "media", "nonce", "size"}:
        raise EncodingError("a payload must have exactly commitment, form, media, nonce and size")
    return PayloadRef(**value)


def _check_envelope(document: dict[str, Any]) -> None:
    at, kind, links, origin = document["at"], document["kind"], document["links"], document["origin"]
    if type(document["body"]) is not dict:
        raise StatementError("a body must be an object")
    if type(at) is not int or not 0 < at <= JSON_INTEGER_LIMIT:
        raise StatementError("`at` must be microseconds since the epoch")
    if type(kind) is not str or not _kind(kind):
        raise StatementError("a kind must be noun.verb in lower case")
    if type(origin) is not str or not _origin(origin):
        raise StatementError("an origin must be <party id>/<journal>")
    if links:
        check_links(links)
    elif type(links) is not dict:
        raise StatementError("links must be an object of lists of statement ids")
    if "payload" in document:
        _check_payload(document["payload"])


def check_links(links: Any) -> None:
    """Refuse links that are no lists of ids under labels, or too many.

    Raises:
        StatementError: says which.
    """
    if (
        type(links) is not dict
        or sum(len(ids) if type(ids) is list else 0 for ids in links.values()) > LINK_LIMIT
    ):
        raise StatementError(f"links must be an object of at most {LINK_LIMIT} statement ids")
    for label, ids in links.items():
        if type(label) is not str or not _label(label) or type(ids) is not list or not ids:
            raise StatementError("a link must be a label and a list of statement ids")
        if not all(type(link) is str and _id(link) for link in ids) or len(set(ids)) != len(ids):
            raise StatementError(f"links of {label!r} must be unique ids of 64 hex digits")


def _check_payload(payload: Any) -> None:
    try:
        form, media, size = payload["form"], payload["media"], payload["size"]
        commitment, nonce = payload["commitment"], payload["nonce"]
    except (KeyError, TypeError) as error:
        raise StatementError("a payload must have commitment, form, media, nonce and size") from error
    if form not in FORMS or type(media) is not str or not _media(media):
        raise StatementError("a payload's form must be bytes or fields, its media a media type")
    if type(size) is not int or not 1 <= size <= JSON_INTEGER_LIMIT or size & (size - 1):
        raise StatementError("a payload's size must be rounded up to a power of two")
    if type(commitment) is not str or len(commitment) != 43 or type(nonce) is not str or len(nonce) != 22:
        raise StatementError("a commitment must have 32 bytes and a nonce 16, as base64url")
    try:
        decode_base64url(commitment, size=32)
        decode_base64url(nonce, size=16)
    except EncodingError as error:
        raise StatementError("a commitment and a nonce must be strict base64url") from error
