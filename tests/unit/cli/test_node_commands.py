"""A node towards other members, from the command line: what is said, what fails, what convicts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.serving import PASSPHRASE, introduce, listening, made_node

from tallystick.cli._app import run
from tallystick.cli._node_serve import _chain_of
from tallystick.cli._output import Output
from tallystick.node import Consortium, Node
from tallystick.server import JournalService

Said = pytest.CaptureFixture[str]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Node]]:
    """A's workspace, closed, and B's node."""
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / "state"))
    with ExitStack() as opened:
        a = opened.enter_context(made_node(tmp_path, "a"))
        b = opened.enter_context(made_node(tmp_path, "b"))
        introduce(a, b)
        a.record("document.recorded", {"title": "first"})
        b.record("document.recorded", {"title": "first"})
        a.close()
        yield a.workspace.path, b


def typed(said: Said, *words: str) -> tuple[int, Any, str]:
    code = run([*words, "--json"])
    shown = said.readouterr()
    return code, json.loads(shown.out) if shown.out else None, shown.err


def test_a_head_is_cosigned_and_the_receipt_carries_it(pair: tuple[Path, Node], capsys: Said) -> None:
    place, b = pair
    with listening(JournalService(b)) as url:
        code, told, _ = typed(capsys, "node", "ask", url, "-w", str(place))
        assert (code, told["given"], told["absent"]) == (0, 1, {})
        code, told, err = typed(capsys, "node", "ask", url, "--need", "2", "-w", str(place))
    assert (code, told["given"]) == (1, 1)
    assert "2 were wanted, 1 cosigned" in err
    with Node.open(place, passphrase=PASSPHRASE, read_only=True) as a:
        assert set(a.receipt(0).cards) == {a.id, b.id}


def test_a_stranger_at_an_address_is_told_and_not_asked(
    pair: tuple[Path, Node], tmp_path: Path, capsys: Said
) -> None:
    with made_node(tmp_path, "stranger") as stranger, listening(JournalService(stranger)) as url:
        code, told, _ = typed(capsys, "node", "watch", "--once", url, "-w", str(pair[0]))
        assert (code, told["logs"], set(told["absent"])) == (1, [], {url})
        code, told, _ = typed(capsys, "node", "ask", url, "-w", str(pair[0]))
    assert (code, told["answers"]) == (1, [])
    assert "card was imported" in told["absent"][url]


def test_a_log_with_two_histories_is_an_alarm_and_its_evidence_is_explained(
    pair: tuple[Path, Node], tmp_path: Path, capsys: Said
) -> None:
    place, b = pair
    b.close()
    shutil.copytree(b.workspace.path, tmp_path / "copy")
    codes = []
    for path, title in ((b.workspace.path, "one"), (tmp_path / "copy", "two")):
        with Node.open(path, passphrase=PASSPHRASE, heads=tmp_path / title) as log:
            log.record("document.recorded", {"title": title})
            with listening(JournalService(log)) as url:
                code, told, err = typed(capsys, "node", "watch", "--once", url, "-w", str(place))
                codes.append(code)
    assert codes == [0, 1]
    assert "ALARM b" in err
    run(["verify", told["logs"][0]["evidence"]])
    assert "two roots at size 2" in capsys.readouterr().out


def test_the_head_that_a_chain_has_is_read_for_the_watch(tmp_path: Path) -> None:
    with Consortium(2, directory=tmp_path) as made:
        node, other = made.nodes
        other.record("document.recorded", {"title": "first"})
        made.anchor()
        origin, head = other.origin, other.journal.checkpoint()
        settings = node.settings
    anchored = _chain_of(node, Output())
    assert settings.chain is not None
    assert anchored is not None
    assert anchored(origin) == (head.size, head.root)
    assert anchored("did:key:zNobody/main") is None
