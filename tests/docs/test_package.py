"""What the wheel holds and says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(TOP)]
    subprocess.run(words, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_ships_what_the_program_reads_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "tallystick/py.typed",
        "tallystick/chain/artifacts/Members.json",
        "tallystick/chain/artifacts/Anchors.json",
        "tallystick/apps/healthcare/heart_disease_uci.csv",
        "tallystick/report/page.html.j2",
        "tallystick/report/page.css",
    ):
        assert wanted in names
    assert [name for name in names if name.split("/")[0] in ("tests", "benchmarks", "scripts")] == []
    assert any(name.endswith("licenses/NOTICE") for name in names)


@pytest.mark.slow
def test_the_base_install_asks_for_four_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [found for found in archive.namelist() if found.endswith("METADATA")]
        asked = re.findall(r"^Requires-Dist: ([a-z-]+)[^;\n]*$", archive.read(name).decode(), re.MULTILINE)
    assert sorted(asked) == ["cryptography", "orjson", "rich", "typer"]


def test_the_benchmarks_peer_under_gpl_is_no_dependency() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    assert [
        name for name in [*project["dependencies"], *extras] if "pymerkle" in name or "snekmate" in name
    ] == []
