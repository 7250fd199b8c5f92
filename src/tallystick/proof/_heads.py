"""The checkpoints that a journal has signed, and two marks about what is on the disk.

``checkpoints`` is append-only: a 16-byte magic, then records of big-endian u32 length, u32 CRC-32 of the note and u32
CRC-32 of the eight bytes before, the note, and newlines up to a multiple of 16 bytes. Its last whole record is the head.

A record that a power loss tore is told from one that was damaged later. Sectors are lost as a whole, records are
aligned to 16 bytes and notes hold no zero byte: so what is torn ends early or shows an aligned block of 16 zeros. It was
never acknowledged and is cut. Anything else that does not check is damage, and is refused rather than cut, because it
may have been acknowledged.

``marks`` holds two cells after its magic: the place of the last record that is *durable*, which is as far as readers in
other processes look, and the size up to which hashes and offsets are synced. A cell is written after the sync that it
tells of and not synced itself: after a crash it may be old, never too new.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from tallystick.errors import DamagedError, UnknownFormatError
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint
from tallystick.proof._files import File, Files

HEADS_MAGIC = b"tallystick/ckpt\x01"
MARKS_MAGIC = b"tallystick/mark\x01"
_ALIGN = 16
_HEADER = 12
RECORD_LIMIT = 70_000  # bytes; a note has at most 65,536
_CHUNK = 1024 * 1024
_RESTORE = "restore `checkpoints` from a backup or another copy; the entries are untouched"


class Heads:
    """The signed checkpoints of one journal.

    Args:
        files: file operations.
        directory: the journal's directory.
        write: whether files may be made and written.
    """

    def __init__(self, files: Files, directory: Path, *, write: bool) -> None:
        self._file = files.open(directory / "checkpoints", write=write)
        self._marks = _open_marks(files, directory / "marks", write=write)
        self._end = len(HEADS_MAGIC)
        _check_magic(self._file, HEADS_MAGIC, "checkpoints")

    def durable(self) -> Checkpoint:
        """Read the last checkpoint that its writer knows to be on the disk.

        Raises:
            DamagedError: no such checkpoint can be read.
        """
        _check_magic(self._marks, MARKS_MAGIC, "marks")
        # The writer may be writing this very cell: look again before calling it damaged.
        place = next((cell for _ in range(10) if (cell := self._cell(0)) >= 0), -1)
        if place < len(HEADS_MAGIC):
            raise DamagedError("the mark of the last durable checkpoint is damaged", hint=_REOPEN)
        record = read_record(self._file.pread(RECORD_LIMIT, place))
        if record is None:
            raise DamagedError("the last durable checkpoint is damaged", hint=_RESTORE)
        return parse_checkpoint(record)

    def recover(self) -> tuple[Checkpoint, int]:
        """Find the head, and cut a torn record behind it.

        The head is written once more and synced before anybody sees it: a crash may have come between its write and
        its sync, or a failed sync may have left its page clean.

        Returns:
            The head, and the bytes that were cut.

        Raises:
            DamagedError: a record is damaged, or there is none.
        """
        start = max(self._cell(0), len(HEADS_MAGIC))
        last: tuple[int, bytes] | None = None
        for place, note in self._walk(start):
            last = (place, note)
        if last is None:
            raise DamagedError("there is no checkpoint left", hint=_RESTORE)
        place, note = last
        end = place + len(format_record(note))
        cut = self._file.size() - end
        if cut:
            self._file.truncate(end)
        self._file.pwrite(format_record(note), place)
        self._file.sync()
        self._end = end
        self._mark(0, place)
        return parse_checkpoint(note), cut

    def append(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and make it durable; only after that may anybody see it."""
        record = format_record(checkpoint.note)
        self._file.pwrite(record, self._end)
        self._file.sync()
        self._mark(0, self._end)
        self._end += len(record)

    def walk(self) -> Iterator[Checkpoint]:
        """Read all checkpoints, the oldest first.

        Raises:
            DamagedError: one of them is damaged.
        """
        for _, note in self._walk(len(HEADS_MAGIC)):
            yield parse_checkpoint(note)

    @property
    def synced_size(self) -> int:
        """Size up to which hashes and offsets are on the disk; 0 when unknown."""
        return max(self._cell(1), 0)

    def mark_synced(self, size: int) -> None:
        """Remember that hashes and offsets are synced up to ``size``."""
        self._mark(1, size)

    def sync_marks(self) -> None:
        """Make the marks durable."""
        self._marks.sync()

    def close(self) -> None:
        """Close all files."""
        self._file.close()
        self._marks.close()

    def _walk(self, place: int) -> Iterator[tuple[int, bytes]]:
        size = self._file.size()
        buffer, begin = b"", place
        while place < size:
            if place - begin + RECORD_LIMIT > len(buffer) and begin + len(buffer) < size:
                buffer, begin = self._file.pread(_CHUNK, place), place
            rest = buffer[place - begin : place - begin + RECORD_LIMIT]
            note = read_record(rest)
            if note is None:
                if _torn(rest, at_end=place + len(rest) >= size):
                    return
                raise DamagedError(
                    f"the checkpoint at byte {place} of `checkpoints` is damaged", hint=_RESTORE
                )
            yield place, note
            place += _record_size(len(note))

    def _cell(self, number: int) -> int:
        data = self._marks.pread(16, 16 + 16 * number)
        if len(data) < 16 or crc32(data[:8]).to_bytes(4, "big") + bytes(4) != data[8:]:
            return -1
        return int.from_bytes(data[:8], "big")

    def _mark(self, number: int, value: int) -> None:
        data = value.to_bytes(8, "big")
        self._marks.pwrite(data + crc32(data).to_bytes(4, "big") + bytes(4), 16 + 16 * number)


_REOPEN = "open the journal once for writing: it writes this mark again"


def create_heads(files: Files, directory: Path, first: Checkpoint) -> None:
    """Begin the file of checkpoints with a journal's first one, durably."""
    file = files.open(directory / "checkpoints", write=True, create=True)
    try:
        file.truncate(0)
        file.pwrite(HEADS_MAGIC + format_record(first.note), 0)
        file.sync()
    finally:
        file.close()


def _open_marks(files: Files, path: Path, *, write: bool) -> File:
    file = files.open(path, write=write, create=write)
    if write and not _has_magic(file, MARKS_MAGIC):
        # Both marks can be derived: without them recovery reads everything, which is slow and right.
        known = file.pread(16, 0)
        if known[:-1] == MARKS_MAGIC[:-1]:
            file.close()
            raise UnknownFormatError(f"expected marks version 1, got {known[-1]}")
        file.truncate(0)
        file.pwrite(MARKS_MAGIC + bytes(32), 0)
    return file


def _has_magic(file: File, magic: bytes) -> bool:
    return file.pread(len(magic), 0) == magic


def _check_magic(file: File, magic: bytes, name: str) -> None:
    found = file.pread(len(magic), 0)
    if found != magic:
        file.close()
        if found[:-1] == magic[:-1]:
            raise UnknownFormatError(f"expected {name} version 1, got {found[-1]}")
        raise DamagedError(f"`{name}` does not begin as it must", hint=_RESTORE)


def _record_size(length: int) -> int:
    return -(-(_HEADER + length) // _ALIGN) * _ALIGN


def format_record(note: bytes) -> bytes:
    """Frame a note as one record."""
    head = struct.pack(">II", len(note), crc32(note))
    record = head + struct.pack(">I", crc32(head)) + note
    return record + b"\n" * (-len(record) % _ALIGN)


def read_record(data: bytes) -> bytes | None:
    """Read the note of the record that ``data`` begins with; None when it does not check."""
    if len(data) < _HEADER or crc32(data[:8]) != int.from_bytes(data[8:12], "big"):
        return None
    length, check = struct.unpack(">II", data[:8])
    end = _record_size(length)
    note = data[_HEADER : _HEADER + length]
    if end > len(data) or crc32(note) != check or data[_HEADER + length : end].strip(b"\n"):
        return None
    return note


def _torn(rest: bytes, *, at_end: bool) -> bool:
    if any(not any(rest[at : at + _ALIGN]) for at in range(0, len(rest), _ALIGN)):
        return True
    if not at_end:
        return False
    if len(rest) < _ALIGN:
        return True
    # A header that checks and a file that ends inside its record.
    return crc32(rest[:8]) == int.from_bytes(rest[8:12], "big") and len(rest) < _record_size(
        int.from_bytes(rest[:4], "big")
    )
