"""A rotation of keys that ends between any two of its steps: it goes on, and each step is done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tallystick.node._rotation as rotation
from tallystick.errors import ConfigurationError
from tallystick.node import Node, rotate
from tallystick.proof import Journal, Party, Witness

PASSPHRASE = "a long passphrase"
# step: whose it is, its name there, at which call of it the process ends, and whether before or after it
POINTS: dict[str, tuple[Any, str, int, bool]] = {
    "keys saved": (Party, "save", 1, True),
    "members not told": (rotation, "_tell_members", 1, False),
    "members told": (rotation, "_tell_members", 1, True),
    "key file written": (Party, "save", 2, True),
    "witness not made": (Witness, "create", 1, False),
    "witness made": (Witness, "create", 1, True),
    "card not stated": (Journal, "append", 1, False),
    "card stated": (Journal, "append", 1, True),
}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / "heads"))
    with Node.init(tmp_path / "w", name="A", passphrase=PASSPHRASE, scrypt_n=2**4) as node:
        node.record("document.recorded", {"title": "protocol"})
    return tmp_path / "w"


def killed(place: Path, point: tuple[Any, str, int, bool]) -> None:
    owner, name, nth, after = point
    step, calls = getattr(owner, name), 0

    def ends(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < nth or after:
            result = step(*args, **named)
            if calls < nth:
                return result
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, ends)
        with pytest.raises(Killed):
            rotate(place, ["log", "witness"], passphrase=PASSPHRASE, scrypt_n=2**4)


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_an_end_at_any_point_is_made_good(place: Path, point: tuple[Any, str, int, bool]) -> None:
    killed(place, point)
    with pytest.raises(ConfigurationError, match="not finished"):
        Node.open(place, passphrase=PASSPHRASE)
    done = rotate(place, [], passphrase=PASSPHRASE, scrypt_n=2**4)
    with Node.open(place, passphrase=PASSPHRASE) as node:
        assert node.party.card == done.card
        assert (done.card.number, node.journal.size) == (2, 2)  # stated once
        assert node.workspace.witness.exists()
        node.record("document.recorded", {"title": "with the new keys"})
    with pytest.raises(ConfigurationError, match="nothing to rotate"):
        rotate(place, [], passphrase=PASSPHRASE)


def test_keys_that_no_longer_fit_the_journal_leave_it_as_it_is(place: Path) -> None:
    killed(place, POINTS["keys saved"])
    saved = place / "keys.next.json"
    with Node.open(place, passphrase=PASSPHRASE, rotating=True) as node:
        node.record("document.recorded", {"title": "meanwhile"})
    with pytest.raises(ConfigurationError, match="since the saved rotation began"):
        rotate(place, [], passphrase=PASSPHRASE, scrypt_n=2**4)
    saved.rename(place / "aside.json")
    with Node.open(place, passphrase=PASSPHRASE) as node:
        assert node.journal.size == 2
