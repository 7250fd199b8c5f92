"""A backup restored on a machine that remembers nothing: what the chain remembers must be enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.cli._app import run

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    return tmp_path


def _lose_the_machine(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        "init a --name A --chain c.chain",
        "record document.recorded --set title=one -w a",
        "backup old.backup -w a",
        "record document.recorded --set title=two -w a",
        "anchor -w a",
    ):
        assert run([*words.split(), "-q"]) == 0
    (place / "a").rename(place / "dead")
    monkeypatch.setenv("TALLYSTICK_STATE", str(place / "new-machine"))


def test_a_journal_below_its_head_on_the_chain_is_read_but_not_continued(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    _lose_the_machine(place, monkeypatch)
    assert run(["restore", "old.backup", "a"]) == 0
    assert "the chain has size 2" in capsys.readouterr().out
    assert run(["record", "document.recorded", "--set", "title=fork", "-w", "a"]) == 1
    assert "restored backup" in capsys.readouterr().err
    assert run(["log", "-w", "a"]) == 0
    assert run(["receipt", "0", "-o", "r.json", "-w", "a", "-q"]) == 0
    assert run(["verify", "r.json"]) == 3


def test_a_chain_that_cannot_be_asked_is_said_and_stops_no_restoring(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    _lose_the_machine(place, monkeypatch)
    (place / "c.chain").unlink()
    assert run(["restore", "old.backup", "a"]) == 0
    assert "the chain could not be asked" in " ".join(capsys.readouterr().err.split())
    assert run(["log", "-w", "a"]) == 0
