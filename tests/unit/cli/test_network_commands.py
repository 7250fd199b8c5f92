"""`tallystick network besu|join|assemble` as they are typed, without an engine."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from tests.unit.network.made_parts import parts

from tallystick.cli._app import run
from tallystick.network import format_part

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TALLYSTICK_ENGINE", raising=False)
    return tmp_path


def typed(words: str, said: Said, *, code: int = 0) -> str:
    found = run(words.split())
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    assert all(len(line) <= 80 for line in shown.out.splitlines()), shown.out
    return shown.out + shown.err


def test_besu_files_are_written_and_labelled(place: Path, capsys: Said) -> None:
    assert "not executed by our tests" in typed(
        "network besu net --members bank-a,bank-b,bank-c,bank-d", capsys
    )
    assert stat.S_IMODE((place / "net" / "bank-a" / "key").stat().st_mode) == 0o600
    assert run(["network", "besu", "again", "--members", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["executed"] is False
    assert [member["name"] for member in found["members"]] == [f"member-{n}" for n in range(1, 5)]
    assert "not empty" in typed("network besu net", capsys, code=1)


def fake_engine(place: Path) -> Path:
    path = place / "engine"
    path.write_text("#!/bin/sh\necho 'Error: no such command' >&2\nexit 1\n")
    path.chmod(0o755)
    return path


def test_an_engine_that_refuses_leaves_no_home_behind(place: Path, capsys: Said) -> None:
    engine = fake_engine(place)
    said = typed(f"network join node --name a --host 127.0.0.1 --engine {engine}", capsys, code=1)
    assert "the engine refused `config set`" in said
    assert "no such command" in said
    assert sorted(path.name for path in place.iterdir()) == ["engine"]


def test_terms_that_no_network_can_have_are_refused_before_keys_are_made(place: Path, capsys: Said) -> None:
    engine = fake_engine(place)
    said = typed(f"network join node --name A --host 127.0.0.1 --engine {engine}", capsys, code=1)
    assert "lower-case letters" in said
    said = typed(f"network join node --name a --host example.org --engine {engine}", capsys, code=1)
    assert "IPv4" in said


def test_parts_are_read_before_the_engine_is_asked_for_anything(place: Path, capsys: Said) -> None:
    made = parts("bank-a bank-b bank-c")
    (place / "node").mkdir()
    (place / "node" / "part.json").write_bytes(format_part(made[0]))
    for part in made:
        (place / f"{part.name}.part.json").write_bytes(format_part(part))
    names = " ".join(f"{part.name}.part.json" for part in made)
    said = typed(f"network assemble node {names} --engine {fake_engine(place)}", capsys, code=1)
    assert "needs 4 members, got 3" in said
    (place / "bank-b.part.json").write_bytes(b"{}" + os.linesep.encode())
    said = typed(f"network assemble node {names} --engine {fake_engine(place)}", capsys, code=1)
    assert "bank-b.part.json:" in said
