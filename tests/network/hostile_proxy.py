"""A proxy before an honest node that is dead, slow, behind, on another chain, or lies: what a bad member could run."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODES = ("dead", "slow", "behind", "other chain", "forged receipts", "forged logs", "forged head")
LAG = 20
SLOW_S = 3.0
FORGED = "0x" + "f0" * 32


@dataclass
class HostileProxy:
    """Passes questions on to a node; ``mode`` is set by a test, "" is honest."""

    behind_it: str
    mode: str = ""
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, said: dict[str, Any]) -> dict[str, Any]:
        method, params = said["method"], said["params"]
        self.asked.append(method)
        if self.mode == "slow":
            time.sleep(SLOW_S)
        if self.mode == "behind":
            params = [self._older(method, param) for param in params]
        answer = self._pass_on({**said, "params": params})
        change = _CHANGES.get(self.mode)
        if change is not None and answer.get("result") is not None:
            answer["result"] = change(method, params, answer["result"])
        return answer

    def _older(self, method: str, param: Any) -> Any:
        if param == "latest" and method != "eth_sendRawTransaction":
            head = int(
                self._pass_on({"id": 1, "jsonrpc": "2.0", "method": "eth_blockNumber", "params": []})[
                    "result"
                ],
                16,
            )
            return hex(max(head - LAG, 1))
        return param

    def _pass_on(self, said: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.behind_it, data=json.dumps(said).encode(), headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            found: dict[str, Any] = json.loads(response.read())
        return found


def _behind(method: str, _: list[Any], right: Any) -> Any:
    return hex(max(int(right, 16) - LAG, 1)) if method == "eth_blockNumber" else right


def _other_chain(method: str, params: list[Any], right: Any) -> Any:
    if method == "eth_chainId":
        return hex(int(right, 16) + 1)
    if method == "eth_getBlockByNumber":
        return {**right, "hash": FORGED}
    return right


def _receipts(method: str, _: list[Any], right: Any) -> Any:
    if method == "eth_getTransactionReceipt":
        return {**right, "status": "0x1" if right["status"] == "0x0" else "0x0"}
    if method == "eth_getBlockReceipts":
        return []
    return right


def _logs(method: str, _: list[Any], right: Any) -> Any:
    if method == "eth_getLogs":
        return [{**log, "data": FORGED} for log in right]
    if method == "eth_getTransactionReceipt":
        return {**right, "logs": [{**log, "data": FORGED} for log in right["logs"]]}
    return right


def _head(method: str, params: list[Any], right: Any) -> Any:
    if method == "eth_blockNumber":
        return hex(int(right, 16) + 1_000_000)
    if method == "eth_getBlockByNumber" and params[0] == "latest":
        return {**right, "number": hex(int(right["number"], 16) + 1_000_000), "hash": FORGED}
    return right


_CHANGES: dict[str, Callable[[str, list[Any], Any], Any]] = {
    "behind": _behind,
    "other chain": _other_chain,
    "forged receipts": _receipts,
    "forged logs": _logs,
    "forged head": _head,
}


@contextmanager
def hostile_proxy(url: str, *, mode: str = "") -> Iterator[HostileProxy]:
    """Stand before a node on a free port of 127.0.0.1."""
    proxy = HostileProxy(url, mode)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(proxy: HostileProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if proxy.mode == "dead":
                proxy.asked.append(said["method"])
                self.close_connection = True
                return
            try:
                body = json.dumps(proxy.answer(said)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    return Handler
