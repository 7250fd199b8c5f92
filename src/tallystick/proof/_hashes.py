"""The tree's hashes on disk: one packed file per level.

``hashes/<level, 2 digits>`` holds the hashes of all complete subtrees of ``2**level`` leaves, 32 bytes each, in order.
All of it can be derived from the entries: it is written before the checkpoint that covers it, so that readers find it,
but synced only every so often; recovery computes again what a crash may have taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tallystick.errors import DamagedError, NotFoundError
from tallystick.proof._files import File, Files
from tallystick.proof._merkle import EMPTY_ROOT, HASH_SIZE, node_hash, pair_hashes

_SEARCH = 32_768  # hashes that a search reads at once, 1 MiB


class Tree:
    """A growing tree in memory: its size and the roots of the complete subtrees that make it up.

    Args:
        size: number of leaves.
        frontier: per set bit of ``size``, that level's last hash.
    """

    __slots__ = ("_frontier", "size")

    def __init__(self, size: int = 0, frontier: Mapping[int, bytes] | None = None) -> None:
        self.size = size
        self._frontier = dict(frontier or {})

    def extend(self, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """Add leaf hashes.

        Returns:
            What became complete, from the leaves upwards: level, index of the first hash, packed hashes.
        """
        parts, level, hashes, frontier = [], 0, leaves, self._frontier
        while hashes:
            index = self.size >> level
            parts.append((level, index, b"".join(hashes)))
            if index & 1:
                hashes = [frontier.pop(level), *hashes]
            if len(hashes) & 1:
                frontier[level] = hashes[-1]
            hashes = pair_hashes(hashes)
            level += 1
        self.size += len(leaves)
        return parts

    def root(self) -> bytes:
        """Fold the frontier to the root."""
        result = b""
        for level in sorted(self._frontier):
            result = node_hash(self._frontier[level], result) if result else self._frontier[level]
        return result or EMPTY_ROOT


class Hashes:
    """The packed levels of one journal.

    Args:
        files: file operations.
        directory: the journal's directory.
        write: whether files may be made and written.
    """

    def __init__(self, files: Files, directory: Path, *, write: bool) -> None:
        self._files = files
        self._directory = directory / "hashes"
        self._write = write
        self._open: dict[int, File] = {}
        self._unsynced: set[int] = set()
        self._new_names = False

    def tree(self, size: int) -> Tree:
        """Take up a tree of ``size`` leaves from what is stored; nothing is verified here.

        Raises:
            DamagedError: a hash that is needed is not there.
        """
        levels = [level for level in range(size.bit_length()) if (size >> level) & 1]
        return Tree(size, {level: self.node(level, (size >> level) - 1) for level in levels})

    def write(self, parts: Sequence[tuple[int, int, bytes]]) -> None:
        """Write what `Tree.extend` completed, without a sync."""
        for level, index, packed in parts:
            self._file(level).pwrite(packed, HASH_SIZE * index)
            self._unsynced.add(level)

    def node(self, level: int, index: int) -> bytes:
        """Read the hash of one complete subtree; nothing is verified here.

        Raises:
            DamagedError: it is not stored.
        """
        data = self._file(level).pread(HASH_SIZE, HASH_SIZE * index)
        if len(data) != HASH_SIZE:
            raise missing_hash(level, index)
        return data

    def read(self, level: int, index: int, count: int) -> bytes:
        """Read packed hashes of one level; fewer when the file ends before."""
        return self._file(level).pread(HASH_SIZE * count, HASH_SIZE * index)

    def search(self, beginning: bytes, start: int, stop: int) -> Iterator[int]:
        """Search the leaf hashes ``start`` to ``stop``, one after the other, for those that begin so; their places."""
        for first in range(start, stop, _SEARCH):
            packed = self.read(0, first, min(_SEARCH, stop - first))
            at = packed.find(beginning)
            while at >= 0:
                if at % HASH_SIZE == 0:
                    yield first + at // HASH_SIZE
                at = packed.find(beginning, at + 1)

    def sync(self) -> None:
        """Make all hashes durable."""
        for level in sorted(self._unsynced):
            self._file(level).sync()
        self._unsynced.clear()
        if self._new_names:
            self._files.sync_directory(self._directory)
            self._new_names = False

    def close(self) -> None:
        """Close all files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _file(self, level: int) -> File:
        file = self._open.get(level)
        if file is None:
            path = self._directory / f"{level:02}"
            if self._write and not self._files.exists(path):
                self._new_names = True
            try:
                file = self._files.open(path, write=self._write, create=self._write)
            except NotFoundError as error:
                raise missing_hash(level, 0) from error
            kept = self._open.setdefault(level, file)
            if kept is not file:
                file.close()
                file = kept
        return file


REBUILD = (
    "delete the directory `hashes` and the file `offsets`: the next opening for writing derives them again"
)


def missing_hash(level: int, index: int) -> DamagedError:
    """Say that a derivable hash is not there."""
    return DamagedError(f"hash {index} of level {level} is missing", hint=REBUILD)
