"""The reading side of a journal: what stands where, and its proofs.

Every read hashes its entry and its path again, up to the signed root. What was disposed of cannot be read any more; its
place, and that it stands there, can be found and proved for ever.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tallystick.errors import NotFoundError
from tallystick.proof._checkpoints import Checkpoint
from tallystick.proof._disposal import Disposed, disposable
from tallystick.proof._entries import Entry, walk_entries, walk_kinds
from tallystick.proof._recovery import Progress, Rehashed, verify_store
from tallystick.proof._statements import Statement
from tallystick.proof._store import Store

__all__ = ["Reading"]

_digits = re.compile(r"[0-9a-f]{1,64}").fullmatch


class Reading:
    """What anybody may ask of an open journal; a `Journal` is one.

    Args:
        store: brought to its head.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def origin(self) -> str:
        """The journal's origin, ``<party id>/<name>``."""
        return self._store.origin

    @property
    def size(self) -> int:
        """Number of durable entries."""
        return self._store.head.size

    @property
    def directory(self) -> Path:
        """Where the journal stands."""
        return self._store.directory

    def checkpoint(self) -> Checkpoint:
        """The last signed head; it is on the disk."""
        return self._store.head

    def root(self, size: int | None = None) -> bytes:
        """The root at a size, proved against the signed head.

        Raises:
            NotFoundError: the journal is shorter.
        """
        return self._store.head.root if size is None else self._store.root(size)

    def index(self, id_or_index: str | int) -> int:
        """Find a statement's place.

        Raises:
            NotFoundError: no such statement here.
        """
        if isinstance(id_or_index, int):
            size = self._store.head.size
            if not 0 <= id_or_index < size:
                raise NotFoundError(f"expected a statement below {size}, got {id_or_index}")
            return id_or_index
        found = next(self._indexes(id_or_index), None) if len(id_or_index) == 64 else None
        if found is None:
            raise NotFoundError("there is no such statement in this journal")
        return found

    def indexes(self, beginning: str) -> list[int]:
        """Find the places of all statements whose id begins with these hex digits."""
        return sorted(self._indexes(beginning))

    def _indexes(self, beginning: str) -> Iterator[int]:
        text, size = beginning.lower(), self._store.head.size
        return self._store.ids.find(text, size=size) if _digits(text) else iter(())

    def entry(self, id_or_index: str | int) -> Entry:
        """Read an entry; it and its path are hashed again.

        Raises:
            NotFoundError: no such statement here.
            DamagedError: it is not what was signed.
        """
        index = self.index(id_or_index)
        return Entry(index, self._store.read(index)[0])

    def statement(self, id_or_index: str | int) -> Statement:
        """Read a statement; see `entry`."""
        return self.entry(id_or_index).statement

    def entries(
        self, start: int = 0, stop: int | None = None, *, kinds: Collection[str] | None = None
    ) -> Iterator[Entry]:
        """Walk over entries; each part is hashed again up to the signed root before it is given out.

        Args:
            start: first entry.
            stop: the entry behind the last; the journal's size when None.
            kinds: only these, found by an index that `verify` checks; ``noun.`` takes all verbs of a noun.

        Raises:
            DamagedError: an entry is not what was signed.
        """
        size = self._store.head.size
        start, stop = max(0, start), size if stop is None else min(stop, size)
        if kinds is None:
            return walk_entries(self._store, start, stop)
        return walk_kinds(self._store, start, stop, [kinds] if isinstance(kinds, str) else kinds)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Make the inclusion path of an entry; checked against the signed root before it is given out.

        Raises:
            NotFoundError: the index is not below the size, or the journal is shorter.
            DamagedError: what is stored does not lead to the root.
        """
        return self._store.path(index, size=size)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Make the consistency path between two sizes; checked before it is given out.

        Raises:
            NotFoundError: the journal is shorter.
            ProofError: ``old`` is above ``new``.
            DamagedError: what is stored does not lead to the root.
        """
        return self._store.consistency(old, self.size if new is None else new)

    @property
    def kinds(self) -> list[str]:
        """The kinds of statements that stand here, or stood here; not more than the first 250."""
        return sorted(self._store.kinds.names())

    def is_disposed(self, index: int) -> bool:
        """Tell whether an entry's segment was disposed of; of such a segment, some entries may be kept."""
        return 0 <= index < self._store.head.size and self._store.segments.is_gone(index)

    @property
    def disposed(self) -> int:
        """How many entries were disposed of; their places, hashes and proofs stay."""
        return self._store.segments.gone()

    def disposable(self, before: int) -> Disposed:
        """Say what `dispose` would dispose of."""
        return disposable(self._store, before)

    def verify(self, progress: Progress | None = None) -> Rehashed:
        """Hash everything again and compare it with all that is stored and signed; others may append meanwhile.

        Args:
            progress: called with the entries done and the entries in all.

        Returns:
            How many entries, and how many of them are gone, so that only their hashes could be compared.

        Raises:
            DamagedError: names the first entry, hash, place or checkpoint that is wrong.
        """
        return verify_store(self._store, progress)
