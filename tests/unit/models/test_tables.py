"""Tables keep their cells, and a split is fair and repeatable."""

from __future__ import annotations

from collections import Counter

import pytest

from tallystick.errors import DataError
from tallystick.models import Column, Table, split


def table(sites: list[str], targets: list[int]) -> Table:
    columns = (Column("x", "numeric", "x"), Column("c", "category", "c", ("a", "b")))
    rows = tuple((str(index), None if index % 3 else "a") for index in range(len(sites)))
    return Table("t", columns, rows, tuple(sites), tuple(targets), "yes")


def test_a_split_takes_the_same_share_of_every_site_and_target() -> None:
    whole = table(["a"] * 80 + ["b"] * 40, ([0] * 3 + [1]) * 30)
    parts = split(whole, test_per_mille=250, seed=7)
    assert Counter(zip(parts.test.sites, parts.test.targets, strict=True)) == {
        ("a", 0): 15, ("a", 1): 5, ("b", 0): 8, ("b", 1): 3,
    }  # fmt: skip
    assert sorted(parts.train.rows + parts.test.rows) == sorted(whole.rows)
    assert not set(parts.train.rows) & set(parts.test.rows)


def test_a_split_repeats_by_seed() -> None:
    whole = table(["a", "b"] * 50, [0, 0, 1, 1] * 25)
    assert split(whole, seed=1) == split(whole, seed=1)
    assert split(whole, seed=1).test != split(whole, seed=2).test


def test_a_split_works_where_a_site_has_one_target_or_one_row() -> None:
    parts = split(table(["a"] * 20 + ["b"] * 20 + ["c"], [0, 1] * 10 + [1] * 20 + [0]))
    assert set(parts.train.sites) == {"a", "b", "c"}
    assert Counter(parts.test.sites) == {"a": 6, "b": 5}


@pytest.mark.parametrize(("rows", "share"), [(1, 250), (40, 0), (40, 1000)])
def test_a_split_that_leaves_one_side_empty_is_refused(rows: int, share: int) -> None:
    with pytest.raises(DataError):
        split(table(["a"] * rows, [0] * rows), test_per_mille=share)


def test_a_table_gives_rows_columns_and_sites_back() -> None:
    whole = table(["b", "a"], [0, 1])
    assert whole.row(1) == {"x": "1", "c": None}
    assert whole.column("c") == ("a", None)
    assert whole.site_names == ("a", "b")
    assert whole.at("a").targets == (1,)
    assert whole.csv() == b"x,c,site,target\n0,a,b,0\n1,,a,1\n"
    with pytest.raises(DataError):
        whole.column("y")
    with pytest.raises(DataError):
        whole.at("z")


def test_a_table_whose_parts_differ_in_length_is_refused() -> None:
    with pytest.raises(DataError):
        Table("t", (), ((),), (), (), "yes")
