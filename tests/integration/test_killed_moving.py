"""kill -9 while a workspace moves to and fro between two chains: nothing is lost, stated twice or anchored twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("killed_moving.py")


@pytest.mark.slow
def test_a_move_that_is_killed_again_and_again_goes_on_where_it_was(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tmp_path), "16", "7"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["wrong"] == []
    assert told["alternate"] is True
    assert told["settled"] is True
    assert told["moves"] > 5
