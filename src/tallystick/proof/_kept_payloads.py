"""What was kept of payload segments that were disposed of: a small file for each.

``<first index, 20 digits>.kept`` holds a 16-byte magic and a frame (see `_frames`) per payload: the entry's big-endian
u64 index and the content as it stood in the segment. It is written as a whole, durable before the segment goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tallystick.errors import DamagedError, NotFoundError
from tallystick.proof._files import File, Files, write_atomically
from tallystick.proof._frames import RESTORE, check_magic, format_frame, frame_length, frame_size, read_frame

KEPT = ".kept"
_MAGIC = b"tallystick/kept\x01"
_FRAME_LIMIT = 65 * 1024 * 1024  # bytes; a payload has at most 64 MiB
_FIRST_READ = 4096  # bytes: most payloads come with one read


class KeptPayloads:
    """The kept payloads of one journal; one thread at a time.

    Args:
        files: file operations.
        directory: where the files stand.
    """

    def __init__(self, files: Files, directory: Path) -> None:
        self._files, self._directory = files, directory
        self._places: dict[int, dict[int, int]] = {}  # first index of a segment -> entry -> place in its file

    def path(self, first: int) -> Path:
        """Where a segment's kept payloads stand."""
        return self._directory / f"{first:020}{KEPT}"

    def indexes(self, first: int) -> Iterable[int]:
        """The entries of a disposed segment whose payloads were kept, in order.

        Raises:
            DamagedError: the file is missing or damaged.
        """
        return sorted(self._places_of(first))

    def read(self, first: int, index: int) -> bytes | None:
        """Read the content that was kept for an entry; None when there is none.

        Raises:
            DamagedError: it is not what was written.
        """
        for _ in range(2):
            place = self._places_of(first).get(index)
            if place is None:
                return None
            with self._file(first) as file:
                content = read_content(file, place)
            if content is not None and content[:8] == index.to_bytes(8, "big"):
                return content[8:]
            # Another process may have written it anew since this one looked, with less in it.
            self._places.pop(first, None)
        raise _damaged()

    def write(self, first: int, contents: Iterable[tuple[int, bytes]]) -> None:
        """Put what is kept of a segment into its place, durably and as a whole."""
        frames = [format_frame(index.to_bytes(8, "big") + content) for index, content in contents]
        write_atomically(self._files, self.path(first), b"".join([_MAGIC, *frames]))
        self._places.pop(first, None)

    def _places_of(self, first: int) -> dict[int, int]:
        places = self._places.get(first)
        if places is None:
            with self._file(first) as file:
                places = {int.from_bytes(content[:8], "big"): place for place, content in _frames(file)}
            self._places[first] = places
        return places

    @contextmanager
    def _file(self, first: int) -> Iterator[File]:
        path = self.path(first)
        try:
            file = self._files.open(path)
        except NotFoundError as error:
            raise DamagedError(f"the payload segment {first} is missing", hint=RESTORE) from error
        try:
            check_magic(file, _MAGIC, path.name)
            yield file
        finally:
            file.close()


def read_content(file: File, place: int) -> bytes | None:
    """Read the content of the frame at a place; None when it does not check."""
    data = file.pread(_FIRST_READ, min(place, 2**62))
    length = frame_length(data)
    if length is None or length > _FRAME_LIMIT:
        return None
    if frame_size(length) > len(data):
        data += file.pread(frame_size(length) - len(data), place + len(data))
    return read_frame(data)


def _frames(file: File) -> Iterator[tuple[int, bytes]]:
    place, size = len(_MAGIC), file.size()
    while place < size:
        content = read_content(file, place)
        if content is None:
            raise _damaged()
        yield place, content
        place += frame_size(len(content))


def _damaged() -> DamagedError:
    return DamagedError("what was kept of a payload segment is damaged on the disk", hint=RESTORE)
