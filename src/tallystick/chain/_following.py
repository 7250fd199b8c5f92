"""Follow a contract's events from block to block: none missed, none twice, through restarts of both sides.

* Where to go on stands in a cursor. It moves only when the reader says that a page is dealt with; keep it in the
  same transaction as what the page led to (``RowCursor``), and each event counts exactly once.
* The cursor names the last block's hash. A chain that shows another block there is not the one that was followed,
  and nothing more is read from it.
* Only blocks that will stay are read, by the profile's finality, and by as many members' endpoints as it asks.

    follower = Follower(chain, FileCursor(path), address=anchors.address, topics=[topic])
    for page in follower.pages():
        use(page.logs)
        follower.keep(page)
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from tallystick.errors import (
    ChainMismatchError,
    ChainUnreachableError,
    ConfigurationError,
    DamagedError,
    NotFoundError,
    StorageError,
)

from ._connect import Chain
from ._paging import Page, Pager, fits

__all__ = ["Cursor", "FileCursor", "Follower", "Place", "RowCursor"]


@dataclass(frozen=True, slots=True)
class Place:
    """The last block that was dealt with: its number and hash (0x hex)."""

    block: int
    hash: str


class Cursor(Protocol):
    """Where a follower's place is kept."""

    def load(self) -> Place | None: ...

    def save(self, place: Place) -> None: ...


class FileCursor:
    """A cursor in a file of its own; what a page led to may happen twice when the process dies between both."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Place | None:
        """Return the place, None before the first one.

        Raises:
            DamagedError: the file is not what was written.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            said = orjson.loads(data)
            return _checked(said["block"], said["hash"])
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(
                "the file that says how far a chain was followed is damaged",
                hint="delete it: the chain is then read from the start again",
            ) from error

    def save(self, place: Place) -> None:
        """Replace the place, durably.

        Raises:
            StorageError: the disk refused; the old place stands.
        """
        beside = self._path.with_name(self._path.name + ".new")
        try:
            # a crash before the rename leaves the old place, one after it the new one
            with beside.open("wb") as file:
                file.write(orjson.dumps({"block": place.block, "hash": place.hash}))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise StorageError("how far a chain was followed could not be written") from error


class RowCursor:
    """A cursor in a table of the reader's own database, inside the reader's own transaction.

    Args:
        connection: never committed here: the reader commits the place together with what the page led to.
        name: of what is followed; several may stand in one database.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection, self._name = connection, name
        connection.execute(
            "CREATE TABLE IF NOT EXISTS followed (name TEXT PRIMARY KEY, block INTEGER NOT NULL, hash TEXT NOT NULL)"
        )

    def load(self) -> Place | None:
        """Return the place, None before the first one."""
        row = self._connection.execute(
            "SELECT block, hash FROM followed WHERE name = ?", (self._name,)
        ).fetchone()
        return None if row is None else _checked(*row)

    def save(self, place: Place) -> None:
        """Replace the place; it counts once the reader commits."""
        self._connection.execute(
            "INSERT OR REPLACE INTO followed VALUES (?, ?, ?)", (self._name, place.block, place.hash)
        )


class Follower:
    """Reads a contract's logs forward from its cursor.

    Args:
        chain: where they are read.
        cursor: where the place is kept.
        address: the contract, or several.
        topics: as eth_getLogs takes them.
        start: first block, when the cursor holds no place yet.
        blocks: size of the first page; it adapts to what the node takes.

    Raises:
        ChainMismatchError: the chain shows another block at the cursor's place.
        ChainUnreachableError: no endpoint has got as far as the cursor's place.
    """

    def __init__(
        self,
        chain: Chain,
        cursor: Cursor,
        *,
        address: str | Sequence[str],
        topics: Sequence[Any] = (),
        start: int = 0,
        blocks: int = 2_000,
    ) -> None:
        if start < 0:
            raise ConfigurationError(f"start must be a block >= 0, got {start}")
        self._chain, self._cursor = chain, cursor
        self._query: dict[str, Any] = {
            "address": address if isinstance(address, str) else list(address),
            "topics": list(topics),
        }
        self._start = start
        self._pager = Pager(chain.ask, blocks=blocks)

    @property
    def place(self) -> Place | None:
        """The last block that was dealt with."""
        return self._cursor.load()

    def pages(self) -> Iterator[Page]:
        """Read page after page up to the newest block that will stay.

        Each page must be kept before the next one is asked for; a page that is not kept comes again at the next call.

        Raises:
            ChainMismatchError: the chain shows another block at the cursor's place, or another contract's log.
            ChainUnreachableError: no endpoint answered; what was kept stays kept.
        """
        place = self._cursor.load()
        if place is not None:
            self._check(place)
        first = self._start if place is None else place.block + 1
        for page in self._pager.pages(self._query, first, self._chain.settled()):
            if not all(fits(self._query, log) and not log.get("removed") for log in page.logs):
                raise ChainMismatchError("the node answers with logs that were not asked for")
            yield page
            after = self._cursor.load()
            if after is None or after.block != page.last:
                return  # not kept: it comes again

    def keep(self, page: Page) -> None:
        """Say that a page is dealt with; call it inside the reader's transaction when the cursor is a row of it."""
        self._cursor.save(Place(page.last, self._chain.block(page.last).hash))

    def _check(self, place: Place) -> None:
        self._chain.saw(place.block)
        try:
            found = self._chain.block(place.block).hash
        except NotFoundError as error:
            raise ChainUnreachableError(
                f"no endpoint has reached block {place.block} yet, which was followed before",
                hint="wait for the node to catch up; nothing is read twice meanwhile",
            ) from error
        if found != place.hash:
            raise ChainMismatchError(
                f"expected the block that was followed at height {place.block}, got another one",
                hint="this is another chain, or one that was rewritten: keep the cursor and ask the members",
            )


def _checked(block: Any, block_hash: Any) -> Place:
    if type(block) is not int or block < 0 or not isinstance(block_hash, str):
        raise ValueError("a block's number and hash were expected")
    return Place(block, block_hash)
