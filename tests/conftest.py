"""What every test gets: a state directory and an environment of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the memory of heads out of the user's home directory."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("TALLYSTICK_STATE", str(state))
    monkeypatch.delenv("TALLYSTICK_PASSPHRASE", raising=False)
    monkeypatch.delenv("TALLYSTICK_PASSPHRASE_FILE", raising=False)
    return state
