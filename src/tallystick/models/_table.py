"""A table of rows that belong to several sites, one yes-or-no target each.

Cells stay text, as they were read, and None means missing: so a row goes into a statement's payload as it
is, and whoever opens that payload scores exactly what was scored.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tallystick.errors import DataError

Kind = Literal["numeric", "category"]
Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in the file, what it holds, and a title that a person understands."""

    name: str
    kind: Kind
    title: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with their site and target.

    Args:
        name: what the table is about, a short noun.
        columns: the inputs, in order.
        rows: one tuple of cells per row, in the order of the columns.
        sites: the site of each row.
        targets: 1 where the target holds, else 0.
        target: what a target of 1 means, in plain words.
        notes: what was mended, dropped or guessed while reading.
    """

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | None, ...], ...]
    sites: tuple[str, ...]
    targets: tuple[int, ...]
    target: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.sites) == len(self.targets):
            raise DataError("rows, sites and targets must be equally many")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def site_names(self) -> tuple[str, ...]:
        """The sites, sorted by name."""
        return tuple(sorted(set(self.sites)))

    def row(self, index: int) -> dict[str, str | None]:
        """Return one row's inputs by column name."""
        return {column.name: cell for column, cell in zip(self.columns, self.rows[index], strict=True)}

    def by_name(self) -> list[dict[str, str | None]]:
        """Return every row's inputs by column name."""
        return [self.row(index) for index in range(len(self))]

    def column(self, name: str) -> tuple[str | None, ...]:
        """Return one column's cells.

        Raises:
            DataError: no such column.
        """
        for index, column in enumerate(self.columns):
            if column.name == name:
                return tuple(row[index] for row in self.rows)
        raise DataError(f"the table has no column {name!r}")

    def take(self, indices: Iterable[int]) -> Table:
        """Return the table of the rows at these places, in this order."""
        chosen = list(indices)
        return replace(
            self,
            rows=tuple(self.rows[index] for index in chosen),
            sites=tuple(self.sites[index] for index in chosen),
            targets=tuple(self.targets[index] for index in chosen),
        )

    def at(self, site: str) -> Table:
        """Return the rows of one site.

        Raises:
            DataError: no row belongs to that site.
        """
        indices = [index for index, name in enumerate(self.sites) if name == site]
        if not indices:
            raise DataError(f"the table has no site {site!r}")
        return self.take(indices)

    def csv(self) -> bytes:
        """Return the table as UTF-8 CSV, the bytes that a registration commits to."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*(column.name for column in self.columns), "site", "target"])
        for row, site, target in zip(self.rows, self.sites, self.targets, strict=True):
            writer.writerow([*("" if cell is None else cell for cell in row), site, target])
        return text.getvalue().encode()

    def schema(self) -> dict[str, object]:
        """Return names, kinds and categories of the columns as plain data."""
        return {
            "columns": [
                {"categories": list(column.categories), "kind": column.kind, "name": column.name}
                for column in self.columns
            ],
            "target": self.target,
        }


@dataclass(frozen=True, slots=True)
class Split:
    """What a model learns from, what it is judged by, and the seed that parted them."""

    train: Table
    test: Table
    seed: int


def split(table: Table, *, test_per_mille: int = 250, seed: int = 0) -> Split:
    """Part a table into rows to learn from and rows to judge by, alike in site and target.

    Each site's rows of each target are ordered by SHA-256 of (seed, site, target, place), and the first
    part goes to the test: no generator's version can change it. A group of a single row is learned from.

    Args:
        table: at least one row.
        test_per_mille: how much of every group is held out, 1 to 999.
        seed: any integer; stated with the result.

    Raises:
        DataError: the share is out of range, or nothing would be left on one side.
    """
    if not 0 < test_per_mille < 1000:
        raise DataError(f"the held-out share must be 1 to 999 per mille, got {test_per_mille}")
    groups: dict[tuple[str, int], list[int]] = {}
    for index, key in enumerate(zip(table.sites, table.targets, strict=True)):
        groups.setdefault(key, []).append(index)
    test: set[int] = set()
    for key in sorted(groups):
        test.update(_held_out(groups[key], f"{seed}/{key[0]}/{key[1]}", test_per_mille))
    if not test or len(test) == len(table):
        raise DataError(
            f"{len(table)} rows are too few to hold some out",
            hint="use a table with at least a few dozen rows per site",
        )
    train = [index for index in range(len(table)) if index not in test]
    return Split(train=table.take(train), test=table.take(sorted(test)), seed=seed)


def _held_out(indices: Sequence[int], salt: str, per_mille: int) -> list[int]:
    def place(rank: int) -> bytes:
        return hashlib.sha256(f"tallystick/split/v1/{salt}/{rank}".encode()).digest()

    count = (len(indices) * per_mille + 500) // 1000
    count = min(count, len(indices) - 1)
    ranks = sorted(range(len(indices)), key=place)
    return [indices[rank] for rank in ranks[:count]]
