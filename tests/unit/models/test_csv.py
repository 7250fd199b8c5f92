"""A number that no model can use is refused by name, and does not quietly turn its column into text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.errors import DataError
from tallystick.models import load_csv


def write(path: Path, *, cell: str) -> Path:
    lines = [f"{age if age != 30 else cell},{age % 3},{age % 2}" for age in range(20, 80)]
    path.write_text("\n".join(["dose,kind,ill", *lines]) + "\n")
    return path


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "+INF"])
def test_infinity_among_numbers_is_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DataError, match="'dose' must hold finite numbers"):
        load_csv(write(tmp_path / "a.csv", cell=cell), target="ill")


@pytest.mark.parametrize("cell", ["", "NaN", "?"])
def test_a_gap_among_numbers_is_a_gap(tmp_path: Path, cell: str) -> None:
    table = load_csv(write(tmp_path / "a.csv", cell=cell), target="ill")
    assert table.column("dose").count(None) == 1


def test_a_word_for_infinity_among_words_is_a_category(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("limit,ill\n" + "inf,1\nnone,0\n" * 30)
    assert load_csv(path, target="ill").columns[0].categories == ("inf", "none")
