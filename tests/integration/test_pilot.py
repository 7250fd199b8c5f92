"""The pilot end to end: what it leaves behind verifies, what was forged does not, and the seed decides the figures."""

from __future__ import annotations

import csv
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps import find_pilot
from tallystick.errors import ConfigurationError, DataError, TallystickError
from tallystick.proof import Policy, read_bundle, verify_bundle

pytestmark = pytest.mark.slow


def run(out: Path, **options: Any) -> dict[str, Any]:
    summary: dict[str, Any] = find_pilot("healthcare")(out=out, **options)
    return summary


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pilot") / "out"
    run(out)
    return out


@pytest.fixture(scope="module")
def summary(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "summary.json").read_text())
    return found


def test_it_leaves_everything_that_it_promises(made: Path) -> None:
    for name in (
        "report.html",
        "bundle.zip",
        "policy.json",
        "summary.json",
        "data-card.txt",
        "model.tsm",
        "forged",
    ):
        assert (made / name).exists(), name
    assert len(list((made / "receipts").glob("*.receipt.json"))) == 231


def test_its_bundle_verifies_under_its_policy(made: Path, summary: dict[str, Any]) -> None:
    reports = verify_bundle(read_bundle(made / "bundle.zip"), policy=Policy.read(made / "policy.json"))
    assert len(reports) == summary["standing"]["receipts"]
    assert all(report.standing("witnesses") == "proved" for report in reports)
    # One operator runs the embedded chain, so no anchor of it is ever proved.
    assert {report.standing("anchor") for report in reports} == {"claimed"}


def test_every_forgery_is_caught(summary: dict[str, Any]) -> None:
    assert len(summary["forgeries"]) >= 12
    assert [item for item in summary["forgeries"] if not item["caught"]] == []


def test_the_outsider_loaded_nothing_but_the_base_install(summary: dict[str, Any]) -> None:
    loaded = set(summary["outsider"]["loaded"])
    assert {"tallystick", "cryptography", "orjson"} <= loaded
    assert loaded & {"numpy", "web3", "sklearn", "eth", "matplotlib", "jinja2", "requests"} == set()


def test_one_decision_is_traced_back_and_computed_again(summary: dict[str, Any]) -> None:
    def walk(node: dict[str, Any]) -> list[str]:
        return [node["standing"], *(s for child in node.get("children", []) for s in walk(child))]

    standings = walk(summary["decision"]["trace"])
    assert standings.count("re-executed") >= 6
    assert "missing" not in standings


def test_the_report_shows_only_what_the_summary_holds_and_needs_no_script(
    made: Path, summary: dict[str, Any]
) -> None:
    page = (made / "report.html").read_text()
    assert "<script" not in page
    assert re.findall(r"""(?:src|href)=["']https?://""", page) == []
    assert f"{summary['standing']['proved']:,}" in page


def test_no_person_stands_in_a_journal_in_clear(made: Path) -> None:
    bundle = read_bundle(made / "bundle.zip")
    opened = json.loads((made / "summary.json").read_text())["decision"]["id"]
    for receipt in bundle.receipts.values():
        if receipt.statement.kind == "decision.made":
            assert set(receipt.statement.body) == {"level", "model"}
            assert (receipt.opening is not None) == (receipt.statement.id == opened)


def test_an_earlier_output_is_not_replaced_unasked(made: Path) -> None:
    before = (made / "summary.json").read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        run(made)
    assert "--force" in caught.value.hint
    assert (made / "summary.json").read_bytes() == before


def test_force_does_not_replace_a_directory_that_no_pilot_made(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-mother.txt").write_text("dear")
    (tmp_path / "letters" / "policy.json").write_text("{}")
    with pytest.raises(ConfigurationError):
        run(tmp_path / "letters", force=True)
    assert (tmp_path / "letters" / "to-mother.txt").read_text() == "dear"


def test_force_replaces_what_a_pilot_left_even_when_it_did_not_finish(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(out)
    (out / "summary.json").unlink()
    assert run(out, force=True)["forgeries"]


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    keep = {name: summary[name] for name in ("data", "model", "evaluation", "seed")}
    decision = {
        name: summary["decision"][name] for name in ("answer", "probability", "score", "reasons", "site")
    }
    forged = [(item["name"], item["caught"]) for item in summary["forgeries"]]
    return {**keep, "decision": decision, "forgeries": forged, "standing": summary["standing"]}


def test_the_same_seed_gives_the_same_figures_and_another_one_others(
    tmp_path: Path, summary: dict[str, Any]
) -> None:
    again = json.loads(json.dumps(run(tmp_path / "again", seed=0)))
    assert figures(again) == figures(summary)
    other = run(tmp_path / "other", seed=1)
    assert other["model"]["hash"] != summary["model"]["hash"]


def own_table(path: Path, *, sites: int, rows: int = 240) -> Path:
    dice = random.Random(5)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clinic", "age", "ward", "stay_days", "readmitted"])
        for number in range(rows):
            age, stay = dice.randint(18, 95), dice.randint(1, 20)
            risk = 0.02 * age + 0.1 * stay + dice.gauss(0, 0.6)
            ward = dice.choice(["A", "B", ""])
            writer.writerow(
                [f"Clinic {number % sites} / north", age, ward, stay, "yes" if risk > 2.2 else "no"]
            )
    return path


@pytest.mark.parametrize("sites", [2, 3])
def test_it_runs_on_the_users_own_table(tmp_path: Path, sites: int) -> None:
    table = own_table(tmp_path / "own.csv", sites=sites)
    summary = run(tmp_path / "out", data=table, site="clinic", target="readmitted")
    assert len(summary["data"]["sites"]) == sites
    assert all(item["caught"] for item in summary["forgeries"]), summary["forgeries"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"site": "clinic", "target": "nothing"}, "no column 'nothing'"),
        ({"site": "age", "target": "readmitted"}, "site"),
        ({"site": "clinic"}, "--site and --target"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, str], said: str
) -> None:
    table = own_table(tmp_path / "own.csv", sites=2)
    with pytest.raises(DataError, match=said):
        run(tmp_path / "out", data=table, **options)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_line_a_step_within_eighty_columns(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from tallystick.cli import main; main()"]
    done = subprocess.run(
        [*program, "pilot", "healthcare", "--out", "p"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    steps = [line.split()[1] for line in lines if line.startswith("✓") and line.endswith(" s")]
    assert steps == [
        "register",
        "learn",
        "publish",
        "decide",
        "witness",
        "anchor",
        "receipts",
        "verify",
        "tamper",
        "report",
    ]
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "next: tallystick verify p/bundle.zip --policy p/policy.json"


def test_the_readme_shows_what_the_pilot_prints(summary: dict[str, Any]) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    shown = readme.partition("```text\n$ make pilot\n")[2].partition("```")[0].splitlines()
    marked = [line[1:].strip() for line in shown if line.startswith("✓")]
    steps = [step["name"] for step in summary["steps"]]
    assert [line.split()[0] for line in marked[: len(steps)]] == [*steps, "report"][: len(steps)]
    forged = [item["name"] for item in summary["forgeries"]]
    assert [line.split("  ")[0] for line in marked[-len(forged) :]] == forged
    auroc = summary["evaluation"]["federated"]["auroc"]
    assert f"AUROC {auroc['value']:.2f} [{auroc['low']:.2f}, {auroc['high']:.2f}]" in readme


def test_an_error_of_the_pilot_is_one_of_ours(tmp_path: Path) -> None:
    with pytest.raises(TallystickError):
        run(tmp_path / "out", data=tmp_path / "absent.csv", site="a", target="b")
