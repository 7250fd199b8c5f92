"""What a member received within an epoch, kept so that a restart loses nothing of the list.

One append-only file per epoch: receipts, each sealed under a key that is destroyed with the member's share, so that at
the epoch's end the file is noise. A torn end is left behind and written over: whoever sent the receipt, or this member's
own journal, still has it.

    4 bytes size || 12 bytes nonce || AES-256-GCM of (8 bytes time of arrival || receipt)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.proof import File, Files, Randomness

__all__ = ["Received"]

SIZE_LIMIT: Final = 8 * 1024 * 1024  # bytes of a record


class Received:
    """The kept receipts of one epoch.

    Args:
        path: the file; made when there is none.
        key: 32 bytes, gone with the share.
        files: file operations.
        randomness: source of nonces.
    """

    def __init__(self, path: Path, key: bytes, *, files: Files, randomness: Randomness) -> None:
        self._box, self._randomness = AESGCM(key), randomness
        fresh = not files.exists(path)
        files.make_directory(path.parent)
        self._file: File = files.open(path, write=True, create=True)
        if fresh:
            files.sync_directory(path.parent)
        self._lock = threading.Lock()
        self._end = 0

    def walk(self) -> Iterator[tuple[int, bytes]]:
        """Read what was kept, each with its time of arrival, in that order; ends at what is torn or damaged."""
        place, size = 0, self._file.size()
        while place + 4 <= size:
            length = int.from_bytes(self._file.pread(4, place), "big")
            sealed = self._file.pread(length, place + 4) if 28 <= length <= SIZE_LIMIT else b""
            try:
                plain = self._box.decrypt(sealed[:12], sealed[12:], place.to_bytes(8, "big"))
            except (InvalidTag, ValueError):
                return
            place += 4 + length
            self._end = place
            yield int.from_bytes(plain[:8], "big"), plain[8:]

    def keep(self, receipt: bytes, *, at: int) -> None:
        """Append one receipt, durably; `walk` was used up before."""
        with self._lock:
            nonce = self._randomness(12)
            sealed = nonce + self._box.encrypt(
                nonce, at.to_bytes(8, "big") + receipt, self._end.to_bytes(8, "big")
            )
            self._file.pwrite(len(sealed).to_bytes(4, "big") + sealed, self._end)
            self._file.sync()
            self._end += 4 + len(sealed)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
