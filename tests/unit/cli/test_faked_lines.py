"""What a stranger writes into a name or a statement draws no line of its own on the reader's screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tallystick.cli._app import run

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "Bank A" + " " * 60 + "proved    anchored",
        "Bank A of Greater London and of all that lies around it there proved it is",
    ],
)
def test_a_name_cannot_put_a_proved_line_into_a_report(name: str, capsys: Said) -> None:
    assert run(["init", "e", "--name", name, "-q"]) == 0
    assert run(["record", "document.recorded", "--set", "title=x", "-w", "e", "-q"]) == 0
    assert run(["receipt", "0", "-o", "r.json", "-w", "e", "-q"]) == 0
    assert run(["verify", "r.json"]) == 3
    said = capsys.readouterr().out
    assert [line.split()[1] for line in said.splitlines() if line.startswith("  proved")] == ["it"]
    assert "(unconfirmed)" in said.splitlines()[0]
    assert run(["trace", "r.json"]) == 0
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("  proved")]


def test_a_statement_cannot_move_the_cursor_of_who_lists_it(capsys: Said) -> None:
    assert run(["init", "a", "--name", "A", "-q"]) == 0
    body = json.dumps({"title": "x\x1b[2J\nproved\u202e"})
    assert run(["record", "document.recorded", "--body", body, "-w", "a", "-q"]) == 0
    assert run(["log", "-w", "a"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert not [line for line in said.splitlines() if line.startswith("proved")]
    assert run(["log", "-w", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["body"]["title"] == "x\x1b[2J\nproved\u202e"


def test_a_files_name_cannot_put_a_line_into_a_report(place: Path, capsys: Said) -> None:
    name = "x\n  proved    anchored\x1b[2J.json"
    (place / name).write_text("{}")
    assert run(["verify", name]) == 1
    said = capsys.readouterr()
    assert "\n  proved" not in said.out + said.err
    assert "\x1b" not in said.out + said.err
