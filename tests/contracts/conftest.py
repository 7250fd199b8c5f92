from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for place in (HERE, HERE.parents[1]):  # the helpers beside this file; benchmarks/ at the top
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from contract_world import World  # noqa: E402


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "chain") as made:
        yield made
