"""kill -9 under load: what a client was told stands in the journal once, and is told again the same."""

from __future__ import annotations

import http.client
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.integration.killed_fraud_server import KINDS, PASSPHRASE

from tallystick.apps.fraud.serving import FraudSettings
from tallystick.node import Node
from tallystick.server import Keys

KILLS = 50
CLIENTS = 6
LONGEST_S = 0.25  # of one run under load
WAIT_S = 30.0
SETTINGS = """version = 1
[engine]
snapshot_every = 200
"""
TOP = Path(__file__).resolve().parents[2]
Told = dict[str, tuple[str, str]]  # payment -> statement, action


class Nursery:
    """The process that forks servers."""

    def __init__(self, workspace: Path) -> None:
        words = [sys.executable, "-m", "tests.integration.killed_fraud_server", str(workspace)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            words, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def start(self) -> tuple[int, str]:
        """Start a server; its pid and where it listens."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"start\n")
        self.process.stdin.flush()
        pid, url = self.line()
        return int(pid), url.removeprefix("http://")

    def line(self) -> list[str]:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], WAIT_S)[0], "the server gave no sign"
        return os.read(self.process.stdout.fileno(), 4096).decode().split()

    def ended(self) -> int:
        """Wait for the server's end; its exit code."""
        word, _, code = self.line()
        assert word == "ended"
        return int(code)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(WAIT_S) == 0


@contextmanager
def bank(path: Path) -> Iterator[tuple[Path, str, Nursery]]:
    """A workspace with a key, and a nursery for its servers."""
    workspace = path / "bank"
    Node.init(workspace, name="Bank A", passphrase=PASSPHRASE, kinds=KINDS, scrypt_n=2).close()
    (workspace / "fraud.toml").write_text(SETTINGS)
    assert FraudSettings.read(workspace).engine.snapshot_every == 200
    keys, token = Keys().added("hub", ["decide"], per_second=1_000_000)
    keys.write(workspace / "keys.toml")
    nursery = Nursery(workspace)
    try:
        yield workspace, token, nursery
    finally:
        nursery.close()


def payment(number: int) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "at": 1_790_000_000_000_000 + number * 1_000,
        "amount": 2_000_000 if number % 40 == 0 else 100 + number % 9_000,
        "currency": "EUR",
        "customer": f"c{number % 200}",
        "payee": f"m{number % 50}",
        "terminal": f"t{number % 30}",
    }


class Clients:
    """Several clients that send payments until their server is gone, and remember what they were told."""

    def __init__(self, token: str) -> None:
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._lock = threading.Lock()
        self.told: Told = {}
        self.asked = 0
        self.faults: list[str] = []
        self.refused = 0

    def run(self, place: str) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._work, args=(place,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def _work(self, place: str) -> None:
        connection = http.client.HTTPConnection(place, timeout=WAIT_S)
        try:
            while True:
                with self._lock:
                    self.asked += 1
                    number = self.asked
                if not self.ask(connection, number):
                    return
        except (OSError, http.client.HTTPException):
            return  # killed: what was not answered was not acknowledged
        finally:
            connection.close()

    def ask(self, connection: http.client.HTTPConnection, number: int) -> bool:
        """Ask for one decision and compare it with what was told before; False when the server is stopping."""
        connection.request("POST", "/v1/payments/decide", orjson.dumps(payment(number)), self._headers)
        answer = connection.getresponse()
        body = orjson.loads(answer.read())
        if answer.status == 503:
            self.refused += 1
            return False
        if answer.status != 200:
            self.faults.append(f"{answer.status} {body['code']}")
            return False
        said = body["statement"], body["action"]
        with self._lock:
            if self.told.setdefault(body["payment"], said) != said:
                self.faults.append("another decision than before")
        return True


def check_journal(workspace: Path, told: Told) -> None:
    """Every acknowledged decision stands in the journal once, with the statement that was told."""
    with Node.open(workspace, passphrase=PASSPHRASE, kinds=KINDS) as node:
        node.journal.verify()
        found: dict[str, tuple[str, str]] = {}
        cases = {
            decision
            for entry in node.journal.entries(kinds=("case.opened",))
            for decision in entry.statement.links["decision"]
        }
        for entry in node.journal.entries(kinds=("decision.ruled", "decision.made")):
            sealed = node.journal.payload(entry.id)
            assert isinstance(sealed, dict)
            name = sealed["payment"]["id"]
            assert name not in found, "a payment was decided twice"
            found[name] = entry.id, sealed["answer"]
        assert {name: found.get(name) for name in told} == told
        # No alert is without its case.
        assert {statement for statement, action in found.values() if action != "approve"} == cases


@pytest.mark.slow
def test_fifty_kills_under_load_lose_nothing_and_decide_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(5)
    with bank(tmp_path) as (workspace, token, nursery):
        clients = Clients(token)
        for _ in range(KILLS):
            pid, place = nursery.start()
            enough = len(clients.told) + chance.randrange(60)
            threads = clients.run(place)
            until = time.monotonic() + LONGEST_S
            while len(clients.told) < enough and time.monotonic() < until:
                time.sleep(0.002)
            os.kill(pid, signal.SIGKILL)
            for thread in threads:
                thread.join(WAIT_S)
            assert nursery.ended() == -signal.SIGKILL
        pid, place = nursery.start()
        connection = http.client.HTTPConnection(place, timeout=WAIT_S)
        # Told again, and those that were on their way when the server was killed: decided now at the latest.
        again = [int(name[1:]) for name in chance.sample(sorted(clients.told), 100)]
        for number in [*again, *range(max(1, clients.asked - 20), clients.asked + 1)]:
            assert clients.ask(connection, number)
        connection.close()
        os.kill(pid, signal.SIGTERM)
        assert nursery.ended() == 0
        assert clients.faults == []
        assert len(clients.told) > 5 * KILLS
        check_journal(workspace, clients.told)


def test_a_graceful_stop_under_load_answers_what_it_began_and_ends_with_0(tmp_path: Path) -> None:
    with bank(tmp_path) as (workspace, token, nursery):
        clients = Clients(token)
        pid, place = nursery.start()
        threads = clients.run(place)
        time.sleep(0.4)
        os.kill(pid, signal.SIGTERM)
        for thread in threads:
            thread.join(WAIT_S)
        assert nursery.ended() == 0
        assert clients.faults == []
        assert clients.told
        check_journal(workspace, clients.told)
        # Nothing was decided that nobody was told of: every request that was taken was answered.
        with Node.open(workspace, passphrase=PASSPHRASE, kinds=KINDS, read_only=True) as node:
            decided = sum(1 for _ in node.journal.entries(kinds=("decision.ruled",)))
        assert decided == len(clients.told)
