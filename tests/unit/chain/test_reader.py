"""Anchors are read from nodes with the base install only, and nothing that a node says is taken on trust."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import (
    Account,
    Anchors,
    Call,
    Chain,
    LocalChain,
    Outbox,
    Profile,
    _reader,
    anchor_reader,
    read_anchor,
    serve,
)
from tallystick.chain._reader import ANCHORED_TOPIC, MAX_ANSWER_BYTES, ROOTS_SELECTOR
from tallystick.errors import ChainError, ChainUnreachableError, ConfigurationError, TallystickError
from tallystick.proof import AnchorClaim, keccak256

JOURNAL = hashlib.sha256(b"did:key:z6Mk/main").digest()
ROOT = b"\x05" * 32


def members_for(writer: str) -> bytes:
    """Creation code of a contract that says to everybody: this writer, epoch 1."""
    runtime = bytes.fromhex("73" + writer[2:] + "5f52" + "6001602052" + "60405ff3")
    return bytes([0x60, len(runtime), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + runtime


@pytest.fixture(scope="module")
def anchored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, AnchorClaim]]:
    place = tmp_path_factory.mktemp("anchored")
    account = Account(os.urandom(32))
    with LocalChain(place / "a.chain") as local, serve(local, port=0) as served:
        chain = Chain(Profile("pilot", path=place / "a.chain"), local)
        chain.fund(account.address)
        with Outbox(place / "outbox.db", chain, account=account) as outbox:
            members = outbox.send("members", Call(None, members_for(account.address))).contract
            contract = outbox.send("anchors", Anchors.deploy_call(members)).contract
            anchors = Anchors(chain.web3, contract)
            mined = outbox.send("head", anchors.anchor(JOURNAL, size=7, root=ROOT, proof=[]))
        yield (
            served.url,
            AnchorClaim(
                chain_id=chain.chain_id,
                genesis=chain.genesis,
                contract=contract,
                block=mined.block,
                block_hash=mined.block_hash,
                size=7,
                root=ROOT,
                consistency=(),
            ),
        )


def changed(claim: AnchorClaim, **changes: Any) -> AnchorClaim:
    names = ("chain_id", "genesis", "contract", "block", "block_hash", "size", "root", "consistency", "note")
    return AnchorClaim(**{**{name: getattr(claim, name) for name in names}, **changes})


def test_the_selectors_are_those_of_the_contract() -> None:
    event = b"Anchored(bytes32,uint64,uint64,bytes32,uint64,uint64)"
    assert "0x" + keccak256(event).hex() == ANCHORED_TOPIC
    assert "0x" + keccak256(b"roots(bytes32,uint64)")[:4].hex() == ROOTS_SELECTOR


def test_an_anchor_is_read_as_it_was_made(anchored: tuple[str, AnchorClaim]) -> None:
    url, claim = anchored
    reading = read_anchor(url, claim, journal_id=JOURNAL)
    assert reading.endpoint == url.removeprefix("http://")
    assert (reading.chain_id, reading.genesis) == (claim.chain_id, claim.genesis)
    assert (reading.root, reading.block, reading.block_hash) == (ROOT, claim.block, claim.block_hash)
    assert reading.time > 1_700_000_000


def test_what_is_not_anchored_is_read_as_nothing(anchored: tuple[str, AnchorClaim]) -> None:
    url, claim = anchored
    for other in (
        changed(claim, size=8),
        changed(claim, contract="0x" + "22" * 20),
    ):
        reading = read_anchor(url, other, journal_id=JOURNAL)
        assert (reading.root, reading.block, reading.block_hash) == (None, 0, "")
    assert read_anchor(url, claim, journal_id=b"\x01" * 32).root is None


def test_an_anchor_of_another_block_names_no_block(anchored: tuple[str, AnchorClaim]) -> None:
    url, claim = anchored
    for block in (claim.block - 1, claim.block + 1_000):
        reading = read_anchor(url, changed(claim, block=block), journal_id=JOURNAL)
        assert (reading.root, reading.block) == (ROOT, 0)


def test_endpoints_that_fail_are_left_out_and_told(anchored: tuple[str, AnchorClaim]) -> None:
    url, claim = anchored
    told: list[tuple[str, TallystickError]] = []
    read = anchor_reader(
        ["http://127.0.0.1:1", url, "ftp://x"],
        timeout_s=5,
        failed=lambda place, error: told.append((place, error)),
    )
    assert [reading.root for reading in read(claim, JOURNAL)] == [ROOT]
    assert [place for place, _ in told] == ["http://127.0.0.1:1", "ftp://x"]
    assert isinstance(told[0][1], ChainUnreachableError)


def test_what_has_one_name_has_one_voice_and_a_url_is_asked_once(anchored: tuple[str, AnchorClaim]) -> None:
    url, claim = anchored
    other = url.replace("127.0.0.1", "localhost")
    read = anchor_reader([url, other, url], names={url: "bank-a", other: "bank-a"})
    assert [reading.endpoint for reading in read(claim, JOURNAL)] == ["bank-a", "bank-a"]


def test_an_endpoint_that_gives_no_answer_is_left_alone_for_a_while(
    anchored: tuple[str, AnchorClaim], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, claim = anchored
    now, asked, told = [100.0], list[str](), list[str]()
    real = _reader.read_anchor

    def counted(place: str, *arguments: Any, **named: Any) -> Any:
        asked.append(place)
        return real(place, *arguments, **named)

    monkeypatch.setattr(_reader, "read_anchor", counted)
    gone = "http://127.0.0.1:1"
    read = anchor_reader(
        [gone, url], failed=lambda place, _error: told.append(place), monotonic=lambda: now[0]
    )
    for _ in range(3):
        assert [reading.root for reading in read(claim, JOURNAL)] == [ROOT]
    assert (asked.count(gone), asked.count(url), told) == (1, 3, [gone] * 3)
    now[0] += _reader.LEFT_ALONE_S + 1
    read(claim, JOURNAL)
    assert asked.count(gone) == 2


def test_an_endpoint_that_is_behind_denies_nothing(anchored: tuple[str, AnchorClaim]) -> None:
    url, claim = anchored
    ahead = changed(claim, block=claim.block + 1_000, size=8)
    with pytest.raises(ChainError, match="has not come to block"):
        read_anchor(url, ahead, journal_id=JOURNAL)


def test_reading_needs_neither_web3_nor_an_evm(anchored: tuple[str, AnchorClaim]) -> None:
    script = (
        "import sys\n"
        "from tallystick.chain import anchor_reader, read_anchor\n"
        "bad = {'web3', 'eth', 'coincurve', 'requests', 'rlp', 'eth_abi'} & set(sys.modules)\n"
        "sys.exit(f'loaded {bad}' if bad else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


# -- nodes that lie or babble -----------------------------------------------------------------------------

Reply = Callable[[str, list[Any]], Any]


class Babbling:
    """A server that answers each method as a test says; bytes go out as they are."""

    def __init__(self, reply: Reply) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = reply(said["method"], said["params"])
                body = (
                    answer if isinstance(answer, bytes) else json.dumps({"id": 1, "result": answer}).encode()
                )
                self.send_response(302 if body == b"elsewhere" else 200)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


HASH = "0x" + "ab" * 32
CLAIM = AnchorClaim(5, HASH, "0x" + "11" * 20, 3, HASH, 7, ROOT, ())
LOG = {
    "address": CLAIM.contract,
    "topics": [ANCHORED_TOPIC, "0x" + JOURNAL.hex(), f"0x{7:064x}", f"0x{1:064x}"],
    "data": "0x" + ROOT.hex() + "00" * 64,
    "blockHash": HASH,
}


def block(number: str) -> dict[str, str]:
    return {"number": number, "hash": HASH, "timestamp": "0x6b000000"}


def node(**changes: Any) -> Reply:
    def reply(method: str, params: list[Any]) -> Any:
        if method in changes:
            return changes[method]
        if method == "eth_getBlockByNumber":
            return block(params[0])
        return {"eth_chainId": "0x5", "eth_getLogs": [LOG], "eth_call": "0x" + "00" * 32}[method]

    return reply


def test_the_stand_in_is_read() -> None:
    with Babbling(node()) as url:
        assert read_anchor(url, CLAIM, journal_id=JOURNAL).root == ROOT


@pytest.mark.parametrize(
    "changes",
    [
        {"eth_chainId": 5},
        {"eth_chainId": "5"},
        {"eth_chainId": "0x" + "f" * 17},
        {"eth_chainId": b"not json"},
        {"eth_chainId": b"[" * 200_000},
        {"eth_chainId": b'{"id":2,"result":"0x5"}'},
        {"eth_chainId": b'{"id":1,"error":{"code":-32000,"message":"no\\nway"}}'},
        {"eth_chainId": b'{"id":1}'},
        {"eth_chainId": b" " * (MAX_ANSWER_BYTES + 1)},
        {"eth_getBlockByNumber": {"number": "0x9", "hash": HASH, "timestamp": "0x1"}},
        {"eth_getBlockByNumber": []},
        {"eth_getBlockByNumber": None},
        {"eth_getLogs": None},
        {"eth_getLogs": [5]},
        {"eth_getLogs": [{**LOG, "address": "0x" + "22" * 20}]},
        {"eth_getLogs": [{**LOG, "topics": [*LOG["topics"][:2], f"0x{8:064x}"]}]},
        {"eth_getLogs": [{**LOG, "blockHash": "0x" + "00" * 32}]},
        {"eth_getLogs": [{**LOG, "removed": True}]},
        {"eth_getLogs": [{**LOG, "data": "0x12"}]},
        {"eth_getLogs": [], "eth_call": "0x1234"},
        {"eth_getLogs": [], "eth_call": 5},
    ],
    ids=range(21),
)
def test_an_answer_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with Babbling(node(**changes)) as url, pytest.raises(ChainError) as refused:
        read_anchor(url, CLAIM, journal_id=JOURNAL, timeout_s=5)
    assert "\n" not in str(refused.value)


def test_a_node_that_counts_blocks_from_1_answers_for_block_0_with_its_first() -> None:
    # what a node over CometBFT does; the first block stands for the genesis there
    def reply(method: str, params: list[Any]) -> Any:
        first = method == "eth_getBlockByNumber" and params[0] == "0x0"
        return block("0x1") if first else node()(method, params)

    with Babbling(reply) as url:
        reading = read_anchor(url, CLAIM, journal_id=JOURNAL)
    assert (reading.genesis, reading.root) == (HASH, ROOT)


def test_a_redirection_is_not_followed() -> None:
    with (
        Babbling(node(eth_chainId=b"elsewhere")) as url,
        pytest.raises(ChainUnreachableError, match="status 302"),
    ):
        read_anchor(url, CLAIM, journal_id=JOURNAL, timeout_s=5)


@pytest.mark.parametrize("url", ["ftp://a", "file:///etc/passwd", "nothing", "http://", "http://a:b"])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(ConfigurationError):
        read_anchor(url, CLAIM, journal_id=JOURNAL)


def test_no_message_shows_an_access_key(tmp_path: Path) -> None:
    with pytest.raises(ChainUnreachableError) as refused:
        read_anchor("http://user:pass@127.0.0.1:1/v3/secret-key", CLAIM, journal_id=JOURNAL, timeout_s=5)
    assert "secret-key" not in str(refused.value)
    assert "pass" not in str(refused.value)
