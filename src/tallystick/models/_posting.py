"""One POST over HTTP/1.1, bounded in time and size as a whole, which `urllib.request` cannot promise.

A socket's own timeout starts again with every byte, so a peer that sends one byte a second would hold the caller for
ever: a timer shuts the socket down when the whole exchange has taken too long. Only the look-up of the host's name is
the system's own affair and outside that bound.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tallystick.errors import ModelInputError, ScorerError, ScorerUnreachableError

_RETRY: Final = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to post.

    Args:
        url: http or https, without credentials.
        timeout_s: for one whole exchange.
        max_bytes: of an answer's body.
        context: whom TLS trusts; the system's authorities when None.
    """

    url: str
    timeout_s: float
    max_bytes: int
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of it: a body, or an error with how long the peer asked to wait."""

    body: bytes = b""
    error: ScorerError | ScorerUnreachableError | None = None
    wait_s: float = 0.0


def post(endpoint: Endpoint, body: bytes, *, headers: Mapping[str, str]) -> Posted:
    """Post JSON once. No redirect is followed and no proxy is asked."""
    parts = urlsplit(endpoint.url)
    assert parts.hostname is not None
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = endpoint.context or ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=endpoint.timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=endpoint.timeout_s)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with _Deadline(endpoint.timeout_s) as deadline:
        try:
            connection.connect()
            deadline.watch(connection.sock)
            _send(connection, target, body, {**headers, **_HEADERS})
            posted = _answer(connection.getresponse(), endpoint.max_bytes)
            # An answer without a length ends where the connection ends: only the timer knows that it was cut.
            return _unreachable(endpoint, None) if deadline.passed else posted
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                return Posted(error=ScorerError("the scorer's certificate must be trusted, and is not"))
            late = deadline.passed or isinstance(error, TimeoutError)
            return _unreachable(endpoint, None if late else error)
        finally:
            connection.close()


def _send(
    connection: http.client.HTTPConnection, target: str, body: bytes, headers: Mapping[str, str]
) -> None:
    try:
        connection.request("POST", target, body, dict(headers))
    except ValueError:
        # Not chained: the library's own message shows the header, and with it the credentials.
        raise ModelInputError("a header must be one line of text that HTTP can carry") from None


def _unreachable(endpoint: Endpoint, cause: Exception | None) -> Posted:
    """Say that there was no answer: for a reason of the network's, or for none but the time."""
    if cause is None:
        what = f"the scorer must answer within {endpoint.timeout_s:g} s, and did not"
    else:
        what = "the scorer must be reachable and speak HTTP, and does not"
    error = ScorerUnreachableError(what, hint="ask again later; the row was not decided on")
    error.__cause__ = cause
    return Posted(error=error)


_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a packed answer could unpack to more than the bound
    "Content-Type": "application/json",
    "Connection": "close",
    "User-Agent": "tallystick",
}


class _Deadline:
    """Shuts a socket down when time is up.

    It holds the socket itself, because `http.client` forgets it as soon as it knows that the connection will close,
    while the body is still to come.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, watched: socket.socket) -> None:
        self._socket = watched
        if self.passed:
            raise TimeoutError

    def _shut(self) -> None:
        self.passed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)


def _answer(response: http.client.HTTPResponse, max_bytes: int) -> Posted:
    status = response.status
    if status in _RETRY:
        wait = response.headers.get("Retry-After", "")
        error = ScorerUnreachableError(f"the scorer must answer with 200, got {status}")
        return Posted(error=error, wait_s=float(wait) if wait.isdecimal() and len(wait) < 6 else 0.0)
    if status in _REDIRECTS:
        return Posted(
            error=ScorerError(
                f"the scorer must answer itself, and sends elsewhere ({status})",
                hint="rows go to the address that was agreed on only: write its real one into the description",
            )
        )
    if status != 200:
        return Posted(error=ScorerError(f"the scorer must answer with 200, got {status}"))
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return Posted(error=ScorerError("the scorer must not pack its answer"))
    body = response.read(max_bytes + 1)
    if len(body) > max_bytes:
        return Posted(error=ScorerError(f"the scorer's answer must have at most {max_bytes} bytes"))
    if response.length:  # read(n) does not say that the peer ended before its own Content-Length
        raise http.client.IncompleteRead(body, response.length)
    return Posted(body)
