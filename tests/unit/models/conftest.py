"""What several tests of models share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def lightgbm() -> Any:
    """LightGBM, an oracle for tests; its wheel needs the system's libgomp1."""
    try:
        import lightgbm as found
    except (ImportError, OSError):
        pytest.skip("LightGBM does not load here: apt install libgomp1")
    return found
