"""Payments and detectors from the command line: simulated ones, and a table of one's own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps.fraud.deciding import Reference
from tallystick.apps.fraud.serving import FraudSettings
from tallystick.cli._app import run
from tallystick.models import parse_model
from tallystick.proof import Party

Said = pytest.CaptureFixture[str]
SIMULATE = "fraud simulate --payments 9000 --banks 1 --days 24 --seed 1 --out made"
DAYS = "--train-days 12 --delay-days 4"  # a small bank has few frauds in a week
TRAIN = f"fraud train --data made/bank-a.csv --trees 10 {DAYS}"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    return tmp_path


def typed(said: Said, line: str, *, code: int = 0) -> str:
    found = run(line.split())
    shown = said.readouterr()
    assert found == code, shown.out + shown.err
    assert all(len(part) <= 80 for part in shown.out.splitlines()), shown.out
    return shown.out + shown.err


def as_json(said: Said, line: str) -> Any:
    assert run([*line.split(), "--json"]) == 0
    return json.loads(said.readouterr().out)


def test_simulated_payments_are_written_for_every_bank_and_say_what_they_are(
    capsys: Said, place: Path
) -> None:
    shown = typed(capsys, "fraud simulate --payments 3000 --banks 2 --days 20 --out made")
    assert "3,000 SIMULATED payments of 2 banks" in shown
    texts = [(place / "made" / f"bank-{bank}.csv").read_text() for bank in "ab"]
    rows = [list(csv.DictReader(text.splitlines())) for text in texts]
    assert sum(map(len, rows)) == 3_000
    assert all(row["id"].startswith("SIM-") for part in rows for row in part)
    about = json.loads((place / "made" / "SIMULATED.json").read_bytes())
    assert about["simulated"] is True
    assert sum(about["frauds"].values()) == sum(int(row["fraud"]) for part in rows for row in part)


def test_the_same_seed_writes_the_same_bytes(capsys: Said, place: Path) -> None:
    for name in ("one", "two"):
        typed(capsys, f"fraud simulate --payments 2000 --banks 1 --days 20 --seed 4 --out {name}")
    assert (place / "one" / "bank-a.csv").read_bytes() == (place / "two" / "bank-a.csv").read_bytes()


def test_settings_that_cannot_be_are_refused(capsys: Said) -> None:
    assert "1 to 26 banks" in typed(capsys, "fraud simulate --banks 40 --out made", code=1)


def test_a_detector_is_trained_judged_and_ready_for_the_service(capsys: Said, place: Path) -> None:
    typed(capsys, SIMULATE)
    shown = typed(capsys, TRAIN)
    assert "SIMULATED payments: figures of the simulator" in shown
    assert "average precision" in shown
    assert "next: tallystick model publish fraud.tsm" in shown
    model = parse_model((place / "fraud.tsm").read_bytes())
    report = json.loads((place / "fraud.json").read_bytes())
    assert report["model"] == model.hash
    assert report["simulated"] is True
    assert report["protocol"] == {"delay_days": 4, "drop_known": True, "test_days": 7, "train_days": 12}
    settings = FraudSettings.read(place)
    assert settings.models is not None
    assert settings.models.champion_hash == model.hash
    reference = Reference.read(place / settings.models.reference)
    assert reference.model == model.hash
    assert reference.names == (*model.quantiser.names, "score")
    assert settings.policy.review_score == report["policy"]["review_score"]


def test_a_directory_that_is_not_there_is_told_before_the_long_work(capsys: Said) -> None:
    # The table is not there either: what cannot be written is told first.
    shown = typed(capsys, "fraud train --data gone.csv -o nowhere/fraud.tsm", code=1)
    assert "there is no directory nowhere" in shown


def test_a_detector_trained_into_a_workspace_is_served_next(capsys: Said, place: Path) -> None:
    typed(capsys, SIMULATE)
    typed(capsys, "init a --name A")
    shown = typed(capsys, f"{TRAIN} -o a/fraud.tsm")
    assert "next: tallystick fraud serve -w a" in shown
    settings = FraudSettings.read(place / "a")
    assert settings.models is not None
    assert (place / "a" / settings.models.champion_file).exists()


def test_settings_that_are_there_already_are_not_replaced(capsys: Said, place: Path) -> None:
    typed(capsys, SIMULATE)
    (place / "fraud.toml").write_text("version = 1\n")
    assert "is there already and stays" in typed(capsys, TRAIN)
    assert (place / "fraud.toml").read_text() == "version = 1\n"


@pytest.mark.slow
def test_a_detector_is_published_with_its_evaluation_and_the_service_decides_with_it(
    capsys: Said, place: Path
) -> None:
    typed(capsys, SIMULATE)
    typed(capsys, "init a --name A")
    assert "published fraud@1" in typed(capsys, f"{TRAIN} --publish -w a")
    settings = FraudSettings.read(place / "a")
    assert settings.models is not None
    assert settings.models.champion == "fraud@1"
    assert Reference.read(place / "a" / settings.models.reference).names[-1] == "score"
    [version] = as_json(capsys, "model list -w a")
    assert version["name"] == "fraud"
    assert len(version["evaluations"]) == 1
    shown = typed(capsys, "log -w a --kind evaluation.reported")
    assert "evaluation.reported" in shown


@pytest.mark.slow
def test_a_table_of_steps_decimals_and_other_names_works_by_mapping(capsys: Said, place: Path) -> None:
    typed(capsys, SIMULATE)
    with (place / "made" / "bank-a.csv").open() as file, (place / "steps.csv").open("w") as into:
        rows = list(csv.DictReader(file))
        start = int(rows[0]["at"]) // 86_400_000_000 * 86_400_000_000
        into.write("step;type;amount;nameOrig;nameDest;isFraud\n")
        for row in rows:
            step, amount = (int(row["at"]) - start) // 3_600_000_000, int(row["amount"])
            into.write(
                f"{step};{row['channel']};{amount / 100:.2f};{row['customer']};{row['payee']};{row['fraud']}\n"
            )
    line = (
        f"fraud train --data steps.csv --trees 5 {DAYS} --label isFraud --time-unit hour --time-start 2026-01-01"
        " --columns at=step,amount=amount,customer=nameOrig,payee=nameDest,channel=type -o steps.tsm"
    )
    said = as_json(capsys, line)
    assert said["simulated"] is False
    assert said["frauds_learned"] >= 20
    assert said["quality"]["payments"] > 1_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--label nothing", "one column 'nothing'"),
        ("--time-unit fortnight", "time unit"),
        ("--train-days 60", "must cover 74 days"),
        ("--data missing.csv", "cannot be read"),
        ("--columns amount=amount", "mapping must say which column"),
    ],
)
def test_what_does_not_fit_is_said_with_a_way_out(capsys: Said, options: str, message: str) -> None:
    typed(capsys, "fraud simulate --payments 2000 --banks 1 --days 24 --out made")
    assert message in typed(capsys, f"fraud train --data made/bank-a.csv {options}", code=1)


def test_what_was_made_before_is_not_replaced_unasked(capsys: Said) -> None:
    words = "fraud simulate --payments 2000 --banks 1 --days 20 --out made"
    typed(capsys, words)
    assert "--force" in typed(capsys, words, code=1)
    typed(capsys, f"{words} --force")


def test_a_payment_that_stands_twice_in_a_table_is_named(capsys: Said) -> None:
    typed(capsys, "fraud simulate --payments 2000 --banks 1 --days 24 --out made")
    file = Path("made/bank-a.csv")
    head, first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text("".join([head, first, first, *rest]))
    told = typed(capsys, "fraud train --data made/bank-a.csv -o fraud.tsm", code=1)
    assert "payment 2 of the table has the id of payment 1" in told
