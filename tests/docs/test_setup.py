"""Setting up tells in one line what to type when the machine lacks something, and does nothing twice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def interpreter(path: Path, *, fits: bool, venv: bool) -> Path:
    """A stand-in for a Python that is too old, or that its distribution ships without venv."""
    path.write_text(
        "#!/bin/sh\n"
        'case "$2" in\n'
        f"  *version_info*) exit {0 if fits else 1} ;;\n"
        f"  *ensurepip*) exit {0 if venv else 1} ;;\n"
        "esac\n"
        'echo "Python 3.0"\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("fits", "venv", "said"), [(False, True, "must be Python >= 3.11"), (True, False, "has no venv module")]
)
def test_what_is_missing_is_told_in_one_line_for_three_systems(
    tmp_path: Path, fits: bool, venv: bool, said: str
) -> None:
    python = interpreter(tmp_path / "python", fits=fits, venv=venv)
    done = subprocess.run(
        ["sh", "scripts/setup.sh", str(tmp_path / "venv"), "pilot"],
        cwd=TOP,
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert said in done.stderr
    (hint,) = [line for line in done.stderr.splitlines() if line.startswith("hint:")]
    for system in ("Debian", "Ubuntu", "macOS"):
        assert system in hint
    assert not (tmp_path / "venv").exists()


def test_a_machine_without_any_python_is_told_what_to_type(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "scripts/setup.sh", str(tmp_path / "venv"), "pilot"],
        cwd=TOP,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Python >= 3.11 was not found" in done.stderr
