"""What the machine refuses is said as such: no defect of ours, no stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.cli._app import run


@pytest.mark.parametrize(
    "words",
    [
        "init file --name A",
        "card show -o directory -w a",
        "export bundle -o directory -w a",
        "restore b file",
    ],
)
def test_a_path_of_the_wrong_kind_is_the_surroundings_fault(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    assert run(["init", "a", "--name", "A", "-q"]) == 0
    assert run(["record", "document.recorded", "--set", "title=x", "-w", "a", "-q"]) == 0
    assert run(["backup", "b", "-w", "a", "-q"]) == 0
    (tmp_path / "file").write_text("text")
    (tmp_path / "directory").mkdir()
    capsys.readouterr()
    assert run(words.split()) == 1
    said = capsys.readouterr().err
    assert "defect" not in said
    assert "directory" in said.lower()
    assert (tmp_path / "file").read_text() == "text"
