"""Sealed payloads on disk: segment files that follow the journal's own, and the place of every entry's payload.

``<first index, 20 digits>.pay`` holds a 16-byte magic and then a frame (see `_frames`) per payload of the entries in the
journal's segment of that name. A frame's content begins with the 32 bytes that its statement commits to: a payload
that was written for entries which a crash took away is never taken for a later entry's.

``places`` holds a 16-byte magic, a 32-byte mark and then, per entry, the little-endian u64 place of its payload in its
segment, 0 for none. It can be derived from the segments and the entries: it is written without a sync, and the mark,
written after one, says up to which entry it is on the disk and where the payloads go on. After a crash, only what
follows the mark is walked through; after a clean close that is nothing. Memory does not grow with the payloads.

When a segment is disposed of, what is to be kept of it is durable (see `_kept_payloads`) before it goes: a crash
between leaves both, and disposing again ends in the same state.
"""

from __future__ import annotations

import struct
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from tallystick.errors import DamagedError, DisclosureError, DisposedError, NotFoundError, StorageError
from tallystick.proof._files import File, Files, write_atomically
from tallystick.proof._frames import (
    ALIGN,
    HEADER,
    RESTORE,
    check_magic,
    format_frame,
    frame_length,
    frame_size,
)
from tallystick.proof._kept_payloads import KEPT, KeptPayloads, read_content

SYNC_INTERVAL = 16_384  # entries after which places are synced: what an unclean opening looks at, at most
MAGIC = b"tallystick/payl\x01"
_PLACES_MAGIC = b"tallystick/plac\x01"
_MARK = struct.Struct("<QQQ")  # entries, first index of a segment, where its payloads end
_HEAD = len(_PLACES_MAGIC) + 32  # bytes before the first place
_COMMITMENT = 32
_OPEN_LIMIT = 64  # segments that stay open
_GONE = "the payload was disposed of when its retention was over"
_AGAIN = "delete `payloads/places`: the next opening for writing derives it again"

References = Callable[[int, int], Iterable[tuple[int, bytes]]]
"""Gives index and commitment of the entries from the first index up to, not with, the second that have a payload."""


class PayloadSegments:
    """The sealed payloads of one journal; who writes holds the journal's lock, any thread may read.

    Args:
        files: file operations.
        directory: where the files stand.
        size: entries of the journal that are durable.
        references: reads which payloads they refer to; asked for the tail behind the mark only.
        write: whether files may be made and written.

    Raises:
        DamagedError: a file is not what was written.
        UnknownFormatError: a later version.
    """

    def __init__(
        self, files: Files, directory: Path, *, size: int, references: References, write: bool
    ) -> None:
        self._files, self._directory, self._write = files, directory, write
        self._reading = threading.Lock()  # disposing takes files away under it
        self._open: dict[int, File] = {}
        self._kept = KeptPayloads(files, directory)
        self._names: set[str] = set()
        self._firsts: list[int] = []
        self._end = 0  # where the last segment goes on
        self._covered = 0  # entries whose places are written
        self._settled = (0, 0, 0)  # what a mark may say: entries that are durable, last segment, its end
        self._synced = 0
        self._sound = write  # False when an operation failed, or runs
        if write:
            self._adopt()
            _create_places(files, directory / "places")
        self._places: File | None = None
        with suppress(NotFoundError):
            self._places = files.open(directory / "places", write=write)
            check_magic(self._places, _PLACES_MAGIC, "places")
        self._look()
        if write:
            self._recover(size, references)

    def _adopt(self) -> None:
        """Take over the one file of payloads that an earlier version wrote: it is the segment of the first entry."""
        old, new = self._directory / "payloads", self._path(0)
        if self._files.exists(old) and not self._files.exists(new):
            self._files.rename(old, new)
            self._files.sync_directory(self._directory)

    def _look(self) -> None:
        names = self._files.list(self._directory)
        self._names = {name for name in names if name[:20].isdigit() and name[20:] in (".pay", KEPT)}
        self._firsts = sorted({int(name[:20]) for name in self._names})

    # --- opening

    def _recover(self, size: int, references: References) -> None:
        assert self._places is not None
        for first in [first for first in self._firsts if first >= size and self._has(first)]:
            # All of it was written for entries that no checkpoint covers, so that were never acknowledged.
            self._files.unlink(self._path(first))
            self._names.discard(self._path(first).name)
            self._firsts.remove(first)
        covered, segment, end = self._read_mark()
        wrong, covered = covered > size, min(covered, size)
        for position, first in enumerate(self._firsts):
            stop = self._firsts[position + 1] if position + 1 < len(self._firsts) else size
            last = first == self._firsts[-1]
            if not self._has(first):
                wrong |= stop > covered and self._mark_kept(first)
                continue
            if stop <= covered and not last:
                continue
            # A mark beyond the file's end tells of what was never durable: it says nothing of where payloads go on.
            known = first == segment and len(MAGIC) <= end <= self._file(first).size()
            found = self._walk_tail(first, end if known else len(MAGIC), last=last)
            if found and stop > covered:
                wrong |= self._derive(max(first, covered), stop, found, references)
        if self._places.size() > _HEAD + 8 * size:
            # Places of entries that were never acknowledged must not come back as those of later ones.
            self._places.truncate(_HEAD + 8 * size)
            wrong = True
        self._covered = size
        self._settle(size)
        if wrong or size - covered >= SYNC_INTERVAL:
            if self._firsts and self._has(self._firsts[-1]):
                # A mark must not lie behind what only the system's memory holds.
                self._file(self._firsts[-1]).sync()
            self._sync_places()
            # A mark that told of more than there is must not come back.
            self._places.sync()
        else:
            self._synced = covered

    def _walk_tail(self, first: int, start: int, *, last: bool) -> dict[bytes, int]:
        """Find the payloads behind a place; cut what a crash tore off the end of the last segment."""
        file = self._file(first)
        size, end = file.size(), -(-file.size() // ALIGN) * ALIGN
        found = dict[bytes, int]()
        for place, length, commitment in _payload_frames(file, start):
            if place + frame_size(length) > size:
                # A checked length beyond the end: torn. Left there, it would swallow what is appended next.
                end = place
                if last:
                    file.truncate(end)
                break
            found[commitment] = place
        if last:
            self._end = max(end, len(MAGIC))
        return found

    def _derive(self, start: int, stop: int, found: dict[bytes, int], references: References) -> bool:
        """Write the places of entries wherever others are stored; whether there were any."""
        assert self._places is not None
        wrong = False
        for first in range(start, stop, SYNC_INTERVAL):
            places = [0] * (min(stop, first + SYNC_INTERVAL) - first)
            for index, commitment in references(first, first + len(places)):
                places[index - first] = found.get(commitment, 0)
            data, offset = struct.pack(f"<{len(places)}Q", *places), _HEAD + 8 * first
            if self._places.pread(len(data), offset) != data:
                self._places.pwrite(data, offset)
                wrong = True
        return wrong

    def _mark_kept(self, first: int) -> bool:
        """Give what was kept of a disposed segment a place again when `places` was lost; any will do but 0."""
        assert self._places is not None
        lost = [index for index in self._kept.indexes(first) if not self._place(index)]
        for index in lost:
            self._places.pwrite((1).to_bytes(8, "little"), _HEAD + 8 * index)
        return bool(lost)

    def _read_mark(self) -> tuple[int, int, int]:
        assert self._places is not None
        cell = self._places.pread(32, len(_PLACES_MAGIC))
        if len(cell) < 32 or crc32(cell[:24]).to_bytes(4, "big") != cell[24:28]:
            return 0, 0, 0
        covered, segment, end = _MARK.unpack(cell[:24])
        return covered, segment, end

    # --- writing

    def write(self, contents: Sequence[tuple[int, bytes]], *, first: int, stop: int, segment: int) -> None:
        """Write the payloads of a batch of entries; `sync` must follow before they are acknowledged.

        Args:
            contents: entry index and content of each, in order.
            first: index of the batch's first entry.
            stop: index behind its last.
            segment: first index of the segment that the entries go to.
        """
        assert self._places is not None
        self._sound = False
        file = self._file_for(segment, first)
        places, parts, place = [0] * (stop - first), list[bytes](), self._end
        for index, content in contents:
            frame = format_frame(content)
            parts.append(frame)
            places[index - first] = place
            place += len(frame)
        file.pwrite(b"".join(parts), self._end)
        # Places come before the checkpoint that lets readers look for them, but nobody waits for their sync.
        self._places.pwrite(struct.pack(f"<{len(places)}Q", *places), _HEAD + 8 * first)
        self._end, self._covered = place, stop

    def sync(self) -> None:
        """Make all that was written durable."""
        self._file(self._firsts[-1]).sync()
        self._sound = True

    def committed(self, size: int) -> None:
        """Hear that all entries below ``size`` are durable: a mark may tell of them now, not before.

        A mark ahead of the entries would let the next ones of these places be believed after a crash, not looked at.
        """
        self._settle(size)
        if size - self._synced >= SYNC_INTERVAL:
            self._sync_places()

    def _settle(self, size: int) -> None:
        self._settled = (size, self._firsts[-1] if self._firsts else 0, self._end)

    def _file_for(self, segment: int, first: int) -> File:
        if self._firsts and self._firsts[-1] >= segment and self._has(self._firsts[-1]):
            return self._file(self._firsts[-1])
        if any(self._places_of(segment, first)):
            # The file of an earlier version holds this segment's first payloads: what follows gets a file of its own.
            segment = first
        # Durable before anything is written to it, and once per segment: no crash leaves half a beginning.
        path = self._path(segment)
        write_atomically(self._files, path, MAGIC)
        self._end = len(MAGIC)
        self._names.add(path.name)
        if segment not in self._firsts[-1:]:
            self._firsts.append(segment)
        return self._file(segment)

    def _sync_places(self) -> None:
        """Sync the places of durable entries, then say so; a mark may be old, never too new."""
        assert self._places is not None
        self._sound = False
        self._places.sync()
        cell = _MARK.pack(*self._settled)
        self._places.pwrite(cell + crc32(cell).to_bytes(4, "big") + bytes(4), len(_PLACES_MAGIC))
        self._synced, self._sound = self._settled[0], True

    # --- reading

    def read(self, index: int, commitment: bytes) -> bytes:
        """Read the content that stands for an entry.

        Raises:
            DisclosureError: there is none.
            DisposedError: there was one.
            DamagedError: it is not what was written.
        """
        with self._reading:
            place = self._place(index)
            if not place:
                # A place that a crash took is derived again by whoever may write.
                hint = (
                    "" if self._write else "if it was kept, open the journal once for writing, then try again"
                )
                raise DisclosureError("the payload is not kept here", hint=hint)
            first = self._firsts[bisect_right(self._firsts, index) - 1] if self._firsts else -1
            content = self._content(first, index, place) if 0 <= first <= index else None
        if content is None:
            raise DamagedError("a payload is damaged on the disk", hint=RESTORE)
        if content[:_COMMITMENT] != commitment:
            raise DamagedError("the stored place of a payload is damaged", hint=_AGAIN)
        return content

    def _place(self, index: int) -> int:
        data = self._places.pread(8, _HEAD + 8 * index) if self._places is not None else b""
        return int.from_bytes(data, "little") if len(data) == 8 else 0

    def _content(self, first: int, index: int, place: int) -> bytes | None:
        if self._has(first):
            with suppress(NotFoundError):
                return read_content(self._file(first), place)
            # Another process has disposed of it since this one looked.
            self._look()
        content = self._kept.read(first, index)
        if content is None:
            raise DisposedError(_GONE)
        return content

    # --- disposing

    def dispose(self, first: int, stop: int, keep: Collection[int]) -> int:
        """Free the payloads of the entries ``first`` to ``stop - 1``, a whole segment, but those of ``keep``.

        May be repeated, after a crash or with fewer entries to keep.

        Returns:
            Bytes that were freed.

        Raises:
            DamagedError: a payload that is to be kept is damaged; nothing was freed.
        """
        freed, kept = 0, frozenset(keep)
        for owner, end in zip(self._firsts, [*self._firsts[1:], max(stop, self._covered)], strict=True):
            start, last = max(owner, first), min(end, stop)
            if start < last and any(self._places_of(start, last)):
                freed += self._dispose(owner, end, range(start, last), kept)
        return freed

    def _dispose(self, owner: int, end: int, gone: range, keep: frozenset[int]) -> int:
        """Put what stays of one file into its place; ``end`` is the entry behind its last."""
        segment, path = self._path(owner), self._kept.path(owner)
        before = self._size_of(segment) + self._size_of(path)
        with self._reading:
            self._kept.write(owner, list(self._staying(owner, end, gone, keep)))
            self._names.add(path.name)
            if segment.name in self._names:
                # The kept ones are durable: from here on a crash leaves the segment too, and this is done again.
                self._close(owner)
                self._files.unlink(segment)
                self._names.discard(segment.name)
        self._files.sync_directory(self._directory)
        return max(0, before - self._size_of(path))

    def _staying(
        self, owner: int, end: int, gone: range, keep: frozenset[int]
    ) -> Iterator[tuple[int, bytes]]:
        """What must stay of a file: what is to be kept, and what is of other entries.

        Only the file of an earlier version holds payloads of more than one of the journal's segments.
        """
        whole = self._has(owner)
        places = dict(enumerate(self._places_of(owner, end), owner)) if whole else {}
        for at in places if whole else self._kept.indexes(owner):
            if (whole and not places[at]) or (at in gone and at not in keep):
                continue
            content = read_content(self._file(owner), places[at]) if whole else self._kept.read(owner, at)
            if content is None:
                raise DamagedError(f"the payload of entry {at} is damaged on the disk", hint=RESTORE)
            yield at, content

    def _places_of(self, first: int, stop: int) -> tuple[int, ...]:
        data = self._places.pread(8 * (stop - first), _HEAD + 8 * first) if self._places is not None else b""
        return struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])

    def _size_of(self, path: Path) -> int:
        if path.name not in self._names:
            return 0
        file = self._files.open(path)
        try:
            return file.size()
        finally:
            file.close()

    # --- files

    def close(self) -> None:
        """Close all files; mark what is on the disk, so that the next opening need not look at it again."""
        try:
            if self._sound and self._settled[0] > self._synced:
                # Without the mark the next opening derives more, and that is all.
                with suppress(StorageError):
                    self._sync_places()
        finally:
            for file in self._open.values():
                file.close()
            self._open.clear()
            if self._places is not None:
                self._places.close()

    def _path(self, first: int) -> Path:
        return self._directory / f"{first:020}.pay"

    def _has(self, first: int) -> bool:
        return f"{first:020}.pay" in self._names

    def _file(self, first: int) -> File:
        file = self._open.get(first)
        if file is None:
            if len(self._open) >= _OPEN_LIMIT:
                # Readers come here under their lock, and who writes has the last one open.
                self._close(next(one for one in self._open if one != self._firsts[-1]))
            path = self._path(first)
            file = self._open[first] = self._files.open(path, write=self._write)
            check_magic(file, MAGIC, path.name)
        return file

    def _close(self, first: int) -> None:
        file = self._open.pop(first, None)
        if file is not None:
            file.close()


def _create_places(files: Files, path: Path) -> None:
    """Begin the file of places, also in the place of one that does not begin as it must: all of it is derived again."""
    if files.exists(path):
        file = files.open(path)
        try:
            check_magic(file, _PLACES_MAGIC, "places")
            return
        except DamagedError:
            pass
        finally:
            file.close()
    write_atomically(files, path, _PLACES_MAGIC + bytes(_HEAD - len(_PLACES_MAGIC)))


def _payload_frames(file: File, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Place, length and commitment of each frame; contents are checked when they are read.

    Several frames are written at once, so a crash may tear one amid whole ones. What is no frame is stepped over, and
    whoever asks for its payload hears that it is gone. The last one may reach beyond the end of the file.
    """
    place, size = start, file.size()
    while place < size:
        head = file.pread(HEADER + _COMMITMENT, place)
        length = frame_length(head)
        if length is None:
            place += ALIGN
            continue
        yield place, length, head[HEADER:]
        place += frame_size(length)
