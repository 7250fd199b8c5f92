"""The fraud pilot as a user runs it: every step real, the bundle verified outside, the report built from the summary."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps.fraud._pilot import PilotOptions, run_pilot
from tallystick.errors import ConfigurationError, DataError
from tallystick.proof import read_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    out, told = tmp_path_factory.mktemp("fraud") / "pilot", list[str]()
    summary = run_pilot(PilotOptions(out=out, payments=30_000, seed=1), on_progress=told.append)
    return out, summary, told


def test_every_payment_of_the_replay_is_decided_and_stated(ran: Any) -> None:
    _, summary, told = ran
    replay = summary["replay"]
    assert replay["decisions"] == summary["data"]["replayed"] == 30_000
    assert sum(replay["actions"].values()) == sum(count for _, count in replay["histogram"]) == 30_000
    assert summary["chain"]["statements"] > 30_000
    assert [phase["name"] for phase in replay["phases"]] == [
        "alone", "with the list", "with federated features",
    ]  # fmt: skip
    assert any("/s, p50" in text and "alerts" in text for text in told)


def test_the_three_cases_are_judged_on_the_same_payments(ran: Any) -> None:
    _, summary, _ = ran
    assert 0 < summary["false_positive"] < 0.02
    for arm in summary["arms"]:
        assert len(arm["banks"]) == 3
        if arm["value"] is not None:
            assert 0 <= arm["value"]["low"] <= arm["value"]["value"] <= arm["value"]["high"] <= 1
            more = arm["value"]["value"] - summary["arms"][0]["value"]["value"]
            assert arm["gain"]["value"] == pytest.approx(more)
            assert arm["gain"]["low"] <= arm["gain"]["high"]
    # The list adds what other banks reported; it never hides what the bank's own model ranks first among the rest.
    assert summary["arms"][1]["recall_at_budget"] >= summary["arms"][0]["recall_at_budget"] - 0.02


def test_what_banks_share_is_counted_on_both_sides(ran: Any) -> None:
    _, summary, _ = ran
    sharing = summary["sharing"]
    assert sharing["reports"] == sum(bank["reported"] for bank in sharing["banks"]) > 0
    assert all(bank["lookups"] > 0 for bank in sharing["banks"])
    assert re.search(r"tried 1,024 .* show 1,024 more", sharing["enumeration"])


def test_what_the_report_calls_released_is_released_by_two_people(ran: Any) -> None:
    _, summary, _ = ran
    case = summary["case"]
    assert case["outcome"] == "released"
    assert [who for who, _ in case["course"]] == ["decided", "reviewer 1", "reviewer 2", "in force now"]
    assert "not enough" in case["course"][1][1]
    assert case["course"][2][1] == "says genuine: released"
    assert case["course"][3][1] == "approve"


def test_an_outsider_verifies_the_bundle_and_every_forgery_is_caught(ran: Any) -> None:
    out, summary, _ = ran
    assert summary["standing"]["proved"] > 1_000
    assert summary["outsider"]["network"] == "refused"
    assert len(summary["forgeries"]) == 12
    assert [item["name"] for item in summary["forgeries"] if not item["caught"]] == []
    assert len(read_bundle(out / "bundle.zip").receipts) == summary["standing"]["receipts"]


def test_one_decision_is_traced_to_its_model_rules_data_and_permit(ran: Any) -> None:
    _, summary, _ = ran
    children = {child["text"].partition(" ")[0]: child for child in summary["trace"]["children"]}
    assert children["model.published"]["standing"] == "re-executed"
    assert children["rules.stated"]["standing"] == "re-executed"
    assert children["consent.granted"]["standing"] == "recorded"
    assert children["model.published"]["children"][0]["text"].startswith("data.registered")


def test_a_hold_on_the_chain_names_its_gas_and_no_account(ran: Any) -> None:
    _, summary, _ = ran
    assert 100_000 < summary["hold"]["gas"] < 500_000
    assert not re.search(r"\b[AM]-\d{6}", json.dumps(summary["hold"]))


def test_no_id_of_a_person_stands_in_the_bundle_or_on_the_chain_unopened(ran: Any) -> None:
    out, summary, _ = ran
    chosen = summary["case"]["statement"]
    for receipt in read_bundle(out / "bundle.zip").receipts.values():
        if receipt.statement.id != chosen:
            assert not re.search(rb"\b[CK]-[ABC]\d{7}|\bA-\d{7}", receipt.format())
    assert not re.search(rb"C-[ABC]\d{7}", (out / "chain.sqlite").read_bytes())


def test_the_report_says_simulated_and_shows_every_part(ran: Any) -> None:
    out, _, _ = ran
    page = unescape((out / "report.html").read_text())
    assert page.count("SIMULATED") >= 3
    for words in (
        "average precision",
        "99 of 100",
        "four eyes",
        "look-ups",
        "Before you decide",
        "re-executed",
    ):
        assert words in page
    assert "<script" not in page


def test_an_output_in_use_and_too_few_payments_are_refused(ran: Any) -> None:
    out, _, _ = ran
    with pytest.raises(ConfigurationError, match="is there already"):
        run_pilot(PilotOptions(out=out, payments=30_000))
    with pytest.raises(DataError, match="replays 30,000 to"):
        PilotOptions(payments=100)
    with pytest.raises(DataError, match="goes with --data"):
        PilotOptions(columns="amount=A")
