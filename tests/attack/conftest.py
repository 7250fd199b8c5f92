from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Attacks on the contracts use the contracts' own test world.
CONTRACTS = str(Path(__file__).resolve().parents[1] / "contracts")
if CONTRACTS not in sys.path:
    sys.path.insert(0, CONTRACTS)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    from contract_world import World

    with World(tmp_path / "chain") as made:
        yield made
