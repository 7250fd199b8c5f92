from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.apps.fraud.sharing.banks import Banks, make_banks


@pytest.fixture
def banks(tmp_path: Path) -> Iterator[Banks]:
    made = make_banks(tmp_path)
    yield made
    made.close()
