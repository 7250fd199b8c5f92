"""The pilot's page says what its summary says, no more."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tallystick.apps.healthcare._data import load_heart
from tallystick.apps.healthcare._figures import learned
from tallystick.apps.healthcare._report import build
from tallystick.learning import Site, run_rounds
from tallystick.models import split
from tallystick.report import render


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    table = load_heart()
    parts = split(table)
    run = run_rounds(
        [Site(n, parts.train.at(n)) for n in table.site_names], target=table.target, name="heart"
    )
    return {"v": 1, **learned(table, parts, run)}


FULL: dict[str, Any] = {
    "decision": {
        "site": "Cleveland", "answer": "no", "probability": 0.12, "score": -5,
        "reasons": [{"text": "sex: female, lowers the score", "contribution": -40_000_000}],
        "trace": {"text": "decision.made", "standing": "recorded", "children": [{"text": "model", "standing": "claimed"}]},
        "lines": [{"standing": "proved", "text": "it stands"}, {"standing": "proved", "text": "it states age = '1'"},
                  {"standing": "claimed", "text": "at noon"}],
    },
    "standing": {"proved": 3, "claimed": 2, "missing": 1, "receipts": 1},
    "forgeries": [{"name": "drop", "what": "cut", "caught": True, "by": "witnesses"}],
    "cost": {"decisions": 231, "disk_bytes_per_million": 1e9, "cpu_s_per_million": 600.0, "gas_per_million": 1e6,
             "measured_on": "a machine"},
}  # fmt: skip


def test_a_page_of_learning_alone_leaves_out_what_is_not_known(summary: dict[str, Any]) -> None:
    page = render(build(summary))
    assert "Four hospitals trained one model on 689 patients" in page
    assert "forger" not in page.lower()
    assert "gas" not in page


def test_a_full_page_shows_decision_evidence_and_cost(summary: dict[str, Any]) -> None:
    page = render(build({**summary, **FULL}))
    for text in (
        "All 1 forgeries were caught",
        "50% of what the verifier prints is proved",
        "it states 1 opened fields",
        "odds \u00d7 0.",
        "10 minutes of one core",
        "not enough data",
        "never recorded at Switzerland",
        "CC BY 4.0",
    ):
        assert text in page, text


def test_a_forgery_that_was_not_caught_is_told_first(summary: dict[str, Any]) -> None:
    changed = deepcopy(FULL)
    changed["forgeries"][0]["caught"] = False
    report = build({**summary, **changed})
    assert "1 of 1 forgeries were NOT caught" in report.sentence
    assert report.figures[2].value == "0 of 1"


def test_a_difference_inside_the_intervals_is_not_called_better(summary: dict[str, Any]) -> None:
    title = build(summary).sections[0].parts[0].title
    assert title.startswith("Learning together is as good as pooling all rows")
    assert "no difference is beyond the intervals" in title
    changed = deepcopy(summary)
    changed["evaluation"]["sites"][0]["alone"]["auroc"]["value"] = 0.6
    assert "1 of them beyond the interval" in build(changed).sections[0].parts[0].title


def test_too_little_data_everywhere_still_makes_a_page(summary: dict[str, Any]) -> None:
    changed = deepcopy(summary)
    nothing = {**changed["evaluation"]["sites"][2]["federated"]}
    for of in changed["evaluation"]["sites"]:
        of.update(federated=nothing, alone=nothing, pooled=nothing)
    changed["evaluation"].update(federated=nothing, pooled=nothing)
    page = render(build(changed))
    assert "Not enough held-out rows" in page
