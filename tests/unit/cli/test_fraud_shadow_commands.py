"""Shadow mode from the command line: the present scorer's decisions are stated, ours are compared."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tallystick.apps.fraud.shadow import read_scores
from tallystick.cli._app import run
from tallystick.errors import DataError
from tallystick.node import Node
from tallystick.proof import Party

Said = pytest.CaptureFixture[str]
SHADOW = "fraud shadow --data made/bank-a.csv --scores scores.csv --days 6 --delay-days 4 -w bank"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", "correct horse")
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    assert (
        run(
            [
                "fraud",
                "simulate",
                "--payments",
                "12000",
                "--banks",
                "1",
                "--days",
                "24",
                "--seed",
                "3",
                "--out",
                "made",
            ]
        )
        == 0
    )
    assert run(["init", "bank", "--name", "Bank A"]) == 0
    with (tmp_path / "made" / "bank-a.csv").open() as made, (tmp_path / "scores.csv").open("w") as scores:
        writer = csv.writer(scores)
        writer.writerow(["id", "score", "alert"])
        for row in csv.DictReader(made):
            high = int(row["amount"]) > 30_000
            writer.writerow([row["id"], "0.97" if high else "0.1", int(high)])
    return tmp_path


def test_every_decision_of_the_last_days_is_stated_and_both_scorers_are_compared(
    place: Path, capsys: Said
) -> None:
    capsys.readouterr()
    assert run([*SHADOW.split(), "--alert-from", "0.9", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ours"]["false_alerts"] <= found["present"]["false_alerts"]
    assert found == json.loads((place / "shadow.json").read_text())
    with Node.open(place / "bank", read_only=True) as node:
        kinds = [entry.statement.kind for entry in node.log(kind="decision.made")]
    assert len(kinds) == found["payments"] > 2_000


def test_an_alert_is_said_by_a_column_or_by_a_least_score_and_nothing_else(place: Path, capsys: Said) -> None:
    assert run([*SHADOW.split(), "--alert-from", "0.9", "--alert-column", "alert"]) == 1
    assert "one way" in capsys.readouterr().err
    assert run([*SHADOW.split()]) == 1
    assert run(["fraud", "shadow", "--data", "made/bank-a.csv", "-w", "bank"]) == 1
    assert "--scores, --dump or --external" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("id,other\np1,1\n", "no column 'score'"),
        ("id,score\np1,much\n", "line 2, column 'score': a score must be a number"),
        ("id,score\np1,inf\n", "finite"),
        ("id,score\n,1\n", "line 2, column 'id': nothing stands there"),
        ("id,score\np1\n", "nothing stands there"),
    ],
)
def test_a_scores_file_that_does_not_fit_names_its_line(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=match):
        read_scores(path, id_column="id", score_column="score", alert_from=0.5)


def test_scores_by_a_column_of_alerts_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("id,score,alert\np1,0.2,1\np2,0.9,0\n")
    scorer = read_scores(path, id_column="id", score_column="score", alert_column="alert")
    assert scorer.description["source"] == "column score of scores.csv"
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(tmp_path / "none.csv", id_column="id", score_column="score", alert_from=1)
