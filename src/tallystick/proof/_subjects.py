"""Keys of subjects: one random 32-byte key per person, wrapped under the party's storage key.

The file ``subjects`` holds a 16-byte magic and then frames (see `_frames`). A frame's content is one record or several:
16 bytes of an HMAC of the subject's name, a 12-byte nonce, and her key under AES-256-GCM, 48 bytes. What becomes durable
in one sync stands in one frame: after a crash it is there as a whole, or torn and cut, for nothing that it keys was
acknowledged. A damaged frame is refused.

In memory stands where each record is, not the record: about 130 bytes a subject, so 130 MB for a million.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import DamagedError, StatementError
from tallystick.proof._files import Files, write_atomically
from tallystick.proof._frames import (
    HEADER,
    check_magic,
    check_torn,
    format_frame,
    frame_length,
    frame_size,
    read_frame,
)
from tallystick.proof._keys import Randomness, Secret
from tallystick.proof._leaves import keyed_hash

SUBJECTS_MAGIC = b"tallystick/subj\x01"
_TAG = 16  # bytes
RECORD_SIZE = 76  # bytes: tag, nonce, wrapped key
_GROUP = 8192  # records of one frame
_FRAME_LIMIT = frame_size(_GROUP * RECORD_SIZE)
_CHUNK = 4 * 1024 * 1024  # bytes read at once when opening; above the largest frame


class Subjects:
    """The keys of one journal's subjects; who makes new ones holds the journal's lock, any thread may find one.

    Args:
        files: file operations.
        directory: where ``subjects`` stands.
        storage_key: the party's storage secret.
        write: whether the file may be made and written.
        randomness: source of keys and nonces.

    Raises:
        DamagedError: the file is not what was written.
        UnknownFormatError: a later version.
    """

    def __init__(
        self,
        files: Files,
        directory: Path,
        storage_key: Secret,
        *,
        write: bool,
        randomness: Randomness = os.urandom,
    ) -> None:
        self._files, self._path, self._write = files, directory / "subjects", write
        self._randomness = randomness
        self._wrap, self._name = AESGCM(storage_key.reveal()), keyed_hash(storage_key.reveal())
        self._reading = threading.Lock()  # an erasure replaces file and places under it
        self._pending: dict[int, tuple[bytes, bytes]] = {}  # tag -> key and record, not yet in the file
        if write and not files.exists(self._path):
            write_atomically(files, self._path, SUBJECTS_MAGIC)
        self._file = files.open(self._path, write=write)
        self._places, self._end = self._load()
        if write and self._file.size() > self._end:
            self._file.truncate(self._end)

    def __len__(self) -> int:
        return len(self._places) + len(self._pending)

    def tag(self, subject: str) -> bytes:
        """Name a subject without naming her, 16 bytes.

        Raises:
            StatementError: the name is not valid Unicode.
        """
        try:
            return self._name(b"subject\x00" + subject.encode())[:_TAG]
        except UnicodeEncodeError as error:
            raise StatementError("a subject must be valid Unicode, got a lone surrogate") from error

    def find(self, tag: bytes) -> bytes | None:
        """A subject's key, 32 bytes; None when there is none, or none any more.

        Raises:
            DamagedError: it is damaged.
        """
        number = int.from_bytes(tag, "big")
        pending = self._pending.get(number)
        if pending is not None:
            return pending[0]
        with self._reading:
            place = self._places.get(number)
            record = b"" if place is None else self._file.pread(RECORD_SIZE, place)
        if not record:
            return None
        try:
            if record[:_TAG] == tag:
                return self._wrap.decrypt(record[_TAG : _TAG + 12], record[_TAG + 12 :], tag)
        except InvalidTag:
            pass
        raise DamagedError("a subject's key is damaged on the disk", hint="restore it from a backup")

    def make(self, tag: bytes) -> bytes:
        """Make a new key; `write` must follow before anything that uses it is acknowledged."""
        key, nonce = self._randomness(32), self._randomness(12)
        record = tag + nonce + self._wrap.encrypt(nonce, key, tag)
        self._pending[int.from_bytes(tag, "big")] = (key, record)
        return key

    @property
    def pending(self) -> bool:
        """Whether new keys wait for `write`."""
        return bool(self._pending)

    def write(self) -> None:
        """Write all new keys and make them durable, with one sync."""
        while self._pending:
            fresh = list(self._pending.items())[:_GROUP]
            frame = format_frame(b"".join(record for _, (_, record) in fresh))
            self._file.pwrite(frame, self._end)
            # A lost key would make its payloads unknowable. Frames follow one another only when the last one is whole.
            self._file.sync()
            first = self._end + HEADER
            self._places.update((number, first + RECORD_SIZE * at) for at, (number, _) in enumerate(fresh))
            self._end += len(frame)
            for number, _ in fresh:
                del self._pending[number]

    def erase(self, tag: bytes) -> bool:
        """Destroy a key, by writing the file anew without it; True when there was one.

        What a copy-on-write file system or a backup still holds is out of reach.
        """
        number = int.from_bytes(tag, "big")
        place = self._places.get(number)
        if place is None:
            return self._pending.pop(number, None) is not None
        data = memoryview(self._file.pread(self._end, 0))
        start, content = _frame_around(data, place)
        at, stop = place - start - HEADER, start + frame_size(len(content))
        rest = content[:at] + content[at + RECORD_SIZE :]
        frame = format_frame(rest) if rest else b""
        # The key counts as destroyed when the disk says so; a failure before that may be tried again.
        write_atomically(self._files, self._path, b"".join([data[:start], frame, data[stop:]]))
        moved = stop - start - len(frame)
        with self._reading:
            self._file.close()
            self._file = self._files.open(self._path, write=True)
            self._places = {
                other: its if its < place else its - (RECORD_SIZE if its < stop else moved)
                for other, its in self._places.items()
                if other != number
            }
            self._end -= moved
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _load(self) -> tuple[dict[int, int], int]:
        check_magic(self._file, SUBJECTS_MAGIC, "subjects")
        places, end, number_of = dict[int, int](), len(SUBJECTS_MAGIC), int.from_bytes
        for place, content in self._walk():
            at = place + HEADER
            if len(content) == RECORD_SIZE:
                places[number_of(content[:_TAG], "big")] = at
            else:
                for start in range(0, len(content), RECORD_SIZE):
                    places[number_of(content[start : start + _TAG], "big")] = at + start
            end = place + frame_size(len(content))
        return places, end

    def _walk(self) -> Iterable[tuple[int, bytes]]:
        """Walk over the frames up to a torn one; as `walk_frames`, for a million small ones.

        Raises:
            DamagedError: a frame is damaged.
        """
        place, size = len(SUBJECTS_MAGIC), self._file.size()
        while place < size:
            buffer, at = self._file.pread(_CHUNK, place), 0
            while True:
                header = buffer[at : at + HEADER]
                length = frame_length(header)
                if length is None or length % RECORD_SIZE or not length or length > _GROUP * RECORD_SIZE:
                    break
                begin, end = at + HEADER, at + frame_size(length)
                content = buffer[begin : begin + length]
                if end > len(buffer) or crc32(content) != int.from_bytes(header[4:8], "big"):
                    break
                if buffer[begin + length : end].strip(b"\n"):
                    break
                yield place + at, content
                at = end
            if at == 0:
                check_torn(self._file, place, name="subjects", limit=_FRAME_LIMIT)
                return
            place += at


def _frame_around(data: memoryview, place: int) -> tuple[int, bytes]:
    """Start and content of the frame that a record stands in.

    Raises:
        DamagedError: it is damaged, or one before it.
    """
    start = len(SUBJECTS_MAGIC)
    while start < place:
        length = int.from_bytes(data[start : start + 4], "big")
        after = start + frame_size(length)
        if after > place:
            content = read_frame(bytes(data[start:after]))
            if content is not None and (place - start - HEADER) % RECORD_SIZE == 0:
                return start, content
            break
        start = after
    raise DamagedError("a subject's key is damaged on the disk", hint="restore it from a backup")
