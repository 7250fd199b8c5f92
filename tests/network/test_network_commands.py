"""A network by typing: new, up, status, down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tallystick.cli._app import run
from tallystick.network import Network

pytestmark = pytest.mark.network


def typed(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, object]:
    assert run(["network", *map(str, words), "--json"]) == code, capsys.readouterr().err
    found: dict[str, object] = orjson.loads(capsys.readouterr().out)
    return found


def test_a_network_is_laid_out_started_looked_at_and_ended(
    engine: Path, harmable_network: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    network = harmable_network(2)
    place = network.bundle.path
    try:
        up = typed(capsys, "up", place)
        assert [network.pid(0), network.pid(1)] == list(up["pids"].values())  # type: ignore[attr-defined]
        found = typed(capsys, "status", place)
        assert found["good"] is True
        assert "final and the same at all 2" in str(found["verdict"])
        network.kill(1)
        halted = typed(capsys, "status", place, code=1)
        assert "halted: 1 of 2 answer" in str(halted["verdict"])
    finally:
        ended = typed(capsys, "down", place)
    assert ended == {"ended": ["member-a"]}
    assert typed(capsys, "status", place, code=1)["verdict"] == "down: no validator answers"
    assert typed(capsys, "down", place) == {"ended": []}


def test_a_network_is_made_by_names_and_not_over_another_one(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = typed(capsys, "new", tmp_path / "net", "--members", "bank-a")
    assert [one["name"] for one in made["members"]] == ["bank-a"]  # type: ignore[attr-defined]
    assert made["faults"] == 0
    refused = typed(capsys, "new", tmp_path / "net", "--members", "2", code=1)
    assert "is not empty" in str(refused["error"])


def test_a_network_for_faults_that_its_members_cannot_bear_is_refused(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = typed(capsys, "new", tmp_path / "net", "--members", "3", "--faults", "1", code=1)
    assert "needs 4 members, got 3" in str(refused["error"])
    assert not (tmp_path / "net").exists()


def test_an_engine_that_is_there_is_not_built_again(
    engine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TALLYSTICK_ENGINE", raising=False)
    assert typed(capsys, "build")["engine"] == str(engine)


def test_besu_is_generated_and_said_not_to_be_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = typed(capsys, "new", tmp_path / "net", "--engine", "besu-qbft")
    assert made["executed"] is False


def test_an_unknown_engine_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = typed(capsys, "new", tmp_path / "net", "--engine", "geth", code=1)
    assert "cosmos, besu-qbft" in str(refused["error"])
