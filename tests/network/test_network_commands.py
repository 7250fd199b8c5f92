"""`tallystick network join|assemble|validators|remove` as one member types them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.network.joined import Joined, free_ports

from tallystick.cli._app import run

pytestmark = [pytest.mark.network, pytest.mark.slow]
Said = pytest.CaptureFixture[str]


@pytest.fixture
def alone(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Joined]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_ENGINE", str(engine))
    made = Joined(tmp_path, engine)
    yield made
    made.end()


def typed(words: str, said: Said, *, code: int = 0) -> str:
    found = run(words.split())
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    return shown.out + shown.err


def test_one_member_joins_compares_starts_and_looks(alone: Joined, capsys: Said) -> None:
    ports = free_ports()
    typed(
        f"network join node --name bank-a --host 127.0.0.1 --faults 0 --p2p-port {ports.p2p} "
        f"--rpc-port {ports.rpc} --comet-port {ports.comet}",
        capsys,
    )
    first = typed("network assemble node node/part.json", capsys)
    assert "nothing is set up yet" in first
    assert not (alone.home("node") / "config" / "genesis.json").exists()
    (told,) = set(re.findall(r"genesis +([0-9a-f]{64})", first))
    assert "expected the genesis" in typed(
        f"network assemble node node/part.json --genesis {'0' * 64}", capsys, code=1
    )
    assert "is set up" in typed(f"network assemble node node/part.json --genesis {told}", capsys)
    unit = (alone.home("node") / "validator.service").read_text()
    assert f"ExecStart={alone.engine.resolve()} start --home {alone.home('node').resolve()} " in unit
    assert "is it running" in typed("network validators node", capsys, code=1)
    alone.start("node")
    alone.wait("node", 2)
    assert run(["network", "validators", "node", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["validators"].values()) == [1000]
    assert found["bears"] == 0
    assert "last validator cannot leave" in typed("network remove node --even-so", capsys, code=1)
    assert "validator already" in typed("network add node", capsys, code=1)
