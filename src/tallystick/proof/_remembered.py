"""Heads that somebody remembers, so that a restored backup cannot sign a second history.

A backup restores everything in the journal's directory, its own last checkpoint too: by itself it looks like a healthy
younger journal. Only what is kept elsewhere can tell: witnesses' and anchored heads, handed in by the caller, and a
*head file* on another disk or in another backup set, which the journal writes at every commit.

The head file is a 16-byte magic and one frame (see `_frames`), replaced in place and not synced: after a power
loss it may be older than the journal, never newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tallystick.errors import (
    ConfigurationError,
    DamagedError,
    RollbackError,
    UnknownFormatError,
)
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint
from tallystick.proof._files import Files
from tallystick.proof._frames import format_frame, read_frame
from tallystick.proof._heads import FRAME_LIMIT
from tallystick.proof._store import Store

HEAD_FILE_MAGIC = b"tallystick/head\x01"
_HINT = (
    "this looks like a restored backup: fetch the newer journal, or have the other parties open a new epoch;"
    " reading still works"
)


def check_remembered(store: Store, heads: Iterable[Checkpoint]) -> None:
    """Refuse a journal that stands below, or beside, a head that somebody remembers.

    Raises:
        ConfigurationError: a head of another journal.
        RollbackError: the journal is shorter, or has another root at that size.
    """
    for head in heads:
        if head.origin != store.origin:
            raise ConfigurationError("a remembered head must be of this journal, got another origin")
        if head.size > store.head.size:
            raise RollbackError(
                f"size {head.size} was signed before, the journal has only {store.head.size} entries",
                hint=_HINT,
            )
        if store.root(head.size) != head.root:
            raise RollbackError(f"another root was signed at size {head.size}", hint=_HINT)


def check_absent(heads: Iterable[Checkpoint]) -> None:
    """Refuse to begin a journal anew when somebody remembers it with entries.

    Raises:
        RollbackError: there was one.
    """
    for head in heads:
        if head.size:
            raise RollbackError(
                f"size {head.size} was signed before, and there is no journal here", hint=_HINT
            )


class HeadFile:
    """The last signed head, kept away from the journal.

    Args:
        files: file operations.
        path: outside the journal's directory, best on another disk.
    """

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        fresh = not files.exists(path)
        self._file = files.open(path, write=True, create=True)
        if fresh:
            files.sync_directory(path.parent)

    def read(self) -> Checkpoint | None:
        """Read the remembered head; None when the file is new.

        Raises:
            DamagedError: it is damaged.
            UnknownFormatError: a later version.
        """
        data = self._file.pread(16 + FRAME_LIMIT, 0)
        if not data:
            return None
        if data[:16] != HEAD_FILE_MAGIC and data[:15] == HEAD_FILE_MAGIC[:15]:
            raise UnknownFormatError(f"expected head file version 1, got {data[15]}")
        note = read_frame(data[16:]) if data[:16] == HEAD_FILE_MAGIC else None
        if note is None:
            raise DamagedError(
                "the head file is damaged",
                hint="compare the journal with a witness's head, then delete the head file",
            )
        return parse_checkpoint(note)

    def write(self, head: Checkpoint) -> None:
        """Remember a head, without a sync."""
        self._file.pwrite(HEAD_FILE_MAGIC + format_frame(head.note), 0)

    def close(self) -> None:
        """Make it durable and close it."""
        self._file.sync()
        self._file.close()
