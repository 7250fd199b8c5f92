"""kill -9 at random points: no acknowledged transaction is lost, none happens twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import Account, Call, Chain, LocalChain, Outbox, Profile
from tallystick.chain._blocks import ordered_root
from tallystick.testing._chains import KEEPER, TOPIC

pytestmark = [
    pytest.mark.slow,
    # the child only runs the embedded chain and ends with _exit or by the kill
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

SEALING_KILLS = 80
OUTBOX_KILLS = 70
WRITERS = 4
RECEIVER = "0x" + "11" * 20
START_LIMIT_S = 30.0


def account(number: int) -> Account:
    return Account(bytes([number + 1]) * 32)


def killed(work: Callable[[Callable[[str], None]], None], log: Path, after_s: float) -> list[str]:
    """Run work in a child, kill it so long after its first acknowledgement; what it acknowledged comes back."""
    log.write_bytes(b"")
    child = os.fork()
    if not child:
        try:
            out = os.open(log, os.O_WRONLY | os.O_APPEND)
            # one write for each line: what stands in the file was acknowledged
            work(lambda line: (os.write(out, line.encode() + b"\n"), None)[1])
        finally:
            os._exit(7)
    deadline = time.monotonic() + START_LIMIT_S
    while not log.stat().st_size and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the child ended by itself with {status}"
    return log.read_text().split()


def send_for_ever(path: Path, acknowledge: Callable[[str], None]) -> None:
    with LocalChain(path) as chain, ThreadPoolExecutor(WRITERS) as pool:

        def work(number: int) -> None:
            who = account(number)
            while True:
                raw = who.sign(
                    Call(RECEIVER, b"", 1),
                    chain_id=chain.chain_id,
                    nonce=chain.pending_nonce(bytes.fromhex(who.address[2:])),
                    gas=21_000,
                    max_fee=7,
                    max_priority_fee=0,
                )
                acknowledge("0x" + chain.send(raw).hex())

        list(pool.map(work, range(WRITERS)))


def audit(chain: LocalChain) -> Counter[str]:
    """Check every block against its parent and its roots; return how often each transaction stands in the chain."""

    def ask(method: str, *params: Any) -> Any:
        return chain.make_request(method, list(params))["result"]

    found: Counter[str] = Counter()
    senders: Counter[str] = Counter()
    parent = ask("eth_getBlockByNumber", "0x0", False)
    for number in range(1, chain.head().number + 1):
        block = ask("eth_getBlockByNumber", hex(number), True)
        assert block["parentHash"] == parent["hash"]
        assert int(block["timestamp"], 16) >= int(parent["timestamp"], 16)
        raws = [
            bytes.fromhex(ask("eth_getRawTransactionByHash", one["hash"])[2:])
            for one in block["transactions"]
        ]
        assert "0x" + ordered_root(raws).hex() == block["transactionsRoot"]
        for one in block["transactions"]:
            assert int(one["nonce"], 16) == senders[one["from"]]
            senders[one["from"]] += 1
            found[one["hash"]] += 1
        parent = block
    for sender, count in senders.items():
        assert int(ask("eth_getTransactionCount", sender, "latest"), 16) == count
    return found


def test_sealing_survives_kills_at_random_points(tmp_path: Path) -> None:
    path, log = tmp_path / "a.chain", tmp_path / "acknowledged"
    with LocalChain(path) as chain:
        for number in range(WRITERS):
            chain.fund(account(number).address)
    chance = random.Random(20_261_122)
    acknowledged: set[str] = set()
    for _ in range(SEALING_KILLS):
        lines = killed(lambda say: send_for_ever(path, say), log, chance.uniform(0, 0.12))
        acknowledged.update(lines)
        with LocalChain(path) as chain:
            missing = [
                line
                for line in lines
                if chain.make_request("eth_getTransactionReceipt", [line])["result"] is None
            ]
            assert not missing
    assert len(acknowledged) > SEALING_KILLS
    with LocalChain(path) as chain:
        found = audit(chain)
        paid = int(chain.make_request("eth_getBalance", [RECEIVER, "latest"])["result"], 16)
    assert set(found.values()) == {1}
    assert acknowledged <= set(found)
    # at most what each writer had under way at each kill was mined without anybody hearing of it
    assert paid - len(acknowledged) <= SEALING_KILLS * WRITERS


def flush_for_ever(place: Path, keeper: str, first: int, acknowledge: Callable[[str], None]) -> None:
    local = LocalChain(place / "a.chain")
    chain = Chain(Profile("pilot", path=place / "a.chain"), local)
    outbox = Outbox(place / "outbox.db", chain, account=account(0))
    number = first
    while True:
        for _ in range(random.Random(number).randint(1, 4)):
            number += 1
            outbox.put(f"s{number}", Call(keeper, number.to_bytes(32, "big")))
            acknowledge(str(number))
        outbox.flush()


def test_the_outbox_survives_kills_at_random_points(tmp_path: Path) -> None:
    log = tmp_path / "acknowledged"
    profile = Profile("pilot", path=tmp_path / "a.chain")
    with LocalChain(tmp_path / "a.chain") as local:
        chain = Chain(profile, local)
        chain.fund(account(0).address)
        with Outbox(tmp_path / "outbox.db", chain, account=account(0)) as outbox:
            keeper = outbox.send("deploy", Call(None, KEEPER)).contract
    chance = random.Random(20_261_123)
    put: set[int] = set()
    for kill in range(OUTBOX_KILLS):
        first = (kill + 1) * 1_000
        lines = killed(
            lambda say, first=first: flush_for_ever(tmp_path, keeper, first, say),  # type: ignore[misc]
            log,
            chance.uniform(0, 0.12),
        )
        put.update(map(int, lines))
    with LocalChain(tmp_path / "a.chain") as local:
        chain = Chain(profile, local)
        with Outbox(tmp_path / "outbox.db", chain, account=account(0)) as outbox:
            outbox.flush()
            assert outbox.pending() == []
            assert outbox.failed() == []
        logs = chain.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "topics": [TOPIC]})
        audit(local)
    happened = Counter(int(log["topics"][1], 16) for log in logs)
    assert len(put) > OUTBOX_KILLS
    assert put <= set(happened)
    assert set(happened.values()) == {1}
    # a put that was killed before it could be acknowledged may have happened too: one a kill at most
    assert len(set(happened) - put) <= OUTBOX_KILLS
