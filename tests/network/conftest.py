"""What the tests over a real network share: its engine, or one loud line that says how to build it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from tallystick.errors import NotFoundError

MISSING = "the network's engine is not built, so nothing was tried over a real network: run `make network`"


@pytest.fixture(scope="session")
def engine() -> Path:
    """The engine's binary."""
    named = os.environ.get("TALLYSTICK_ENGINE")
    if named:
        return Path(named)
    try:
        found: Path = importlib.import_module("tallystick.network").find_engine()
    except (AttributeError, NotFoundError):
        if os.environ.get("TALLYSTICK_REQUIRE_NETWORK") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found
