"""Payloads: what statements commit to, encrypted at rest, beside the journal.

Written by the holder of the journal's lock, durable before the checkpoint over the entries that refer to them:

- ``subjects`` (see `_subjects`): one random key per subject (a person, or "" for the party itself), wrapped under the
  party's storage key. A subject's name never stands there, only an HMAC of it.
- payload segments (see `_payload_segments`): ciphertexts under ``HMAC(subject key, "payload" || nonce)``, one key per
  payload.

Destroying a subject's key makes her payloads and all her commitments' salts unknowable; the file of keys is written
anew without it. Opening looks at the keys and at what a crash left behind the last mark; neither its time nor its
memory grows with the number of payloads.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import DamagedError, DisclosureError
from tallystick.proof._commitments import derive_salt
from tallystick.proof._drafts import SubjectKey
from tallystick.proof._encoding import decode_base64url, parse_json
from tallystick.proof._files import Files, OsFiles, make_directories
from tallystick.proof._keys import Randomness, Secret
from tallystick.proof._parties import Party
from tallystick.proof._payload_segments import PayloadSegments, References
from tallystick.proof._statements import PayloadRef
from tallystick.proof._store import Store
from tallystick.proof._subjects import Subjects

__all__ = ["Payloads", "open_payloads"]

RECENT = 16_384  # subjects whose keys stay unwrapped, about 5 MB


class Payloads:
    """The payloads of one journal.

    Args:
        directory: where the files stand.
        storage_key: the party's storage secret.
        size: entries of the journal that are durable.
        references: reads which payloads they refer to.
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
        size: int,
        references: References,
        write: bool = True,
        files: Files | None = None,
        randomness: Randomness = os.urandom,
    ) -> None:
        files = files or OsFiles()
        self._subjects = Subjects(files, directory, storage_key, write=write, randomness=randomness)
        try:
            self._segments = PayloadSegments(files, directory, size=size, references=references, write=write)
        except BaseException:
            self._subjects.close()
            raise
        self._recent: dict[str, SubjectKey] = {}

    def subject_keys(self, subjects: Iterable[str]) -> dict[str, bytes]:
        """Keys of subjects, 32 bytes each; made when there is none.

        New ones become durable with the next `keep`, all with one sync: that must come before anything that they salt
        is acknowledged.
        """
        return {subject: self.subject(subject).key for subject in subjects}

    def subject(self, subject: str) -> SubjectKey:
        """As `subject_keys`, for one of them, with what is derived from it; the last thousands are remembered."""
        known = self._recent.get(subject)
        if known is None:
            tag = self._subjects.tag(subject)
            known = SubjectKey(self._subjects.find(tag) or self._subjects.make(tag), tag)
            if len(self._recent) >= RECENT:
                self._recent.clear()
            self._recent[subject] = known
        return known

    def keep(self, sealed: Sequence[tuple[int, bytes]], *, first: int, stop: int, segment: int) -> None:
        """Store new keys and sealed payloads of a batch of entries, durably; one sync for each kind.

        Args:
            sealed: entry index, and what `commit_many` sealed, in order.
            first: index of the batch's first entry.
            stop: index behind its last.
            segment: first index of the journal's segment that the entries go to.
        """
        self._subjects.write()
        if sealed:
            self._segments.write(sealed, first=first, stop=stop, segment=segment)
            self._segments.sync()

    def committed(self, size: int) -> None:
        """Hear that all entries below ``size``, whose payloads were kept, are durable themselves."""
        self._segments.committed(size)

    def read(self, ref: PayloadRef, index: int) -> tuple[Any, bytes]:
        """Decrypt what a statement commits to.

        Args:
            ref: what the statement says of its payload.
            index: its place in the journal.

        Returns:
            The content (bytes, or the record of fields) and its record salt.

        Raises:
            DisclosureError: it is not kept here, or was erased.
            DisposedError: it was disposed of.
            DamagedError: the ciphertext is not what was written.
        """
        commitment = decode_base64url(ref.commitment, size=32)
        content = self._segments.read(index, commitment)
        tag, nonce, sealed = content[32:48], content[48:64], content[64:]
        key = self._subjects.find(tag)
        if key is None:
            raise DisclosureError("the payload was erased: its subject's key is destroyed")
        try:
            plain = AESGCM(SubjectKey(key).hash(b"payload\x00" + nonce)).decrypt(
                bytes(12), sealed, commitment
            )
        except InvalidTag as error:
            raise DamagedError("a payload is damaged on the disk", hint="restore it from a backup") from error
        return plain if ref.form == "bytes" else parse_json(plain), derive_salt(key, nonce)

    def erase(self, subject: str) -> bool:
        """Destroy a subject's key; True when there was one.

        The file of keys is replaced as a whole. What a copy-on-write file system or a backup still holds is out
        of reach and has to be said in ``erasure.done``.
        """
        self._recent.pop(subject, None)
        return self._subjects.erase(self._subjects.tag(subject))

    def dispose(self, first: int, stop: int, keep: Collection[int]) -> int:
        """Free the payloads of a whole segment of the journal but those of the entries to keep.

        Safe to repeat, after a crash too: what is kept is durable before anything is deleted.

        Args:
            first: index of the segment's first entry.
            stop: index behind its last.
            keep: entries whose payloads stay.

        Returns:
            Bytes that were freed.

        Raises:
            DamagedError: a payload that is to be kept is damaged; nothing was freed.
        """
        return self._segments.dispose(first, stop, keep)

    def close(self) -> None:
        """Close all files."""
        try:
            self._segments.close()
        finally:
            self._subjects.close()


def open_payloads(store: Store, party: Party | None, *, write: bool, randomness: Randomness) -> Payloads:
    """Open the payloads beside a journal; when it is written to, make their directory.

    Raises:
        DisclosureError: the party's keys are not there, or the journal keeps no payloads.
        DamagedError: a file is not what was written.
        UnknownFormatError: a later version.
    """
    if party is None:
        raise DisclosureError("payloads can be opened with the party's keys only")
    files, directory = store.files, store.directory / "payloads"
    if not files.exists(directory):
        if not write:
            raise DisclosureError("this journal keeps no payloads")
        make_directories(files, directory)
    return Payloads(
        directory,
        party.secret("storage"),
        size=store.head.size,
        references=lambda start, stop: _references(store, start, stop),
        write=write,
        files=files,
        randomness=randomness,
    )


def _references(store: Store, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    for first, entries, _ in store.segments.passes(start, stop):
        for index, entry in enumerate(entries, first):
            if b'"commitment"' in entry:
                # A wrong one fits no payload, so nothing depends on looking at the whole statement.
                payload = orjson.loads(entry).get("payload")
                if payload is not None:
                    yield index, urlsafe_b64decode(payload["commitment"] + "=")
