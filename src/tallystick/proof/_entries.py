"""Entries: statements with their place, as they come out of a journal."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tallystick.errors import DisposedError
from tallystick.proof._kinds_index import fits_kinds, kinds_of
from tallystick.proof._merkle import leaf_hash, leaf_hashes
from tallystick.proof._statements import Statement, parse_statement
from tallystick.proof._store import Store

__all__ = ["Entry", "walk_entries", "walk_kinds"]

_FEW = (
    200  # entries of a block that are read one by one; more of them cost as much as walking through the block
)


class Entry:
    """One statement in its place; the statement is parsed when it is first looked at.

    Args:
        index: place in the journal, from 0.
        data: the statement's bytes.
        leaf: their RFC 9162 leaf hash, when it is known already.
    """

    __slots__ = ("_leaf", "_statement", "bytes", "index")

    def __init__(self, index: int, data: bytes, leaf: bytes = b"") -> None:
        self.index = index
        self.bytes = data
        self._leaf = leaf
        self._statement: Statement | None = None

    @property
    def id(self) -> str:
        """The statement's id: hex of its leaf hash."""
        if not self._leaf:
            self._leaf = leaf_hash(self.bytes)
        return self._leaf.hex()

    @property
    def statement(self) -> Statement:
        """The statement.

        Raises:
            EncodingError: the bytes are no statement of this version; only ready bytes can be so.
        """
        if self._statement is None:
            self._statement = parse_statement(self.bytes)
        return self._statement

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and (self.index, self.bytes) == (other.index, other.bytes)

    def __hash__(self) -> int:
        return hash((self.index, self.bytes))

    def __repr__(self) -> str:
        return f"Entry(index={self.index}, id={self.id!r})"


def walk_entries(store: Store, start: int, stop: int) -> Iterator[Entry]:
    """Walk over entries, about 4 MiB at a time; each part is proved against the signed root before it is given out.

    What was disposed of is stepped over: entries that were kept are proved one by one.

    Raises:
        DamagedError: an entry is not what was signed.
    """
    while start < stop:
        end, gone = store.segments.span(start, stop)
        if gone:
            for index, _ in store.segments.remains_of(start).kept(start, end):
                yield Entry(index, store.read(index)[0])
            start = end
            continue
        tree = store.hashes.tree(start)
        try:
            for first, entries, _ in store.segments.passes(start, end):
                leaves = leaf_hashes(entries)
                tree.extend(leaves)
                if tree.root() != store.root(tree.size):
                    # Which one it is shows when each is read by its own path.
                    entries = [store.read(first + at)[0] for at in range(len(entries))]
                start = first + len(entries)
                yield from map(Entry, range(first, start), entries, leaves)
        except DisposedError:
            continue  # it was disposed of just now: look again


def walk_kinds(store: Store, start: int, stop: int, kinds: Collection[str]) -> Iterator[Entry]:
    """Walk over the entries of some kinds, found by the index of kinds; each is proved before it is given out.

    Raises:
        DamagedError: an entry is not what was signed.
    """
    wanted = frozenset(kind.encode() for kind in kinds)
    for first, marks in store.kinds.marked(start, stop, wanted):
        if marks.count(1) > _FEW:
            for entry in walk_entries(store, first, first + len(marks)):
                if marks[entry.index - first] and fits_kinds(kinds_of([entry.bytes])[0], wanted):
                    yield entry
            continue
        at = marks.find(1)
        while at >= 0:
            try:
                data = store.read(first + at)[0]
            except DisposedError:
                data = b""  # an index that is older than the disposal
            # The index is only believed in what it leaves out; what it finds is looked at.
            if fits_kinds(kinds_of([data])[0], wanted):
                yield Entry(first + at, data)
            at = marks.find(1, at + 1)
