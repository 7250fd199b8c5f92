"""The contract Oracle from the command line: one party asks, others answer, each command a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.made_models import ROWS, make_model

from tallystick.cli._app import run
from tallystick.node import Node
from tallystick.proof import Party

PASSPHRASE = "correct horse"
MODEL = make_model("trees", 5)
Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    (tmp_path / "row.json").write_text(json.dumps(ROWS[0]))
    (tmp_path / "made.tsm").write_bytes(MODEL.bytes)
    return tmp_path


def typed(said: Said, line: str, *, code: int = 0) -> str:
    found = run(line.split())
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    assert all(len(part) <= 80 for part in shown.out.splitlines() if not part.startswith("next")), shown.out
    return shown.out + shown.err


def as_json(said: Said, line: str) -> Any:
    assert run([*line.split(), "--json"]) == 0
    return json.loads(said.readouterr().out)


def start(said: Said, place: Path, *others: str) -> None:
    """Make party a with all contracts, and others that know them."""
    typed(said, "init a --name A --chain pilot.chain")
    assert "oracle" in typed(said, "oracle found -w a")
    with Node.open(place / "a", passphrase=PASSPHRASE) as node:
        chain = node.settings.chain
    assert chain is not None
    contracts = " ".join(
        f"--{name} {getattr(chain, name)}" for name in ("members", "anchors", "models", "oracle")
    )
    for name in others:
        typed(said, f"init {name} --name {name.upper()} --chain pilot.chain {contracts}")
        typed(said, f"card show -o {name}.card.json -w {name}")
    assert chain.oracle in typed(said, "chain status -w a")
    for name in ("a", *others):
        typed(said, f"model publish made.tsm --name made -w {name}")


def test_the_contract_executes_a_model_for_a_command(capsys: Said, place: Path) -> None:
    start(capsys, place)
    typed(capsys, "model deploy made -w a")
    assert "everybody who reads the chain" in typed(
        capsys, "oracle request made --row row.json --level L4 -w a", code=1
    )
    made = as_json(capsys, "oracle request made --row row.json --level L4 --reveal chain --unpromoted -w a")
    assert "status   signers answer" in typed(capsys, f"oracle status {made['request']} -w a")
    shown = typed(capsys, f"oracle execute {made['request'][:10]} -w a")
    label = MODEL.decision(MODEL.scores(ROWS[0]))
    assert f"answer   {label}, score {MODEL.score(ROWS[0]):,}" in shown
    assert "no oracle at all" in shown
    assert as_json(capsys, f"oracle status {made['request'][:10]} -w a")["final"] is True


def test_two_signers_answer_a_request_by_commands_alone(capsys: Said, place: Path) -> None:
    start(capsys, place, "b", "c")
    cards = "--signer b.card.json --signer c.card.json"
    panel = as_json(capsys, f"oracle panel {cards} --need 2 -w a")["panel"]
    line = f"oracle request made --row row.json --level L1 --panel {panel} --reveal signers --unpromoted"
    made = as_json(capsys, f"{line} -o opening.json -w a")["request"]
    assert "it opens request" in typed(capsys, "oracle open opening.json -w b")
    typed(capsys, "oracle open opening.json -w c")
    serve = f"oracle run --panel {panel} --exchange shared --once"
    for name in ("b", "c", "b", "c", "b", "c"):
        typed(capsys, f"{serve} -w {name}")
    said = as_json(capsys, f"oracle status {made} -w a")
    assert (said["final"], said["output"], said["signed"]) == (True, str(MODEL.score(ROWS[0])), [0, 1])
    assert "answer.given" in typed(capsys, "log -w b")
    assert "nothing is unfinished" in typed(capsys, "oracle watch --once -w a")
    assert "no seat" in typed(capsys, f"{serve} -w a", code=1)


def test_money_goes_in_and_out_and_what_is_wrong_is_said(capsys: Said, place: Path) -> None:
    start(capsys, place)
    assert "free     500 wei" in typed(capsys, "oracle account --deposit-wei 500 -w a")
    assert "refused" in typed(capsys, "oracle account --withdraw-wei 900 -w a", code=1)
    assert "free     0 wei" in typed(capsys, "oracle account --withdraw-wei 500 -w a")
    assert "64 hex digits" in typed(capsys, "oracle status 9f2c -w a", code=1)
    assert "knows no such request" in typed(capsys, f"oracle status {'ab' * 32} -w a", code=1)
    (place / "opening.json").write_text("{}")
    assert "an opening must have" in typed(capsys, "oracle open opening.json -w a", code=1)
    typed(capsys, "card show -o a.card.json -w a")
    assert "need must be" in typed(capsys, "oracle panel --signer a.card.json --need 2 -w a", code=1)


def test_without_a_contract_a_command_says_what_to_set(capsys: Said) -> None:
    typed(capsys, "init a --name A")
    assert "chain.oracle" in typed(capsys, "oracle watch --once -w a", code=1)
    assert "members found" in typed(capsys, "oracle found -w a", code=1)


def test_a_watcher_looks_until_it_is_told_to_end(capsys: Said, place: Path) -> None:
    start(capsys, place)
    program = [
        sys.executable,
        "-u",
        "-c",
        # Whoever runs the tests in the background has Ctrl-C ignored, and children inherit that.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from tallystick.cli import main; main()",
        "oracle",
        "watch",
        "-w",
        "a",
    ]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        told = [watching.stdout.readline() for _ in range(2)]
        assert told[0].startswith("watcher 0x")
        assert "end with Ctrl-C" in told[1]
        watching.send_signal(signal.SIGINT)
        assert "it goes on" in watching.stdout.read()
    assert watching.returncode == 0
