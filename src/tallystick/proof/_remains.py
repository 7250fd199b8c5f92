"""What stays of a segment whose entries were disposed of: its leaf hashes, and the entries that must be kept.

``segments/<first index, 20 digits>.kept`` holds a 16-byte magic and frames (see `_frames`): first a JSON object that says
which entries the segment held, which kinds were kept and how many entries they are, then a frame per kept entry (its
big-endian u64 index and its bytes), then the leaf hashes of all of them. So the tree can be derived from the segments
for ever, with or without their entries. It is written as a whole, and durable before the segment goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tallystick.errors import DamagedError, EncodingError
from tallystick.proof._encoding import check_format, format_json, parse_json
from tallystick.proof._files import Files, write_atomically
from tallystick.proof._frames import (
    RESTORE,
    check_magic,
    format_frame,
    frame_size,
    read_frame,
    walk_frames,
)
from tallystick.proof._merkle import HASH_SIZE

__all__ = ["Remains", "read_remains", "write_remains"]

REMAINS_MAGIC = b"tallystick/kept\x01"
_FORMAT = "tallystick/kept"
_FRAME_LIMIT = 70_000  # bytes; an entry has at most 65,535
_LEAVES = 2048  # leaf hashes of a frame
_ENTRY, _HASHES = b"e", b"h"


@dataclass(slots=True)
class Remains:
    """The remains of one segment; made by `read_remains`. No file stays open, and only kept entries stay in memory.

    Args:
        first: its first entry.
        stop: the entry behind its last.
        keep: the kinds that were kept, ``noun.`` for all verbs.
        count: how many entries were kept.
        size: bytes of the file.
        files: file operations.
        path: of the file.
    """

    first: int
    stop: int
    keep: tuple[str, ...]
    count: int
    size: int
    files: Files
    path: Path
    _entries: dict[int, bytes] | None = None

    def entry(self, index: int) -> bytes | None:
        """A kept entry; None when it is gone."""
        return self._kept().get(index)

    def kept(self, start: int, stop: int) -> list[tuple[int, bytes]]:
        """The kept entries from ``start`` to ``stop``, with their places."""
        return [(index, entry) for index, entry in self._kept().items() if start <= index < stop]

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """The leaf hashes of the entries ``start`` to ``stop``."""
        packed = b"".join(content[1:] for content in self._contents() if content[:1] == _HASHES)
        if len(packed) != HASH_SIZE * (self.stop - self.first):
            raise _damaged(self.first)
        ends = range(HASH_SIZE * (start - self.first), HASH_SIZE * (stop - self.first), HASH_SIZE)
        return [packed[at : at + HASH_SIZE] for at in ends]

    def _kept(self) -> dict[int, bytes]:
        known = self._entries
        if known is None:
            # Entries stand before hashes: the rest need not be read.
            contents = takewhile(lambda content: content[:1] != _HASHES, self._contents())
            known = {
                int.from_bytes(content[1:9], "big"): content[9:]
                for content in contents
                if content[:1] == _ENTRY
            }
            if len(known) != self.count:
                raise _damaged(self.first)
            self._entries = known
        return known

    def _contents(self) -> Iterator[bytes]:
        file, end = self.files.open(self.path), len(REMAINS_MAGIC)
        try:
            for place, content in walk_frames(file, end, name=self.path.name, limit=_FRAME_LIMIT):
                end = place + frame_size(len(content))
                yield content
            if end != file.size():
                raise _damaged(self.first)
        finally:
            file.close()


def write_remains(
    files: Files,
    path: Path,
    *,
    first: int,
    keep: Collection[str],
    kept: Sequence[tuple[int, bytes]],
    leaves: Sequence[bytes],
) -> None:
    """Write what stays of a segment, durably; what a crash left there before is replaced."""
    said = {
        "count": len(kept), "first": first, "keep": sorted(keep), "stop": first + len(leaves),
        "type": _FORMAT, "v": 1,
    }  # fmt: skip
    parts = [REMAINS_MAGIC, format_frame(format_json(said))]
    parts += [format_frame(_ENTRY + index.to_bytes(8, "big") + entry) for index, entry in kept]
    for at in range(0, len(leaves), _LEAVES):
        parts.append(format_frame(_HASHES + b"".join(leaves[at : at + _LEAVES])))
    write_atomically(files, path, b"".join(parts))


def read_remains(files: Files, path: Path) -> Remains:
    """Open what stays of a segment; entries and hashes are read when they are first asked for.

    Raises:
        DamagedError: it is not what was written.
        NotFoundError: there is none.
        UnknownFormatError: a later version wrote it.
    """
    file = files.open(path)
    first = int(path.name[:20])
    try:
        check_magic(file, REMAINS_MAGIC, path.name)
        head = read_frame(file.pread(_FRAME_LIMIT, len(REMAINS_MAGIC)))
        if head is None:
            raise _damaged(first)
        said = check_format(parse_json(head), _FORMAT)
        if said["first"] != first or not 0 <= said["count"] <= said["stop"] - first:
            raise _damaged(first)
        keep = tuple(said["keep"])
        return Remains(first, said["stop"], keep, said["count"], file.size(), files, path)
    except (EncodingError, KeyError, TypeError) as error:
        raise _damaged(first) from error
    finally:
        file.close()


def _damaged(first: int) -> DamagedError:
    return DamagedError(f"what was kept of segment {first} is damaged on the disk", hint=RESTORE)
