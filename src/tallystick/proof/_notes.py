"""Signed notes (C2SP signed-note v1.0.0), strict.

- A note is text that ends in a newline, a blank line, and signature lines; valid UTF-8 without control
  characters; the last blank line separates them.
- A signature line is ``— <name> base64(key id || signature)``; the key id is the first four bytes of
  SHA-256(name || 0x0A || type || public key). Unknown keys are ignored, a known key whose signature does
  not verify makes the whole note false.
- Type 0x01 is plain Ed25519, type 0x04 a timestamped cosignature (C2SP tlog-cosignature).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tallystick.errors import CardError, EncodingError, NoteError, VerificationError
from tallystick.proof._encoding import decode_base64, encode_base64
from tallystick.proof._keys import Signer, check_public_key, verify_signature

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "Note",
    "NoteKey",
    "NoteSignature",
    "cosign_note",
    "format_note",
    "parse_note",
    "sign_note",
    "verify_note",
]

ED25519 = 0x01
COSIGNATURE = 0x04
NOTE_SIZE_LIMIT = 64 * 1024  # bytes
NOTE_SIGNATURE_LIMIT = 64  # C2SP: at least 16 must be accepted
_TIME_LIMIT = 2**63 - 1
_DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that may sign notes: a name, a signature type and 32 bytes."""

    name: str
    public_key: bytes
    type: int = ED25519

    @property
    def key_id(self) -> bytes:
        """Four bytes, C2SP signed-note "Signatures"."""
        head = self.name.encode() + b"\n" + bytes([self.type])
        return hashlib.sha256(head + self.public_key).digest()[:4]

    def format(self) -> str:
        """The key as a C2SP verifier key: ``name+hex(key id)+base64(type || key)``."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.type]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Read a C2SP verifier key.

        Raises:
            NoteError: malformed, of an unknown type, weak, or with a wrong key id.
        """
        try:
            name, key_id, encoded = text.split("+", 2)
            raw = decode_base64(encoded)
        except (ValueError, EncodingError) as error:
            raise NoteError("expected a verifier key name+id+key") from error
        if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
            raise NoteError("expected a verifier key of Ed25519")
        _check_name(name)
        try:
            check_public_key("log", raw[1:])
        except CardError as error:
            raise NoteError("the verifier key is not a full-order point of its curve") from error
        key = cls(name, raw[1:], raw[0])
        if key.key_id.hex() != key_id:
            raise NoteError("the verifier key's id does not fit its key")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the signer's name, the key id and the raw signature."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in the note, without its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note; nothing in it is trusted before ``verify_note``."""

    text: str
    signatures: tuple[NoteSignature, ...]


def _check_name(name: str) -> None:
    if (
        not name
        or "+" in name
        or any(character.isspace() or not character.isprintable() for character in name)
    ):
        raise NoteError("a key name must be non-empty, without spaces or plus")


def format_note(text: str, signatures: Iterable[NoteSignature]) -> bytes:
    """Write a note; the inverse of ``parse_note``."""
    lines = [signature.line for signature in signatures]
    return (text + "\n" + "\n".join(lines) + "\n").encode()


def parse_note(data: bytes) -> Note:
    """Read a note; accepts exactly what ``format_note`` makes.

    Raises:
        NoteError: too large, not UTF-8, control characters, or a malformed signature line.
    """
    if len(data) > NOTE_SIZE_LIMIT:
        raise NoteError(f"a note must have at most {NOTE_SIZE_LIMIT} bytes, got {len(data)}")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteError("a note must be UTF-8") from error
    if any(character < " " and character != "\n" for character in whole):
        raise NoteError("a note must hold no control characters")
    split = whole.rfind("\n\n")
    if split < 1 or not whole.endswith("\n") or len(whole) == split + 2:
        raise NoteError("a note must be text, a blank line and signatures")
    text, lines = whole[: split + 1], whole[split + 2 : -1].split("\n")
    if len(lines) > NOTE_SIGNATURE_LIMIT:
        raise NoteError(f"a note must have at most {NOTE_SIGNATURE_LIMIT} signatures, got {len(lines)}")
    return Note(text, tuple(_parse_line(line) for line in lines))


def _parse_line(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] + " " != _DASH:
        raise NoteError("a signature line must be: dash, name, base64")
    _check_name(parts[1])
    try:
        raw = decode_base64(parts[2])
    except EncodingError as error:
        raise NoteError("a signature must be strict base64") from error
    if len(raw) < 5:
        raise NoteError(f"a signature must have more than 4 bytes, got {len(raw)}")
    return NoteSignature(parts[1], raw[:4], raw[4:])


def sign_note(text: str, name: str, signer: Signer) -> NoteSignature:
    """Sign a note's text with plain Ed25519 (type 0x01)."""
    key = NoteKey(name, signer.public_key)
    return NoteSignature(name, key.key_id, signer.sign(text.encode()))


def cosign_note(text: str, name: str, signer: Signer, *, time_s: int) -> NoteSignature:
    """Cosign a note's text with a time (type 0x04, C2SP tlog-cosignature).

    Args:
        text: the note's text, ending in a newline.
        name: the cosigner's key name.
        signer: holds the witness key, which signs nothing else.
        time_s: POSIX time, seconds.
    """
    key = NoteKey(name, signer.public_key, COSIGNATURE)
    signature = signer.sign(_cosigned(text, time_s))
    return NoteSignature(name, key.key_id, time_s.to_bytes(8, "big") + signature)


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def verify_note(note: Note, keys: Iterable[NoteKey]) -> dict[NoteKey, int]:
    """Verify the signatures of known keys; unknown ones are ignored.

    Args:
        note: a parsed note.
        keys: the keys that the verifier knows.

    Returns:
        Each known key that signed, with its cosignature's POSIX time in seconds (0 for plain signatures).

    Raises:
        NoteError: a known key's signature does not verify, or it signed twice.
    """
    known = {(key.name, key.key_id): key for key in keys}
    signed: dict[NoteKey, int] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if key in signed:
            raise NoteError("a key must sign a note once, got two lines")
        signed[key] = _verify_line(note.text, line, key)
    return signed


def _verify_line(text: str, line: NoteSignature, key: NoteKey) -> int:
    time_s, message, signature = 0, text.encode(), line.signature
    if key.type == COSIGNATURE:
        time_s, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        if not 0 < time_s <= _TIME_LIMIT:
            raise NoteError("a cosignature's time must be positive")
        message = _cosigned(text, time_s)
    if len(signature) != 64:
        raise NoteError(f"a signature must have 64 bytes, got {len(signature)}")
    try:
        verify_signature(key.public_key, signature, message)
    except VerificationError as error:
        raise NoteError("the note's signature by a known key does not verify") from error
    return time_s
