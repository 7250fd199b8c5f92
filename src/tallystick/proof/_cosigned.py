"""The newest checkpoints of a journal with the cosignatures that witnesses gave them.

One canonical JSON file, replaced atomically: ``{"notes":[..],"type":"tallystick/cosigned","v":1}``, notes as base64,
ordered by size, at most `KEPT`. Losing it loses no promise: witnesses sign again.
"""

from __future__ import annotations

from pathlib import Path

from tallystick.errors import DamagedError, EncodingError, NoteError, NotFoundError
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint
from tallystick.proof._encoding import check_format, decode_base64, encode_base64, format_json, parse_json
from tallystick.proof._files import Files, read_whole, write_atomically
from tallystick.proof._notes import format_note

KEPT = 16  # checkpoints
_FORMAT = "tallystick/cosigned"
_LIMIT = 4 * 1024 * 1024  # bytes


class Cosigned:
    """The cosigned checkpoints of one journal.

    Args:
        files: file operations.
        path: the file; it is made at the first `add`.

    Raises:
        DamagedError: the file is not what was written.
        UnknownFormatError: a later version.
    """

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        self._mark = self._standing()
        self._kept = _load(files, path)

    def add(self, checkpoint: Checkpoint) -> Checkpoint:
        """Keep a checkpoint; lines for a size that is known already are put together.

        The caller has checked that its size and root are this journal's.
        """
        known = self._kept.get(checkpoint.size)
        if known is not None:
            checkpoint = _merged(known, checkpoint)
        kept = {**self._kept, checkpoint.size: checkpoint}
        self._kept = dict(sorted(kept.items())[-KEPT:])
        notes = [encode_base64(found.note) for found in self._kept.values()]
        document = {"notes": notes, "type": _FORMAT, "v": 1}
        write_atomically(self._files, self._path, format_json(document), mode=0o600)
        self._mark = self._standing()
        return checkpoint

    def best(self, above: int) -> Checkpoint | None:
        """The checkpoint with the most signature lines among those larger than ``above``; the largest of equals."""
        mark = self._standing()
        if mark is not None and mark != self._mark:
            # Another process has written it since: whoever only reads shows its lines too.
            self._kept, self._mark = _load(self._files, self._path), mark
        found = [checkpoint for size, checkpoint in self._kept.items() if size > above]
        return max(found, key=lambda one: (len(one.parsed().signatures), one.size), default=None)

    def _standing(self) -> tuple[int, int, int] | None:
        """What tells one state of the file from another; None when there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _merged(known: Checkpoint, more: Checkpoint) -> Checkpoint:
    first, second = known.parsed(), more.parsed()
    # A witness that signed twice counts once, with its earlier time.
    seen = {(line.name, line.key_id) for line in first.signatures}
    fresh = [line for line in second.signatures if (line.name, line.key_id) not in seen]
    note = format_note(first.text, [*first.signatures, *fresh])
    return Checkpoint(known.origin, known.size, known.root, note)


def _load(files: Files, path: Path) -> dict[int, Checkpoint]:
    try:
        data = read_whole(files, path, limit=_LIMIT)
    except NotFoundError:
        return {}
    try:
        document = check_format(parse_json(data), _FORMAT)
        found = [parse_checkpoint(decode_base64(note)) for note in document["notes"]]
    except (EncodingError, NoteError, KeyError, TypeError) as error:
        raise DamagedError("`cosigned` is damaged", hint="delete it and ask the witnesses again") from error
    return {checkpoint.size: checkpoint for checkpoint in found}
