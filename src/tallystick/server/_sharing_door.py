"""The front door of a bank's interface to the other members: who they are, how often, and how much.

Every path but `/health/live` needs a member's key. A key bears the party id of the member that it was given to, so that what
is asked with it can be held against who signed it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tallystick.errors import AccessDeniedError, OverloadedError

from ._journal_door import JournalDoor, _caller, _header
from ._keys import ApiKey
from ._problems import HttpError

__all__ = ["SharingDoor"]

REQUEST_LIMIT: Final = 16 * 1024  # bytes of a look-up
RECEIPT_LIMIT: Final = 64 * 1024  # bytes of a receipt about a payee
_TABLE: Final[Mapping[tuple[str, str], int]] = {
    ("GET", r"/v1/share/epochs/[0-9]{1,9}"): 0,
    ("GET", r"/v1/share/lists/[0-9]{1,9}"): 0,
    ("GET", r"/v1/share/rounds/[0-9]{1,9}/[0-9]{1,9}/(key|vector)"): 0,
    ("GET", r"/health"): 0,
    ("POST", r"/v1/share/evaluations/[0-9]{1,9}"): REQUEST_LIMIT,
    ("POST", r"/v1/share/reports"): RECEIPT_LIMIT,
}
_FITTING: Final = tuple((verb, re.compile(path).fullmatch, most) for (verb, path), most in _TABLE.items())
_OPEN: Final = frozenset({"/health/live"})


class SharingDoor(JournalDoor):
    """What another member's request meets first; bodies, log and answers as at the journal's door."""

    def _admit(self, scope: Any) -> tuple[ApiKey | None, int]:
        if self.is_stopping:
            raise OverloadedError("the service is stopping", hint="send it again: another one is starting")
        method, path = scope["method"], scope["path"]
        if method == "GET" and path in _OPEN:
            self._limits.take(_caller(scope))
            return None, 0
        key = self._member(scope)
        self._limits.take(key)
        fitting = [(verb, most) for verb, fits, most in _FITTING if fits(path)]
        found = next((most for verb, most in fitting if verb == method), None)
        if found is None:
            if not fitting:
                raise HttpError(404, "path", "there is nothing here")
            verbs = ", ".join(sorted({verb for verb, _ in fitting}))
            raise HttpError(405, "method", "this path does not take that method", allow=verbs)
        return key, found

    def _member(self, scope: Any) -> ApiKey:
        given = _header(scope, b"authorization")
        token = given[7:].decode("latin-1") if given[:7].lower() == b"bearer " else ""
        key = self._settings.keys.find(token)
        if key is None:
            self._limits.take(_caller(scope))  # who tries keys out is a caller like all others
            raise HttpError(401, "key", "this needs the key that this bank gave a member")
        if "member" not in key.roles:
            raise AccessDeniedError("this key is not a member's")
        return key
