"""The checkpoints that a journal has signed, and two marks about what is on the disk.

``checkpoints`` is append-only: a 16-byte magic and a frame (see `_frames`) per signed note. Its last whole frame is the
head; a torn one behind it was never acknowledged and is cut.

``marks`` holds two cells after its magic: the place of the last record that is *durable*, which is as far as readers in
other processes look, and the size up to which hashes and offsets are synced. A cell is written after the sync that it
tells of and not synced itself: after a crash it may be old, never too new.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from tallystick.errors import DamagedError, UnknownFormatError
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint
from tallystick.proof._files import File, Files
from tallystick.proof._frames import check_magic, format_frame, read_frame, walk_frames

HEADS_MAGIC = b"tallystick/ckpt\x01"
MARKS_MAGIC = b"tallystick/mark\x01"
FRAME_LIMIT = 70_000  # bytes; a note has at most 65,536
_RESTORE = "restore `checkpoints` from a backup or another copy; the entries are untouched"
_REOPEN = "open the journal once for writing: it writes this mark again"


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
        check_magic(self._file, HEADS_MAGIC, "checkpoints")

    def durable(self) -> Checkpoint:
        """Read the last checkpoint that its writer knows to be on the disk.

        Raises:
            DamagedError: no such checkpoint can be read.
        """
        check_magic(self._marks, MARKS_MAGIC, "marks")
        # The writer may be writing this very cell: look again before calling it damaged.
        place = next((cell for _ in range(10) if (cell := self._cell(0)) >= 0), -1)
        if place < len(HEADS_MAGIC):
            raise DamagedError("the mark of the last durable checkpoint is damaged", hint=_REOPEN)
        record = read_frame(self._file.pread(FRAME_LIMIT, place))
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
        end = place + len(format_frame(note))
        cut = self._file.size() - end
        if cut:
            self._file.truncate(end)
        self._file.pwrite(format_frame(note), place)
        self._file.sync()
        self._end = end
        self._mark(0, place)
        return parse_checkpoint(note), cut

    def append(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and make it durable; only after that may anybody see it."""
        record = format_frame(checkpoint.note)
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

    def close(self) -> None:
        """Close all files."""
        self._file.close()
        self._marks.close()

    def _walk(self, place: int) -> Iterator[tuple[int, bytes]]:
        return walk_frames(self._file, place, name="checkpoints", limit=FRAME_LIMIT)

    def _cell(self, number: int) -> int:
        data = self._marks.pread(16, 16 + 16 * number)
        if len(data) < 16 or crc32(data[:8]).to_bytes(4, "big") + bytes(4) != data[8:]:
            return -1
        return int.from_bytes(data[:8], "big")

    def _mark(self, number: int, value: int) -> None:
        data = value.to_bytes(8, "big")
        self._marks.pwrite(data + crc32(data).to_bytes(4, "big") + bytes(4), 16 + 16 * number)


def create_heads(files: Files, directory: Path, first: Checkpoint) -> None:
    """Begin the file of checkpoints with a journal's first one, durably."""
    file = files.open(directory / "checkpoints", write=True, create=True)
    try:
        file.truncate(0)
        file.pwrite(HEADS_MAGIC + format_frame(first.note), 0)
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
