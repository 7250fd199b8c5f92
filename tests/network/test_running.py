"""Four validators on this machine: started, looked at, killed, brought back, and all gone in the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.chain import connect
from tallystick.errors import (
    ChainMismatchError,
    ConfigurationError,
    ConflictError,
    DeadlineError,
    LockedError,
    NotFoundError,
    SurroundingsError,
)
from tallystick.network import Network, funded, make_bundle, open_bundle
from tallystick.proof import OsFiles

pytestmark = pytest.mark.network
MakeNetwork = Callable[..., Network]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def wait_gone(pids: list[int], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "still running"
        time.sleep(0.05)


def test_all_validators_report_the_same_block_at_the_same_height(network: Network) -> None:
    found, deadline = network.status(), time.monotonic() + 30
    # Blocks are made before the last two have found each other.
    while any(one.peers != 3 for one in found) and time.monotonic() < deadline:
        time.sleep(0.2)
        found = network.status()
    assert [(one.answers, one.peers) for one in found] == [(True, 3)] * 4
    assert all(one.pid and one.height >= 2 for one in found)
    assert not any(one.catching_up for one in found)
    assert all(one.disk_bytes > 100_000 and one.hash.startswith("0x") for one in found)
    assert all(one.age_s is not None and -5 < one.age_s < 600 for one in found)
    assert network.agree(2)
    assert not network.agree(10**9), "a height that none has is no agreement"


def test_blocks_go_on(network: Network) -> None:
    before = max(network.heights())
    network.wait_height(before + 2)
    assert network.agree(before + 2)


def test_a_payment_stands_on_every_endpoint(network: Network) -> None:
    address = "0x" + "5a" * 20
    named = funded(network.bundle, address, 12345)
    network.wait_height(max(network.heights()))
    for member in network.bundle.members:
        with connect(network.bundle.profile(member.name)) as chain:
            assert chain.balance(address) == 12345
            receipt = chain.receipt(named)
            assert receipt is not None
            assert receipt.succeeded


def test_every_members_account_can_pay(network: Network) -> None:
    with connect(network.bundle.profile()) as chain:
        assert all(chain.balance(one.address) > 10**20 for one in network.bundle.accounts())


def test_keys_are_for_their_owner_only(network: Network) -> None:
    for member in network.bundle.members:
        # the directory itself is closed, so what the node writes into it later is too
        assert member.home.stat().st_mode & 0o777 == 0o700
        secret = [member.home / "config" / name for name in ("priv_validator_key.json", "node_key.json")]
        for path in [*secret, *(member.home / "keyring-test").iterdir()]:
            assert path.stat().st_mode & 0o777 == 0o600


def test_only_the_validators_own_door_is_open_and_all_of_it_on_loopback(network: Network) -> None:
    pids = {one.pid for one in network.status()}
    inodes = {
        os.readlink(fd)  # noqa: PTH115 - not a path
        for pid in pids
        for fd in Path(f"/proc/{pid}/fd").iterdir()
        if fd.is_symlink()
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    listening = [
        line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes
    ]
    assert len(listening) >= 3 * len(pids)
    assert set(listening) <= {"0100007F", "0" * 24 + "01000000"}


def test_a_validator_that_runs_is_not_started_twice(network: Network) -> None:
    with pytest.raises(ConflictError, match="member-a runs already"):
        network.start(0)


def test_data_of_a_running_validator_are_not_taken_away(network: Network) -> None:
    with pytest.raises(ConflictError, match="member-b runs"):
        network.wipe("member-b")


def test_another_process_may_look_and_finds_the_same_validators(network: Network) -> None:
    looking = Network(open_bundle(network.bundle.path), detached=True)
    assert [one.pid for one in looking.status()] == [one.pid for one in network.status()]


def test_one_of_four_is_killed_wiped_and_comes_back(harmable_network: MakeNetwork) -> None:
    running = harmable_network(4, block_time_s=0.5)
    running.up()
    running.kill("member-c")
    assert running.pid("member-c") is None
    running.wait_height(max(running.heights()) + 2)
    running.wipe("member-c")
    running.start("member-c")
    goal = max(running.heights()) + 1
    running.wait_height(goal)
    assert running.agree(goal)
    pids = [one.pid for one in running.status() if one.pid]
    running.pause("member-a")
    running.down()  # one that stands still is ended too
    assert not any(runs(pid) for pid in pids)
    assert running.heights() == [0, 0, 0, 0]


def test_nothing_is_started_on_another_genesis(harmable_network: MakeNetwork) -> None:
    network = harmable_network(2)
    genesis = network.bundle.members[1].home / "config" / "genesis.json"
    genesis.write_bytes(genesis.read_bytes().replace(b"Test", b"Tast"))
    with pytest.raises(ChainMismatchError, match="member-b stands on the genesis"):
        network.up()
    assert [one.pid for one in network.status()] == [None, None]


def test_nothing_is_started_when_two_have_one_validator_key(harmable_network: MakeNetwork) -> None:
    network = harmable_network(2)
    one, two = (member.home / "config" / "priv_validator_key.json" for member in network.bundle.members)
    two.write_bytes(one.read_bytes())
    with pytest.raises(ConfigurationError, match="member-a and member-b have the same validator key"):
        network.up()
    assert [one.pid for one in network.status()] == [None, None]


def test_nothing_is_started_when_a_port_is_taken_and_who_has_it_is_said(
    harmable_network: MakeNetwork,
) -> None:
    network = harmable_network(2)
    port = int(network.bundle.members[1].rpc_url.rpartition(":")[2])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an earlier copy had it
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(ConfigurationError, match=rf"port {port} .* taken by .*process {os.getpid()}"):
            network.up()
    assert [one.pid for one in network.status()] == [None, None]


def test_nothing_is_left_running_when_one_validator_ends_while_starting(
    harmable_network: MakeNetwork,
) -> None:
    network = harmable_network(2)
    configuration = network.bundle.members[1].home / "config" / "app.toml"
    configuration.write_text("this = is not TOML [")
    with pytest.raises(SurroundingsError, match="member-b's validator ended"):
        network.up()
    assert [one.pid for one in network.status()] == [None, None]


def test_a_process_that_got_an_old_ones_id_is_let_be(harmable_network: MakeNetwork) -> None:
    network = harmable_network(2)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record = network.bundle.path / "run" / "member-a.json"
        record.write_text(
            f'{{"pid":{other.pid},"started":"1","tied":true,"type":"tallystick/network-process","v":1}}\n'
        )
        assert network.pid("member-a") is None
        network.down()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


KILLED = """
import sys, time
from pathlib import Path
from tallystick.network import Network, open_bundle
network = Network(open_bundle(Path(sys.argv[1])))
network.up()
print(*[one.pid for one in network.status()], flush=True)
time.sleep(60)
"""


def test_validators_end_with_who_started_them_even_by_kill_9(
    engine: Path, harmable_network: MakeNetwork
) -> None:
    bundle = harmable_network(2).bundle
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(bundle.path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TALLYSTICK_ENGINE": str(engine)},
    )
    try:
        assert child.stdout is not None
        pids = [int(word) for word in child.stdout.readline().split()]
        assert len(pids) == 2
        assert all(runs(pid) for pid in pids)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        if child.stdout:
            child.stdout.close()
    wait_gone(pids)


def test_a_detached_network_outlives_who_started_it_until_it_is_ended(
    engine: Path, harmable_network: MakeNetwork
) -> None:
    bundle = harmable_network(2).bundle
    code = KILLED.replace("(Path(sys.argv[1])))", "(Path(sys.argv[1])), detached=True)").replace(
        "time.sleep(60)", ""
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(bundle.path)],
        capture_output=True,
        text=True,
        env={**os.environ, "TALLYSTICK_ENGINE": str(engine)},
    )
    network = Network(bundle, detached=True)
    try:
        pids = [int(word) for word in done.stdout.split()]
        assert [network.pid(0), network.pid(1)] == pids
        network.wait_height(3)
    finally:
        network.down()
    assert not any(runs(pid) for pid in pids)


def test_a_network_too_small_for_the_faults_asked_is_not_made(engine: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="to bear 1 faulty validators a network needs 4 members, got 3"
    ):
        make_bundle(tmp_path / "net", 3, binary=engine, faults=1)
    assert not (tmp_path / "net").exists()


def test_a_directory_without_a_network_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        open_bundle(tmp_path)
    assert "tallystick network new" in caught.value.hint


def test_nothing_is_left_running_when_the_network_is_not_up_in_time(harmable_network: MakeNetwork) -> None:
    network = harmable_network(2)
    with pytest.raises(DeadlineError, match="expected height 2 in 0 s"):
        network.up(timeout_s=0.1)
    assert [one.pid for one in network.status()] == [None, None]


def test_two_who_start_at_once_do_not_both(harmable_network: MakeNetwork) -> None:
    network = harmable_network(2)
    lock = OsFiles().lock(network.bundle.path / "run" / "lock")
    try:
        with pytest.raises(LockedError, match=f"process {os.getpid()}"):
            network.up()
    finally:
        lock.close()
    assert [one.pid for one in network.status()] == [None, None]
