"""Who may do what: the whole table in one place."""

from __future__ import annotations

import re
from typing import Final

from ._problems import HttpError

__all__ = ["OPEN", "roles_for"]

OPEN: Final = frozenset({"/health", "/health/live", "/health/ready", "/openapi.json"})
"""Paths that need no key; nothing of a payment or a person is behind them."""

# Method, path, roles; the first that fits counts.
_TABLE: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    ("POST", "/v1/payments/decide", frozenset({"decide"})),
    ("POST", "/v1/payments/decide-batch", frozenset({"decide"})),
    ("GET", r"/v1/payments/.*", frozenset({"audit", "decide", "operate", "review"})),
    ("GET", r"/v1/receipts/.*", frozenset({"audit", "decide", "member", "review"})),
    ("GET", r"/v1/cases(/.*)?", frozenset({"audit", "review"})),
    ("POST", r"/v1/cases/.*", frozenset({"review"})),
    ("POST", r"/v1/labels", frozenset({"operate", "review"})),
    ("POST", r"/v1/outcomes", frozenset({"operate", "review"})),
    ("POST", r"/v1/appeals", frozenset({"decide", "review"})),
    ("GET", r"/v1/appeals", frozenset({"audit", "review"})),
    ("POST", r"/v1/appeals/.*", frozenset({"review"})),
    ("POST", r"/v1/control", frozenset({"review"})),
    ("GET", r"/v1/payees", frozenset({"audit", "operate", "review"})),
    ("POST", r"/v1/payees/.*", frozenset({"review"})),
    ("GET", r"/metrics", frozenset({"audit", "operate"})),
)
_EXACT: Final = {(method, path): roles for method, path, roles in _TABLE if "*" not in path}
_NAMES: Final = frozenset(path for _, path in _EXACT)
_RULES: Final = tuple((method, re.compile(path).fullmatch, roles) for method, path, roles in _TABLE)
DISCLOSING: Final = frozenset({"audit", "review"})
"""Roles that may open sealed fields in a receipt."""


def roles_for(method: str, path: str) -> frozenset[str]:
    """Return the roles that may make a request.

    Raises:
        HttpError: 404 or 405: what does not stand in the table does not get past the front door.
    """
    found = _EXACT.get((method, path))
    if found is not None:
        return found
    fitting = [(verb, roles) for verb, fits, roles in _RULES if fits(path)]
    if path in _NAMES:  # a path that stands there as it is: no payment can be called that
        fitting = [(verb, roles) for (verb, exact), roles in _EXACT.items() if exact == path]
    for verb, roles in fitting:
        if verb == method:
            return roles
    if fitting:
        verbs = ", ".join(sorted({verb for verb, _ in fitting}))
        raise HttpError(
            405, "method", "this path does not take that method", hint=f"it takes {verbs}", allow=verbs
        )
    raise HttpError(404, "path", "there is nothing here", hint="see /openapi.json")
