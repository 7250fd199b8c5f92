"""Whoever has no key must not be able to keep everybody else out: silent connections and heads without an end."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from multiprocessing.queues import Queue
from typing import Any

import pytest

pytest.importorskip("fastapi")

WAIT_S = 20.0
HEAD_S = 0.5


def serve_bounded(told: Queue[int]) -> None:
    from tests.unit.server.made_service import Service

    from tallystick.server import _running
    from tallystick.server._connection import BoundedConnection

    BoundedConnection.head_s = HEAD_S
    BoundedConnection.unread_s = HEAD_S
    _running.serve(Service().app, port=0, started=lambda place: told.put(place.port))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    process = context.Process(target=serve_bounded, args=(told,), daemon=True)
    process.start()
    try:
        yield told.get(timeout=60)
    finally:
        process.terminate()
        process.join(WAIT_S)


def connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)


def answer(port: int) -> bytes:
    with connection(port) as one:
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return one.recv(200).split(b"\r\n")[0]


@pytest.mark.parametrize("said", [b"", b"GET /health/live HT", b"GET /health/live HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(port: int, said: bytes) -> None:
    with connection(port) as one:
        one.sendall(said)
        assert one.recv(10) == b""
    assert answer(port) == b"HTTP/1.1 200 OK"


def test_nor_is_the_next_one_on_a_connection_that_was_answered(port: int) -> None:
    with connection(port) as one:
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        said = one.recv(4096)
        while not said.endswith(b"}"):
            said += one.recv(4096)
        one.sendall(b"GET /hea")
        assert one.recv(10) == b""


@pytest.mark.parametrize(
    "line", [b"X-A: " + b"a" * 1000 + b"\r\n", b"X-A: " + b"a" * 100_000 + b"\r\n"], ids=["many", "long"]
)
def test_a_head_without_an_end_is_refused(port: int, line: bytes) -> None:
    with connection(port) as one:
        said = b""
        try:
            one.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + line * 100)
            said = one.recv(4096)
        except ConnectionError:
            pass  # it was closed while more was being sent
    assert not said or said.startswith(b"HTTP/1.1 400")
    assert answer(port) == b"HTTP/1.1 200 OK"


def test_a_head_as_browsers_send_it_is_answered(port: int) -> None:
    with connection(port) as one:
        cookies = b"".join(b"X-%d: %b\r\n" % (number, b"a" * 700) for number in range(20))
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + cookies + b"\r\n")
        assert one.recv(4096).startswith(b"HTTP/1.1 200")


def _send_for_ever(one: socket.socket, data: bytes) -> None:
    while True:
        one.sendall(data)


def test_who_never_reads_his_answers_is_dropped(port: int) -> None:
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        one.settimeout(WAIT_S)
        one.connect(("127.0.0.1", port))
        # Dropped, the connection is reset under what is still sent; kept, these sends would come to stand still.
        with pytest.raises(ConnectionError):
            _send_for_ever(one, ask * 100)
    assert answer(port) == b"HTTP/1.1 200 OK"


def test_what_needs_no_key_takes_no_large_body(port: int) -> None:
    with connection(port) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n")
        one.sendall(b"a" * 5_000)
        assert one.recv(4096).startswith(b"HTTP/1.1 413")
    with connection(port) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        assert one.recv(4096).startswith(b"HTTP/1.1 200")
