"""Where the statement with an id stands: sorted runs of leaf hashes, so that a lookup does not read all of them.

``ids`` holds, after a 16-byte magic, a run per `BLOCK` entries: for each of them, sorted, the first eight bytes of its
leaf hash and its place in the block (u32), then the CRC-32 of all that. A run is derived from the stored leaf hashes
when somebody looks for an id, a few at a time, and is never synced: one that a crash tore does not check and is written
again. What a run says is compared with the leaf hash itself; what no run covers yet is searched through.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

from tallystick.errors import DamagedError, NotFoundError
from tallystick.proof._files import File, Files
from tallystick.proof._hashes import Hashes
from tallystick.proof._merkle import HASH_SIZE

__all__ = ["BLOCK", "IdsIndex"]

IDS_MAGIC = b"tallystick/idsx\x01"
BLOCK = 65_536  # entries of a run
_KEY = 8  # bytes of a leaf hash
_RECORD = _KEY + 4
_TAIL = 8  # CRC-32, padded
_SPREAD = 640  # records around the place where hashes that are spread evenly would stand: five deviations
_AT_ONCE = (
    8  # runs that one lookup writes, half a second's work; a journal that nobody searched yet may lack many
)
_PLACES = [place.to_bytes(4, "big") for place in range(BLOCK)]


class IdsIndex:
    """The runs of one journal.

    Args:
        files: file operations.
        directory: the journal's directory.
        hashes: the stored leaf hashes.
        write: whether runs may be written.
    """

    def __init__(self, files: Files, directory: Path, hashes: Hashes, *, write: bool) -> None:
        self._files, self._path, self._hashes, self._write = files, directory / "ids", hashes, write
        self._file: File | None = None
        self._checked: set[int] = set()  # runs that were read whole once and checked
        self._building = threading.Lock()

    def find(self, beginning: str, *, size: int) -> Iterator[int]:
        """Find the statements whose id begins so.

        Args:
            beginning: lower-case hex digits, 1 to 64.
            size: look among the first ``size`` entries.

        Yields:
            Their places, the newest run's first.
        """
        if self._write:
            self._build(size, most=_AT_ONCE)
        low = bytes.fromhex(beginning[: 2 * _KEY].ljust(2 * _KEY, "0"))
        high = bytes.fromhex(beginning[: 2 * _KEY].ljust(2 * _KEY, "f"))
        whole = bytes.fromhex(beginning[: len(beginning) & ~1])
        for run in reversed(range(-(-size // BLOCK))):
            first, stop = run * BLOCK, min(size, (run + 1) * BLOCK)
            if stop - first == BLOCK and self._is_good(run):
                places = self._in_run(run, low, high)
            else:
                places = list(self._hashes.search(whole, first, stop))
            for place in places:
                if self._hashes.node(0, place).hex().startswith(beginning):
                    yield place

    def verify(self, size: int, pause: Callable[[], None]) -> None:
        """Compare the runs that check with the stored leaf hashes, and write those that are missing.

        Args:
            size: entries of the journal.
            pause: called after each run, so that others may work.

        Raises:
            DamagedError: a run differs.
        """
        for run in range(size // BLOCK):
            if self._write:
                self._build((run + 1) * BLOCK, most=1)
            if self._is_good(run) and self._read(run) != self._made(run):
                raise DamagedError(
                    f"the index of ids from entry {run * BLOCK} on is damaged",
                    hint="delete the file `ids`: it is derived again",
                )
            pause()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _build(self, size: int, *, most: int) -> None:
        # Whoever comes while another thread builds searches the longer way meanwhile.
        if size < BLOCK or not self._building.acquire(blocking=False):
            return
        try:
            missing = (run for run in range(size // BLOCK) if not self._is_good(run))
            for _, run in zip(range(most), missing, strict=False):
                file = self._open()
                assert file is not None
                file.pwrite(IDS_MAGIC, 0)
                file.pwrite(self._made(run), self._place(run))
                self._checked.add(run)
        finally:
            self._building.release()

    def _made(self, run: int) -> bytes:
        packed = self._hashes.read(0, run * BLOCK, BLOCK)
        # One sort of them all would keep every other thread waiting for its whole length.
        parts: list[list[bytes]] = [[] for _ in range(256)]
        for at, place in zip(range(0, HASH_SIZE * BLOCK, HASH_SIZE), _PLACES, strict=False):
            parts[packed[at]].append(packed[at : at + _KEY] + place)
        records = b"".join([record for part in parts for record in sorted(part)])
        return records + crc32(records).to_bytes(4, "big") + bytes(_TAIL - 4)

    def _is_good(self, run: int) -> bool:
        if run not in self._checked:
            data = self._read(run)
            records, tail = data[:-_TAIL], data[-_TAIL:]
            if len(data) != _RECORD * BLOCK + _TAIL or tail[:4] != crc32(records).to_bytes(4, "big"):
                return False
            self._checked.add(run)
        return True

    def _in_run(self, run: int, low: bytes, high: bytes) -> list[int]:
        """Find the places of the records from ``low`` to ``high``."""
        least, most = int.from_bytes(low, "big"), int.from_bytes(high, "big")
        start = max(0, (least * BLOCK >> 64) - _SPREAD)
        stop = min(BLOCK, (most * BLOCK >> 64) + _SPREAD)
        data = self._read(run, start, stop)
        if (start and data[:_KEY] >= low) or (stop < BLOCK and data[-_RECORD : _KEY - _RECORD] <= high):
            data = self._read(run, 0, BLOCK)
        count = len(data) // _RECORD
        at = bisect_left(
            range(count), low, key=lambda record: data[_RECORD * record : _RECORD * record + _KEY]
        )
        places = []
        while at < count and data[_RECORD * at : _RECORD * at + _KEY] <= high:
            places.append(run * BLOCK + int.from_bytes(data[_RECORD * at + _KEY : _RECORD * (at + 1)], "big"))
            at += 1
        return places

    def _read(self, run: int, start: int = 0, stop: int = -1) -> bytes:
        file = self._open()
        if file is None:
            return b""
        size = _RECORD * BLOCK + _TAIL if stop < 0 else _RECORD * (stop - start)
        return file.pread(size, self._place(run) + _RECORD * start)

    def _place(self, run: int) -> int:
        return len(IDS_MAGIC) + run * (_RECORD * BLOCK + _TAIL)

    def _open(self) -> File | None:
        if self._file is None:
            try:
                file = self._files.open(self._path, write=self._write, create=self._write)
            except NotFoundError:
                return None
            self._file = file
        return self._file
