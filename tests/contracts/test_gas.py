from __future__ import annotations

import json

from benchmarks.gas import FIRST_REACH, NEXT_REACH, SNAPSHOT, measure


def test_gas_is_what_the_snapshot_says() -> None:
    # A change on purpose is written down with: python -m benchmarks.gas --update
    measured = measure()
    assert measured == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert measured["anchor first"] <= FIRST_REACH
    following = [gas for name, gas in measured.items() if name.startswith("anchor next")]
    assert len(following) == 4
    assert max(following) <= NEXT_REACH
