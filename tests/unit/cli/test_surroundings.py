"""What the machine refuses is said as such: no defect of ours, no stack."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tallystick.cli._app import run
from tallystick.cli._verify import read_bytes
from tallystick.errors import NotFoundError, StorageError


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


@pytest.mark.parametrize("file", ["keys.json", "tallystick.toml", "witness.json", "journal/checkpoints"])
def test_no_output_replaces_what_a_workspace_lives_on(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    assert run(["init", "a", "--name", "A", "-q"]) == 0
    assert run(["record", "document.recorded", "--set", "title=x", "-w", "a", "-q"]) == 0
    before = (tmp_path / "a" / file).read_bytes()
    assert run(["receipt", "0", "-o", f"a/{file}", "-w", "a"]) == 1
    assert "belongs to the workspace" in capsys.readouterr().err
    assert (tmp_path / "a" / file).read_bytes() == before
    for _ in range(2):  # an earlier receipt may be replaced, inside of a workspace too
        assert run(["receipt", "0", "-o", "a/r.receipt.json", "-w", "a"]) == 0


def test_a_pipe_is_read_as_a_file_and_a_device_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"from a pipe",))
    writer.start()
    assert read_bytes(pipe) == b"from a pipe"
    writer.join()
    with pytest.raises(NotFoundError, match="neither"):
        read_bytes(Path("/dev/zero"))


def test_a_file_is_read_up_to_its_limit_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, limit=5) == b"12345"
    with pytest.raises(StorageError, match="more"):
        read_bytes(path, limit=4)
