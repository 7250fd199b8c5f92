"""Checkpoints: a log's signed size and root (C2SP tlog-checkpoint v1.0.0), strict.

Extension lines are refused: no journal of ours writes them, and cosigners do not stand for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tallystick.errors import EncodingError, NoteError
from tallystick.proof._encoding import decode_base64, encode_base64
from tallystick.proof._keys import Signer
from tallystick.proof._notes import Note, NoteKey, format_note, parse_note, sign_note, verify_note

__all__ = [
    "TREE_SIZE_LIMIT",
    "Checkpoint",
    "parse_checkpoint",
    "parse_tree_size",
    "sign_checkpoint",
    "verify_checkpoint",
]

TREE_SIZE_LIMIT = 2**62  # leaves


_parse_note = lru_cache(maxsize=64)(parse_note)  # a bundle's receipts share their checkpoints


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Size and root of a journal, with the note that says so; trusted only after ``verify_checkpoint``."""

    origin: str
    size: int
    root: bytes
    note: bytes

    @property
    def text(self) -> str:
        """The signed text: origin, size, root, one line each."""
        return format_checkpoint_text(self.origin, self.size, self.root)

    @property
    def head(self) -> tuple[str, int, bytes]:
        """What it says, whoever signed it."""
        return self.origin, self.size, self.root

    def parsed(self) -> Note:
        """The signed note with its signature lines."""
        return _parse_note(self.note)


def format_checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The three lines of a checkpoint, each with its newline."""
    return f"{origin}\n{size}\n{encode_base64(root)}\n"


def parse_tree_size(text: str) -> int:
    """Read a decimal without sign, spaces or leading zeroes.

    Raises:
        NoteError: anything else, or at least 2^62.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or (text[0] == "0" and text != "0"):
        raise NoteError("a tree size must be a decimal without leading zeroes")
    size = int(text)
    if size >= TREE_SIZE_LIMIT:
        raise NoteError(f"a tree size must be below 2^62, got {size}")
    return size


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a checkpoint; the signatures are not looked at.

    Raises:
        NoteError: not a note of exactly origin, size and root.
    """
    note = parse_note(data)
    lines = note.text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise NoteError("a checkpoint must have the lines origin, size and root")
    try:
        root = decode_base64(lines[2])
    except EncodingError as error:
        raise NoteError("a root must be strict base64") from error
    if len(root) != 32:
        raise NoteError(f"a root must have 32 bytes, got {len(root)}")
    return Checkpoint(lines[0], parse_tree_size(lines[1]), root, data)


def sign_checkpoint(origin: str, size: int, root: bytes, signer: Signer) -> Checkpoint:
    """Sign a head with the log's key, whose name is the origin.

    The caller owns the promise that no inconsistent head is ever signed.
    """
    text = format_checkpoint_text(origin, size, root)
    return Checkpoint(origin, size, root, format_note(text, [sign_note(text, origin, signer)]))


def verify_checkpoint(checkpoint: Checkpoint, log_key: bytes) -> None:
    """Verify that the log's key signed this checkpoint.

    Args:
        checkpoint: as parsed.
        log_key: 32 bytes, valid for the checkpoint's size.

    Raises:
        NoteError: no signature, or a false one.
    """
    if not verify_note(checkpoint.parsed(), [NoteKey(checkpoint.origin, log_key)]):
        raise NoteError("the checkpoint is not signed by the journal's key")
