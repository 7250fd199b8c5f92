"""Which kind each entry is of, one byte per entry, so that rare kinds are found without reading the others.

``kinds`` holds, per entry, a number into the table of names that ``kinds.names`` holds: a 16-byte magic and a frame (see
`_frames`) per name, the first one's number is 1. 0 says "look inside": a kind beyond the table's limit, or no statement
at all. 255 says that the entry was disposed of. Both files can be derived from the entries: they are written before the
checkpoint that lets readers look for them, and synced with the places and hashes.

A name is written before the first byte that means it. A crash may take both, or leave names that nothing means yet; what
stands behind the last synced size is derived again, and when the names do not read to their end, everything is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tallystick.errors import DamagedError, NotFoundError, StorageError
from tallystick.proof._files import File, Files
from tallystick.proof._frames import check_magic, format_frame, frame_size, walk_frames

__all__ = ["BLOCK", "GONE", "KindsIndex", "fits_kinds", "kinds_of"]

NAMES_MAGIC = b"tallystick/kind\x01"
NAMES_LIMIT = 250  # kinds that get a number of their own
GONE = 255
BLOCK = 8192  # entries that a search looks at together
_LOOK = 0
_NAME_FRAME = 256  # bytes, limit of a frame
_READ = 1024 * 1024  # bytes of `kinds` that are checked at once
_MARK = b'"kind":"'
_MARK_SIZE = len(_MARK)
_END = b'"'
_name = re.compile(rb"[a-z][a-z0-9-]{0,63}\.[a-z][a-z0-9]{0,31}").fullmatch
_REBUILD = "delete the files `kinds` and `kinds.names`: the next opening for writing derives them again"


def kinds_of(entries: Sequence[bytes]) -> list[bytes]:
    """Read statements' kinds from their bytes, without parsing them; of what is no statement, anything.

    Keys are sorted and strings escape their quotes: of all members called "kind" with a text, the statement's own is the
    last one, for links, origin and payload have none.
    """
    return [entry[(at := entry.rfind(_MARK) + _MARK_SIZE) : entry.find(_END, at)] for entry in entries]


def fits_kinds(name: bytes, kinds: Collection[bytes]) -> bool:
    """Tell whether a kind is among those asked for; ``noun.`` takes all verbs of a noun."""
    return name in kinds or name[: name.find(b".") + 1] in kinds


class KindsIndex:
    """The kinds of one journal's entries.

    Args:
        files: file operations.
        directory: the journal's directory.
        write: whether files may be made and written.
    """

    def __init__(self, files: Files, directory: Path, *, write: bool) -> None:
        self._files, self._directory, self._write = files, directory, write
        self._file: File | None = None
        self._names_file: File | None = None
        self._names: list[bytes] = []
        self._codes: dict[bytes, int] = {}
        self._names_end = len(NAMES_MAGIC)
        self._met = b"\x00", _LOOK
        self._whole = True  # whether the names read to their end
        self._unsynced = False
        self.refresh()

    def refresh(self) -> None:
        """Open what is there, and read the names that another process wrote."""
        try:
            self._file = self._file or self._open("kinds")
            self._names_file = self._names_file or self._open("kinds.names")
        except NotFoundError:
            return  # an older journal, opened for reading: every entry is looked into
        self._read_names(self._names_file)

    def _open(self, name: str) -> File:
        return self._files.open(self._directory / name, write=self._write, create=self._write)

    def _read_names(self, file: File) -> None:
        names, end = [], len(NAMES_MAGIC)
        try:
            check_magic(file, NAMES_MAGIC, "kinds.names")
            for place, name in walk_frames(file, end, name="kinds.names", limit=_NAME_FRAME):
                names.append(name)
                end = place + frame_size(len(name))
            self._whole = end == file.size()
        except DamagedError:
            names, self._whole = [], False
        self._names, self._names_end = names, end
        self._codes = {name: code for code, name in enumerate(names, 1)}
        self._met = b"\x00", _LOOK

    def begin(self, start: int) -> int:
        """Tell from which entry on the kinds must be derived, at most ``start``; 0 writes everything anew."""
        assert self._file is not None
        size = min(start, self._file.size())
        fresh = self._whole and bool(self._names or not size)
        known = bytes([_LOOK, *range(1, len(self._names) + 1), GONE])
        if fresh and not any(
            self._file.pread(min(_READ, size - at), at).translate(None, known) for at in range(0, size, _READ)
        ):
            return size
        assert self._names_file is not None
        self._file.truncate(0)
        self._names_file.truncate(0)
        self._names_file.pwrite(NAMES_MAGIC, 0)
        self._names, self._codes, self._names_end, self._whole = [], {}, len(NAMES_MAGIC), True
        self._met = b"\x00", _LOOK
        self._unsynced = True
        return 0

    def write(self, index: int, entries: Sequence[bytes]) -> None:
        """Write the kinds of entries from ``index`` on, without a sync."""
        self._write_codes(index, self._coded(entries))

    def derive(self, index: int, entries: Sequence[bytes]) -> None:
        """Write the kinds of entries wherever other bytes are stored."""
        codes = self._coded(entries)
        if self._stored(index, len(codes)) != codes:
            self._write_codes(index, codes)

    def derive_gone(self, first: int, stop: int, kept: Sequence[tuple[int, bytes]]) -> None:
        """Write that the entries ``first`` to ``stop`` were disposed of, but for those kept."""
        codes = _spread(first, stop, kept, self._coded([entry for _, entry in kept]))
        if self._stored(first, stop - first) != codes:
            self._write_codes(first, codes)

    def check(self, index: int, entries: Sequence[bytes]) -> None:
        """Compare what is stored with the entries.

        Raises:
            DamagedError: names the first that differs.
        """
        self._compare(index, *self._expected(entries))

    def check_gone(self, first: int, stop: int, kept: Sequence[tuple[int, bytes]]) -> None:
        """Compare what is stored with what was disposed of; see `check`."""
        found, named = self._expected([entry for _, entry in kept])
        self._compare(first, _spread(first, stop, kept, found), named)

    def _expected(self, entries: Sequence[bytes]) -> tuple[bytes, bool]:
        """Say which codes entries must have, and whether every kind has the number that it can have."""
        code = self._usual(entries)
        if code:
            return bytes([code]) * len(entries), True
        names = kinds_of(entries)
        try:
            return bytes(map(self._codes.__getitem__, names)), True
        except KeyError:
            codes = bytes(self._codes.get(name, _LOOK) for name in names)
            room = len(self._names) < NAMES_LIMIT
            return codes, not (room and any(_name(name) for name in {*names} - {*self._codes}))

    def _compare(self, index: int, codes: bytes, named: bool) -> None:
        if self._file is None:
            return
        stored = self._stored(index, len(codes))
        if stored != codes[: len(stored)] or not self._whole or not named:
            at = next((at for at, code in enumerate(stored) if code != codes[at]), 0)
            raise DamagedError(f"the stored kind of entry {index + at} is damaged", hint=_REBUILD)

    def marked(self, start: int, stop: int, kinds: Collection[bytes]) -> Iterator[tuple[int, bytes]]:
        """Search for kinds, block by block; blocks without any are left out.

        Args:
            start: first entry.
            stop: the entry behind the last.
            kinds: names, or ``noun.`` for all verbs of a noun.

        Yields:
            Index of a block's first entry, and a byte per entry: 1 where it may be of these kinds.
        """
        names = self._names
        wanted = bytearray(b"\x01" * 256)  # what no name is known for has to be looked into
        for code, name in enumerate(names, 1):
            wanted[code] = fits_kinds(name, kinds)
        wanted[GONE] = 0
        for first in range(start, stop, BLOCK):
            count = min(BLOCK, stop - first)
            marks = self._stored(first, count).translate(bytes(wanted))
            marks += b"\x01" * (count - len(marks))
            if b"\x01" in marks:
                yield first, marks

    def names(self) -> list[str]:
        """The kinds that have a number."""
        return [name.decode("ascii") for name in self._names if name.isascii()]

    def sync(self) -> None:
        """Make names and kinds durable."""
        if self._unsynced and self._file is not None and self._names_file is not None:
            self._names_file.sync()
            self._file.sync()
            self._unsynced = False

    def close(self) -> None:
        """Close both files."""
        for file in (self._file, self._names_file):
            if file is not None:
                file.close()

    def _stored(self, index: int, count: int) -> bytes:
        return b"" if self._file is None else self._file.pread(count, index)

    def _write_codes(self, index: int, codes: bytes) -> None:
        if self._file is None:
            raise StorageError("the kinds are open for reading only")
        self._file.pwrite(codes, index)
        self._unsynced = True

    def _usual(self, entries: Sequence[bytes]) -> int:
        """The number of the kind that was met last, when all these are of it; else 0."""
        mark, code = self._met
        # Half the price of reading the names, and most batches are of one kind.
        return _LOOK if False in [entry.startswith(mark, entry.rfind(_MARK)) for entry in entries] else code

    def _coded(self, entries: Sequence[bytes]) -> bytes:
        code = self._usual(entries)
        if code:
            return bytes([code]) * len(entries)
        names = kinds_of(entries)
        if names and (last := self._codes.get(names[-1])):
            self._met = _MARK + names[-1] + _END, last
        try:
            return bytes(map(self._codes.__getitem__, names))
        except KeyError:
            return bytes(map(self._code, names))

    def _code(self, name: bytes) -> int:
        code = self._codes.get(name, _LOOK)
        if code or len(self._names) >= NAMES_LIMIT or not _name(name):
            return code
        if self._names_file is None:
            return _LOOK
        frame = format_frame(name)
        if self._names_end == len(NAMES_MAGIC):
            self._names_file.pwrite(NAMES_MAGIC, 0)
        self._names_file.pwrite(frame, self._names_end)
        self._names_end += len(frame)
        self._unsynced = True
        self._names.append(name)
        self._codes[name] = len(self._names)
        return len(self._names)


def _spread(first: int, stop: int, kept: Sequence[tuple[int, bytes]], codes: bytes) -> bytes:
    """Put the codes of the kept entries among those that are gone."""
    spread = bytearray([GONE]) * (stop - first)
    for (index, _), code in zip(kept, codes, strict=True):
        spread[index - first] = code
    return bytes(spread)
