from __future__ import annotations

import json

from benchmarks.gas_oracle import OVERTURN, QUORUM, REACHES, SNAPSHOT, measure


def test_gas_of_the_oracle_is_what_the_snapshot_says() -> None:
    # A change on purpose is written down with: python -m benchmarks.gas_oracle --update
    measured = measure()
    assert measured == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert measured[QUORUM] <= REACHES[QUORUM] == 175_000
    assert measured[OVERTURN] <= REACHES[OVERTURN] == 130_000
