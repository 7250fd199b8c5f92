"""People in charge, from the command line: what waits, who confirms, who objects, and the switch that stops it all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli._app import run
from tallystick.models import LinearModel, NumericFeature, Quantiser
from tallystick.node import Node
from tallystick.proof import Draft, Party

Said = pytest.CaptureFixture[str]


def risk() -> LinearModel:
    feature = NumericFeature("x", "x", 0, 0, 1, -100, 100, 0, False, "refuse")
    return LinearModel("risk", "illness", Quantiser((feature,)), ("no", "yes"), 4096, 0, ((41,),), (0,), (0,))


@pytest.fixture(autouse=True)
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("TALLYSTICK_WORKSPACE", str(tmp_path / "clinic"))
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    (tmp_path / "row.json").write_text('{"x": 9}')
    (tmp_path / "risk.tsm").write_bytes(risk().bytes)
    typed(capsys, "init clinic --name Clinic")
    typed(capsys, "model publish risk.tsm --name risk")
    return tmp_path


def typed(said: Said, line: str, *, code: int = 0) -> str:
    found = run([word.replace("_", " ") for word in line.split()])
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    assert all(len(part) <= 80 for part in shown.out.splitlines()), shown.out
    return shown.out + shown.err


def as_json(said: Said, line: str) -> Any:
    assert run([*line.split(), "--json"]) == 0
    return json.loads(said.readouterr().out)


def test_the_kill_switch_takes_one_person_and_two_to_let_go(capsys: Said) -> None:
    assert "models decide by themselves" in typed(capsys, "control show")
    typed(capsys, "control set refuse --by dr-7 --reason drift")
    assert "switched it off" in typed(capsys, "ask risk --row row.json", code=1)
    assert "two different persons" in typed(capsys, "control set normal --by dr-7 --reason ok", code=1)
    typed(capsys, "control set normal --by dr-7 --second dr-8 --reason mended")
    assert "yes" in typed(capsys, "ask risk --row row.json")
    assert "dr-7" not in typed(capsys, "log --limit 0")


def test_what_lies_in_a_band_waits_for_another_person(capsys: Said) -> None:
    shown = typed(
        capsys, "control set confirm --model risk --band high:300: --for 30d --by dr-7 --reason trial"
    )
    assert "scores from 300 to below any" in shown
    answer = as_json(capsys, "ask risk --row row.json --by dr-7")
    assert (answer["decision"], answer["proposal"], answer["is_pending"]) == ("", "yes", True)
    wanted = answer["statement"][:12]
    assert wanted in typed(capsys, "review list")
    assert "x = 9" in typed(capsys, f"review show {wanted}")
    assert "four eyes" in typed(capsys, f"review confirm {wanted} --by dr-7", code=1)
    assert "it is now in force" in typed(capsys, f"review confirm {wanted} --by dr-8")
    assert as_json(capsys, "review list") == []


def test_an_appeal_is_settled_by_two_others_who_say_the_same(capsys: Said) -> None:
    answer = as_json(capsys, "ask risk --row row.json --subject 4711 --by dr-7")
    wanted = answer["statement"][:12]
    shown = typed(capsys, f"appeal {wanted} --by patient --reason wrong_sample --subject 4711")
    assert "two persons review it until" in shown
    assert "settled" not in typed(capsys, f"review override {wanted} --by dr-8 --to no --reason mixed_up")
    assert "four eyes" in typed(capsys, f"review override {wanted} --by dr-8 --to no --reason again", code=1)
    assert "overridden" in typed(capsys, f"review override {wanted} --by dr-9 --to no --reason mixed_up")
    log = typed(capsys, "log --limit 0")
    assert "decision.overridden" in log
    assert "wrong sample" not in log


def test_two_persons_may_also_uphold_it(capsys: Said) -> None:
    wanted = as_json(capsys, "ask risk --row row.json --by dr-7")["statement"][:12]
    typed(capsys, f"appeal {wanted} --by patient --reason wrong")
    assert "appealed" in typed(capsys, f"review uphold {wanted} --by dr-8")
    assert "in force" in typed(capsys, f"review uphold {wanted} --by dr-9")
    assert "an appeal" in typed(capsys, f"appeal {wanted} --by patient --reason again", code=1)


def test_a_person_may_override_a_decision_without_an_appeal(capsys: Said) -> None:
    wanted = as_json(capsys, "ask risk --row row.json")["statement"][:12]
    shown = typed(capsys, f"review override {wanted} --by dr-8 --to no --reason mixed_up")
    assert "it is now overridden" in shown


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("control set perhaps --by a --reason b", 1, "a mode must be"),
        ("control set confirm --by a --reason b --for 3w", 2, "30d"),
        ("control set confirm --by a --reason b --band high:low", 2, "NAME:LOW:HIGH"),
        ("control set confirm --by a --reason b --band high:9:1", 1, "begin below its end"),
        ("control set refuse --by a --reason b --band high:1:9", 1, "confirm only"),
        ("control show --model fraud", 1, "expected one model"),
        ("review show 0", 1, "expected a decision"),
        ("review confirm ffffffffffff --by a", 1, "expected one statement"),
        ("appeal 0 --by a --reason b", 1, "expected a decision"),
        ("ask risk --row row.json --level L1", 1, "signers"),
        ("ask risk --row row.json --permit ffffffffffff", 1, "expected one statement"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(capsys: Said, line: str, code: int, message: str) -> None:
    shown = " ".join(typed(capsys, line, code=code).split())
    assert message in shown


@pytest.mark.parametrize(("answer", "code"), [("hold", 1), ("decline", 1), ("review", 0)])
def test_one_person_releases_no_stopped_payment(capsys: Said, clinic: Path, answer: str, code: int) -> None:
    with Node.open(clinic / "clinic", passphrase="correct horse") as node:
        fields = {"answer": answer, "payment": {"customer": "c1", "id": "p1"}}
        draft = Draft("decision.made", {"level": "L0", "model": "0" * 64}, fields=fields, subject="c1")
        wanted = node.record_many([draft])[0].id
    told = typed(capsys, f"review override {wanted} --by dr-8 --to approve --reason known", code=code)
    assert ("two persons" in told) == bool(code)
    typed(capsys, f"review override {wanted} --by dr-9 --to decline --reason fraud")
