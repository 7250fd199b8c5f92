"""Snapshots of an engine's state, so that a restart need not read the whole journal again.

A snapshot covers the journal up to a size and holds the journal's root there, so that one of another journal, or of a
longer one than is left, is not taken. It is encrypted under a key that follows from the party's storage key: customers'
ids stand in it. Whatever is wrong with one, it is thrown away, and the state comes from an older one or from the journal.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import StorageError, TallystickError
from tallystick.proof import Files, OsFiles, Randomness, Secret, read_whole, write_atomically

__all__ = ["Snapshot", "Snapshots"]

_MAGIC: Final = b"tallystick/engs\x01"
_KEPT: Final = 2  # the newest, and one before it
_LIMIT: Final = 2**31 - 1  # bytes, what one AES-GCM call takes
_NONCE: Final = 12
_file = re.compile(r"engine-([0-9]{20})\.snapshot").fullmatch


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after the first `position` entries of a journal.

    Args:
        position: how many entries it covers.
        root: the journal's root there.
        features: state of the features.
        remembered: memory of decided payments.
    """

    position: int
    root: bytes
    features: bytes
    remembered: bytes


class Snapshots:
    """The snapshots of one engine.

    Args:
        directory: where they stand; made when the first one is written.
        storage_key: the party's storage secret.
        files: the disk.
        randomness: source of nonces.
    """

    def __init__(
        self,
        directory: Path,
        storage_key: Secret,
        *,
        files: Files | None = None,
        randomness: Randomness = os.urandom,
    ) -> None:
        self._directory, self._files, self._randomness = directory, files or OsFiles(), randomness
        key = hmac.digest(storage_key.reveal(), b"tallystick/fraud/snapshot/v1", "sha256")
        self._cipher = AESGCM(key)

    def write(self, snapshot: Snapshot) -> None:
        """Write a snapshot durably, and delete all but the newest.

        Raises:
            StorageError: it could not be written, or is too large; the older ones stay.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lengths = (snapshot.position, len(snapshot.root), len(snapshot.features))
        head = b"".join(number.to_bytes(8, "big") for number in lengths)
        plain = head + snapshot.root + snapshot.features + snapshot.remembered
        if len(plain) > _LIMIT:
            raise StorageError(f"a snapshot must have at most {_LIMIT} bytes, got {len(plain)}")
        nonce = self._randomness(_NONCE)
        data = _MAGIC + nonce + self._cipher.encrypt(nonce, plain, _MAGIC)
        write_atomically(self._files, self._path(snapshot.position), data)
        for position in self.positions()[_KEPT:]:
            self._files.unlink(self._path(position))

    def positions(self) -> list[int]:
        """Return what the snapshots cover, the newest first."""
        if not self._files.exists(self._directory):
            return []
        found = (_file(name) for name in self._files.list(self._directory))
        return sorted((int(name[1]) for name in found if name), reverse=True)

    def newest(self, fits: Callable[[Snapshot], bool]) -> tuple[Snapshot | None, int]:
        """Return the newest snapshot that can be used, and how many were thrown away.

        Args:
            fits: whether the journal is the one that it covers.
        """
        thrown = 0
        for position in self.positions():
            snapshot = self._read(position)
            if snapshot is not None and fits(snapshot):
                return snapshot, thrown
            thrown += 1
        return None, thrown

    def discard(self) -> int:
        """Delete all of them, as after the erasure of a person; returns how many there were."""
        positions = self.positions()
        for position in positions:
            self._files.unlink(self._path(position))
        if positions:
            self._files.sync_directory(self._directory)
        return len(positions)

    def _read(self, position: int) -> Snapshot | None:
        try:
            data = read_whole(self._files, self._path(position), limit=_LIMIT + 1024)
        except TallystickError:
            return None
        start = len(_MAGIC) + _NONCE
        if data[: len(_MAGIC)] != _MAGIC:
            return None
        try:
            plain = self._cipher.decrypt(data[len(_MAGIC) : start], data[start:], _MAGIC)
        except (InvalidTag, ValueError):
            return None
        numbers = [int.from_bytes(plain[at : at + 8], "big") for at in (0, 8, 16)]
        root_end = 24 + numbers[1]
        features_end = root_end + numbers[2]
        if numbers[0] != position or features_end > len(plain):
            return None
        return Snapshot(position, plain[24:root_end], plain[root_end:features_end], plain[features_end:])

    def _path(self, position: int) -> Path:
        return self._directory / f"engine-{position:020}.snapshot"
