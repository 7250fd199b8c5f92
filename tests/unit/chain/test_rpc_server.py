"""The served chain answers JSON-RPC on loopback, and nothing that a page in a browser could send."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import LocalChain, ServedChain, connect, serve
from tallystick.chain._rpcserver import MAX_BATCH, MAX_BODY_BYTES
from tallystick.errors import ChainUnreachableError, ConfigurationError, LockedError, SurroundingsError

ADDRESS = "0x" + "11" * 20


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[LocalChain]:
    with LocalChain(tmp_path / "a.chain") as opened:
        yield opened


@pytest.fixture
def served(chain: LocalChain) -> Iterator[ServedChain]:
    with serve(chain, port=0) as running:
        yield running


def post(
    served: ServedChain, body: bytes | Any, *, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, bytes]:
    host, port = served.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, "/", content, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def request(method: str, *params: Any, request_id: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}


def test_a_request_is_answered(served: ServedChain, chain: LocalChain) -> None:
    status, body = post(served, request("eth_chainId", request_id="x"))
    assert status == 200
    assert json.loads(body) == {"jsonrpc": "2.0", "id": "x", "result": hex(chain.chain_id)}


def test_a_batch_is_answered_in_order_without_its_notifications(served: ServedChain) -> None:
    notification = {"jsonrpc": "2.0", "method": "eth_chainId"}
    batch = [request("eth_blockNumber", request_id=2), notification, request("eth_no", request_id=1), 5]
    status, body = post(served, batch)
    answers = json.loads(body)
    assert status == 200
    assert [(one["id"], one.get("error", {}).get("code")) for one in answers] == [
        (2, None),
        (1, -32601),
        (None, -32600),
    ]
    assert post(served, [notification]) == (204, b"")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"eth_chainId"}', -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b'{"id":1,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":5}', -32602),
        (json.dumps([request("eth_chainId")] * (MAX_BATCH + 1)).encode(), -32600),
    ],
    ids=range(10),
)
def test_malformed_requests_get_the_standards_codes(served: ServedChain, body: bytes, code: int) -> None:
    status, answer = post(served, body)
    assert (status, json.loads(answer)["error"]["code"]) == (200, code)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8545", "127.0.0.1:1", "127.0.0.1.evil.example", "10.0.0.1", ""]
)
def test_a_rebound_name_is_refused(served: ServedChain, host: str) -> None:
    assert post(served, request("eth_chainId"), headers={"Host": host})[0] == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "file://"]
)
def test_a_page_of_another_origin_is_refused(served: ServedChain, origin: str) -> None:
    assert post(served, request("eth_chainId"), headers={"Origin": origin})[0] == 403


def test_this_machines_own_names_and_pages_are_welcome(served: ServedChain) -> None:
    port = served.url.rpartition(":")[2]
    for headers in ({"Host": f"localhost:{port}"}, {"Origin": "http://localhost:3000"}):
        assert post(served, request("eth_chainId"), headers=headers)[0] == 200


def test_what_a_page_may_send_without_asking_is_refused(served: ServedChain) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert post(served, request("eth_chainId"), headers={"Content-Type": kind})[0] == 415
    for method in ("GET", "PUT", "OPTIONS"):
        assert post(served, b"", method=method)[0] == 405


def test_a_body_is_bounded_before_it_is_read(served: ServedChain) -> None:
    assert post(served, b"", headers={"Content-Length": str(MAX_BODY_BYTES + 1)})[0] == 413
    assert post(served, b"", headers={"Content-Length": "-5"})[0] == 411
    assert post(served, b"", headers={"Content-Length": "5x"})[0] == 411


def test_two_host_headers_are_refused(served: ServedChain) -> None:
    port = int(served.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nContent-Type: application/json\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        assert plain.recv(100).startswith(b"HTTP/1.1 403")


def test_only_loopback_is_served(chain: LocalChain) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "example.org", "::"):
        with pytest.raises(ConfigurationError, match="loopback"):
            serve(chain, host)


def test_a_port_that_is_taken_is_named(chain: LocalChain, served: ServedChain) -> None:
    with pytest.raises(SurroundingsError, match="cannot listen"):
        serve(chain, port=int(served.url.rpartition(":")[2]))


def test_who_finds_the_file_locked_is_sent_to_the_url(chain: LocalChain, served: ServedChain) -> None:
    with pytest.raises(LockedError) as refused:
        LocalChain(chain.path)
    assert served.url in refused.value.hint


def test_several_clients_write_through_one_server(served: ServedChain) -> None:
    def work(number: int) -> int:
        with connect(served.url) as chain:
            for _ in range(5):
                chain.fund(f"0x{number:040x}", 1)
            return chain.balance(f"0x{number:040x}")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(100, 104))) == [5] * 4


def test_a_stopped_server_hangs_up_and_the_chain_goes_on(chain: LocalChain) -> None:
    served = serve(chain, port=0)
    with connect(served.url) as client:
        assert client.head().number == 0
        served.stop()
        with pytest.raises(ChainUnreachableError, match="does not answer") as refused:
            client.head()
        assert refused.value.retryable
    assert chain.fund(ADDRESS)
