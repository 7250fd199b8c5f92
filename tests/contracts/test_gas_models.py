from __future__ import annotations

import json

from benchmarks.gas_models import REACHES, SNAPSHOT, TREES, executors, measure


def test_gas_of_models_is_what_the_snapshot_says() -> None:
    # A change on purpose is written down with: python -m benchmarks.gas_models --update
    measured = measure()
    assert measured == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert {name: gas for name, gas in measured.items() if gas > REACHES.get(name, gas)} == {}
    assert measured[TREES] <= 65_000


def test_the_bench_of_executors_compares_what_it_says() -> None:
    (row,) = executors(scale=0.02)
    assert row.name == "executors 700 inputs"
    assert row.value == 0
    assert row.holds
