"""Nodes of a network that never was: one list of blocks, several endpoints over HTTP, each with faults of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOPIC = "0x" + "aa" * 32
CONTRACT = "0x" + "c0" * 20


def block_hash(number: int, *, chain: str = "one") -> str:
    return "0x" + sha256(f"{chain} {number}".encode()).hexdigest()


@dataclass
class Ledger:
    """What the honest ones all know.

    Attributes:
        height: number of the newest block.
        receipts: transaction's hash -> block.
        logs: number of logs in each block.
    """

    height: int = 100
    receipts: dict[str, int] = field(default_factory=dict)
    logs: dict[int, int] = field(default_factory=dict)

    def log(self, block: int, place: int) -> dict[str, Any]:
        return {
            "address": CONTRACT,
            "topics": [TOPIC],
            "data": f"0x{block:064x}",
            "blockNumber": hex(block),
            "blockHash": block_hash(block),
            "transactionHash": block_hash(block, chain="transaction"),
            "transactionIndex": "0x0",
            "logIndex": hex(place),
            "removed": False,
        }


@dataclass
class Node:
    """One endpoint; its faults are set by a test.

    Attributes:
        behind: so many blocks.
        chain: another name makes another chain.
        delay_s: before each answer.
        forge: may change a right answer: method, parameters, answer -> answer.
        asked: methods in order.
        most_blocks: of one log query.
        most_rows: of one log query.
        silent_cap: cut rows off without a word.
    """

    ledger: Ledger
    url: str = ""
    behind: int = 0
    chain: str = "one"
    delay_s: float = 0.0
    forge: Callable[[str, list[Any], Any], Any] | None = None
    asked: list[str] = field(default_factory=list)
    most_blocks: int = 10_000
    most_rows: int = 10_000
    silent_cap: bool = False
    status: int = 200

    @property
    def height(self) -> int:
        return self.ledger.height - self.behind

    def answer(self, method: str, params: list[Any]) -> dict[str, Any]:
        self.asked.append(method)
        time.sleep(self.delay_s)
        try:
            result = getattr(self, method)(*params)
            if self.forge is not None:
                result = self.forge(method, params, result)
        except LookupError as error:
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": str(error.args[0])}}
        return {"jsonrpc": "2.0", "id": 1, "result": result}

    def eth_chainId(self) -> str:
        return "0x2a"

    def web3_clientVersion(self) -> str:
        return "double"

    def eth_blockNumber(self) -> str:
        return hex(self.height)

    def eth_getBlockByNumber(self, tag: str, _: bool) -> Any:
        number = self.height if tag in ("latest", "finalized") else int(tag, 16)
        if number > self.height:
            return None
        return {
            "number": hex(number),
            "hash": block_hash(number, chain=self.chain),
            "parentHash": block_hash(number - 1, chain=self.chain),
            "timestamp": hex(1_700_000_000 + number),
            "transactions": [],
            "baseFeePerGas": "0x0",
        }

    def eth_getTransactionReceipt(self, transaction: str) -> Any:
        block = self.ledger.receipts.get(transaction)
        if block is None or block > self.height:
            raise LookupError("ethereum tx not found")
        return {
            "transactionHash": transaction,
            "blockNumber": hex(block),
            "blockHash": block_hash(block),
            "status": "0x1",
            "gasUsed": "0x5208",
            "logs": [],
        }

    def eth_getTransactionCount(self, _: str, tag: str) -> str:
        return hex(self.height if tag in ("latest", "pending") else int(tag, 16))

    def eth_getBalance(self, _: str, tag: str) -> str:
        return hex(self.height if tag == "latest" else int(tag, 16))

    def eth_getCode(self, *_: Any) -> str:
        raise LookupError(f"no state kept at {self.height}")

    def eth_sendRawTransaction(self, raw: str) -> str:
        return "0x" + sha256(raw.encode()).hexdigest()

    def eth_getLogs(self, query: dict[str, Any]) -> list[Any]:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if last - first > self.most_blocks:
            raise LookupError(f"maximum [from, to] blocks distance: {self.most_blocks}")
        found = [
            self.ledger.log(block, place)
            for block in range(first, min(last, self.height) + 1)
            for place in range(self.ledger.logs.get(block, 0))
        ]
        if len(found) > self.most_rows and not self.silent_cap:
            raise LookupError(f"query returned more than {self.most_rows} results")
        return found[: self.most_rows]

    def eth_getBlockReceipts(self, tag: str) -> list[Any]:
        block = int(tag, 16)
        return [{"logs": [self.ledger.log(block, place) for place in range(self.ledger.logs.get(block, 0))]}]


@contextmanager
def served(*nodes: Node) -> Iterator[None]:
    """Serve nodes on free ports of 127.0.0.1; their urls are set."""
    with ExitStack() as stack:
        for node in nodes:
            server = _Server(("127.0.0.1", 0), _handler(node))
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            node.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Keep quiet: who asked has gone away."""


def _handler(node: Node) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(node.answer(said["method"], said["params"])).encode()
            self.send_response(node.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    return Handler
