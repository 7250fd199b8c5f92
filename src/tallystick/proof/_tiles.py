"""Export of a journal's tree by C2SP tlog-tiles, so that outsiders can monitor and prove with common tools.

- ``checkpoint`` is the signed head; ``tile/<L>/<N>`` holds 256 hashes of level ``8 * L``, a last, incomplete one is
  ``tile/<L>/<N>.p/<W>`` with W hashes; N is spelled in groups of three digits, all but the last begin with ``x``.
- Entry bundles, ``tile/entries/<N>``, are written only when asked for: entries are not public here. An entry stands as
  a big-endian u16 length and its bytes.
- A tile is written once and never changes, so an export continues where the last one ended. The checkpoint comes last:
  whoever reads it finds all its tiles. Partial tiles of earlier heads stay, as readers of those heads may want them.
"""

from __future__ import annotations

import re
from pathlib import Path

from tallystick.errors import (
    DamagedError,
    DisposedError,
    EncodingError,
    NoteError,
    NotFoundError,
    RollbackError,
)
from tallystick.proof._checkpoints import parse_checkpoint
from tallystick.proof._files import Files, OsFiles, make_directories, read_whole, write_atomically
from tallystick.proof._hashes import REBUILD, missing_hash
from tallystick.proof._journal import Journal
from tallystick.proof._merkle import HASH_SIZE, root_of

__all__ = ["export_tiles", "parse_tile_path", "read_tile", "tile_path"]

TILE_HEIGHT = 8
TILE_WIDTH = 256  # hashes, or entries of a bundle
PUBLIC = 0o644
_NOTE_LIMIT = 64 * 1024  # bytes
_LEVELS = 8  # of tiles: 2^64 leaves
_spelled = re.compile(
    r"tile/(?P<level>entries|[0-9])/(?P<groups>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
).fullmatch


def tile_path(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """Spell the path of a tile.

    Args:
        level: 0 for the leaves' hashes, or ``entries``.
        index: number of the tile in its level.
        width: hashes in it; fewer than 256 make a partial tile.

    Example:
        >>> tile_path(0, 1234067, 5)
        'tile/0/x001/x234/067.p/5'
    """
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    path = f"tile/{level}/{'/'.join(groups)}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def parse_tile_path(path: str) -> tuple[int | str, int, int]:
    """Read a tile's path, exactly as `tile_path` spells it.

    Returns:
        Level (or ``entries``), number, width.

    Raises:
        EncodingError: any other spelling.
    """
    found = _spelled(path)
    if found is None:
        raise EncodingError("a tile's path must be tile/<level>/<number>, or that and .p/<width>")
    level: int | str = found["level"] if found["level"] == "entries" else int(found["level"])
    index = int(found["groups"].replace("/", "").replace("x", ""))
    width = int(found["width"] or TILE_WIDTH)
    if (level != "entries" and int(level) >= _LEVELS) or tile_path(level, index, width) != path:
        raise EncodingError(
            "a tile's path must have one spelling: no leading groups of zeroes, width below 256"
        )
    return level, index, width


def read_tile(journal: Journal, level: int | str, index: int, width: int = TILE_WIDTH) -> bytes:
    """Return one tile of a journal: hashes, or entries of a bundle.

    Args:
        journal: whose.
        level: 0 for the leaves' hashes, or ``entries``.
        index: number of the tile in its level.
        width: hashes or entries in it, 1 to 256; any that the journal has ever filled.

    Raises:
        NotFoundError: the journal is shorter.
        DisposedError: entries that were disposed of are asked for.
        DamagedError: what is stored is not what was signed.
    """
    of_entries = isinstance(level, str)
    filled = journal.size if isinstance(level, str) else journal.size >> (TILE_HEIGHT * level)
    start = index * TILE_WIDTH
    if not 1 <= width <= TILE_WIDTH or start + width > filled:
        raise NotFoundError("the journal has no such tile yet")
    if not of_entries:
        return b"".join(_hashes(journal, int(level), index, width))
    if journal.is_disposed(start):
        raise DisposedError("these entries were disposed of", hint="hash tiles are whole: proofs go on")
    entries = journal.entries(start, start + width)
    return b"".join(len(entry.bytes).to_bytes(2, "big") + entry.bytes for entry in entries)


def export_tiles(
    journal: Journal, directory: Path | str, *, entries: bool = False, files: Files | None = None
) -> int:
    """Write a journal's tiles and checkpoint into a directory, or bring an earlier export up to date.

    Args:
        journal: what is exported, up to its present head.
        directory: where; made when missing.
        entries: also write entry bundles, which show all statements.
        files: file operations.

    Returns:
        Number of files written.

    Raises:
        RollbackError: the directory shows a head that this journal never had.
        DamagedError: what is stored does not lead to the signed root.
        DisposedError: entry bundles are asked for, and entries that were never exported are gone.
    """
    files, root = files or OsFiles(), Path(directory)
    head = journal.checkpoint()
    _check_earlier(journal, files, root)
    make_directories(files, root)
    written = _write_tiles(journal, head.size, files, root)
    if entries:
        written += _write_bundles(journal, head.size, files, root)
    write_atomically(files, root / "checkpoint", head.note, mode=PUBLIC)
    return written + 1


def _check_earlier(journal: Journal, files: Files, root: Path) -> None:
    try:
        earlier = parse_checkpoint(read_whole(files, root / "checkpoint", limit=_NOTE_LIMIT))
    except NotFoundError:
        return
    except NoteError as error:
        raise RollbackError(
            "the checkpoint in the export is damaged", hint="export to another directory"
        ) from error
    if earlier.origin != journal.origin:
        raise RollbackError(
            "the export must be of this journal, got another origin", hint="choose another directory"
        )
    if earlier.size > journal.size or journal.root(earlier.size) != earlier.root:
        raise RollbackError(
            f"the export shows a head of size {earlier.size} that this journal never had",
            hint="this looks like a restored backup: keep the export, it is evidence",
        )


def _write_tiles(journal: Journal, size: int, files: Files, root: Path) -> int:
    """Write the missing hash tiles; every one is checked against the level above, the last ones against the root."""
    written, level, last = 0, 0, b""
    while size >> (TILE_HEIGHT * level):
        count = size >> (TILE_HEIGHT * level)
        whole, width = divmod(count, TILE_WIDTH)
        for index in range(whole):
            path = tile_path(level, index)
            if not files.exists(root / path):
                hashes = _hashes(journal, level, index, TILE_WIDTH)
                (above,) = _hashes(journal, level + 1, index, 1, of=1)
                if root_of(hashes) != above:
                    raise DamagedError(f"the stored hashes of tile {path} are damaged", hint=REBUILD)
                written += _write(files, root, path, b"".join(hashes))
        if width:
            hashes = _hashes(journal, level, whole, width)
            # What is incomplete below this level is the last subtree here: an odd one moves up unchanged.
            last = root_of([*hashes, last] if last else hashes)
            written += _write(files, root, tile_path(level, whole, width), b"".join(hashes))
        level += 1
    if size and last != journal.root(size):
        raise DamagedError("the stored hashes of the last tiles are damaged", hint=REBUILD)
    return written


def _hashes(journal: Journal, level: int, index: int, width: int, *, of: int = TILE_WIDTH) -> list[bytes]:
    packed = journal._store.hashes.read(TILE_HEIGHT * level, of * index, width)
    if len(packed) != HASH_SIZE * width:
        raise missing_hash(TILE_HEIGHT * level, of * index)
    return [packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)]


def _write_bundles(journal: Journal, size: int, files: Files, root: Path) -> int:
    written, index = 0, 0
    while index < size // TILE_WIDTH and files.exists(root / tile_path("entries", index)):
        index += 1
    start, parts = index * TILE_WIDTH, list[bytes]()
    if start < size and journal._store.segments.is_gone(start):
        raise DisposedError(
            f"the entries from {start} on were disposed of, so their bundles cannot be written",
            hint="export without entries: the hash tiles are whole",
        )
    for entry in journal.entries(start, size):
        parts.append(len(entry.bytes).to_bytes(2, "big") + entry.bytes)
        if len(parts) == TILE_WIDTH or entry.index == size - 1:
            path = tile_path("entries", entry.index // TILE_WIDTH, len(parts))
            written += _write(files, root, path, b"".join(parts))
            parts = []
    return written


def _write(files: Files, root: Path, path: str, data: bytes) -> int:
    target = root / path
    if files.exists(target):
        return 0
    make_directories(files, target.parent)
    write_atomically(files, target, data, mode=PUBLIC)
    return 1
