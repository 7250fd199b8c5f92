"""Payloads: what statements commit to, encrypted at rest, beside the journal.

Two append-only files, written by the holder of the journal's lock, durable before the journal is written:

- ``subjects``: one random 32-byte key per subject (a person, or "" for the party itself), wrapped with
  AES-256-GCM under the party's storage key. A subject's name never stands there, only an HMAC of it.
- ``payloads``: payload ciphertexts under ``HMAC(subject key, "payload" || nonce)``, one key per payload.

Destroying a subject's key makes her payloads and all her commitments' salts unknowable; the file of keys is
written anew without it. Frames are those of `_frames`:
a torn key at the end is cut, for nothing was committed with it yet; a damaged one is refused; of payloads only a torn
end is cut, and what is damaged is stepped over.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import DamagedError, DisclosureError, StatementError
from tallystick.proof._commitments import commit_bytes, commit_fields, derive_salt, padded_size
from tallystick.proof._encoding import encode_base64url, format_json, parse_json
from tallystick.proof._files import File, Files, OsFiles, write_atomically
from tallystick.proof._frames import (
    ALIGN,
    HEADER,
    check_magic,
    format_frame,
    frame_length,
    frame_size,
    read_frame,
    walk_frames,
)
from tallystick.proof._keys import Randomness, Secret
from tallystick.proof._statements import PayloadRef

__all__ = ["Payload", "Payloads"]

PAYLOAD_SIZE_LIMIT = 64 * 1024 * 1024  # bytes
_MAGIC = {"payloads": b"tallystick/payl\x01", "subjects": b"tallystick/subj\x01"}
_SUBJECT_LIMIT = 1024  # bytes of a frame


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload before it is committed to.

    Args:
        content: bytes for the form ``bytes``, a JSON object for the form ``fields``.
        media: media type; of fields always ``application/json``.
        subject: whom it is about; erasing that subject makes it unknowable.
    """

    content: bytes | Mapping[str, Any]
    media: str = "application/octet-stream"
    subject: str = ""


class Payloads:
    """The payloads of one journal.

    Args:
        directory: where the two files stand.
        storage_key: the party's storage secret.
        write: whether files may be made and written; the caller holds the journal's lock then.
        files: file operations.
        randomness: source of keys and nonces.

    Raises:
        DamagedError: a file is not what was written.
        UnknownFormatError: a later version.
    """

    def __init__(
        self,
        directory: Path,
        storage_key: Secret,
        *,
        write: bool = True,
        files: Files | None = None,
        randomness: Randomness = os.urandom,
    ) -> None:
        self._directory, self._storage, self._write = directory, storage_key, write
        self._files, self._randomness = files or OsFiles(), randomness
        self._keys: dict[bytes, bytes] = {}  # subject tag -> wrapped key
        self._places: dict[str, tuple[int, int]] = {}  # commitment -> place and size of its frame
        self._subjects, self._subjects_end = self._open("subjects")
        self._payloads, self._payloads_end = self._open("payloads")

    def _open(self, name: str) -> tuple[File, int]:
        path, magic = self._directory / name, _MAGIC[name]
        fresh = not self._files.exists(path)
        if fresh and self._write:
            write_atomically(self._files, path, magic)
        file = self._files.open(path, write=self._write)
        check_magic(file, magic, name)
        end = len(magic)
        if name == "subjects":
            for place, frame in walk_frames(file, end, name=name, limit=_SUBJECT_LIMIT):
                self._keys[frame[:16]] = frame[16:]
                end = place + frame_size(len(frame))
            if self._write and file.size() > end:
                file.truncate(end)
        else:
            size = file.size()
            end = -(-size // ALIGN) * ALIGN
            for place, length, commitment in _payload_frames(file, len(magic)):
                if place + frame_size(length) > size:
                    # A checked length beyond the end: torn. Left there, it would swallow what is appended next.
                    end = place
                    if self._write:
                        file.truncate(end)
                    break
                self._places[encode_base64url(commitment)] = (place, frame_size(length))
        return file, end

    def commit(self, payload: Payload) -> tuple[PayloadRef, tuple[bytes, bytes]]:
        """Commit to a payload; ``keep`` must follow before the statement is appended.

        Returns:
            The reference for the statement, and what ``keep`` stores.

        Raises:
            StatementError: too large, or a record outside the profile.
        """
        key, nonce = self.subject_key(payload.subject), self._randomness(16)
        salt = derive_salt(key, nonce)
        if isinstance(payload.content, bytes):
            form, media, plain, commitment = (
                "bytes",
                payload.media,
                payload.content,
                commit_bytes(payload.content, salt),
            )
        else:
            form, media, plain = "fields", "application/json", format_json(payload.content)
            commitment = commit_fields(payload.content, salt)
        if len(plain) > PAYLOAD_SIZE_LIMIT:
            raise StatementError(f"a payload must have at most {PAYLOAD_SIZE_LIMIT} bytes, got {len(plain)}")
        ref = PayloadRef(
            encode_base64url(commitment), form, media, encode_base64url(nonce), padded_size(len(plain))
        )
        sealed = AESGCM(_payload_key(key, nonce)).encrypt(bytes(12), plain, commitment)
        return ref, (commitment, self._tag(payload.subject) + nonce + sealed)

    def keep(self, sealed: Sequence[tuple[bytes, bytes]]) -> None:
        """Store sealed payloads durably; one sync for all."""
        if not sealed:
            return
        place, parts = self._payloads_end, list[bytes]()
        places = dict[str, tuple[int, int]]()
        for commitment, rest in sealed:
            frame = format_frame(commitment + rest)
            parts.append(frame)
            places[encode_base64url(commitment)] = (place, len(frame))
            place += len(frame)
        self._payloads.pwrite(b"".join(parts), self._payloads_end)
        self._payloads.sync()
        self._payloads_end = place
        self._places.update(places)

    def read(self, ref: PayloadRef) -> tuple[Any, bytes]:
        """Decrypt what a statement commits to.

        Returns:
            The content (bytes, or the record of fields) and its record salt.

        Raises:
            DisclosureError: it is not kept here, or was erased.
            DamagedError: the ciphertext is not what was written.
        """
        found = self._places.get(ref.commitment)
        if found is None:
            raise DisclosureError("the payload is not kept here")
        frame = read_frame(self._payloads.pread(found[1], found[0]))
        if frame is None:
            raise DamagedError("a payload is damaged on the disk", hint="restore it from a backup")
        commitment, tag, nonce, sealed = frame[:32], frame[32:48], frame[48:64], frame[64:]
        wrapped = self._keys.get(tag)
        if wrapped is None:
            raise DisclosureError("the payload was erased: its subject's key is destroyed")
        key = self._unwrap(tag, wrapped)
        try:
            plain = AESGCM(_payload_key(key, nonce)).decrypt(bytes(12), sealed, commitment)
        except InvalidTag as error:
            raise DamagedError("a payload is damaged on the disk", hint="restore it from a backup") from error
        content = plain if ref.form == "bytes" else parse_json(plain)
        return content, derive_salt(key, nonce)

    def erase(self, subject: str) -> bool:
        """Destroy a subject's key; True when there was one.

        The file of keys is replaced as a whole. What a copy-on-write file system or a backup still holds is out
        of reach and has to be said in ``erasure.done``.
        """
        tag = self._tag(subject)
        if tag not in self._keys:
            return False
        kept = {other: wrapped for other, wrapped in self._keys.items() if other != tag}
        frames = b"".join(format_frame(other + wrapped) for other, wrapped in kept.items())
        # The key counts as destroyed when the disk says so; a failure before that may be tried again.
        write_atomically(self._files, self._directory / "subjects", _MAGIC["subjects"] + frames)
        self._keys = kept
        self._subjects.close()
        self._subjects = self._files.open(self._directory / "subjects", write=True)
        self._subjects_end = len(_MAGIC["subjects"]) + len(frames)
        return True

    def close(self) -> None:
        """Close both files."""
        self._subjects.close()
        self._payloads.close()

    def _tag(self, subject: str) -> bytes:
        return hmac.digest(self._storage.reveal(), b"subject\x00" + subject.encode(), "sha256")[:16]

    def subject_key(self, subject: str) -> bytes:
        """A subject's key, 32 bytes; made, and durable, when there is none."""
        tag = self._tag(subject)
        wrapped = self._keys.get(tag)
        if wrapped is not None:
            return self._unwrap(tag, wrapped)
        key, nonce = self._randomness(32), self._randomness(12)
        wrapped = nonce + AESGCM(self._storage.reveal()).encrypt(nonce, key, tag)
        frame = format_frame(tag + wrapped)
        self._subjects.pwrite(frame, self._subjects_end)
        # Durable before anything is committed with it: a lost key would make its payloads unknowable.
        self._subjects.sync()
        self._subjects_end += len(frame)
        self._keys[tag] = wrapped
        return key

    def _unwrap(self, tag: bytes, wrapped: bytes) -> bytes:
        try:
            return AESGCM(self._storage.reveal()).decrypt(wrapped[:12], wrapped[12:], tag)
        except InvalidTag as error:
            raise DamagedError(
                "a subject's key is damaged on the disk", hint="restore it from a backup"
            ) from error


def _payload_key(subject_key: bytes, nonce: bytes) -> bytes:
    return hmac.digest(subject_key, b"payload\x00" + nonce, "sha256")


def _payload_frames(file: File, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Place, length and commitment of each frame; contents are checked when they are read.

    Several frames are written at once, so a crash may tear one amid whole ones. What is no frame is stepped over, and
    whoever asks for its payload hears that it is gone. The last one may reach beyond the end of the file.
    """
    place, size = start, file.size()
    while place < size:
        head = file.pread(HEADER + 32, place)
        length = frame_length(head)
        if length is None:
            place += ALIGN
            continue
        yield place, length, head[HEADER:]
        place += frame_size(length)
