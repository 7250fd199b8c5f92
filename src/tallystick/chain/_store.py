"""One SQLite file that is the whole embedded chain: blocks, signed transactions, receipts, logs, archive state.

* One writer: an exclusive lock on ``<file>.lock``, which the system lets go when the process ends.
* A block is one SQLite transaction with ``synchronous=FULL``: after a crash at any point it is there or it is not.
* Readers in other processes open the same file; nodes are only ever added, so a root once read stays readable.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallystick.errors import DamagedError, LockedError, NotFoundError, StorageError, UnknownFormatError

from ._blocks import Header, parse_header
from ._executor import Executed

__all__ = ["BlockRow", "ChainStore", "read_lock"]

FORMAT = "tallystick/local-chain/v1"
_CACHED_NODES = 65_536
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE nodes (hash BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL);
CREATE TABLE transactions (
    hash BLOB PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL, raw BLOB NOT NULL,
    succeeded INTEGER NOT NULL, gas_used INTEGER NOT NULL, cumulative_gas INTEGER NOT NULL,
    created BLOB NOT NULL, first_log INTEGER NOT NULL, logs INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX transactions_by_place ON transactions (block, position);
CREATE TABLE logs (
    block INTEGER NOT NULL, position INTEGER NOT NULL, transaction_position INTEGER NOT NULL,
    transaction_hash BLOB NOT NULL, address BLOB NOT NULL,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX logs_by_address ON logs (address, block);
CREATE INDEX logs_by_topic ON logs (topic0, block);
"""
BlockRow = tuple[Any, ...]


def read_lock(path: Path) -> dict[str, Any]:
    """Return what the present writer says of itself: its process, and its url when it serves."""
    try:
        said = json.loads(_lock_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


class ChainStore:
    """The file behind a LocalChain. Reading is safe from any thread; only the sealing thread writes.

    Args:
        path: the SQLite file.
        read_only: never writes, takes no lock.

    Raises:
        LockedError: another process writes this chain.
        NotFoundError: read_only, and there is no such file.
        UnknownFormatError: a file of another kind or a later version.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.is_new = not path.exists()
        if read_only and self.is_new:
            raise NotFoundError(f"no chain at {path}", hint="check the path, or create the chain first")
        self._lock_file = None if read_only else _take_lock(path)
        self._reading = threading.RLock()
        self._cache: dict[bytes, bytes] = {}
        self._broken = ""
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        with _stored(self.path):
            if not self.read_only:
                if self.is_new:
                    # the treasury's key lies in this file: nobody else may read it
                    os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
                self._writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._writer.execute("PRAGMA synchronous=FULL")
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            self._reader = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            self._reader.execute("PRAGMA mmap_size=268435456")
            tables = self._reader.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        self.is_new = not tables
        if tables:
            self._check_format()
        elif self.read_only:
            raise NotFoundError(
                f"the chain at {self.path} was never created", hint="open it once for writing"
            )

    def _check_format(self) -> None:
        try:
            found = self.fact("format")
        except StorageError as error:
            raise UnknownFormatError(f"{self.path} is a database, but not a chain") from error
        if found != FORMAT.encode():
            raise UnknownFormatError(f"expected a chain of format {FORMAT}, got {found!r}")

    def close(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()
        if self._lock_file is not None:
            # emptied rather than removed: a removed file could be locked twice under one name
            os.ftruncate(self._lock_file, 0)
            os.close(self._lock_file)
            self._lock_file = None

    def say(self, **facts: Any) -> None:
        """Tell other processes who writes here (process id, url)."""
        if self._lock_file is not None:
            _write_lock(self._lock_file, facts)

    # -- reading ------------------------------------------------------------------------------------------

    def __getitem__(self, key: bytes) -> bytes:
        found = self._cache.get(key)
        if found is None:
            if self.is_new:
                raise KeyError(key)  # there is no table yet
            row = self.row("SELECT value FROM nodes WHERE hash = ?", (bytes(key),))
            if row is None:
                raise KeyError(key)
            found = bytes(row[0])
            self._keep({bytes(key): found})
        return found

    def _keep(self, nodes: Mapping[bytes, bytes]) -> None:
        if len(self._cache) + len(nodes) > _CACHED_NODES:
            self._cache = {}
        self._cache.update(nodes)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[BlockRow]:
        with self._reading, _stored(self.path):
            if self._reader is None:
                raise StorageError(f"the chain at {self.path} is closed")
            return self._reader.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> BlockRow | None:
        found = self.rows(query, values)
        return found[0] if found else None

    def fact(self, name: str) -> bytes:
        row = self.row("SELECT value FROM facts WHERE name = ?", (name,))
        if row is None:
            raise DamagedError(f"the chain at {self.path} lacks its {name}")
        return bytes(row[0])

    def head(self) -> Header:
        row = self.row("SELECT header FROM blocks ORDER BY number DESC LIMIT 1")
        if row is None:
            raise DamagedError(f"the chain at {self.path} has no block")
        return parse_header(row[0])

    def header(self, number: int) -> Header | None:
        row = self.row("SELECT header FROM blocks WHERE number = ?", (number,)) if number < 2**63 else None
        return None if row is None else parse_header(row[0])

    def header_by_hash(self, block_hash: bytes) -> Header | None:
        row = self.row("SELECT header FROM blocks WHERE hash = ?", (block_hash,))
        return None if row is None else parse_header(row[0])

    def ancestors(self, number: int) -> Iterator[bytes]:
        """Yield the hashes before a block, the nearest first, at most the 256 that BLOCKHASH can ask for."""
        for (found,) in self.rows(
            "SELECT hash FROM blocks WHERE number < ? ORDER BY number DESC LIMIT 256", (number,)
        ):
            yield bytes(found)

    # -- writing: only the sealing thread, one SQLite transaction each ------------------------------------

    def create(self, facts: Mapping[str, bytes], genesis: Header, nodes: Mapping[bytes, bytes]) -> None:
        with self._writing() as connection:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.executemany(
                "INSERT INTO facts VALUES (?, ?)", [("format", FORMAT.encode()), *facts.items()]
            )
            self._write_block(connection, genesis, nodes)
        self.is_new = False

    def seal(self, header: Header, executed: Sequence[Executed], nodes: Mapping[bytes, bytes]) -> None:
        """Write one block. When this returns it is on the disk; when it raises nothing of it is."""
        transactions, logs = _rows_of(header, executed)
        with self._writing() as connection:
            self._write_block(connection, header, nodes)
            connection.executemany("INSERT INTO transactions VALUES (?,?,?,?,?,?,?,?,?,?)", transactions)
            connection.executemany("INSERT INTO logs VALUES (?,?,?,?,?,?,?,?,?,?)", logs)
        self._keep(nodes)

    def _write_block(
        self, connection: sqlite3.Connection, header: Header, nodes: Mapping[bytes, bytes]
    ) -> None:
        connection.executemany("INSERT OR IGNORE INTO nodes VALUES (?, ?)", sorted(nodes.items()))
        connection.execute(
            "INSERT INTO blocks VALUES (?, ?, ?)", (header.number, header.hash, header.format())
        )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self._writer is None:
            raise StorageError(f"the chain at {self.path} is open for reading only")
        if self._broken:
            raise StorageError(
                f"the chain stopped writing: {self._broken}", hint="mend the disk, then open it again"
            )
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                self._broken = _fatal(error)
                raise StorageError(f"the block was not written: {error}", hint="is the disk full?") from error
            raise


def _fatal(error: sqlite3.Error) -> str:
    # an fsync that failed is never tried again: the pages may be gone, and the system says so only once
    primary = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    return str(error) if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT) else ""


def _rows_of(header: Header, executed: Sequence[Executed]) -> tuple[list[BlockRow], list[BlockRow]]:
    transactions: list[BlockRow] = []
    logs: list[BlockRow] = []
    cumulative = 0
    for position, done in enumerate(executed):
        cumulative += done.gas_used
        place = (header.number, position)
        outcome = (int(done.succeeded), done.gas_used, cumulative, done.created, len(logs), len(done.logs))
        transactions.append((done.transaction.hash, *place, done.transaction.raw, *outcome))
        for entry in done.logs:
            topics = [*entry.topics, None, None, None, None][:4]
            where = (header.number, len(logs), position, done.transaction.hash)
            logs.append((*where, entry.address, *topics, entry.data))
    return transactions, logs


@contextmanager
def _stored(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StorageError(f"the chain at {path} cannot be read: {error}") from error
    except OSError as error:
        raise StorageError(f"the chain at {path} cannot be opened: {error.strerror}") from error


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _take_lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"the chain at {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise _locked(path) from error
    _write_lock(descriptor, {"pid": os.getpid()})
    return descriptor


def _write_lock(descriptor: int, facts: Mapping[str, Any]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), **facts}).encode(), 0)


def _locked(path: Path) -> LockedError:
    said = read_lock(path)
    url = said.get("url")
    if url:
        hint = f"it is served: use the chain {url} instead of the file"
    else:
        hint = "stop that process, or share the chain with `tallystick chain serve` and use its url"
    return LockedError(f"process {said.get('pid', '?')} writes the chain at {path}", hint=hint)
