"""Setting up sharing from the command line: keys that members get, the file, whether they answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps.fraud.sharing import ShareSettings
from tallystick.cli._app import run
from tallystick.node import CardFile, Node, make_policy
from tallystick.proof import format_policy
from tallystick.server import Keys

Said = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALLYSTICK_WORKSPACE", str(tmp_path / "bank-a"))
    cards = []
    for name in ("Bank A", "Bank B"):
        space = tmp_path / name.lower().replace(" ", "-")
        with Node.init(space, name=name, passphrase="a test", scrypt_n=2, heads=tmp_path / "heads") as node:
            cards.append(CardFile(node.party.cards))
    (tmp_path / "policy.json").write_bytes(format_policy(make_policy("two banks", cards)))
    return tmp_path


def typed(said: Said, *words: str, code: int = 0) -> Any:
    assert run(["fraud", "share", *words, "--json"]) == code
    shown = said.readouterr()
    return json.loads(shown.out) if shown.out else shown.err


def test_a_member_gets_a_key_once_and_it_can_be_taken_back(place: Path, capsys: Said) -> None:
    policy, file = str(place / "policy.json"), place / "for-b.key"
    told = typed(capsys, "admit", "Bank B", "--policy", policy, "-o", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    keys = Keys.read(place / "bank-a" / "share-keys.toml")
    found = keys.find(file.read_text("ascii").strip())
    assert found is not None
    assert (found.name, found.roles) == (told["party"], frozenset({"member"}))
    assert file.read_text("ascii").strip() not in json.dumps(told)
    again = str(place / "again.key")
    assert "has a key already" in str(
        typed(capsys, "admit", "Bank B", "--policy", policy, "-o", again, code=1)
    )
    typed(capsys, "dismiss", "Bank B", "--policy", policy)
    assert Keys.read(place / "bank-a" / "share-keys.toml").keys == ()
    typed(capsys, "admit", "Bank X", "--policy", policy, "-o", again, code=1)


def test_the_file_that_it_writes_can_be_read_and_a_member_that_is_not_there_is_told(
    place: Path, capsys: Said
) -> None:
    share = place / "share.toml"
    words = ["--policy", str(place / "policy.json"), "--since", "2026-11-01", "--holds", "0x00"]
    typed(capsys, "new", *words, "--member", "Bank B=http://127.0.0.1:9", "-o", str(share))
    (place / "member-1.key").write_text("tsk_x\n")
    (place / "member-1.key").chmod(0o600)
    said = ShareSettings.read(share)
    assert (len(said.peers), said.port, said.peers[0].url) == (1, 8491, "http://127.0.0.1:9")
    told = typed(capsys, "check", str(share), code=1)
    assert told["members"] == {"Bank B": "Bank B cannot be reached"}


def test_a_day_that_is_none_is_refused(place: Path, capsys: Said) -> None:
    words = ["--policy", str(place / "policy.json"), "--since", "tomorrow", "-o", str(place / "s.toml")]
    assert "must be a day" in str(typed(capsys, "new", *words, "--member", "Bank B=http://b", code=1))
