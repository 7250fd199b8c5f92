"""A journal's entries on disk: segment files and the places of their entries.

``segments/<first index, 20 digits>.seg`` holds a 16-byte magic and then frames, each a big-endian u32 length and the
entry. ``offsets`` holds, per entry, the little-endian u64 place of its frame in its segment; it can be derived from the
segments, so it is synced rarely and written again by recovery from the last synced size on. A batch never spans two
segments, and a segment is closed for ever when the next one begins. Of a segment that was disposed of,
``segments/<first index>.kept`` stays (see `_remains`); while both stand there, the segment counts.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from tallystick.errors import DamagedError, DisposedError, NotFoundError, UnknownFormatError
from tallystick.proof._files import File, Files
from tallystick.proof._remains import Remains, read_remains

SEGMENT_MAGIC = b"tallystick/segm\x01"
SEGMENT_SIZE = 64 * 1024 * 1024  # bytes after which the next batch opens a new segment
ENTRY_SIZE_LIMIT = 65_535  # bytes, the limit of C2SP tlog-tiles
_CHUNK = 4 * 1024 * 1024  # bytes that a pass over the entries reads at once; above the largest frame
_HEADER = 4
_HELD = 128  # segments whose files, or remains, are held open


class Segments:
    """The entries of one journal; who appends holds the journal's lock.

    Args:
        files: file operations.
        directory: the journal's directory.
        write: whether files may be made and written.
        segment_size: bytes after which a segment is full.
    """

    def __init__(
        self, files: Files, directory: Path, *, write: bool, segment_size: int = SEGMENT_SIZE
    ) -> None:
        self._files = files
        self._directory = directory / "segments"
        self._write = write
        self._segment_size = segment_size
        self._open: dict[int, File] = {}
        self._offsets = files.open(directory / "offsets", write=write, create=write)
        self._firsts: list[int] = []
        self._gone: frozenset[int] = frozenset()
        self._remains: dict[int, Remains] = {}
        self._end = 0
        self.refresh()

    def refresh(self) -> None:
        """Look for segments that another process began, or disposed of."""
        whole, remains = self._listed()
        self._firsts, self._gone = sorted(whole | remains), frozenset(remains - whole)
        for first in self._gone:
            # Whoever still reads from it holds it open until he is done; then its space is free.
            self._open.pop(first, None)

    def _listed(self) -> tuple[set[int], set[int]]:
        names = [name for name in self._files.list(self._directory) if name[:20].isdigit()]
        whole, remains = ({int(name[:20]) for name in names if name[20:] == end} for end in (".seg", ".kept"))
        return whole, remains

    def append(self, entries: Sequence[bytes], *, index: int) -> None:
        """Write a batch and make it durable."""
        file = self._segment_for(index)
        sizes = [len(entry) for entry in entries]
        parts: list[bytes] = [b""] * (2 * len(entries))
        parts[0::2] = [size.to_bytes(_HEADER, "big") for size in sizes]
        parts[1::2] = entries
        data = b"".join(parts)
        places = list(accumulate(map(_HEADER.__add__, sizes), initial=self._end))
        file.pwrite(data, self._end)
        # Offsets come before the checkpoint that lets readers look for them, but nobody waits for their sync.
        self.write_offsets(index, places[:-1])
        file.sync()
        if self._end == len(SEGMENT_MAGIC):
            self._files.sync_directory(self._directory)
        self._end = places[-1]

    def upcoming(self, index: int) -> int:
        """First index of the segment that a batch goes to when it begins at ``index``."""
        return self._firsts[-1] if self._firsts and self._end < self._segment_size else index

    def _segment_for(self, index: int) -> File:
        if self._firsts and self._end < self._segment_size:
            return self._file(self._firsts[-1])
        path = self._path(index)
        file = self._files.open(path, write=True, create=True)
        file.truncate(0)
        file.pwrite(SEGMENT_MAGIC, 0)
        self._open[index] = file
        self._firsts.append(index)
        _let_go(self._open, index)
        self._end = len(SEGMENT_MAGIC)
        return file

    def write_offsets(self, index: int, places: Sequence[int]) -> None:
        """Write the places of entries from ``index`` on, without a sync."""
        self._offsets.pwrite(struct.pack(f"<{len(places)}Q", *places), 8 * index)

    def read_offsets(self, index: int, count: int) -> tuple[int, ...]:
        """Read stored places; fewer when the file ends before."""
        data = self._offsets.pread(8 * count, 8 * index)
        return struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])

    def sync_offsets(self) -> None:
        """Make the offsets durable."""
        self._offsets.sync()

    def read(self, index: int) -> bytes:
        """Read one entry by its place; nothing is hashed here.

        Raises:
            DamagedError: no whole entry stands at that place.
            DisposedError: it was disposed of.
        """
        first = self._first_of(index)
        if first in self._gone:
            return self._kept_entry(first, index)
        data = self._offsets.pread(16, 8 * index)
        if len(data) < 8:
            raise _damaged(index)
        place = int.from_bytes(data[:8], "little")
        following = int.from_bytes(data[8:], "little")
        length = following - place if place < following <= place + _HEADER + ENTRY_SIZE_LIMIT else 512
        if place < len(SEGMENT_MAGIC) or place >= 2**63:
            raise _damaged(index)
        try:
            file = self._file(first)
        except DisposedError:
            return self._kept_entry(first, index)
        frame = file.pread(length, place)
        size = _HEADER + int.from_bytes(frame[:_HEADER], "big")
        if size > _HEADER + ENTRY_SIZE_LIMIT or len(frame) < _HEADER:
            raise _damaged(index)
        if len(frame) < size:
            frame += file.pread(size - len(frame), place + len(frame))
        if len(frame) < size:
            raise _damaged(index)
        return frame[_HEADER:size]

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, list[bytes], list[int]]]:
        """Walk over the entries ``start`` to ``stop`` by their frames.

        Yields:
            Index of the first entry, entries, and their places; about 4 MiB at a time.

        Raises:
            DamagedError: the frames end, or stop making sense, before ``stop``.
            DisposedError: a segment was disposed of; see `span`.
        """
        while start < stop:
            position = bisect_right(self._firsts, start) - 1
            if position < 0:
                raise _damaged(start)
            first = self._firsts[position]
            last = position + 1 == len(self._firsts)
            end = stop if last else min(stop, self._firsts[position + 1])
            yield from self._segment_passes(first, start, end)
            start = end

    def _segment_passes(
        self, first: int, start: int, stop: int
    ) -> Iterator[tuple[int, list[bytes], list[int]]]:
        file = self._file(first)
        place = len(SEGMENT_MAGIC)
        if start > first:
            # Right behind the entry before; if its stored place is wrong, hashes will not fit and recovery starts over.
            (before,) = self.read_offsets(start - 1, 1) or (place,)
            place = before + _HEADER + int.from_bytes(file.pread(_HEADER, min(before, 2**62)), "big")
        while start < stop:
            buffer = file.pread(_CHUNK, min(place, 2**62))
            entries, places = _frames(buffer, place, stop - start)
            if not entries:
                raise _damaged(start)
            yield start, entries, places
            start += len(entries)
            place = places[-1] + _HEADER + len(entries[-1])

    def span(self, start: int, stop: int) -> tuple[int, bool]:
        """Tell how far, at most to ``stop``, the entries from ``start`` on are all there, or all disposed of."""
        position = bisect_right(self._firsts, start) - 1
        if position < 0:
            raise _damaged(start)
        gone = self._firsts[position] in self._gone
        while position + 1 < len(self._firsts) and self._firsts[position + 1] < stop:
            position += 1
            if gone or self._firsts[position] in self._gone:
                # One by one: what stays of a segment is read as a whole.
                return self._firsts[position], gone
        return stop, gone

    def _first_of(self, index: int) -> int:
        first = self._firsts[bisect_right(self._firsts, index) - 1] if self._firsts else -1
        if not 0 <= first <= index:
            raise _damaged(index)
        return first

    def _kept_entry(self, first: int, index: int) -> bytes:
        entry = self.remains(first).entry(index)
        if entry is None:
            raise _disposed(index)
        return entry

    def is_gone(self, index: int) -> bool:
        """Tell whether an entry's segment was disposed of."""
        return self._first_of(index) in self._gone

    def is_leaving(self, index: int) -> bool:
        """Tell whether an entry's segment was disposed of, or is being disposed of."""
        first = self._first_of(index)
        return first in self._gone or self._files.exists(self.remains_path(first))

    def remains(self, first: int) -> Remains:
        """What stays of the segment with this first entry.

        Raises:
            DamagedError: it cannot be read.
        """
        known = self._remains.get(first)
        if known is None:
            try:
                known = read_remains(self._files, self.remains_path(first))
            except NotFoundError as error:
                raise _damaged(first) from error
            known = self._remains.setdefault(first, known)
            _let_go(self._remains, first)
        return known

    def remains_of(self, index: int) -> Remains:
        """What stays of the segment that an entry was in."""
        return self.remains(self._first_of(index))

    def gone(self) -> int:
        """How many entries were disposed of."""
        every = [self.remains(first) for first in self._gone]
        return sum(one.stop - one.first - one.count for one in every)

    def closed(self) -> list[tuple[int, int]]:
        """First entry, and the entry behind the last, of every closed segment that is there."""
        pairs = zip(self._firsts, self._firsts[1:], strict=False)
        return [(first, stop) for first, stop in pairs if first not in self._gone]

    def half_disposed(self) -> list[tuple[int, int]]:
        """The closed segments beside which stands what should stay of them."""
        whole, remains = self._listed()
        both = whole & remains
        return [span for span in self.closed() if span[0] in both]

    def bytes_of(self, first: int) -> int:
        """Size of a segment's file."""
        return self._file(first).size()

    def drop(self, first: int) -> int:
        """Delete a segment's file whose remains are durable; returns the bytes that became free."""
        freed = self.bytes_of(first)
        self._remains.pop(first, None)
        freed -= self.remains(first).size
        self._gone |= {first}
        self._files.unlink(self._path(first))
        # Not closed here: another thread may be reading from it, and the last holder closes it.
        self._open.pop(first, None)
        self._files.sync_directory(self._directory)
        return freed

    def drop_remains(self, first: int) -> None:
        """Delete remains beside a segment that stays."""
        self._remains.pop(first, None)
        self._files.unlink(self.remains_path(first))
        self._files.sync_directory(self._directory)

    def remains_path(self, first: int) -> Path:
        """Where what stays of a segment stands."""
        return self._directory / f"{first:020}.kept"

    def end_of(self, size: int) -> tuple[int, int]:
        """Tell where the first ``size`` entries end: first index of the segment, and place behind its last frame."""
        if size == 0:
            return -1, 0
        first = self._firsts[bisect_right(self._firsts, size - 1) - 1]
        (place,) = self.read_offsets(size - 1, 1)
        return first, place + _HEADER + int.from_bytes(self._file(first).pread(_HEADER, place), "big")

    def cut(self, size: int) -> int:
        """Drop everything behind the first ``size`` entries and continue there; return the bytes that were dropped.

        What is dropped was never acknowledged: no checkpoint covers it.
        """
        first, end = self.end_of(size)
        dropped, unlinked = 0, [index for index in self._firsts if index > first]
        for later in unlinked:
            # A crash may have come before its first bytes: it need not even begin as a segment.
            file = self._open.pop(later, None) or self._files.open(self._path(later))
            dropped += file.size()
            file.close()
            self._files.unlink(self._path(later))
            self._firsts.remove(later)
        if size:
            file = self._file(first)
            excess = file.size() - end
            if excess < 0:
                raise _damaged(size - 1)
            if excess:
                file.truncate(end)
                file.sync()
            dropped += excess
        if unlinked:
            self._files.sync_directory(self._directory)
        self._end = end
        return dropped

    def check_lengths(self, size: int) -> None:
        """Check that no segment holds bytes beyond its entries.

        Raises:
            DamagedError: one does.
        """
        for position, first in enumerate(self._firsts):
            following = self._firsts[position + 1] if position + 1 < len(self._firsts) else size
            if first in self._gone:
                continue
            if following < size and self._file(first).size() != self.end_of(following)[1]:
                raise DamagedError(f"segment {first} must end behind entry {following - 1}")

    def close(self) -> None:
        """Close all files."""
        for file in self._open.values():
            file.close()
        self._open.clear()
        self._remains.clear()
        self._offsets.close()

    def _path(self, first: int) -> Path:
        return self._directory / f"{first:020}.seg"

    def _file(self, first: int) -> File:
        file = self._open.get(first)
        if file is None:
            try:
                file = self._files.open(self._path(first), write=self._write)
            except NotFoundError as error:
                self.refresh()  # another process may have disposed of it since this one looked
                raise (_disposed(first) if first in self._gone else _damaged(first)) from error
            magic = file.pread(len(SEGMENT_MAGIC), 0)
            if magic != SEGMENT_MAGIC:
                file.close()
                if magic[:-1] == SEGMENT_MAGIC[:-1]:
                    raise UnknownFormatError(f"expected segment version 1, got {magic[-1]}")
                raise DamagedError(f"segment {first} does not begin as a segment", hint=_RESTORE)
            # Two threads may open it at once: the first one's stays.
            kept = self._open.setdefault(first, file)
            if kept is not file:
                file.close()
                file = kept
            if first in self._gone:
                self._open.pop(first, None)
            elif self._firsts:
                _let_go(self._open, first, self._firsts[-1])
        return file


def _let_go(held: dict[int, Any], *wanted: int) -> None:
    """Hold no more than so many segments; whoever uses one that is let go here holds it himself until he is done."""
    if len(held) > _HELD:
        oldest = next((first for first in list(held) if first not in wanted), None)
        held.pop(-1 if oldest is None else oldest, None)


_RESTORE = "restore this file from a backup or another copy; what is there verifies or is refused"


def _damaged(index: int) -> DamagedError:
    return DamagedError(f"entry {index} is damaged on the disk", hint=_RESTORE)


def _disposed(index: int) -> DisposedError:
    return DisposedError(
        f"entry {index} was disposed of when its retention was over",
        hint="receipts of it still verify, and its place can still be proved; ask whoever was given a copy",
    )


def _frames(buffer: bytes, place: int, most: int) -> tuple[list[bytes], list[int]]:
    """Cut whole frames out of a buffer that begins at ``place``; stop at the first that makes no sense."""
    entries: list[bytes] = []
    places: list[int] = []
    position, end = 0, len(buffer)
    while position + _HEADER <= end and len(entries) < most:
        begin = position + _HEADER
        after = begin + int.from_bytes(buffer[position:begin], "big")
        if after > end or after - begin > ENTRY_SIZE_LIMIT:
            break
        entries.append(buffer[begin:after])
        places.append(place + position)
        position = after
    return entries, places
