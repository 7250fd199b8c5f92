"""Snapshots of an engine's state, so that a restart need not read the whole journal again.

A snapshot covers the journal up to a size and holds the journal's root there, so that one of another journal, or of a
longer one than is left, is not taken. It is encrypted under a key that follows from the party's storage key: customers'
ids stand in it. Whatever is wrong with one, it is thrown away, and the state comes from an older one or from the journal.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import TallystickError
from tallystick.proof import File, Files, OsFiles, Randomness, Secret

__all__ = ["Snapshot", "Snapshots"]

_MAGIC: Final = b"tallystick/engs\x01"
_KEPT: Final = 2  # the newest, and one before it
_PIECE: Final = 1024 * 1024  # bytes that are encrypted at once
_SYNCED: Final = 4  # pieces after which the disk may do something else: the journal's syncs wait behind what is queued there
_TAG: Final = 16  # bytes that a piece grows by
_PREFIX: Final = 8  # random bytes; with the number of the piece they make the nonce
_HEAD: Final = 4 * 8  # position and three lengths
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
            StorageError: it could not be written; the older ones stay.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        parts = (snapshot.root, snapshot.features, snapshot.remembered)
        head = b"".join(number.to_bytes(8, "big") for number in (snapshot.position, *map(len, parts)))
        path = self._path(snapshot.position)
        fresh = path.with_name(f".{path.name}.new")
        file = self._files.open(fresh, write=True, create=True)
        try:
            file.truncate(0)
            self._write_pieces(file, [head, *parts])
            file.sync()
        finally:
            file.close()
        self._files.rename(fresh, path)
        self._files.sync_directory(self._directory)
        for position in self.positions()[_KEPT:]:
            self._files.unlink(self._path(position))

    def _write_pieces(self, file: File, parts: Sequence[bytes]) -> None:
        """Encrypt piece by piece: one call for all would hold up everything else for as long as it takes."""
        prefix = self._randomness(_PREFIX)
        file.pwrite(_MAGIC + prefix, 0)
        place, number = len(_MAGIC) + _PREFIX, 0
        for part in parts:
            for start in range(0, len(part), _PIECE):
                sealed = self._cipher.encrypt(_nonce(prefix, number), part[start : start + _PIECE], _MAGIC)
                file.pwrite(sealed, place)
                place, number = place + len(sealed), number + 1
                if number % _SYNCED == 0:
                    file.sync()

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
            file = self._files.open(self._path(position))
        except TallystickError:
            return None
        try:
            return self._parse(file, position)
        except (InvalidTag, TallystickError, ValueError):
            return None
        finally:
            file.close()

    def _parse(self, file: File, position: int) -> Snapshot | None:
        begin = file.pread(len(_MAGIC) + _PREFIX, 0)
        prefix, place, number = begin[len(_MAGIC) :], len(begin), 0
        if begin[: len(_MAGIC)] != _MAGIC or len(prefix) != _PREFIX:
            return None

        def opened(size: int) -> bytes:
            # Pieces are numbered by their nonces: none can be left out, swapped or taken from another snapshot.
            nonlocal place, number
            pieces = []
            for start in range(0, size, _PIECE):
                length = min(_PIECE, size - start) + _TAG
                pieces.append(self._cipher.decrypt(_nonce(prefix, number), file.pread(length, place), _MAGIC))
                place, number = place + length, number + 1
            return b"".join(pieces)

        head = opened(_HEAD)
        numbers = [int.from_bytes(head[at : at + 8], "big") for at in range(0, _HEAD, 8)]
        if numbers[0] != position or sum(numbers[1:]) > file.size():
            return None
        root, features, remembered = map(opened, numbers[1:])
        return Snapshot(position, root, features, remembered) if place == file.size() else None

    def _path(self, position: int) -> Path:
        return self._directory / f"engine-{position:020}.snapshot"


def _nonce(prefix: bytes, number: int) -> bytes:
    return prefix + number.to_bytes(4, "big")
