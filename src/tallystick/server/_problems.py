"""Errors as HTTP says them: a status, and a problem document (RFC 9457) with our own code and hint."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

import orjson

from tallystick.errors import (
    AccessDeniedError,
    ConflictError,
    DeadlineError,
    DefectError,
    DisclosureError,
    DisposedError,
    EvidenceError,
    InputError,
    LegalHoldError,
    ModelInputError,
    NotFoundError,
    OverloadedError,
    PaymentError,
    RateLimitError,
    RetiredModelError,
    StatementError,
    StorageError,
    SurroundingsError,
    TallystickError,
)

__all__ = ["PROBLEM", "HttpError", "problem", "status_of", "unfitting"]

PROBLEM: Final = b"application/problem+json"
RETRY_S: Final = 1  # what a client waits after an overload

# The first class that fits counts.
_STATUS: Final[tuple[tuple[type[TallystickError], int], ...]] = (
    (ConflictError, 409),
    (AccessDeniedError, 403),
    (DisposedError, 410),
    (NotFoundError, 404),
    (DisclosureError, 404),
    (RateLimitError, 429),
    (DeadlineError, 409),
    (LegalHoldError, 409),
    (RetiredModelError, 409),
    (PaymentError, 422),
    (ModelInputError, 422),
    (StatementError, 422),
    (InputError, 400),
    (StorageError, 503),
    (OverloadedError, 503),
    (SurroundingsError, 503),
    (EvidenceError, 500),
    (DefectError, 500),
)
_TITLES: Final = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 409: "Conflict", 410: "Gone", 413: "Content Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


_WORDS: Final = {
    "bool": "must be true or false", "dict": "must be an object", "extra": "is not known", "int": "must be a whole number",
    "json": "must be JSON", "list": "must be a list", "literal": "must be one of those that the document names",
    "missing": "is missing", "model": "must be an object", "string": "must be text",
}  # fmt: skip
"""What is wrong with a field, by the first word of what the framework calls it."""
_SIZES: Final = {
    "string_too_long": "is too long", "string_too_short": "must not be empty",
    "string_pattern_mismatch": "has another form", "greater_than_equal": "is too small",
    "less_than_equal": "is too large", "too_long": "has too many", "too_short": "has too few",
}  # fmt: skip


class HttpError(InputError):
    """A request that HTTP itself has a status for.

    Args:
        status: 400 to 499.
        code: after ``http.``.
        message: as for all errors.
        allow: with 405, the methods that a path takes.
    """

    def __init__(self, status: int, code: str, message: str, *, hint: str = "", allow: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status, self.code, self.allow = status, f"http.{code}", allow


def unfitting(errors: Sequence[Mapping[str, Any]], ours: Container[str]) -> HttpError:
    """Say which fields do not fit, in plain words; never what was sent.

    Args:
        errors: as the framework tells them.
        ours: names of fields that may be told.
    """
    found = []
    for one in errors[:5]:
        kind = one["type"]
        where = one["loc"]  # the first part says whether body, path or query
        place = ".".join(str(part) for part in where[1:3] if isinstance(part, int) or part in ours)
        wrong = _SIZES.get(kind) or _WORDS.get(kind.partition("_")[0], "does not fit")
        found.append(f"{place or ('a field' if where[1:] else 'the body')} {wrong}")
    return HttpError(422, "fields", f"the request does not fit: {'; '.join(found)}", hint="see /openapi.json")


def status_of(error: TallystickError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, HttpError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(error: Exception, request: str = "") -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of an error; of a foreign one nothing is told but that it is ours.

    Args:
        error: what went wrong.
        request: the request's id.
    """
    if not isinstance(error, TallystickError):
        error = DefectError("something unexpected happened", hint="give the request's id to the operator")
    status = status_of(error)
    document = {
        "type": f"urn:tallystick:error:{error.code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "code": error.code,
        "detail": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "request": request,
    }
    headers = [(b"content-type", PROBLEM)]
    if status in (429, 503):
        wait_s = getattr(error, "wait_s", float(RETRY_S))
        headers.append((b"retry-after", str(max(1, math.ceil(wait_s))).encode()))
    if isinstance(error, HttpError) and error.allow:
        headers.append((b"allow", error.allow.encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return status, headers, orjson.dumps(document)
