"""Live shadow mode from the command line: served over loopback by a process of its own, compared from the journal."""

from __future__ import annotations

import http.client
import json
import os
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

import pytest

from tallystick.apps.fraud.shadow import SaidScorer
from tallystick.cli._app import run
from tallystick.models import LinearModel, NumericFeature, Quantiser
from tallystick.node import Node
from tallystick.proof import Party, format_json, parse_receipt, system_clock

Said = pytest.CaptureFixture[str]
PROGRAM = "import sys; from tallystick.cli import main; sys.exit(main())"
WAIT_S = 60.0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    assert run(["init", "bank", "--name", "Bank A"]) == 0
    feature = NumericFeature("amount", "amount", 0, 0, 1, -(2**15), 2**15 - 1, 0, False)
    model = LinearModel(
        name="by-amount", target="fraud", quantiser=Quantiser((feature,)), labels=("no", "yes"), unit=4096,
        threshold=5_000, weights=((1,),), biases=(0,), centre=(0,),
    )  # fmt: skip
    (tmp_path / "fraud.tsm").write_bytes(model.bytes)
    capsys.readouterr()
    return tmp_path


def as_json(capsys: Said, *words: str) -> Any:
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


class Server:
    """A real service, and a client of it."""

    def __init__(self, process: subprocess.Popen[bytes], said: dict[str, Any], token: str) -> None:
        self.process, self.said, self._token = process, said, token

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.said["url"].removeprefix("http://"), timeout=WAIT_S)
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def serving(token: str, *more: str) -> Iterator[Server]:
    words = [sys.executable, "-c", PROGRAM, "fraud", "observe", "--model", "fraud.tsm", "--port", "0"]
    process = subprocess.Popen(
        [*words, *more, "-w", "bank", "--log", "log", "--json"], stdout=subprocess.PIPE, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        text = b""
        while not text.rstrip().endswith(b"}"):
            assert select.select([process.stdout], [], [], WAIT_S)[0], "the service gave no sign"
            more_text = os.read(process.stdout.fileno(), 4096)
            assert more_text, "the service ended"
            text += more_text
        yield Server(process, json.loads(text), token)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(WAIT_S)
        assert process.stdout is not None
        process.stdout.close()


def said(number: int, amount: int, *, alert: bool) -> dict[str, Any]:
    payment = {"id": f"p{number}", "at": system_clock(), "amount": amount, "currency": "EUR"}
    return {"payment": {**payment, "customer": "SECRET", "payee": "m"}, "alert": alert, "score": 0.93}


@pytest.mark.slow
def test_a_bank_starts_live_is_killed_goes_on_and_compares(place: Path, capsys: Said) -> None:
    words = ["--role", "decide", "--role", "audit", "--role", "operate", "-w", "bank"]
    token = as_json(capsys, "fraud", "keys", "add", "--name", "hub", *words)["key"]
    first = said(1, 9_000, alert=True)
    with serving(token, "--scorer-name", "our scorer v7") as server:
        assert server.said["scorer"] == SaidScorer("our scorer v7").hash
        status, told = server.ask("POST", "/v1/observations", first)
        assert (status, told["repeat"]) == (200, False)
        server.process.send_signal(signal.SIGKILL)
        assert server.process.wait(WAIT_S) == -signal.SIGKILL
    with serving(token, "--scorer-name", "our scorer v7") as server:
        assert server.said["observations"] == 1
        status, again = server.ask("POST", "/v1/observations", first)
        assert (again["statement"], again["repeat"]) == (told["statement"], True)
        items = [said(n, 9_000 - n, alert=n == 4) for n in (2, 3, 4)]
        status, batch = server.ask("POST", "/v1/observations/batch", {"observations": items})
        assert (status, len({one["statement"] for one in batch["observations"]})) == (200, 3)
        for n in range(1, 5):
            assert server.ask("POST", "/v1/labels", {"payment": f"p{n}", "fraud": n < 3})[0] == 200
        status, compared = server.ask("GET", "/v1/comparison?days=14")
        status, receipt = server.ask("GET", f"/v1/receipts/{told['statement']}")
        assert parse_receipt(format_json(receipt)).statement.id == told["statement"]
        # The journal can be read while it is written: the same comparison, from another process's point of view.
        beside = as_json(capsys, "fraud", "compare", "-w", "bank", "--out", "shadow.json")
        assert beside == compared == json.loads((place / "shadow.json").read_text())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(WAIT_S) == 0
    assert (compared["payments"], compared["present"]["frauds"], compared["ours"]["frauds"]) == (4, 1, 2)
    log = (place / "log").read_bytes()
    assert b'"status":200' in log
    assert b"SECRET" not in log
    assert run(["fraud", "compare", "-w", "bank"]) == 0
    shown = capsys.readouterr().out
    assert "4 decisions of your present scorer stated; 4 have a known outcome" in shown
    assert "ours, same false alerts" in shown
    assert run(["fraud", "compare", "-w", "bank", "--scorer-name", "another"]) == 1
    assert "no observed decision of this scorer" in capsys.readouterr().err


@pytest.mark.slow
def test_what_was_answered_before_the_end_is_in_the_journal(place: Path, capsys: Said) -> None:
    token = as_json(capsys, "fraud", "keys", "add", "--name", "hub", "--role", "decide", "-w", "bank")["key"]
    answered, others = list[str](), set[int]()
    with serving(token) as server:

        def bring(first: int) -> None:
            for number in range(first, 100_000, 4):
                try:
                    status, told = server.ask("POST", "/v1/observations", said(number, 500, alert=False))
                except (OSError, http.client.HTTPException):
                    return  # it has ended
                if status == 200:
                    answered.append(told["statement"])
                else:
                    others.add(status)

        threads = [threading.Thread(target=bring, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        while len(answered) < 40:
            time.sleep(0.005)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(WAIT_S) == 0
        for thread in threads:
            thread.join(WAIT_S)
    assert others <= {503}  # told to come again, never a fault
    with Node.open(place / "bank", passphrase="correct horse", read_only=True) as node:
        stated = [entry.id for entry in node.log(kind="decision.made")]
    assert set(answered) <= set(stated)
    assert len(set(stated)) == len(stated)


def test_where_nothing_was_observed_it_says_so(place: Path, capsys: Said) -> None:
    assert run(["fraud", "compare", "-w", "bank"]) == 1
    assert "nothing was observed here" in capsys.readouterr().err
    assert run(["fraud", "compare", "-w", "bank", "--days", "0"]) == 2


def test_a_scorer_has_one_name_and_the_model_must_be_ours(place: Path, capsys: Said) -> None:
    words = ["fraud", "observe", "-w", "bank", "--model"]
    assert run([*words, "none.tsm"]) == 1
    assert "cannot be read" in capsys.readouterr().err
    (place / "scorer.json").write_text("{}")
    assert run([*words, "fraud.tsm", "--external", "scorer.json", "--scorer-name", "v7"]) == 1
    assert "drop --scorer-name" in capsys.readouterr().err
    assert run([*words, "fraud.tsm", "--external", "scorer.json"]) == 1
    assert run([*words, "scorer.json"]) == 1
    assert run([*words, "fraud.tsm", "--scorer-name", "x" * 300]) == 1
