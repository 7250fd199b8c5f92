"""kill -9 at random points: a child appends and prints what it was told, the parent kills it and reads the journal."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tallystick.proof import Journal, Party

KILLS = 110
PASSPHRASE = "four words are better"

CHILD = """
import sys, threading
from tallystick.proof import Draft, Journal, Party

party = Party.load(sys.argv[1], sys.argv[2])
journal = Journal.open(sys.argv[3], party=party, segment_size=20_000)
run, lock = sys.argv[4], threading.Lock()

def tell(text):
    with lock:
        sys.stdout.write(text + "\\n")
        sys.stdout.flush()

def work(name):
    number = 0
    while True:
        titles = [f"{run}/{name}/{number + at}" for at in range(1 + number % 4)]
        payloads = [title.encode() if name else None for title in titles]
        entries = journal.append_many([
            Draft("document.recorded", {"title": title}, payload=payload, subject=f"{run}/{name}/{number % 5}")
            for title, payload in zip(titles, payloads)
        ])
        for entry, title in zip(entries, titles):
            tell(f"{entry.index} {title}")
        number += len(titles)

tell("open")
for name in range(3):
    threading.Thread(target=work, args=(name,)).start()
"""


def kill_one(child: subprocess.Popen[str], wait_s: float) -> list[tuple[int, str]]:
    """Wait for the child to open its journal, a little longer, then kill it; what it was told, whole lines only."""
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    time.sleep(wait_s)
    child.send_signal(signal.SIGKILL)
    text = child.stdout.read()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    lines = [line.split(" ") for line in text.split("\n")[:-1]]
    return [(int(index), title) for index, title in lines]


@pytest.mark.slow
def test_no_acknowledged_statement_is_lost_or_twice_after_kills(tmp_path: Path) -> None:
    party = Party.create("Clinic North")
    party.save(tmp_path / "keys", PASSPHRASE, n=2)
    chance, told = random.Random(7), dict[int, str]()
    for run in range(KILLS):
        arguments = [str(tmp_path / "keys"), PASSPHRASE, str(tmp_path / "journal"), str(run)]
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        fresh = kill_one(child, chance.random() * 0.05)
        assert not told.keys() & {index for index, _ in fresh}
        told.update(fresh)
        if run % 10 == 9 or run == KILLS - 1:
            check(tmp_path / "journal", party, told)
    assert len(told) > KILLS


def check(path: Path, party: Party, told: dict[int, str]) -> None:
    with Journal.open(path, party=party) as journal:
        titles = [entry.statement.body["title"] for entry in journal.entries()]
        assert len(set(titles)) == len(titles)
        assert {index: titles[index] for index in told} == told
        for index, title in told.items():
            if title.split("/")[1] != "0":
                assert journal.payload(index) == title.encode()
        journal.verify()


@pytest.mark.slow
def test_readers_see_only_whole_signed_states_while_another_process_writes(tmp_path: Path) -> None:
    party = Party.create("Clinic North")
    party.save(tmp_path / "keys", PASSPHRASE, n=2)
    arguments = [str(tmp_path / "keys"), PASSPHRASE, str(tmp_path / "journal"), "0"]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    try:
        with Journal.read(tmp_path / "journal", party=party) as reader:
            sizes = []
            for _ in range(30):
                sizes.append(reader.refresh().size)
                assert sum(1 for _ in reader.entries()) == reader.size
                reader.verify()
                child.stdout.readline()
            assert sizes == sorted(sizes)
            assert sizes[-1] > sizes[0]
    finally:
        child.kill()
        child.stdout.close()
        child.wait()
