"""File systems that fail: one that forgets what was not synced when the power goes, one that fails on demand.

`ForgetfulFiles` lives in memory and keeps two truths, as a machine does: what programs see (the page cache) and what
stands on the disk. A write, a cut, a new, renamed or deleted name reaches the disk when its file or directory is synced;
until then a power loss keeps or loses it. Names in one directory survive in their order (file systems log them), data
survives sector by sector in any order; what is lost inside a longer file reads as zeros.

    files = ForgetfulFiles(power_loss_at=17)
    try:
        work(files)
    except PowerLossError:
        survivors = files.after_power_loss(random.Random(1))
        check(survivors)
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.errors import LockedError, NotFoundError, StorageError
from tallystick.proof import File, Files

SECTOR = 512  # bytes that a disk writes as a whole


class PowerLossError(Exception):
    """The power went: nothing more can be done through these files."""


@dataclass
class _Node:
    """A file's content: as programs see it, as it stands on the disk, and what lies between."""

    seen: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(
        default_factory=list
    )  # offset and data, or size and None for a cut

    def write(self, data: bytes, offset: int) -> None:
        _write(self.seen, data, offset)
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        _cut(self.seen, size)
        self.pending.append((size, None))

    def sync(self) -> None:
        self.kept = bytearray(self.seen)
        self.pending.clear()

    def survivor(self, chance: random.Random | None, *, all_kept: bool) -> _Node:
        disk = bytearray(self.kept)
        for place, data in self.pending:
            if data is None:
                if all_kept or (chance and chance.random() < 0.5):
                    _cut(disk, place)
            elif all_kept:
                _write(disk, data, place)
            elif chance:
                _write_some_sectors(disk, data, place, chance)
        return _Node(bytearray(disk), disk)


def _write(content: bytearray, data: bytes, offset: int) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _cut(content: bytearray, size: int) -> None:
    content.extend(bytes(max(0, size - len(content))))
    del content[size:]


def _write_some_sectors(disk: bytearray, data: bytes, offset: int, chance: random.Random) -> None:
    share = chance.choice([0.0, 0.5, 0.9, 1.0])
    end = offset + len(data)
    place = offset
    while place < end:
        after = min(end, (place // SECTOR + 1) * SECTOR)
        if chance.random() < share:
            _write(disk, data[place - offset : after - offset], place)
        place = after
    if len(disk) < end and chance.random() < 0.5:
        disk.extend(bytes(end - len(disk)))  # the new size was logged, the data behind it was not


class ForgetfulFiles:
    """A file system in memory that forgets un-synced writes and names at a power loss.

    Args:
        power_loss_at: number of the changing operation at which the power goes, from 0; None keeps it on.
        lying_syncs: files, by name, whose sync returns without doing anything: the mutant that a power-loss test must
            catch, for a program that forgot its sync behaves just so.
    """

    def __init__(
        self, *, power_loss_at: int | None = None, lying_syncs: Callable[[str], bool] = lambda name: False
    ) -> None:
        self.operations = 0
        """Changing operations so far."""
        self._power_loss_at = power_loss_at
        self._lying_syncs = lying_syncs
        self._seen: dict[Path, _Node | None] = {Path("/"): None}  # None is a directory
        self._kept: dict[Path, _Node | None] = {Path("/"): None}
        self._pending: dict[Path, list[dict[Path, _Node | bool | None]]] = {}
        self._locks: set[Path] = set()

    def after_power_loss(
        self, chance: random.Random | None = None, *, everything: bool = False
    ) -> ForgetfulFiles:
        """What a machine finds when it starts again.

        Args:
            chance: decides for each un-synced piece; None loses all of them.
            everything: keep all of them, as when only the process was killed.
        """
        after = ForgetfulFiles()
        names = dict(self._kept)
        for changes in self._pending.values():
            kept = len(changes) if everything else chance.randint(0, len(changes)) if chance else 0
            for change in changes[:kept]:
                _apply(names, change)
        reachable = {
            path: node for path, node in names.items() if all(above in names for above in path.parents)
        }
        nodes = {
            id(node): node.survivor(chance, all_kept=everything)
            for node in reachable.values()
            if node is not None
        }
        after._seen = {path: None if node is None else nodes[id(node)] for path, node in reachable.items()}
        after._kept = dict(after._seen)
        return after

    def content(self, path: Path) -> bytes:
        """What a program sees in a file."""
        return bytes(self._node(path).seen)

    def paths(self) -> list[Path]:
        """All files that programs see."""
        return sorted(path for path, node in self._seen.items() if node is not None)

    def flip(self, path: Path, place: int, mask: int = 0x01) -> None:
        """Change bits of one byte, on the disk and in the cache."""
        node = self._node(path)
        node.seen[place] ^= mask
        node.kept = bytearray(node.seen)

    def forget_pending(self) -> None:
        """Take all unsynced data for clean, as a system may do when a sync failed: it can be read, until the power goes."""
        for node in self._seen.values():
            if node is not None:
                node.pending.clear()

    def copy(self) -> ForgetfulFiles:
        """A second machine with the same disk, as programs see it."""
        return self.after_power_loss(everything=True)

    def _step(self) -> None:
        if self._power_loss_at is not None and self.operations >= self._power_loss_at:
            raise PowerLossError(f"the power went at operation {self._power_loss_at}")
        self.operations += 1

    def _change(self, directory: Path, change: dict[Path, _Node | bool | None]) -> None:
        _apply(self._seen, change)
        self._pending.setdefault(directory, []).append(change)

    def _node(self, path: Path) -> _Node:
        node = self._seen.get(path)
        if node is None:
            raise NotFoundError(f"there is no file {path.name}")
        return node

    def open(self, path: Path, *, write: bool = False, create: bool = False, mode: int = 0o600) -> File:
        """Open a file."""
        if path not in self._seen and create and write:
            if path.parent not in self._seen:
                raise NotFoundError(f"there is no directory {path.parent.name}")
            self._step()
            self._change(path.parent, {path: _Node()})
        return _ForgetfulFile(self, self._node(path), path.name)

    def lock(self, path: Path) -> _Lock:
        """Take a lock."""
        if path in self._locks:
            raise LockedError(f"this process writes to {path.parent.name} already")
        self.open(path, write=True, create=True)
        self._locks.add(path)
        return _Lock(self._locks, path)

    def exists(self, path: Path) -> bool:
        """Tell whether something stands there."""
        return path in self._seen

    def list(self, path: Path) -> list[str]:
        """List a directory."""
        if path not in self._seen:
            raise NotFoundError(f"there is no directory {path.name}")
        return sorted(found.name for found in self._seen if found.parent == path and found != path)

    def make_directory(self, path: Path) -> None:
        """Make a directory."""
        if path not in self._seen:
            self._step()
            self._change(path.parent, {path: None})

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file."""
        self._step()
        self._change(target.parent, {source: False, target: self._node(source)})

    def unlink(self, path: Path) -> None:
        """Delete a file."""
        self._step()
        self._change(path.parent, {path: False})

    def sync_directory(self, path: Path) -> None:
        """Make a directory's names durable."""
        self._step()
        for change in self._pending.pop(path, []):
            _apply(self._kept, change)


def _apply(names: dict[Path, _Node | None], change: dict[Path, _Node | bool | None]) -> None:
    for path, node in change.items():
        if isinstance(node, bool):
            names.pop(path, None)
        else:
            names[path] = node


class _Lock:
    def __init__(self, held: set[Path], path: Path) -> None:
        self._held, self._path = held, path

    def close(self) -> None:
        self._held.discard(self._path)


class _ForgetfulFile:
    def __init__(self, files: ForgetfulFiles, node: _Node, name: str) -> None:
        self._files, self._node, self._name = files, node, name

    def pread(self, size: int, offset: int) -> bytes:
        return bytes(self._node.seen[offset : offset + size])

    def pwrite(self, data: bytes, offset: int) -> None:
        self._files._step()
        self._node.write(bytes(data), offset)

    def truncate(self, size: int) -> None:
        self._files._step()
        self._node.truncate(size)

    def size(self) -> int:
        return len(self._node.seen)

    def sync(self) -> None:
        self._files._step()
        if not self._files._lying_syncs(self._name):
            self._node.sync()

    def close(self) -> None:
        pass


Fault = Callable[[str, str], int]
"""``fault(operation, file name)``: 0, or the errno with which this operation fails."""


class FaultyFiles:
    """Files that fail on demand: a write leaves half of its bytes behind, a sync leaves everyone in doubt.

    Args:
        inner: the files that work.
        fault: asked before every ``open``, ``read``, ``write``, ``cut``, ``sync``, ``rename``, ``unlink``,
            ``make-directory`` and ``sync-directory``.
    """

    def __init__(self, inner: Files, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    def check(self, operation: str, name: str) -> None:
        """Fail if it is time to."""
        number = self._fault(operation, name)
        if number:
            hint = "the disk is full: free some space, then open it again" if number == errno.ENOSPC else ""
            raise StorageError(f"{operation} {name} failed: {os.strerror(number).lower()}", hint=hint)

    def open(self, path: Path, *, write: bool = False, create: bool = False, mode: int = 0o600) -> File:
        """Open a file."""
        self.check("open", path.name)
        return _FaultyFile(self, self._inner.open(path, write=write, create=create, mode=mode), path.name)

    def lock(self, path: Path) -> _FaultyLock:
        """Take a lock."""
        return _FaultyLock(self._inner.lock(path).close)

    def exists(self, path: Path) -> bool:
        """Tell whether something stands there."""
        return self._inner.exists(path)

    def list(self, path: Path) -> list[str]:
        """List a directory."""
        return self._inner.list(path)

    def make_directory(self, path: Path) -> None:
        """Make a directory."""
        self.check("make-directory", path.name)
        self._inner.make_directory(path)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file."""
        self.check("rename", target.name)
        self._inner.rename(source, target)

    def unlink(self, path: Path) -> None:
        """Delete a file."""
        self.check("unlink", path.name)
        self._inner.unlink(path)

    def sync_directory(self, path: Path) -> None:
        """Make a directory's names durable."""
        self.check("sync-directory", path.name)
        self._inner.sync_directory(path)


@dataclass
class _FaultyLock:
    close: Callable[[], None]


class _FaultyFile:
    def __init__(self, files: FaultyFiles, inner: File, name: str) -> None:
        self._files, self._inner, self._name = files, inner, name

    def pread(self, size: int, offset: int) -> bytes:
        self._files.check("read", self._name)
        return self._inner.pread(size, offset)

    def pwrite(self, data: bytes, offset: int) -> None:
        try:
            self._files.check("write", self._name)
        except StorageError:
            self._inner.pwrite(data[: len(data) // 2], offset)
            raise
        self._inner.pwrite(data, offset)

    def truncate(self, size: int) -> None:
        self._files.check("cut", self._name)
        self._inner.truncate(size)

    def size(self) -> int:
        return self._inner.size()

    def sync(self) -> None:
        self._files.check("sync", self._name)
        self._inner.sync()

    def close(self) -> None:
        self._inner.close()
