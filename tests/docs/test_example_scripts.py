"""The scripts in `examples/` run, and end with an answer and what may honestly be said of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((TOP / "examples").glob("*.py"))
# What each of them must say at its end, so that none passes by printing nothing.
SAYS = {
    "control_robot.py": ("s a trip", "no oracle at all", "scores of robot and contract: equal"),
    "tabular_heart.py": ("AUROC 0.", "because", "at level L0", "computed again from the model's file: equal"),
    "image_digits.py": ("held-out digits read right", "at level L0", "it cannot be re-executed"),
    "text_notes.py": ("sorted right", "at level L0", "computed again from the model's file: equal"),
}


def test_every_script_is_known_here() -> None:
    assert {script.name for script in SCRIPTS} == set(SAYS)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_runs_and_says_what_its_answer_is_worth(script: Path, tmp_path: Path) -> None:
    # In an empty directory with a home of its own: an example leaves nothing behind.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    own = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path, env=kept | own, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in SAYS[script.name]:
        assert words in done.stdout
    assert "DIFFERENT" not in done.stdout
    assert list(tmp_path.iterdir()) == []
