"""What a log posts to a witness, and what it gets back (C2SP tlog-witness v1, ``add-checkpoint``).

    old <size>
    <base64 hash of the consistency proof>      at most 63 lines
    <empty line>
    <checkpoint, a signed note>

The answer is one or more signature lines of a note, without the note's text: they go under the checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.errors import EncodingError, NoteError
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint, parse_tree_size
from tallystick.proof._encoding import decode_base64, encode_base64
from tallystick.proof._notes import Note, NoteSignature, format_note, parse_note

__all__ = [
    "ADD_CHECKPOINT_LIMIT",
    "AddCheckpoint",
    "format_add_checkpoint",
    "format_cosignatures",
    "parse_add_checkpoint",
    "parse_cosignatures",
]

ADD_CHECKPOINT_LIMIT = 72 * 1024  # bytes: a note, 63 hashes, and the first line
_PROOF_LIMIT = 63  # hashes
_HASH_SIZE = 32


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One ask; nothing in it is trusted.

    Args:
        old_size: what the log thinks the witness has seen; 0 for nothing.
        proof: RFC 9162 consistency proof from there.
        checkpoint: the head to be cosigned.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint


def format_add_checkpoint(old_size: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Write an ask."""
    lines = [f"old {old_size}", *(encode_base64(node) for node in proof), "", ""]
    return "\n".join(lines).encode() + note


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Read an ask.

    Raises:
        EncodingError: it is none.
        NoteError: the checkpoint is none.
    """
    if len(data) > ADD_CHECKPOINT_LIMIT:
        raise EncodingError(f"an ask must have at most {ADD_CHECKPOINT_LIMIT} bytes, got {len(data)}")
    head, found, note = data.partition(b"\n\n")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise EncodingError("an ask's first lines must be ASCII") from None
    if not found or not first.startswith("old ") or len(hashes) > _PROOF_LIMIT:
        raise EncodingError("an ask must have the line old <size>, at most 63 hashes, and an empty line")
    proof = tuple(decode_base64(line) for line in hashes)
    if any(len(node) != _HASH_SIZE for node in proof):
        raise EncodingError("a hash must have 32 bytes")
    checkpoint = parse_checkpoint(note)
    old_size = parse_tree_size(first.removeprefix("old "))
    if old_size > checkpoint.size:
        raise EncodingError(f"the old size must be at most the head's, {checkpoint.size}, got {old_size}")
    return AddCheckpoint(old_size, proof, checkpoint)


def format_cosignatures(checkpoint: Checkpoint, lines: Sequence[NoteSignature]) -> bytes:
    """Write signature lines without the text that they sign."""
    return format_note(checkpoint.text, list(lines))[len(checkpoint.text.encode()) + 1 :]


def parse_cosignatures(checkpoint: Checkpoint, data: bytes) -> Note:
    """Read signature lines as a note over a checkpoint's text; nothing is verified.

    Raises:
        NoteError: they are none.
    """
    if not data:
        raise NoteError("expected signature lines, got nothing")
    return parse_note(checkpoint.text.encode() + b"\n" + data)
