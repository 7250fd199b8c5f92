"""The pilot on tables as people really have them: any column names, any codes."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from tallystick.cli._app import run
from tallystick.errors import ConfigurationError

pytest.importorskip("sklearn")

NAMES = ["BMI (kg/m2).1", "Größe[0]", "名前", "名字", "sex", "<b>&amp;</b>", "x" * 400]


def table(path: Path) -> Path:
    chance = random.Random(4)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["clinic", *NAMES, "y"])
        for _ in range(120):
            age = chance.randint(20, 80)
            row = [age, chance.random(), chance.randint(0, 99), chance.randint(0, 99)]
            row += [chance.choice(["männlich", "weiblich\n"]), chance.choice(["a.b", "ü[1]"]), age + 1]
            out.writerow([chance.choice(["Spital Zürich", "B"]), *row, int(age > 50)])
    return path


@pytest.mark.slow
def test_columns_of_any_name_are_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "rows.csv")
    words = ["pilot", "healthcare", "--data", "rows.csv", "--site", "clinic", "--target", "y", "--out", "out"]
    assert run(words) == 0, capsys.readouterr().err
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<b>&amp;</b>" not in page
    # Some forgeries show only in company: what is to be typed for each stands beside them.
    monkeypatch.chdir(tmp_path / "out" / "forged")
    typed = [
        line.split()[1:]
        for line in Path("README.txt").read_text("utf-8").splitlines()
        if "  tallystick" in line
    ]
    assert len([words for words in typed if words[0] == "verify"]) == 12
    assert {run(words) for words in typed if words[0] == "verify" and "--rpc" not in words} == {1}


def test_force_never_takes_the_table_that_it_was_given(tmp_path: Path) -> None:
    from tallystick.apps.healthcare._pilot import PilotOptions, run_pilot
    from tallystick.apps.pilots import MARK

    out = tmp_path / "out"
    out.mkdir()
    (out / MARK).write_text("")
    data = table(out / "rows.csv")
    with pytest.raises(ConfigurationError, match="lies in"):
        run_pilot(PilotOptions(out=out, force=True, data=data, site="clinic", target="y"))
    assert data.exists()
