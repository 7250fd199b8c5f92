"""Windows in a real Redis: the numbers of those in process, no update lost, and nothing taken where it cannot be kept."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tallystick.apps.fraud.features import RedisWindows, Windows
from tallystick.apps.fraud.payments import CHANNELS, Label, Payment
from tallystick.errors import ConfigurationError, DamagedError, OverloadedError, StorageError

redis = pytest.importorskip("redis")

PROGRAM = shutil.which("redis-server")
START = 1_780_000_000_000_000
SECOND = 1_000_000


class Server:
    """A redis-server of our own on a free port, with its files in one directory."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.directory = directory
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        assert PROGRAM is not None
        self.process = subprocess.Popen(
            [
                PROGRAM, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory),
                "--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--daemonize", "no",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.client = redis.Redis(port=self.port)
        for _ in range(200):
            try:
                self.client.ping()
                return
            except redis.RedisError:
                assert self.process.poll() is None, "redis-server ended at once"
                time.sleep(0.05)
        pytest.fail("redis-server did not answer within ten seconds")

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if PROGRAM is None:
        said = "redis-server is missing: apt-get install redis-server"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def server(running: Server) -> Server:
    running.client.flushall()
    running.client.config_set("maxmemory", 0)
    return running


@pytest.fixture
def windows(server: Server) -> Iterator[RedisWindows]:
    made = RedisWindows.open(server.url)
    yield made
    made.close()


def pay(number: int, **fields: Any) -> Payment:
    given = {"at": START + number * SECOND, "amount": 100 + number, "customer": "c", "payee": "m", **fields}
    return Payment(id=f"p{number}", currency="EUR", **given)


def stream(seed: int, count: int) -> list[Payment | Label]:
    dice, steps, newest = random.Random(seed), list[Payment | Label](), START
    payments: list[Payment] = []
    for number in range(count):
        newest += dice.choice([0, 5, 600, 3_600, 40_000, 91 * 86_400 if dice.random() < 0.05 else 7]) * SECOND
        payments.append(
            pay(
                number,
                at=newest - dice.choice([0, 0, 0, 120, 300, 4_000]) * SECOND,
                amount=dice.randrange(1, 10_000),
                customer=f"c{dice.randrange(4)}",
                payee=f"m{dice.randrange(3)}",
                channel=dice.choice(CHANNELS),
                card=dice.choice(["", "k0", "k1"]),
                terminal=dice.choice(["", "t0", "t1"]),
                device=dice.choice(["", "d0", "d1"]),
            )
        )
        steps.append(payments[-1])
        if dice.random() < 0.3:
            about = dice.choice(payments)
            steps.append(Label(about, dice.random() < 0.7, about.at + dice.randrange(10**12)))
    return steps


def play(windows: Windows | RedisWindows, steps: list[Payment | Label], together: int) -> list[np.ndarray]:
    rows, waiting = [], list[Payment]()
    for step in [*steps, None]:
        if step is None or isinstance(step, Label) or len(waiting) == together:
            rows.append(windows.take(waiting))
            waiting = []
        if isinstance(step, Label):
            windows.learn([step])
        elif step is not None:
            waiting.append(step)
    return rows


@pytest.mark.parametrize("together", [1, 7, 40])
def test_features_are_those_of_windows_in_process(windows: RedisWindows, together: int) -> None:
    steps = stream(together, 250)
    here = Windows()
    rows = np.concatenate(play(here, steps, together))
    assert rows.tobytes() == np.concatenate(play(windows, steps, together)).tobytes()
    assert (windows.position, windows.newest, windows.late_taken) == (250, here.newest, here.late_taken)
    assert here.late_taken > 0


def test_records_in_redis_are_those_in_process(server: Server, windows: RedisWindows) -> None:
    steps = stream(5, 120)
    here = Windows()
    play(here, steps, 10)
    play(windows, steps, 10)
    state = here.format_state()
    keys = [
        key for key in server.client.scan_iter() if key.split(b":")[2] in (b"customer", b"payee", b"terminal")
    ]
    assert len(keys) == 9
    assert all(server.client.get(key) in state for key in keys)


def test_several_workers_give_the_numbers_of_one_when_they_take_turns(server: Server) -> None:
    workers = [RedisWindows.open(server.url) for _ in range(3)]
    payments = [step for step in stream(9, 90) if isinstance(step, Payment)]
    rows = [workers[place % 3].take([payment]) for place, payment in enumerate(payments)]
    assert np.concatenate(rows).tobytes() == Windows().take(payments).tobytes()
    late = pay(0, at=workers[0].newest - 301 * SECOND)
    assert workers[0].late(late)
    for worker in workers:
        worker.close()


WORKER = """
import sys
from tallystick.apps.fraud.features import RedisWindows
from tallystick.apps.fraud.payments import Payment
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
windows = RedisWindows.open(url)
sys.stdin.readline()
for number in range(count):
    at = 1_780_000_000_000_000 + number * 1_000_000
    windows.take([Payment(f"{name}-{number}", at, 100, "EUR", f"c-{name}", "m", terminal="t")])
windows.close()
"""


def test_two_workers_at_once_lose_no_update(server: Server, windows: RedisWindows) -> None:
    each = 150
    processes = [
        subprocess.Popen([sys.executable, "-c", WORKER, server.url, name, str(each)], stdin=subprocess.PIPE)
        for name in ("a", "b")
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    row = dict(zip(windows.names, windows.take([pay(each, terminal="t")])[0].tolist(), strict=True))
    assert (row["payee_count_7d"], row["terminal_count_30d"], row["payee_sum_7d"]) == (300, 300, 30_000)
    assert windows.position == 301


def test_who_is_always_overtaken_is_told_so_and_takes_nothing(server: Server) -> None:
    windows = RedisWindows.open(server.url, sleep=lambda _seconds: None)
    windows.take([pay(0)])
    key = "tallystick:features:payee:m"
    before = server.client.get(key)

    class Overtaken:
        """Another worker writes between every reading and writing of this one."""

        def __getattr__(self, name: str) -> Any:
            return getattr(windows_client, name)

        def pipeline(self, **options: Any) -> Any:
            pipe = windows_client.pipeline(**options)
            plain = pipe.multi
            pipe.multi = lambda: (server.client.set(key, before), plain())[1]
            return pipe

    windows_client, windows._client = windows._client, Overtaken()
    with pytest.raises(OverloadedError) as raised:
        windows.take([pay(1)])
    assert raised.value.retryable
    windows._client = windows_client
    assert windows.position == 1
    assert windows.take([pay(1)])[0][windows.names.index("payee_count_1h")] == 1
    windows.close()


def test_a_transaction_whose_answer_is_lost_is_not_done_twice(server: Server) -> None:
    windows = RedisWindows.open(server.url, sleep=lambda _seconds: None)
    windows.take([pay(0)])
    lost: list[int] = []

    class Losing:
        def __getattr__(self, name: str) -> Any:
            return getattr(windows_client, name)

        def pipeline(self, **options: Any) -> Any:
            pipe = windows_client.pipeline(**options)
            plain = pipe.execute

            def execute() -> Any:
                answers = plain()
                if not lost:
                    lost.append(1)
                    raise redis.WatchError("the connection broke while the answer was on its way")
                return answers

            pipe.execute = execute
            return pipe

    windows_client, windows._client = windows._client, Losing()
    second, third = windows.take([pay(1)])[0], windows.take([pay(2)])[0]
    place = windows.names.index("customer_count_1h")
    assert lost == [1]
    assert (second[place], third[place], windows.position) == (1, 2, 3)
    windows.close()


def test_a_label_that_comes_again_changes_nothing(server: Server, windows: RedisWindows) -> None:
    payment = pay(0, terminal="t")
    windows.take([payment])
    windows.learn([Label(payment, True, payment.at + SECOND)] * 3)
    record = server.client.get("tallystick:features:terminal:t")
    windows.learn(
        [Label(payment, True, payment.at + SECOND), Label(pay(1, terminal="elsewhere"), True, START + 10**9)]
    )
    assert server.client.get("tallystick:features:terminal:t") == record
    assert not server.client.exists("tallystick:features:terminal:elsewhere")
    row = windows.take([pay(5, terminal="t")])[0]
    assert row[windows.names.index("terminal_frauds_30d")] == 1


def test_windows_survive_a_restart_of_redis(server: Server) -> None:
    windows = RedisWindows.open(server.url)
    payments = [pay(number) for number in range(20)]
    first = windows.take(payments[:10])
    server.stop()
    with pytest.raises(StorageError) as raised:
        windows.take(payments[10:])
    assert "redis" in raised.value.hint.lower()
    server.start()
    rows = np.concatenate([first, windows.take(payments[10:])])
    assert rows.tobytes() == Windows().take(payments).tobytes()
    windows.close()


def test_a_redis_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StorageError, match="no answer"):
        RedisWindows.open(f"redis://127.0.0.1:{port}/0")
    with pytest.raises(ConfigurationError, match="redis://"):
        RedisWindows.open("http://127.0.0.1")


def test_a_full_redis_takes_nothing(server: Server, windows: RedisWindows) -> None:
    windows.take([pay(0)])
    server.client.config_set("maxmemory", 1)
    with pytest.raises(StorageError):
        windows.take([pay(1)])
    server.client.config_set("maxmemory", 0)
    assert windows.take([pay(1)])[0][windows.names.index("customer_count_1h")] == 1


def test_something_else_under_our_keys_is_told_apart(server: Server, windows: RedisWindows) -> None:
    server.client.set("tallystick:features:customer:c", b"abc")
    with pytest.raises(DamagedError):
        windows.take([pay(0)])


def test_workers_with_other_terms_are_refused_under_the_same_prefix(
    server: Server, windows: RedisWindows
) -> None:
    assert windows.late_taken == 0
    with pytest.raises(ConfigurationError, match="other workers"):
        RedisWindows.open(server.url, lateness_s=60)
    apart = RedisWindows.open(server.url, lateness_s=60, prefix="bank-b:")
    apart.take([pay(0)])
    assert windows.position == 0
    apart.close()


def test_records_expire_when_nobody_can_see_them_any_more(server: Server, windows: RedisWindows) -> None:
    windows.take([pay(0, card="k", device="d", terminal="t")])
    kinds = ("customer:c", "card:k", "device:d", "payee:m", "terminal:t")
    left = [server.client.ttl(f"tallystick:features:{name}") for name in kinds]
    assert all(90 * 86_400 < seconds <= 90 * 86_400 + 300 for seconds in left)
