"""Retention from the command line: what could go, what a hold refuses, who releases it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli._app import run
from tallystick.node import Node, format_card_file
from tallystick.proof import Party

Said = pytest.CaptureFixture[str]
PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("TALLYSTICK_WORKSPACE", str(tmp_path / "bank"))
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    typed(capsys, "init bank --name Bank")
    with (
        Node.open(tmp_path / "bank") as node,
        Node.init(tmp_path / "witness", name="Witness", passphrase=PASSPHRASE) as witness,
    ):
        node.journal._store.segments._segment_size = 3000
        for at in range(60):
            node.record("document.recorded", {"title": f"number {at}"})
        witness.import_card(format_card_file(node.party.cards))
        node.import_card(format_card_file(witness.party.cards))
        node.add_cosignatures(witness.cosign(node.ask_witness()).note)
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


def test_old_entries_are_shown_first_and_then_disposed_of(capsys: Said) -> None:
    shown = typed(capsys, "retention show")
    assert "60 entries, of which 0 were disposed of" in shown
    assert "nothing can be disposed of now" in shown
    assert "could go: entries 0 to" in typed(capsys, "retention dispose --older-than 0d --dry-run")
    assert as_json(capsys, "retention show")["disposed"] == 0
    done = as_json(capsys, "retention dispose --older-than 0d")["disposed"]
    assert done["segments"] > 1
    assert as_json(capsys, "retention show")["disposed"] == done["last"] + 1
    assert "was disposed of" in typed(capsys, "receipt 0", code=1)
    assert "nothing can be disposed of now" in typed(capsys, "retention dispose --older-than 0d")


def test_disposal_says_what_is_free(capsys: Said) -> None:
    shown = typed(capsys, "retention dispose --older-than 0d")
    assert "entries are gone" in shown
    assert "proofs and receipts stay good" in shown


def test_a_hold_refuses_until_two_persons_release_it(capsys: Said) -> None:
    assert "legal hold on all entries" in typed(capsys, "retention hold --reason court_order --by counsel-3")
    (hold,) = as_json(capsys, "retention show")["holds"]
    assert "refused by the legal hold" in typed(capsys, "retention dispose --older-than 0d --dry-run")
    assert "court order" in typed(capsys, "retention dispose --older-than 0d", code=1)
    release = f"retention release {hold['statement'][:12]} --reason over --by counsel-3 --second"
    assert "two different persons" in typed(capsys, f"{release} counsel-3", code=1)
    assert "still stand: 0" in typed(capsys, f"{release} dr-8")
    assert "are gone" in typed(capsys, "retention dispose --older-than 0d")


def test_a_hold_may_cover_a_range_and_a_time(capsys: Said) -> None:
    line = "retention hold --reason audit --by counsel-3 --first 3 --last 1000 --for 30d"
    assert "entries from 3 to 1,000, until 20" in typed(capsys, line)
    assert as_json(capsys, "retention show")["holds"][0]["first"] == 3


@pytest.mark.parametrize("text", ["400", "d", "-1d", "4w", "1.5d"])
def test_days_that_cannot_be_read_are_wrong_use(capsys: Said, text: str) -> None:
    assert "expected days such as 400d" in typed(capsys, f"retention dispose --older-than={text}", code=2)
