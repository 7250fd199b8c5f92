"""The seam for file operations, so that faults can be put under everything that must survive them.

Rules that every implementation keeps:

- ``pwrite`` writes all bytes or raises; ``pread`` returns fewer bytes only at the end of the file;
- what ``sync`` has not confirmed may be gone, changed in part or out of order after a power loss; so may a new,
  renamed or deleted name until ``sync_directory`` has confirmed its directory;
- a failed ``sync`` is final: the system may have dropped the pages and would confirm the next attempt falsely, so
  nobody tries again, and the store above stops for good;
- every failure is a `StorageError` that says what to do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from pathlib import Path
from typing import Protocol

from tallystick.errors import LockedError, NotFoundError, StorageError

PRIVATE = 0o600
_DISK_FULL = "the disk is full: free some space, then open it again"
_HINTS = {
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: "the disk quota is used up: raise it or free some space, then open it again",
    errno.EFBIG: "a file size limit is reached (ulimit -f): raise it, then open it again",
    errno.EIO: "the disk reports an input/output error: look at the system log and save a copy before anything else",
    errno.EROFS: "the file system is read-only: mount it for writing",
    errno.EACCES: "this user may not do that: check owner and mode of the file and its directory",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
}


class File(Protocol):
    """One open file."""

    def pread(self, size: int, offset: int) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end of the file."""

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write all of ``data``."""

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes."""

    def size(self) -> int:
        """Return the file's size in bytes."""

    def sync(self) -> None:
        """Return when all that was written stands on the disk."""

    def close(self) -> None:
        """Close the file; a second time does nothing."""


class Lock(Protocol):
    """A held lock."""

    def close(self) -> None:
        """Give the lock back."""


class Files(Protocol):
    """A file system, as little of it as the stores here need."""

    def open(self, path: Path, *, write: bool = False, create: bool = False, mode: int = PRIVATE) -> File:
        """Open a file; `NotFoundError` when it is not there and must not be created."""

    def lock(self, path: Path) -> Lock:
        """Take the only lock on this path, or raise `LockedError` at once."""

    def exists(self, path: Path) -> bool:
        """Tell whether a file or directory stands there."""

    def list(self, path: Path) -> list[str]:
        """List a directory's names, sorted; `NotFoundError` when it is not there."""

    def make_directory(self, path: Path) -> None:
        """Make a directory, mode 0700; nothing happens when it is there."""

    def rename(self, source: Path, target: Path) -> None:
        """Put ``source`` in the place of ``target``, atomically."""

    def unlink(self, path: Path) -> None:
        """Delete a file."""

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory stand on the disk."""


def read_whole(files: Files, path: Path, *, limit: int) -> bytes:
    """Read a small file.

    Raises:
        NotFoundError: there is none.
        StorageError: it cannot be read, or holds more than ``limit`` bytes.
    """
    file = files.open(path)
    try:
        size = file.size()
        if size > limit:
            raise StorageError(f"{path.name} must have at most {limit} bytes, got {size}")
        return file.pread(size, 0)
    finally:
        file.close()


def write_atomically(files: Files, path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Replace a file so that after any crash either the old or the new content stands there, durable on return.

    Raises:
        StorageError: it could not be written; the old content is untouched.
    """
    # A name of its own per attempt: a crash may leave one behind, two processes never share one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    try:
        file = files.open(temporary, write=True, create=True, mode=mode)
        try:
            file.pwrite(data, 0)
            file.sync()
        finally:
            file.close()
        files.rename(temporary, path)
    except StorageError:
        if files.exists(temporary):
            files.unlink(temporary)
        raise
    files.sync_directory(path.parent)


def make_directories(files: Files, path: Path) -> None:
    """Make a directory and all that lead to it, durably."""
    missing = [one for one in (path, *path.parents) if not files.exists(one)]
    for one in reversed(missing):
        files.make_directory(one)
        files.sync_directory(one.parent)


def storage_error(error: OSError, doing: str, name: str) -> StorageError:
    """Wrap a system error: what failed, on which file, and what a person can do."""
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    wrapped = StorageError(f"{doing} {name} failed: {reason.lower()}", hint=_HINTS.get(error.errno or 0, ""))
    wrapped.__cause__ = error
    return wrapped


class OsFiles:
    """The machine's own file system."""

    def open(self, path: Path, *, write: bool = False, create: bool = False, mode: int = PRIVATE) -> File:
        """Open a file; see `Files`."""
        flags = (os.O_RDWR if write else os.O_RDONLY) | (os.O_CREAT if create else 0) | os.O_CLOEXEC
        try:
            return _OsFile(os.open(path, flags, mode), path.name)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {path.name}") from error
        except OSError as error:
            raise storage_error(error, "opening", path.name) from error

    def lock(self, path: Path) -> Lock:
        """Take a lock that the system gives back when this process ends, however it ends."""
        file = self.open(path, write=True, create=True)
        assert isinstance(file, _OsFile)
        try:
            fcntl.flock(file.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = file.pread(20, 0).decode("ascii", "replace").strip() or "unknown"
            file.close()
            raise LockedError(
                f"process {holder} writes to {path.parent.name} already",
                hint=f"let process {holder} finish or stop it; reading is possible meanwhile",
            ) from error
        except OSError as error:
            file.close()
            raise storage_error(error, "locking", path.name) from error
        file.truncate(0)
        file.pwrite(b"%d\n" % os.getpid(), 0)
        return file

    def exists(self, path: Path) -> bool:
        """Tell whether something stands there."""
        return path.exists()

    def list(self, path: Path) -> list[str]:
        """List a directory's names, sorted."""
        try:
            return sorted(entry.name for entry in path.iterdir())
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no directory {path.name}") from error
        except OSError as error:
            raise storage_error(error, "listing", path.name) from error

    def make_directory(self, path: Path) -> None:
        """Make a directory unless it is there."""
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise storage_error(error, "making directory", path.name) from error

    def rename(self, source: Path, target: Path) -> None:
        """Rename atomically."""
        try:
            source.replace(target)
        except OSError as error:
            raise storage_error(error, "renaming", source.name) from error

    def unlink(self, path: Path) -> None:
        """Delete a file."""
        try:
            path.unlink()
        except OSError as error:
            raise storage_error(error, "deleting", path.name) from error

    def sync_directory(self, path: Path) -> None:
        """Make a directory's names durable."""
        try:
            number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _full_sync(number)
            finally:
                os.close(number)
        except OSError as error:
            raise storage_error(error, "syncing directory", path.name) from error


class _OsFile:
    __slots__ = ("_name", "number")

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self._name = name

    def pread(self, size: int, offset: int) -> bytes:
        try:
            data = os.pread(self.number, size, offset)
            while len(data) < size:  # the end of the file, or a read that the system cut short
                more = os.pread(self.number, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise storage_error(error, "reading", self._name) from error
        return data

    def pwrite(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self.number, view, offset)
                if written <= 0:
                    raise OSError(errno.ENOSPC, "nothing was written")
                view, offset = view[written:], offset + written
        except OSError as error:
            raise storage_error(error, "writing", self._name) from error

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self.number, size)
        except OSError as error:
            raise storage_error(error, "cutting", self._name) from error

    def size(self) -> int:
        try:
            return os.fstat(self.number).st_size
        except OSError as error:
            raise storage_error(error, "measuring", self._name) from error

    def sync(self) -> None:
        try:
            if hasattr(os, "fdatasync"):
                os.fdatasync(self.number)
            else:
                _full_sync(self.number)
        except OSError as error:
            raise storage_error(error, "syncing", self._name) from error

    def close(self) -> None:
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        # A file may go while threads read from it: whoever holds it last closes it.
        self.close()


def _full_sync(number: int) -> None:
    # macOS: fsync reaches the drive's cache only; F_FULLFSYNC reaches the medium, where the file system knows it.
    command = getattr(fcntl, "F_FULLFSYNC", None)
    if command is not None:
        try:
            fcntl.fcntl(number, command)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(number)
