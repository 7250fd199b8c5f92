"""The front door of a journal's interface: what everybody may read, who else may, how often, and how much.

In this order: request id, is it stopping, key and role where one is needed, rate, body within its bounds; then the
route. Callers without a key share buckets by their address, so one caller cannot use up what all others may ask.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final

from tallystick.errors import AccessDeniedError, OverloadedError
from tallystick.proof import ADD_CHECKPOINT_LIMIT, ANCHOR_NOTE_LIMIT

from ._keys import ApiKey
from ._limits import RateLimits
from ._log import RequestLog
from ._problems import HttpError, problem
from ._settings import ServerSettings

__all__ = ["KEY", "REQUEST", "JournalDoor"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY: Final = "tallystick.key"
REQUEST: Final = "tallystick.request"
CARD_LIMIT: Final = 1024 * 1024  # bytes of a file of cards
_READERS: Final = frozenset({"audit", "member"})
# Method, path, roles (none: anybody), most bytes of a body; the first that fits counts.
Table = tuple[tuple[str, re.Pattern[str], frozenset[str], int], ...]
_TABLE: Final[Table] = tuple(
    (method, re.compile(path), roles, limit)
    for method, path, roles, limit in (
        ("GET", r"/health(/live|/ready)?|/openapi\.json", frozenset[str](), 0),
        ("GET", r"/checkpoint|/card|/seen/[0-9a-f]{64}", frozenset[str](), 0),
        ("GET", r"/tile/entries/.*", _READERS, 0),
        ("GET", r"/tile/[0-9]/.*", frozenset[str](), 0),
        ("POST", r"/add-checkpoint", frozenset[str](), ADD_CHECKPOINT_LIMIT),
        ("POST", r"/attest-anchor", frozenset[str](), ANCHOR_NOTE_LIMIT),
        ("POST", r"/card", frozenset[str](), CARD_LIMIT),
        ("GET", r"/v1/receipts/[0-9a-f]{64}", _READERS | {"review"}, 0),
        ("GET", r"/metrics", frozenset({"audit", "operate"}), 0),
    )
)
_BUCKETS: Final = 4_096  # that callers without a key share: so much memory, and no more
_ALWAYS: Final = [(b"x-content-type-options", b"nosniff")]


class JournalDoor:
    """What a request meets first.

    Args:
        settings: bounds and keys.
        inside: the framework's application.

    Attributes:
        table: what may be asked, and by whom.
    """

    table: ClassVar[Table] = _TABLE

    def __init__(self, settings: ServerSettings, inside: App) -> None:
        self._settings, self._inside = settings, inside
        self._limits = RateLimits(settings.requests_per_s, settings.burst_s)
        self.log = RequestLog(settings.log)
        self.answers: Counter[int] = Counter()
        self.is_stopping = False
        self._requests, self._start = 0, f"{time.time_ns() // 1_000_000:x}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began, key = time.perf_counter(), None
        self._requests += 1
        request = f"{self._start}-{self._requests:x}"
        try:
            key, limit = self._admit(scope)
            body = await self._body(scope, receive, limit)
            status = await self._pass_on(scope, body, send, request, key)
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets an answer without a stack
            status, headers, content = problem(error, request)
            self.log.fault(request, error)
            headers += [*_ALWAYS, (b"x-request-id", request.encode())]
            headers.append((b"content-length", b"%d" % len(content)))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})
        self.answers[status] += 1
        self.log.note(request, status, time.perf_counter() - began, key.name if key else "", None)

    def _admit(self, scope: Scope) -> tuple[ApiKey | None, int]:
        """Return the key that a request needs (None for what is anybody's), and how large its body may be."""
        if self.is_stopping:
            raise OverloadedError("the service is stopping", hint="send it again: another one is starting")
        path = scope["path"]
        fitting = [entry for entry in self.table if entry[1].fullmatch(path)]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        found = next((entry for entry in fitting if entry[0] == method), None)
        if found is None:
            if not fitting:
                raise HttpError(404, "path", "there is nothing here", hint="see /openapi.json")
            verbs = ", ".join(sorted({entry[0] for entry in fitting}))
            raise HttpError(405, "method", "this path does not take that method", allow=verbs)
        _, _, roles, limit = found
        if not roles or (path == "/metrics" and self._settings.open_metrics):
            self._limits.take(_caller(scope))
            return None, limit
        given = _header(scope, b"authorization")
        token = given[7:].decode("latin-1") if given[:7].lower() == b"bearer " else ""
        key = self._settings.keys.find(token)
        if key is None:
            self._limits.take(_caller(scope))  # who tries keys out is a caller like all others
            raise HttpError(401, "key", "this needs an API key that the node knows", hint="ask its operator")
        if not key.roles & roles:
            raise AccessDeniedError("this key's roles do not allow that", hint="use a key with another role")
        self._limits.take(key)
        return key, limit

    async def _body(self, scope: Scope, receive: Receive, limit: int) -> bytes:
        said = _header(scope, b"content-length")
        if said.isdigit() and int(said[:20]) > limit:
            raise _too_large(limit)
        parts, more = bytearray(), True
        try:
            async with asyncio.timeout(self._settings.read_s):
                while more and len(parts) <= limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise HttpError(400, "gone", "a request must be sent whole")
                    parts += message.get("body", b"")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise HttpError(408, "slow", "a body must come faster") from None
        if len(parts) > limit:
            raise _too_large(limit)
        return bytes(parts)

    async def _pass_on(self, scope: Scope, body: bytes, send: Send, request: str, key: ApiKey | None) -> int:
        status, is_begun = 500, False

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status, is_begun
            if message["type"] == "http.response.start":
                status, is_begun = message["status"], True
                own = [*_ALWAYS, (b"x-request-id", request.encode())]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        scope[KEY], scope[REQUEST] = key, request
        try:
            await self._inside(scope, receive, answer)
        except Exception as error:
            if not is_begun:
                raise
            self.log.fault(request, error)  # it was answered already
        return status


def _caller(scope: Scope) -> ApiKey:
    """Who asks without a key, for the rate alone: one of so many buckets by address."""
    host = (scope.get("client") or ("",))[0]
    digest = hashlib.sha256(host.encode()).digest()
    bucket = int.from_bytes(digest[:4], "big") % _BUCKETS
    return ApiKey(f"{bucket:08x}", "anybody", _READERS, digest, 0)


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


def _too_large(limit: int) -> HttpError:
    text = f"a body must have at most {limit} bytes" if limit else "this request takes no body"
    return HttpError(413, "size", text)
