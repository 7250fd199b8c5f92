"""The pilot runs on four validators by the same code: its statements are those of the embedded run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps import find_pilot
from tallystick.proof import parse_bundle

pytestmark = [pytest.mark.network, pytest.mark.slow]

MASKED = "update.committed"  # of whose update the hash stands there: it is masked by keys that are drawn anew


def statements(place: Path) -> Counter[tuple[str, str, str, tuple[str, ...]]]:
    """What was stated, less times and keys: whose, kind, body, and the labels of its links."""
    bundle = parse_bundle((place / "bundle.zip").read_bytes())
    found: Counter[tuple[str, str, str, tuple[str, ...]]] = Counter()
    for receipt in bundle.receipts.values():
        said = receipt.statement
        body: dict[str, Any] = dict(said.body)
        if said.kind == MASKED:
            assert len(body.pop("update")) == 64
        name = receipt.cards[said.origin.partition("/")[0]][0].name
        found[(name, said.kind, json.dumps(body, sort_keys=True), tuple(sorted(said.links)))] += 1
    return found


def test_its_statements_differ_from_the_embedded_run_only_in_time_keys_and_anchors(
    engine: Path, tmp_path: Path
) -> None:
    pilot = find_pilot("healthcare")
    local, there = tmp_path / "local", tmp_path / "there"
    pilot(out=local)
    summary = pilot(out=there, network=True)

    assert statements(there) == statements(local)
    assert {item["caught"] for item in summary["forgeries"]} == {True}
    assert summary["chain"]["local"] is False
    found = summary["network"]
    marks = [text for _, text in found["marks"]]
    assert len(marks) == 4
    assert "kill -9" in marks[0]
    assert "cut off" in marks[2]
    assert "The network under the run" in (there / "report.html").read_text()
    run = there / "network" / "run"
    assert [path.name for path in run.iterdir()] == ["lock"]  # nothing runs any more
