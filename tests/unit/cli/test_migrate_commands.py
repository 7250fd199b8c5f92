"""`tallystick migrate` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.chain import LocalChain, serve
from tallystick.cli._app import run
from tallystick.errors import NotFoundError
from tallystick.node import _migrating as moving
from tallystick.proof import Party

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    return tmp_path


@pytest.fixture
def url(place: Path) -> Iterator[str]:
    with LocalChain(place / "network.chain", chain_id=262144) as local, serve(local, port=0) as served:
        yield served.url


def typed(words: str, said: Said, *, code: int = 0) -> str:
    found = run(words.split())
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    assert all(len(line) <= 80 for line in shown.out.splitlines()), shown.out
    return shown.out + shown.err


def as_json(words: str, said: Said) -> dict[str, object]:
    assert run([*words.split(), "--json"]) == 0
    found = json.loads(said.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_two_parties_of_one_embedded_chain_move_to_a_network(url: str, capsys: Said) -> None:
    typed("init a --name A --chain pilot.chain", capsys)
    typed("init b --name B", capsys)
    for name in "ab":
        typed(f"card show -o {name}.card.json -w {name}", capsys)
        typed(f"record document.recorded --set title=x -w {name}", capsys)
    typed("anchor -w a", capsys)
    said = as_json(f"migrate {url} --found b.card.json -w a", capsys)
    assert (said["chain_id"], said["size"]) == (262144, 1)
    assert said["old_block"]
    addresses = f"--members {said['members']} --anchors {said['anchors']} --genesis {said['genesis']}"
    shown = typed(f"migrate {url} {addresses} -w b", capsys)
    assert "its first anchor there" in shown
    assert "size 1," in shown
    assert "chain.moved" in typed("log -w a", capsys)
    assert as_json("chain status -w a", capsys)["anchored"] == 1
    assert "stands in block" in typed("anchor -w a", capsys)


def test_a_move_must_say_whether_it_founds_or_joins(url: str, capsys: Said) -> None:
    typed("init a --name A --chain pilot.chain", capsys)
    assert "--found" in typed(f"migrate {url} -w a", capsys, code=2)


def test_another_genesis_than_the_others_told_is_refused(url: str, capsys: Said) -> None:
    typed("init a --name A --chain pilot.chain", capsys)
    wrong = f"--genesis 0x{'00' * 32} --members 0x{'11' * 20} --anchors 0x{'22' * 20}"
    assert "expected genesis" in typed(f"migrate {url} {wrong} -w a", capsys, code=1)
    assert "embedded" in typed("chain status -w a", capsys)


def test_several_members_endpoints_are_named_with_their_owners(url: str, place: Path, capsys: Said) -> None:
    typed("init a --name A --chain pilot.chain", capsys)
    typed("card show -o a.card.json -w a", capsys)
    with LocalChain(place / "third.chain", chain_id=7) as other, serve(other, port=0) as served:
        assert "name the member of every url" in typed(
            f"migrate a={url} {served.url} --found a.card.json -w a", capsys, code=2
        )
    typed(f"migrate mine={url} --found a.card.json -w a", capsys)
    assert 'whose = ["mine"]' in (place / "a" / "tallystick.toml").read_text()


def test_a_move_that_is_not_over_is_told_by_the_doctor(
    url: str, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("init a --name A --chain pilot.chain", capsys)
    typed("card show -o a.card.json -w a", capsys)
    assert "not over" not in typed("doctor -w a", capsys)
    with monkeypatch.context() as patched:
        patched.setattr(moving, "_anchor_on_both", lambda *_: (_ for _ in ()).throw(NotFoundError("gone")))
        typed(f"migrate {url} --found a.card.json -w a", capsys, code=1)
    assert "not over" in typed("doctor -w a", capsys)
    typed(f"migrate {url} --found a.card.json -w a", capsys)
    assert "not over" not in typed("doctor -w a", capsys)
