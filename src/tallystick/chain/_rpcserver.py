"""Serve an embedded chain as JSON-RPC on this machine, so that several workspaces and other tools share it.

* It binds to loopback only: the chain knows no passwords, whoever reaches it may send and fund.
* Host and Origin are checked: a page in a browser must not reach it by rebinding a name to 127.0.0.1.
* A body is bounded before it is read, and a batch before it is answered.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from tallystick.errors import ConfigurationError, SurroundingsError

from ._answers import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, RpcError

if TYPE_CHECKING:
    from ._localchain import LocalChain

__all__ = ["MAX_BATCH", "MAX_BODY_BYTES", "ServedChain", "serve"]

MAX_BODY_BYTES = 1024 * 1024
MAX_BATCH = 256
# a peer that sends nothing keeps its thread no longer than this
IDLE_TIMEOUT_S = 30.0
_JSON_TYPES = {"application/json", "application/json-rpc", "application/jsonrequest"}

_log = logging.getLogger(__name__)


class ServedChain:
    """A running server; a context manager that stops it. ``url`` is where it answers."""

    def __init__(self, server: _Server, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.url = server.url

    def __enter__(self) -> ServedChain:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until somebody stops the server, or for so many seconds."""
        self._thread.join(timeout_s)

    def stop(self) -> None:
        """Stop answering, finish what is being answered; the chain itself stays open."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()
        self._server.chain.store.say()
        _log.info("stopped serving %s", self.url)


def serve(chain: LocalChain, host: str = "127.0.0.1", *, port: int = 8545) -> ServedChain:
    """Start to answer JSON-RPC for a chain in a thread of its own.

    Args:
        chain: open, and stays open for as long as it is served.
        host: a loopback address.
        port: 0 takes a free one.

    Raises:
        ConfigurationError: host is not this machine's own loopback.
        SurroundingsError: the port is taken.
    """
    if not _is_loopback(host):
        raise ConfigurationError(
            f"host must be a loopback address, got {host}",
            hint="use 127.0.0.1; for other machines put an authenticating proxy in front, or run a network",
        )
    try:
        server = _Server((host, port), chain)
    except OSError as error:
        raise SurroundingsError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="name another port with --port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="chain serve", daemon=True)
    thread.start()
    # who finds the file locked learns the address from the lock
    chain.store.say(url=server.url)
    _log.info("serving chain %d at %s", chain.chain_id, server.url)
    return ServedChain(server, thread)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], chain: LocalChain) -> None:
        self.chain = chain
        self.stopping = False
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)
        self.host, self.port = self.server_address[0], int(self.server_address[1])
        self.url = f"http://{address[0]}:{self.port}"

    def server_bind(self) -> None:
        # HTTPServer would look its own name up in the DNS here
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open; what is being answered is answered first."""
        self.stopping = True
        with self._open_lock:
            left, self._open = list(self._open), set()
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a connection ended early", exc_info=True)


class _RefusalError(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "tallystick"
    sys_version = ""
    timeout = IDLE_TIMEOUT_S
    # one small answer a request: waiting to fill a packet only adds 40 ms
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        try:
            body = self._body()
        except _RefusalError as refusal:
            self._refuse(refusal)
            return
        answer = answer_body(self.server.chain, body)
        self._send(200 if answer else 204, answer, "application/json")

    def do_GET(self) -> None:
        self._refuse(_RefusalError(405, "send JSON-RPC with POST"))

    do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_GET  # noqa: N815 - the names that http.server calls

    def _body(self) -> bytes:
        if self.server.stopping:
            raise _RefusalError(503, "the chain is no longer served")
        self._check_origin()
        kind = (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            # a page may send text/plain anywhere without asking; application/json it may not
            raise _RefusalError(415, "content type must be application/json")
        if self.headers.get("Transfer-Encoding"):
            raise _RefusalError(411, "a Content-Length is needed")
        said = self.headers.get("Content-Length") or ""
        if not said.isascii() or not said.isdigit() or len(said) > 12:
            raise _RefusalError(411, "a Content-Length is needed")
        size = int(said)
        if size > MAX_BODY_BYTES:
            raise _RefusalError(413, f"a body has at most {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(size)
        if len(body) != size:
            raise _RefusalError(400, "the body ended early")
        return body

    def _check_origin(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not _names_this_machine("http://" + hosts[0], self.server.port):
            raise _RefusalError(403, "the Host header does not name this server")
        for origin in self.headers.get_all("Origin") or []:
            if not _names_this_machine(origin, None):
                raise _RefusalError(403, "pages of other origins have no business here")

    def _refuse(self, refusal: _RefusalError) -> None:
        # what is left of the body is not read, so the connection cannot be used again
        self.close_connection = True
        self._send(refusal.status, (refusal.words + "\n").encode(), "text/plain; charset=utf-8")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the inherited name
        _log.debug(format, *args)


def answer_body(chain: LocalChain, body: bytes) -> bytes:
    """Answer a request or a batch; the bytes are empty when only notifications came.

    Source: JSON-RPC 2.0, sections 4 to 6.
    """
    try:
        # orjson bounds the depth itself; py-evm raises the recursion limit so far that json would end the process
        said = orjson.loads(body)
    except ValueError:
        return _json(_error(None, RpcError(PARSE_ERROR, "parse error")))
    if not isinstance(said, list):
        answer = _answer_one(chain, said)
        return b"" if answer is None else _json(answer)
    if not said:
        return _json(_error(None, RpcError(INVALID_REQUEST, "empty batch")))
    if len(said) > MAX_BATCH:
        return _json(_error(None, RpcError(INVALID_REQUEST, f"a batch has at most {MAX_BATCH} requests")))
    answers = [answer for one in said if (answer := _answer_one(chain, one)) is not None]
    return _json(answers) if answers else b""


def _answer_one(chain: LocalChain, said: Any) -> dict[str, Any] | None:
    if not isinstance(said, dict):
        return _error(None, RpcError(INVALID_REQUEST, "invalid request"))
    request_id, method = said.get("id"), said.get("method")
    well_formed = isinstance(method, str) and said.get("jsonrpc") == "2.0"
    if not well_formed or isinstance(request_id, bool | dict | list):
        return _error(None, RpcError(INVALID_REQUEST, "invalid request"))
    try:
        params = said.get("params")
        result = chain.answer(str(method), [] if params is None else params)
    except RpcError as error:
        return _error(request_id, error) if "id" in said else None
    except Exception:  # noqa: BLE001 - one request's failure must not end the others'
        _log.exception("%s failed", method)
        return _error(request_id, RpcError(INTERNAL_ERROR, "internal error"))
    return {"jsonrpc": "2.0", "id": request_id, "result": result} if "id" in said else None


def _error(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.as_json()}


def _json(value: Any) -> bytes:
    return orjson.dumps(value)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_this_machine(url: str, port: int | None) -> bool:
    try:
        parts = urlsplit(url)
        host, found = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or host is None or not _is_loopback(host):
        return False
    return port is None or (found or 80) == port
