"""Processes are known again, never mistaken, and a port that is taken is told with who has it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import ConfigurationError, NotFoundError
from tallystick.network import _processes as processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[processes.Process]:
    process = processes.spawn(SLEEP, tmp_path / "log", tied=True)
    yield process
    processes.signal_to(process, signal.SIGKILL)
    assert processes.wait_gone(process, 20)


def test_a_process_is_known_by_its_id_and_the_moment_of_its_start(sleeping: processes.Process) -> None:
    assert processes.is_same(processes.Process(sleeping.pid, sleeping.started))
    assert not processes.is_same(processes.Process(sleeping.pid, "another moment"))


def test_nothing_is_signalled_that_has_another_moment(sleeping: processes.Process) -> None:
    assert not processes.signal_to(processes.Process(sleeping.pid, "another"), signal.SIGKILL)
    assert processes.is_same(sleeping)
    assert processes.signal_to(sleeping, signal.SIGKILL)
    assert processes.wait_gone(sleeping, 20)
    assert not processes.signal_to(sleeping, signal.SIGKILL)


def test_a_process_that_ended_and_was_not_read_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.moment(child.pid) is None
    finally:
        child.wait()


def test_the_log_is_for_its_owner_only(tmp_path: Path) -> None:
    process = processes.spawn([sys.executable, "-c", "print('said')"], tmp_path / "log", tied=True)
    assert processes.wait_gone(process, 20)
    assert (tmp_path / "log").read_text() == "said\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_program_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        processes.spawn([str(tmp_path / "nothing")], tmp_path / "log", tied=True)
    assert caught.value.hint == "run `make network`"


def test_a_taken_port_is_refused_with_who_has_it_and_a_free_one_is_not() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} of 127.0.0.1 is taken by"):
            processes.check_port_free("127.0.0.1", port)
        if sys.platform == "linux":
            with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"):
                processes.check_port_free("127.0.0.1", port)
    processes.check_port_free("127.0.0.1", port)


def test_a_row_of_free_ports_steps_over_one_that_is_taken() -> None:
    base = processes.free_block("127.0.0.1", 8, choose=7)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 3))
        taken.listen()
        assert processes.free_block("127.0.0.1", 8, choose=7) != base
