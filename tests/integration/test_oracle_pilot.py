"""The oracle pilot end to end: what it leaves behind verifies and can be computed again, and lies in it are called false."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps import find_pilot
from tallystick.apps.supplychain._checks import CHECKS
from tallystick.cli._app import run as command
from tallystick.errors import ConfigurationError, DataError, VerificationError
from tallystick.proof import Bundle, Policy, Receipt, Traced, read_bundle, trace, verify, verify_bundle

pytestmark = pytest.mark.slow
pytest.importorskip("sklearn")

LEVELS = ("L0", "L1", "L2", "L4")
BOND = 10**17


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oracle") / "out"
    find_pilot("oracle")(out=out)
    return out


@pytest.fixture(scope="module")
def summary(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "summary.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def bundle(made: Path) -> Bundle:
    return read_bundle(made / "bundle.zip")


def test_its_bundle_verifies_under_its_policy(made: Path, bundle: Bundle, summary: dict[str, Any]) -> None:
    reports = verify_bundle(bundle, policy=Policy.read(made / "policy.json"))
    assert len(reports) == summary["standing"]["receipts"]
    assert all(report.standing("witnesses") == "proved" for report in reports)
    assert {report.standing("anchor") for report in reports} == {"claimed"}


def test_the_same_lot_ends_alike_at_every_level(summary: dict[str, Any]) -> None:
    levels = summary["levels"]
    assert tuple(levels) == LEVELS
    assert {one["outcome"] for one in levels.values()} == {"quarantined"}
    assert len({one["output"] for one in levels.values()}) == 1
    assert len({one["lot"] for one in levels.values()}) == 1


def test_a_liar_is_outvoted_and_not_among_the_signers(summary: dict[str, Any]) -> None:
    one = summary["levels"]["L1"]
    assert len(one["signers"]) >= 5
    assert "Oracle 3" not in one["signers"]
    assert one["signed"] == one["output"]


def test_four_colluders_are_overturned_and_their_bonds_move(summary: dict[str, Any]) -> None:
    one = summary["levels"]["L2"]
    assert one["overturned"]
    assert one["signed"] < one["threshold"] <= one["output"]
    assert one["signers"] == ["Oracle 4", "Oracle 5", "Oracle 6", "Oracle 7"]
    moved = {name: int(held["after"]) - int(held["before"]) for name, held in one["money"].items()}
    assert [moved[name] for name in one["signers"]] == [-BOND] * 4
    assert moved["Oracle 1"] == moved["Oracle 2"] == moved["Oracle 3"] == 0
    assert moved["Patients' Watch"] == moved["burned"] == BOND
    assert moved["the buyer's contract"] >= 2 * BOND
    assert one["challenge_gas"] <= 130_000


def test_a_released_lot_is_paid_and_a_false_alarm_is_released_by_two_parties(summary: dict[str, Any]) -> None:
    assert summary["quick"]["outcome"] == "released"
    assert summary["review"]["outcome"] == "released"
    assert len(summary["review"]["by"]) == 2
    assert int(summary["paid"]["Vaccine Maker"]) == 2 * 2 * 10**18


def test_a_release_is_traced_back_to_signed_readings_and_computed_again(
    made: Path, bundle: Bundle, summary: dict[str, Any]
) -> None:
    start = bundle.receipts[summary["quick"]["statement"]]
    hop = trace(start, resolve=bundle.resolve, checks=CHECKS, policy=Policy.read(made / "policy.json"))
    labels = {}
    for one in hop.walk():
        for child in one.hops:
            labels.setdefault((one.kind, child.label), set()).add(child.standing)
    for key in (
        ("shipment.released", "answer"),
        ("answer.received", "answer"),
        ("answer.received", "trip"),
        ("trip.summarised", "reading"),
        ("trip.summarised", "model"),
        ("reading.received", "logger"),
    ):
        assert labels[key] == {"re-executed"}, key


def test_the_report_says_simulated_and_needs_no_script(made: Path, summary: dict[str, Any]) -> None:
    page = (made / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert re.findall(r"""(?:src|href)=["']https?://""", page) == []
    assert page.count("SIMULATED") >= 5
    assert "unknown kind" not in page
    assert f"{summary['levels']['L2']['challenge_gas']:,}" in page


def test_every_forgery_is_caught(summary: dict[str, Any]) -> None:
    assert len(summary["forgeries"]) >= 12
    assert [item for item in summary["forgeries"] if not item["caught"]] == []


def test_the_outsider_loaded_nothing_but_the_base_install(summary: dict[str, Any]) -> None:
    assert set(summary["outsider"]["loaded"]) & {"numpy", "web3", "sklearn", "eth", "jinja2"} == set()


def test_prices_stay_sealed_but_in_the_one_that_is_shown(bundle: Bundle, summary: dict[str, Any]) -> None:
    for receipt in bundle.receipts.values():
        if receipt.statement.kind.startswith("shipment.") and receipt.statement.payload:
            assert "price" not in receipt.statement.body
            assert (receipt.opening is not None) == (receipt.statement.id == summary["quick"]["statement"])


# What a lie in the chain of statements gets


def of_kind(bundle: Bundle, kind: str, **body: Any) -> Receipt:
    return next(
        receipt
        for receipt in bundle.receipts.values()
        if receipt.statement.kind == kind
        and all(receipt.statement.body[name] == value for name, value in body.items())
    )


def linked(bundle: Bundle, parent: Receipt, label: str) -> Receipt:
    return bundle.receipts[parent.statement.links[label][0]]


def told(receipt: Receipt, body: Mapping[str, Any] | None = None, **opened: Any) -> Traced:
    """A receipt as a trace has it, saying something else where asked."""
    report = verify(receipt)
    if opened:
        report = replace(report, opened={**report.opened, **opened})
    if body:
        statement = replace(receipt.statement, body={**receipt.statement.body, **body})
        receipt = replace(receipt, statement=statement)
    return Traced(receipt, report)


def check(bundle: Bundle, parent: Traced, child: Traced, label: str) -> str | None:
    return CHECKS[parent.receipt.statement.kind, label](parent, child, bundle.resolve)


@pytest.mark.parametrize(
    ("label", "body", "said"),
    [
        ("trip", {"output": 1}, "another score"),
        ("trip", {"input": "ab" * 32}, "does not follow from its terms"),
        ("trip", {"request": "ab" * 32}, "does not follow from its terms"),
        ("trip", {"requester": "0x" + "11" * 20}, "does not follow from its terms"),
        ("trip", {"level": "L2"}, "does not follow from its terms"),
        ("answer", {"signed": 1}, "signature does not verify"),
        ("answer", {"signatures": {}}, "did not sign"),
    ],
)
def test_an_answer_that_says_something_else_is_called_false(
    bundle: Bundle, label: str, body: dict[str, Any], said: str
) -> None:
    parent = of_kind(bundle, "answer.received", level="L1")
    child = linked(bundle, parent, label)
    assert check(bundle, told(parent), told(child), label)
    with pytest.raises(VerificationError, match=said):
        check(bundle, told(parent, body), told(child), label)


def test_features_that_do_not_follow_from_the_readings_are_called_false(bundle: Bundle) -> None:
    trip = of_kind(bundle, "trip.summarised")
    page = linked(bundle, trip, "reading")
    assert check(bundle, told(trip), told(page), "reading")
    with pytest.raises(VerificationError, match="do not follow"):
        check(
            bundle, told(trip, **{"row.minutes_above_8": "0", "row.maximum_c": "7.9"}), told(page), "reading"
        )
    fewer = replace(
        trip.statement, links={**trip.statement.links, "reading": trip.statement.links["reading"][1:]}
    )
    with pytest.raises(VerificationError, match="all pages"):
        check(bundle, Traced(replace(trip, statement=fewer), verify(trip)), told(page), "reading")


def test_an_input_that_is_not_the_features_is_called_false(bundle: Bundle) -> None:
    trip = of_kind(bundle, "trip.summarised")
    model = linked(bundle, trip, "model")
    assert check(bundle, told(trip), told(model), "model")
    for wrong in ({"row.hours": "1"}, {"salt": "00" * 32}):
        with pytest.raises(VerificationError, match="committed to"):
            check(bundle, told(trip, **wrong), told(model), "model")
    with pytest.raises(VerificationError, match="cannot be"):
        check(bundle, told(trip, salt="xyz"), told(model), "model")


def test_readings_of_another_key_or_page_are_called_false(bundle: Bundle) -> None:
    page = of_kind(bundle, "reading.received")
    logger = linked(bundle, page, "logger")
    assert check(bundle, told(page), told(logger), "logger")
    other = next(
        receipt
        for receipt in bundle.receipts.values()
        if receipt.statement.kind == "logger.registered" and receipt.statement.id != logger.statement.id
    )
    with pytest.raises(VerificationError, match="key of their logger"):
        check(bundle, told(page), told(other), "logger")
    with pytest.raises(VerificationError, match="another lot"):
        check(bundle, told(page, {"lot": "VX-9999"}), told(logger), "logger")


@pytest.mark.parametrize("body", [{"threshold": 10**9}, {"output": -(10**9)}, {"level": "L4"}])
def test_an_outcome_that_does_not_follow_from_its_answer_is_called_false(
    bundle: Bundle, body: dict[str, Any]
) -> None:
    lot = of_kind(bundle, "shipment.quarantined", level="L1")
    answer = linked(bundle, lot, "answer")
    assert check(bundle, told(lot), told(answer), "answer")
    with pytest.raises(VerificationError):
        check(bundle, told(lot, body), told(answer), "answer")


def test_an_overturned_answer_is_shown_to_be_wrong_and_a_right_one_cannot_be(bundle: Bundle) -> None:
    parent = of_kind(bundle, "answer.received", level="L2")
    said = check(bundle, told(parent), told(linked(bundle, parent, "trip")), "trip")
    assert said is not None
    assert "what 4 had signed was wrong" in said
    body = {"signed": parent.statement.body["output"]}
    with pytest.raises(VerificationError, match="that the model gives"):
        check(bundle, told(parent, body), told(linked(bundle, parent, "trip")), "trip")
    with pytest.raises(VerificationError, match="does not lead"):
        check(bundle, told(parent, body), told(linked(bundle, parent, "challenge")), "challenge")


# The user's own readings


def own_readings(path: Path) -> Path:
    dice = random.Random(5)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Charge", "Zeit", "T in °C"])
        for lot, peak in (("Köln-1", 5.0), ("Köln <2>", 31.0)):
            for minute in range(0, 1500, 15):
                warm = peak if 300 <= minute < 1200 else 5.0
                value = f"{warm + dice.gauss(0, 0.2):.2f}".replace(".", ",")
                writer.writerow([lot, minute, value])
    return path


def test_the_command_runs_on_the_users_own_readings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own_readings(tmp_path / "own.csv")
    words = ["pilot", "oracle", "--data", "own.csv", "--out", "p"]
    columns = "lot=Charge,time=Zeit,temperature=T in °C"
    assert command([*words, "--columns", columns]) == 0, capsys.readouterr().err
    lines = capsys.readouterr().out.splitlines()
    steps = [line.split()[1] for line in lines if line.startswith("✓") and line.endswith(" s")]
    assert steps == [
        "learn", "found", "publish", "travel", "L0", "L1", "L2", "L4", "release", "review", "settle", "witness",
        "receipts", "verify", "trace", "tamper", "report",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 80
    found = json.loads((tmp_path / "p" / "summary.json").read_text("utf-8"))
    assert [lot["lot"] for lot in found["data"]["lots"]] == ["Köln-1", "Köln <2>"]
    assert found["levels"]["L2"]["lot"] == "Köln <2>"
    page = (tmp_path / "p" / "report.html").read_text("utf-8")
    assert "Köln <2>" not in page
    assert "your loggers signed nothing" in page
    assert lines[-2].startswith("next: tallystick trace p/shipment.receipt.json")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"columns": "lot=A"}, DataError),
        ({"data": Path("absent.csv")}, DataError),
        ({"data": Path(__file__)}, DataError),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        find_pilot("oracle")(out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_earlier_output_is_not_replaced_unasked(made: Path) -> None:
    with pytest.raises(ConfigurationError):
        find_pilot("oracle")(out=made)
