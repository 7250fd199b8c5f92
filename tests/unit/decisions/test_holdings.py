"""What a node cannot score leaves one request unanswered; it never stops the answers to all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from office import heart
from stand_in import Stage

from tallystick.errors import (
    DamagedError,
    MissingExtraError,
    ModelFileError,
    StorageError,
    TallystickError,
    UnknownFormatError,
)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def ask_for_another(stage: Stage, monkeypatch: pytest.MonkeyPatch, what: Any) -> list[str]:
    """Ask for a model whose file gives trouble, then for the good one; return which files were opened."""
    strange, good, opened = heart("strange", bias=7), stage.model, []
    stage.shelf.put(strange, "")
    give = stage.shelf.model

    def model(version: Any) -> Any:
        if version.hash != strange.hash:
            return give(version)
        opened.append(version.hash)
        if isinstance(what, Exception):
            raise what
        return what

    monkeypatch.setattr(stage.shelf, "model", model)
    stage.model = strange
    stage.ask()
    stage.model = good
    return opened


@pytest.mark.parametrize(
    "error",
    [
        DamagedError("the file is damaged"),
        MissingExtraError("onnx is not installed"),
        ModelFileError("damaged"),
        UnknownFormatError("of a later version"),
    ],
)
def test_a_request_for_a_model_that_cannot_be_opened_stops_no_other_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: TallystickError
) -> None:
    ask_for_another(stage, monkeypatch, error)
    request, signer = stage.ask(), stage.signer(0)
    assert signer.step() == 2
    assert signer.answered(request) is not None


def test_a_disk_that_fails_is_not_passed_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ask_for_another(stage, monkeypatch, StorageError("reading failed"))
    with pytest.raises(StorageError):
        stage.signer(0).step()


def test_a_model_that_nobody_can_compute_again_is_opened_once_and_never_answered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = ask_for_another(stage, monkeypatch, SimpleNamespace(hash="00" * 32, family="opaque"))
    signer = stage.signer(0)
    assert [signer.step() for _ in range(3)] == [1, 1, 1]
    assert len(opened) == 1


def test_a_model_under_another_ones_hash_is_never_scored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_for_another(stage, monkeypatch, replace(heart(), name="other"))
    signer = stage.signer(0)
    signer.step()
    assert list(stage.nodes["s0"].log(kind="answer.given")) == []
