"""Whose lines a party wants, from the command line: said once, asked for by itself, waited for before an anchor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.serving import PASSPHRASE, listening
from tests.unit.node.test_remote_attesting import nobody

from tallystick.chain import LocalChain, Profile, serve
from tallystick.cli._app import run
from tallystick.node import Consortium, NetworkGround
from tallystick.proof import format_policy
from tallystick.server import JournalService

Said = pytest.CaptureFixture[str]
NAMES = ("bank-a", "bank-b", "bank-c")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consortium]:
    """Three members over a chain with a url; the first one's workspace is closed."""
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / "state"))
    with LocalChain(tmp_path / "chain") as local, serve(local, port=0) as served:
        profiles = {name: Profile("network", urls=(served.url,)) for name in NAMES}
        ground = NetworkGround(profiles, treasury=local.fund)
        with Consortium(NAMES, directory=tmp_path / "three", ground=ground, passphrase=PASSPHRASE) as made:
            made.nodes[0].record("document.recorded", {"title": "first"})
            made.nodes[0].close()
            yield made


def typed(said: Said, words: str) -> tuple[int, Any, str]:
    code = run([*words.split(), "--json"])
    shown = said.readouterr()
    return code, json.loads(shown.out) if shown.out else None, shown.err


def test_an_anchor_waits_for_the_witnesses_and_its_receipt_is_proved_offline(
    three: Consortium, tmp_path: Path, capsys: Said
) -> None:
    a, b, c = three.nodes
    place, gone = a.workspace.path, nobody()
    with ExitStack() as opened:
        url_b, url_c = (opened.enter_context(listening(JournalService(node))) for node in (b, c))
        code, told, _ = typed(capsys, f"node witnesses {url_b} {gone} --before-anchor -w {place}")
        assert (code, told["wanted"], told["before_anchor"]) == (0, 2, 2)
        code, told, _ = typed(capsys, f"anchor -w {place}")
        assert (code, told["error"]["code"]) == (1, "surroundings.quorum")
        assert "1 of the 2 cosignatures" in told["error"]["message"]
        code, told, _ = typed(capsys, f"doctor -w {place}")
        assert (code, {one["what"]: one["how"] for one in told}["witnesses"]) == (
            0,
            "statements that wait for cosignatures: 1; `tallystick node ask`",
        )
        assert run(["node", "ask", "-w", str(place)]) == 1
        assert f"{gone}: the node cannot be reached" in " ".join(capsys.readouterr().err.split())
        typed(capsys, f"node witnesses {url_b} {url_c} --before-anchor -w {place}")
        code, told, _ = typed(capsys, f"anchor -w {place}")
    assert (code, told["anchors"][0]["size"]) == (0, 1)
    assert [one["name"] for one in told["gathered"]["notes"]["1"]] == ["bank-b", "bank-c"]
    code, told, _ = typed(capsys, f"node ask -w {place}")
    assert (code, told["answers"], told["notes"]) == (0, [], {})
    assert run(["receipt", "0", "-o", str(tmp_path / "r.json"), "-w", str(place)]) == 0
    policy = tmp_path / "mine.json"
    policy.write_bytes(format_policy(three.policy(ask=("party", "witnesses", "anchor"))))
    capsys.readouterr()
    code, told, _ = typed(capsys, f"verify {tmp_path / 'r.json'} --policy {policy}")
    assert code == 0
    standing = {line["topic"]: line["standing"] for line in told["files"][0]["lines"]}
    assert (standing["anchor"], standing["witnesses"]) == ("proved", "proved")


def test_what_is_no_address_or_too_few_changes_nothing(three: Consortium, capsys: Said) -> None:
    place = three.nodes[0].workspace.path
    before = (place / "tallystick.toml").read_bytes()
    for words in ("ftp://b", "http://b:1 http://c:1 --need 1", "http://b:1 http://b:1"):
        code, told, _ = typed(capsys, f"node witnesses {words} -w {place}")
        assert (code, told["error"]["code"]) == (1, "input.configuration")
    assert (place / "tallystick.toml").read_bytes() == before
    code, told, _ = typed(capsys, f"node ask -w {place}")
    assert "node witnesses" in told["error"]["hint"]
    typed(capsys, f"node witnesses http://b:1 -w {place}")
    code, told, _ = typed(capsys, f"node witnesses --none -w {place}")
    assert (code, told["urls"], told["wanted"]) == (0, [], 0)
    assert (place / "tallystick.toml").read_bytes() == before


def test_the_number_of_lines_is_taken_from_a_policy(three: Consortium, tmp_path: Path, capsys: Said) -> None:
    place, file = three.nodes[0].workspace.path, tmp_path / "mine.json"
    file.write_bytes(format_policy(three.policy()))
    words = f"node witnesses http://b:1 http://c:1 --policy {file} --before-anchor -w {place}"
    code, told, _ = typed(capsys, words)
    assert (code, told["need"], told["before_anchor"]) == (0, 2, 2)
    file.write_bytes(format_policy(replace(three.policy(), witnesses=None)))
    code, told, _ = typed(capsys, words)
    assert (code, "names no witnesses" in told["error"]["message"]) == (1, True)
