"""kill -9 at random points: a child observes and prints what it was told, the parent kills it and reads the journal."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.made_engine import Bank, CountedWindows, made_model, payment

from tallystick.apps.fraud.shadow import LiveShadow, SaidScorer
from tallystick.proof import Party, system_clock

KILLS = 12
PASSPHRASE = "four words are better"

CHILD = """
import sys, threading
from pathlib import Path
from tests.made_engine import Bank, CountedWindows, made_model, payment
from tallystick.apps.fraud.shadow import LiveSettings, LiveShadow, Said, SaidScorer
from tallystick.proof import Party, system_clock

bank = Bank(Path(sys.argv[2]), party=Party.load(sys.argv[1], PASSPHRASE), clock=system_clock)
shadow = LiveShadow(
    bank, present=SaidScorer("v7"), model=made_model(), features=CountedWindows(),
    directory=Path(sys.argv[2]) / "shadow", settings=LiveSettings(snapshot_every=60),
)
lock = threading.Lock()

def tell(text):
    with lock:
        sys.stdout.write(text + "\\n")
        sys.stdout.flush()

def work(name):
    # Every run brings the same payments again, from the first on: what was stated must be told, not stated anew.
    number = name
    while True:
        one = shadow.observe(payment(number), Said(number / 1000, number % 9 == 0))
        tell(f"{one.payment.id} {one.statement} {one.score}")
        if number % 50 == 3:
            tell("label " + shadow.report_label(one.payment.id, True, source="chargeback"))
        number += 4

tell("open")
for name in range(4):
    threading.Thread(target=work, args=(name,), daemon=True).start()
threading.Event().wait()
"""


def kill_one(child: subprocess.Popen[str], wait_s: float) -> list[list[str]]:
    """Wait for the child to open, a little longer, then kill it; what it was told, whole lines only."""
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    time.sleep(wait_s)
    child.send_signal(signal.SIGKILL)
    text = child.stdout.read()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return [line.split(" ") for line in text.split("\n")[:-1]]


@pytest.mark.slow
def test_no_acknowledged_observation_is_lost_or_twice_after_kills(tmp_path: Path) -> None:
    party = Party.create("Bank A")
    party.save(tmp_path / "keys", PASSPHRASE, n=2)
    top = Path(__file__).resolve().parents[2]
    chance, told, labels = random.Random(12), dict[str, list[str]](), set[str]()
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD.replace("PASSPHRASE", repr(PASSPHRASE)), str(tmp_path / "keys"), str(tmp_path)],
            stdout=subprocess.PIPE, text=True, bufsize=1, cwd=top,
        )  # fmt: skip
        for name, *rest in kill_one(child, 0.02 + chance.random() * 0.2):
            if name == "label":
                labels.add(rest[0])
            else:
                # The same statement and score as in any run before.
                assert told.setdefault(name, rest) == rest
    assert len(told) > KILLS
    assert labels
    _check(tmp_path, party, told, labels)


def _check(path: Path, party: Party, told: dict[str, list[str]], labels: set[str]) -> None:
    bank = Bank(path, party=party, clock=system_clock)
    stated, windows = Counter[str](), CountedWindows()
    for entry in bank.journal.entries(kinds=("decision.made", "label.reported")):
        sealed = bank.journal.payload(entry.index)
        assert isinstance(sealed, dict)
        if entry.statement.kind == "label.reported":
            labels.discard(entry.id)
            windows.frauds[payment(int(sealed["payment"][1:])).payee] += 1
            continue
        name, score = sealed["payment"]["id"], sealed["beside"]["score"]
        stated[name] += 1
        row = windows.take([payment(int(name[1:]))])[0].tolist()
        # Scores are those of one life without kills: what came before was known, and nothing else.
        assert score == int(row[0] + 3 * row[1] + 500 * row[2] + 2_000 * row[3])
        if name in told:
            assert told[name] == [entry.id, str(score)]
    assert set(stated.values()) == {1}
    assert told.keys() <= stated.keys()
    assert labels == set()
    for directory in (None, path / "shadow"):
        with LiveShadow(
            bank,
            present=SaidScorer("v7"),
            model=made_model(),
            features=CountedWindows(),
            directory=directory,
        ) as shadow:
            assert shadow._state.features.format_state() == windows.format_state()  # type: ignore[attr-defined]
            assert shadow.stats().taken == len(stated) or directory is not None
    bank.close()
