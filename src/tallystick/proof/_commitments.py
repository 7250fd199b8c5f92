"""Salted commitments: a payload is committed to, not shown, and can be opened later as a whole or in part.

- ``record salt = HMAC-SHA-256(subject key, nonce)``: nothing per record is stored or lost, and destroying one
  subject's key makes all her salts unknowable.
- Form ``bytes``: ``SHA-256("tallystick/commitment/v1" || 0x00 || record salt || payload)``.
- Form ``fields``: the payload is a JSON object; each leaf becomes
  ``SHA-256("tallystick/field/v1" || 0x00 || own salt || path || 0x00 || value)``, where the value is canonical JSON.
  ``SHAKE256("tallystick/salts/v1" || 0x00 || record salt)`` gives 32 bytes for the list of hashes and then 32 for each
  leaf in the byte order of the paths: the own salts. The commitment is the one above over the sorted hashes, under the
  list's salt. So one field can be opened and tells nothing of the others, not even the low-entropy ones.

Example:
    >>> salt = derive_salt(b"k" * 32, b"n" * 16)
    >>> fields = commit_fields({"amount": 12, "note": "x"}, salt)
    >>> opening = open_fields({"amount": 12, "note": "x"}, salt, ["amount"])
    >>> verify_fields(fields, opening)
    {'amount': 12}
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tallystick.errors import DisclosureError, EncodingError, StatementError, VerificationError
from tallystick.proof._encoding import check_json, decode_base64url, encode_base64url, format_json
from tallystick.proof._leaves import FIELD_LIMIT, FIELD_PREFIX, PATH_LIMIT, SALT, make_salts, salted_hashes

__all__ = [
    "commit_bytes",
    "commit_fields",
    "derive_salt",
    "flatten",
    "open_fields",
    "padded_size",
    "verify_bytes",
    "verify_fields",
]

_COMMITMENT = b"tallystick/commitment/v1\x00"
_plain = re.compile(r"[^.\[\]\x00]+").fullmatch
_path = re.compile(r"[ -~]*").fullmatch  # what keys of the profile make


def padded_size(size: int) -> int:
    """Round a payload's size up to a power of two, at least 1."""
    return 1 << (size - 1).bit_length() if size > 1 else 1


def derive_salt(subject_key: bytes, nonce: bytes) -> bytes:
    """The record salt: HMAC-SHA-256 of the nonce under the subject's key; 32 bytes."""
    return hmac.digest(subject_key, nonce, "sha256")


def commit_bytes(payload: bytes, salt: bytes) -> bytes:
    """Commit to bytes; 32 bytes."""
    return hashlib.sha256(_COMMITMENT + salt + payload).digest()


def verify_bytes(commitment: bytes, payload: bytes, salt: bytes) -> None:
    """Check an opening of the form ``bytes``.

    Raises:
        VerificationError: other bytes or another salt were committed to.
    """
    if len(salt) != 32 or not hmac.compare_digest(commit_bytes(payload, salt), commitment):
        raise VerificationError("the payload is not the one that was committed to")


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a JSON object into leaves: ``{"a": [{"b": 1}]}`` becomes ``{"a[0].b": 1}``.

    Empty lists and objects are leaves of their own.

    Raises:
        StatementError: outside the profile, a key with a dot or bracket, too many or too long paths.
    """
    if type(record) is not dict:
        raise StatementError("a record of fields must be an object")
    check_json(record)
    leaves = dict(_leaves("", record))
    if len(leaves) > FIELD_LIMIT or any(len(path) > PATH_LIMIT for path in leaves):
        raise StatementError(
            f"a record must have at most {FIELD_LIMIT} fields, paths at most {PATH_LIMIT} characters"
        )
    return leaves


def _leaves(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if type(value) is dict and value:
        for key, item in value.items():
            if type(key) is not str or not _plain(key):
                raise StatementError("a field's name must be text without dots and brackets")
            yield from _leaves(f"{path}.{key}" if path else key, item)
    elif type(value) is list and value:
        for position, item in enumerate(value):
            yield from _leaves(f"{path}[{position}]", item)
    else:
        yield path, value


def _field_hash(own_salt: bytes, path: str, value: Any) -> bytes:
    return hashlib.sha256(FIELD_PREFIX + own_salt + path.encode() + b"\x00" + format_json(value)).digest()


def _own_salts(leaves: Mapping[str, Any], salt: bytes) -> dict[str, bytes]:
    salts = make_salts(salt, len(leaves))
    return {path: salts[SALT * rank :][:SALT] for rank, path in enumerate(sorted(leaves), start=1)}


def commit_fields(record: Mapping[str, Any], salt: bytes) -> bytes:
    """Commit to a JSON object so that single fields can be opened; 32 bytes.

    Raises:
        StatementError: see ``flatten``.
    """
    salted = salted_hashes(record, salt) or make_salts(salt, 0) + b"".join(plain_hashes(record, salt))
    return hashlib.sha256(_COMMITMENT + salted).digest()


def plain_hashes(record: Mapping[str, Any], salt: bytes) -> list[bytes]:
    """The sorted hashes of a record's leaves, one after the other.

    Raises:
        StatementError: see ``flatten``.
    """
    leaves = flatten(record)
    own = _own_salts(leaves, salt)
    return sorted(_field_hash(own[path], path, value) for path, value in leaves.items())


def open_fields(record: Mapping[str, Any], salt: bytes, paths: Iterable[str]) -> dict[str, Any]:
    """Open chosen fields of a record.

    Args:
        record: the whole record.
        salt: its record salt.
        paths: fields to open, as ``flatten`` names them; a path also opens all that lies below it.

    Returns:
        The opening, JSON: ``fields`` (path, salt, value), ``hashes`` of all fields, ``salt`` of the list.

    Raises:
        DisclosureError: there is no such field.
    """
    leaves = flatten(record)
    chosen: set[str] = set()
    for wanted in paths:
        below = {path for path in leaves if path == wanted or path.startswith((f"{wanted}.", f"{wanted}["))}
        if not below:
            raise DisclosureError(
                "the payload has no such field", hint=f"fields: {', '.join(sorted(leaves))}"
            )
        chosen |= below
    hashes, own = plain_hashes(record, salt), _own_salts(leaves, salt)
    return {
        "fields": [
            {"path": path, "salt": encode_base64url(own[path]), "value": leaves[path]}
            for path in sorted(chosen)
        ],
        "hashes": [encode_base64url(digest) for digest in hashes],
        "salt": encode_base64url(make_salts(salt, 0)),
    }


def verify_fields(commitment: bytes, opening: Mapping[str, Any]) -> dict[str, Any]:
    """Check an opening of the form ``fields``.

    Returns:
        The opened fields, path -> value.

    Raises:
        VerificationError: not what was committed to, or a path is opened twice.
        EncodingError: malformed.
    """
    try:
        if set(opening) != {"fields", "hashes", "salt"}:
            raise EncodingError("an opening must have exactly fields, hashes and salt")
        if type(opening["fields"]) is not list or type(opening["hashes"]) is not list:
            raise EncodingError("an opening's fields and hashes must be lists")
        if any(set(item) != {"path", "salt", "value"} for item in opening["fields"]):
            raise EncodingError("an opened field must have exactly path, salt and value")
        hashes = [decode_base64url(text, size=32) for text in opening["hashes"]]
        salt = decode_base64url(opening["salt"], size=32)
        fields = [
            (item["path"], decode_base64url(item["salt"], size=32), item["value"])
            for item in opening["fields"]
        ]
        well_formed = all(_path(path) and len(path) <= PATH_LIMIT for path, _, _ in fields)
    except (TypeError, KeyError) as error:
        raise EncodingError("an opening of fields is malformed") from error
    if not well_formed or len(hashes) > FIELD_LIMIT or hashes != sorted(set(hashes)):
        raise EncodingError("an opening must list its hashes sorted, each once")
    if not hmac.compare_digest(commit_bytes(b"".join(hashes), salt), commitment):
        raise VerificationError("the list of fields is not the one that was committed to")
    known, opened = set(hashes), dict[str, Any]()
    for path, own_salt, value in fields:
        if path in opened:
            raise VerificationError("a field is opened twice")
        if _field_hash(own_salt, path, value) not in known:
            raise VerificationError(f"field {path!r} does not have the value that was committed to")
        opened[path] = value
    return opened
