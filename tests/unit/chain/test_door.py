"""The room's door opens without the extras, and says what to install when a name needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tallystick.chain
import tallystick.testing
from tallystick.errors import MissingExtraError


def test_every_name_of_the_door_is_there() -> None:
    for room in (tallystick.chain, tallystick.testing):
        # Constants, then classes, then functions, as the linter keeps them.
        assert room.__all__ == sorted(
            room.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
        )
        for name in room.__all__:
            assert getattr(room, name) is not None
        assert dir(room) == sorted(room.__all__)
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = room.nothing


def test_the_door_loads_nothing_of_the_extras() -> None:
    script = (
        "import sys\n"
        "import tallystick.chain, tallystick.testing\n"
        "sys.exit(bool({'web3', 'eth', 'coincurve'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_a_missing_extra_is_named_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(tallystick.chain), "LocalChain", raising=False)
    monkeypatch.delitem(sys.modules, "tallystick.chain._localchain", raising=False)
    monkeypatch.setitem(sys.modules, "coincurve", None)
    with pytest.raises(MissingExtraError) as refused:
        _ = tallystick.chain.LocalChain
    assert refused.value.hint == "pip install 'tallystick[chain]'"
