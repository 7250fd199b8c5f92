"""kill -9 while a node records and anchors: nothing acknowledged is lost, nothing stands on the chain twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("killed_anchoring.py")


@pytest.mark.slow
def test_a_node_that_is_killed_again_and_again_loses_nothing_and_anchors_nothing_twice(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tmp_path), "60", "7"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["lost"] == []
    assert told["twice"] == 0
    assert told["refused"] == 0
    assert told["recorded"] > 20
    assert told["anchored"] > 20
    assert told["head"] == told["size"] >= told["recorded"]
