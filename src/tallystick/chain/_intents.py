"""What an outbox remembers: intents, the nonces leased to them, and every signed variant, in one SQLite file.

* ``synchronous=FULL``: what was acknowledged or signed survives a crash; bytes are kept before they leave.
* An intent is ``waiting`` (not signed), ``signed`` (owns a nonce), ``mined``, ``failed`` or ``dropped``.
* A nonce is leased in the same transaction that keeps the signed bytes, and only to one intent at a time.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.errors import (
    ChainMismatchError,
    InputError,
    NotFoundError,
    StorageError,
    UnknownFormatError,
)

from ._calls import Call

__all__ = ["Intent", "IntentStore", "Variant"]

FORMAT = "tallystick/outbox/v1"
MAX_ID_CHARACTERS = 200
_BUSY_TIMEOUT_S = 10.0
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE intents (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, asked BLOB NOT NULL,
    receiver TEXT, data BLOB NOT NULL, value TEXT NOT NULL, gas INTEGER, state TEXT NOT NULL,
    nonce INTEGER, attempts INTEGER NOT NULL DEFAULT 0, hash TEXT NOT NULL DEFAULT '',
    block INTEGER NOT NULL DEFAULT 0, block_hash TEXT NOT NULL DEFAULT '', gas_used INTEGER NOT NULL DEFAULT 0,
    contract TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', changed_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX one_nonce_one_intent ON intents (nonce) WHERE state = 'signed';
CREATE INDEX intents_by_state ON intents (state, nonce);
CREATE TABLE variants (
    hash TEXT PRIMARY KEY, intent INTEGER NOT NULL, nonce INTEGER NOT NULL, raw BLOB NOT NULL,
    gas INTEGER NOT NULL, max_fee TEXT NOT NULL, tip TEXT NOT NULL, made_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX variants_by_intent ON variants (intent, nonce, made_at);
CREATE INDEX variants_by_nonce ON variants (nonce);
"""
_INTENT = (
    "SELECT position, id, receiver, data, value, gas, state, nonce, attempts, hash, block, block_hash,"
    " gas_used, contract, reason FROM intents"
)
# one look into the index for each of the two states
_HIGHEST = (
    "SELECT max((SELECT coalesce(max(nonce), -1) FROM intents WHERE state = 'signed'),"
    " (SELECT coalesce(max(nonce), -1) FROM intents WHERE state = 'mined'))"
)
_VARIANT = "SELECT hash, nonce, raw, gas, max_fee, tip, made_at FROM variants"
_MINED_VARIANT = (
    "SELECT hash, nonce, raw, gas, max_fee, tip, made_at FROM variants"
    " WHERE nonce = ? AND hash IN (SELECT hash FROM intents WHERE nonce = ? AND block > 0)"
)


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that shall happen on a chain once.

    Attributes:
        position: order in which it was put.
        id: given by who put it, for example a statement's id.
        call: what shall happen; the rebuilt one after a rebuild.
        gas: limit, None to ask the chain.
        state: ``waiting``, ``signed``, ``mined``, ``failed`` or ``dropped``.
        nonce: leased to it while it is signed, and the one it was mined with.
        attempts: how many times it had to be signed for another nonce or rebuilt.
        hash, block, block_hash, gas_used, contract: of the mined transaction.
        reason: why it failed or was dropped.
    """

    position: int
    id: str
    call: Call
    gas: int | None
    state: str
    nonce: int | None
    attempts: int
    hash: str
    block: int
    block_hash: str
    gas_used: int
    contract: str
    reason: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One signed form of an intent."""

    hash: str
    nonce: int
    raw: bytes
    gas: int
    max_fee: int
    tip: int
    made_at: int


class IntentStore:
    """The file of an outbox, bound to one account on one chain.

    Raises:
        ChainMismatchError: the file belongs to another chain or account.
        UnknownFormatError: a later version, or no outbox.
    """

    def __init__(self, path: Path, *, owner: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # SQLite would make it readable by everybody
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_S
            )
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"the outbox at {path} cannot be opened: {error}") from error
        try:
            self._open(owner)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, owner: str) -> None:
        with self._stored():
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
        with self.writing() as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.executemany(
                    "INSERT INTO facts VALUES (?, ?)", [("format", FORMAT), ("owner", owner)]
                )
        try:
            facts = dict(self._connection.execute("SELECT name, value FROM facts").fetchall())
        except sqlite3.Error as error:
            raise UnknownFormatError(f"{self._path} is a database, but not an outbox") from error
        if facts.get("format") != FORMAT:
            raise UnknownFormatError(f"expected an outbox of format {FORMAT}, got {facts.get('format')!r}")
        if facts.get("owner") != owner:
            raise ChainMismatchError(
                f"the outbox at {self._path} belongs to {facts.get('owner')}, not to {owner}",
                hint="one outbox belongs to one account on one chain: use another file",
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on the disk when this ends, or none of it."""
        with self._lock, self._stored():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _stored(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"the outbox at {self._path}: {error}", hint="is the disk full?") from error

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._stored():
            return self._connection.execute(query, values).fetchall()

    # -- reading ------------------------------------------------------------------------------------------

    def intent(self, intent_id: str) -> Intent:
        """Raise NotFoundError when there is none."""
        rows = self._rows(f"{_INTENT} WHERE id = ?", (intent_id,))
        if not rows:
            raise NotFoundError(f"no intent {intent_id} in the outbox")
        return _intent(rows[0])

    def in_state(self, *states: str) -> list[Intent]:
        """Return intents in these states: signed ones first, by their nonce, others as they were put."""
        marks = ",".join("?" * len(states))
        return [
            _intent(row)
            for row in self._rows(
                f"{_INTENT} WHERE state IN ({marks}) ORDER BY state, nonce IS NULL OR state != 'signed', nonce, position",
                states,
            )
        ]

    def has_signed(self) -> bool:
        """Tell whether anything is on its way."""
        return bool(self._rows("SELECT 1 FROM intents WHERE state = 'signed' LIMIT 1"))

    def variants(self, intent: Intent) -> list[Variant]:
        """Return every form in which an intent was ever signed, the newest first."""
        query = f"{_VARIANT} WHERE intent = ? ORDER BY made_at DESC, hash"
        return [_variant(row) for row in self._rows(query, (intent.position,))]

    def mined_at(self, nonce: int) -> Variant | None:
        """Return the bytes that were mined with a nonce, if they were an intent's."""
        rows = self._rows(_MINED_VARIANT, (nonce, nonce))
        return _variant(rows[0]) if rows else None

    # -- writing ------------------------------------------------------------------------------------------

    def put(self, intent_id: str, call: Call, *, gas: int | None, at: int) -> None:
        """Keep an intent; the same id with the same call is the same intent.

        Raises:
            InputError: an id that does not fit, or that stands for another call.
        """
        if not 0 < len(intent_id) <= MAX_ID_CHARACTERS or not intent_id.isascii():
            raise InputError(f"an intent's id must be 1 to {MAX_ID_CHARACTERS} ascii characters")
        asked = _digest(call)
        with self.writing() as connection:
            row = connection.execute("SELECT asked FROM intents WHERE id = ?", (intent_id,)).fetchone()
            if row is not None:
                if bytes(row[0]) != asked:
                    raise InputError(
                        f"intent {intent_id} stands for another call already", hint="give each its own id"
                    )
                return
            connection.execute(
                "INSERT INTO intents (id, asked, receiver, data, value, gas, state, changed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?)",
                (intent_id, asked, call.to, call.data, str(call.value), gas, at),
            )

    def lease(
        self,
        intents: Sequence[Intent],
        *,
        chain_nonce: int,
        sign: Callable[[Intent, int], Variant],
        exactly: bool = False,
    ) -> None:
        """Give intents their nonces, in their order, and keep their signed bytes, in one transaction.

        An intent that another process was faster with is left out, and uses no nonce.
        """
        with self.writing() as connection:
            # what was mined counts too: a node that is behind still shows those nonces as free
            highest = connection.execute(_HIGHEST).fetchone()[0]
            free = chain_nonce if exactly else max(chain_nonce, highest + 1)
            for intent in intents:
                changed = connection.execute(
                    "UPDATE intents SET state = 'signed', nonce = ? WHERE position = ? AND state = 'waiting'",
                    (free, intent.position),
                )
                if changed.rowcount != 1:
                    continue
                variant = sign(intent, free)
                connection.execute(
                    "UPDATE intents SET changed_at = ? WHERE position = ?", (variant.made_at, intent.position)
                )
                _keep(connection, intent, variant)
                free += 1

    def add_variant(self, intent: Intent, variant: Variant) -> None:
        with self.writing() as connection:
            _keep(connection, intent, variant)

    def release(self, intent: Intent, call: Call, *, at: int, anew: bool = False) -> None:
        """Take a nonce back that can never be mined for this intent; it waits again, perhaps rebuilt."""
        attempts = 0 if anew else intent.attempts + 1
        with self.writing() as connection:
            connection.execute(
                "UPDATE intents SET state = 'waiting', nonce = NULL, attempts = ?, receiver = ?,"
                " data = ?, value = ?, changed_at = ? WHERE position = ?",
                (attempts, call.to, call.data, str(call.value), at, intent.position),
            )

    def finish(self, intent: Intent, state: str, *, at: int, reason: str = "", **found: Any) -> None:
        """Write how an intent ended; ``found`` names columns of the mined transaction."""
        self.finish_all([(intent, found)], state, at=at, reason=reason)

    def finish_all(
        self, ended: Sequence[tuple[Intent, Mapping[str, Any]]], state: str, *, at: int, reason: str = ""
    ) -> None:
        """Write how several intents ended, in one transaction."""
        with self.writing() as connection:
            for intent, found in ended:
                columns = "".join(f", {name} = ?" for name in found)
                connection.execute(
                    f"UPDATE intents SET state = ?, reason = ?, changed_at = ?{columns} WHERE position = ?",  # noqa: S608
                    (state, reason, at, *found.values(), intent.position),
                )


def _keep(connection: sqlite3.Connection, intent: Intent, variant: Variant) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO variants VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            variant.hash,
            intent.position,
            variant.nonce,
            variant.raw,
            variant.gas,
            str(variant.max_fee),
            str(variant.tip),
            variant.made_at,
        ),
    )


def _digest(call: Call) -> bytes:
    # lengths keep two calls from reading alike
    parts = [(call.to or "").lower().encode(), call.data, str(call.value).encode()]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def _intent(row: tuple[Any, ...]) -> Intent:
    position, intent_id, receiver, data, value, *rest = row
    return Intent(position, intent_id, Call(receiver, bytes(data), int(value)), *rest)


def _variant(row: tuple[Any, ...]) -> Variant:
    found, nonce, raw, gas, max_fee, tip, made_at = row
    return Variant(found, nonce, bytes(raw), gas, int(max_fee), int(tip), made_at)
