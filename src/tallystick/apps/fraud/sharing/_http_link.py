"""A member in another process, over HTTP. What it answers is bounded in bytes and in seconds, and believed by its proof only.

- Every answer has one deadline, also one that comes a byte at a time; redirects are not followed.
- A member that gave no answer is left alone for a moment: what waits for it goes on at once without it, and no other
  member is asked in vain meanwhile.
- A connection is kept for the next ask.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tallystick.errors import (
    AccessDeniedError,
    ConfigurationError,
    DeadlineError,
    EncodingError,
    NodeUnreachableError,
    NotFoundError,
    OverloadedError,
    RateLimitError,
    TallystickError,
    VerificationError,
)

__all__ = ["HttpMemberLink"]

TIMEOUT_S: Final = 2.0
REST_S: Final = 2.0
IDLE_S: Final = 10.0  # shorter than a member keeps an idle connection
KEPT: Final = 8  # connections
ANSWER_LIMIT: Final = 32 * 1024  # bytes: 64 answers and their proof have some 4,000
RECEIPT_LIMIT: Final = 64 * 1024  # bytes
LIST_LIMIT: Final = 32 * 1024 * 1024  # bytes: 150,000 entries
_REFUSED: Final[Mapping[int, tuple[type[TallystickError], str]]] = {
    400: (EncodingError, "cannot read the request"),
    401: (AccessDeniedError, "does not know this bank's key"),
    403: (AccessDeniedError, "refuses: the request, its signature or the key is not one that it takes"),
    404: (NotFoundError, "has no such thing"),
    409: (DeadlineError, "says that the epoch or the request is not of now"),
    413: (EncodingError, "finds the request too large"),
    422: (VerificationError, "says that what it got does not hold"),
    429: (RateLimitError, "was asked too often"),
    503: (OverloadedError, "cannot answer at the moment"),
}


class HttpMemberLink:
    """The way to one other member.

    Args:
        party: its party id.
        origin: origin of its journal.
        url: where it listens: ``http`` or ``https``, a path is kept as prefix.
        key: the API key that it gave this bank.
        name: what it is called in a message.
        timeout_s: that one answer may take, all of it.
        rest_s: for how long it is left alone after it gave none.
        ca: certificates of who signs its own, PEM; the system's when None.
        now: seconds, never going back.

    Raises:
        ConfigurationError: no such URL, or a wait that is none.
    """

    def __init__(
        self,
        party: str,
        *,
        origin: str,
        url: str,
        key: str,
        name: str = "a member",
        timeout_s: float = TIMEOUT_S,
        rest_s: float = REST_S,
        ca: Path | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ConfigurationError("a member's address must be http(s)://host[:port][/path]")
        if timeout_s <= 0 or rest_s < 0:
            raise ConfigurationError("a timeout must be > 0 seconds, a rest >= 0")
        self._party, self._origin, self._key, self._name = party, origin, key, name
        self._parts, self._timeout_s, self._rest_s, self._now = parts, timeout_s, rest_s, now
        self._tls = _tls(ca) if parts.scheme == "https" else None
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._rests_until = float("-inf")
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"HttpMemberLink({self._name!r})"

    @property
    def party(self) -> str:
        """Party id of the member behind it."""
        return self._party

    @property
    def origin(self) -> str:
        """Origin of that member's journal."""
        return self._origin

    @property
    def is_resting(self) -> bool:
        """Whether it gave no answer a moment ago and is not asked."""
        return self._now() < self._rests_until

    def evaluate(self, request: bytes, *, epoch: int) -> bytes:
        """Let the member answer blinded points; see `MemberLink.evaluate`."""
        return self._ask("POST", f"/v1/share/evaluations/{epoch}", request, limit=ANSWER_LIMIT)

    def send_report(self, receipt: bytes) -> None:
        """Hand the member what was stated about a payee; see `MemberLink.send_report`."""
        self._ask("POST", "/v1/share/reports", receipt, limit=ANSWER_LIMIT)

    def opening(self, number: int) -> bytes:
        """Read the member's ``epoch.opened``, a receipt that is not yet verified.

        Raises:
            NotFoundError: it has not opened that epoch.
            TallystickError: it refused, or gave no answer in time.
        """
        return self._ask("GET", f"/v1/share/epochs/{number}", b"", limit=RECEIPT_LIMIT)

    def listed(self, epoch: int, *, at: int) -> bytes:
        """Read the member's list at a moment, see `format_listed`."""
        return self._ask("GET", f"/v1/share/lists/{epoch}?at={at}", b"", limit=LIST_LIMIT)

    def round_part(self, epoch: int, number: int, part: str) -> bytes:
        """Read what the member hands in to a round of masked sums; see `RoundDesk`.

        Args:
            epoch: number of the epoch.
            number: of the round.
            part: ``key`` or ``vector``.

        Raises:
            NotFoundError: it has not come so far.
        """
        return self._ask("GET", f"/v1/share/rounds/{epoch}/{number}/{part}", b"", limit=LIST_LIMIT)

    def close(self) -> None:
        """Close what is kept open."""
        with self._lock:
            kept, self._idle = self._idle, []
        for _, connection in kept:
            connection.close()

    def _ask(self, method: str, path: str, body: bytes, *, limit: int) -> bytes:
        if self.is_resting:
            raise NodeUnreachableError(f"{self._name} gave no answer a moment ago")
        try:
            status, content = self._exchange(method, path, body, limit)
        except NodeUnreachableError:
            self._rests_until = self._now() + self._rest_s
            raise
        if status in (200, 204):
            return content
        kind, why = _REFUSED.get(status, (NodeUnreachableError, f"answered {status}"))
        raise kind(f"{self._name} {why}")

    def _exchange(self, method: str, path: str, body: bytes, limit: int) -> tuple[int, bytes]:
        until = self._now() + self._timeout_s
        connection, is_used = self._taken()
        try:
            return self._once(connection, method, path, body, limit)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            found: Exception = error
        try:
            # A connection that was kept may have ended meanwhile. A member serves the same request only once.
            if is_used and self._now() < until:
                return self._once(self._fresh(), method, path, body, limit)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            found = error
        why = f"gave no answer in {self._timeout_s:g} s" if self._now() >= until else "cannot be reached"
        raise NodeUnreachableError(f"{self._name} {why}") from found

    def _once(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes, limit: int
    ) -> tuple[int, bytes]:
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/octet-stream"}
        # A socket's own timeout starts again with each byte; this one does not.
        watch = threading.Timer(self._timeout_s, lambda: _cut(connection))
        watch.daemon = True
        watch.start()
        is_whole = False
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read(limit + 1)
            if len(content) <= limit and answer.length:
                raise http.client.IncompleteRead(content, answer.length)
            is_whole = answer.isclosed() and not answer.will_close
        finally:
            watch.cancel()
            self._done(connection, keep=is_whole)
        if len(content) > limit:
            raise EncodingError(f"an answer of {self._name} must have at most {limit} bytes here")
        return answer.status, content

    def _taken(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            while self._idle:
                since, kept = self._idle.pop()
                if self._now() - since < IDLE_S:
                    return kept, True
                kept.close()
        return self._fresh(), False

    def _fresh(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _done(self, connection: http.client.HTTPConnection, *, keep: bool) -> None:
        with self._lock:
            if keep and len(self._idle) < KEPT:
                self._idle.append((self._now(), connection))
                return
        connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    """End a connection that takes too long; whoever waits for it wakes up."""
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError("the file of certificates cannot be used") from error
