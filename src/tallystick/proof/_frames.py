"""Frames of append-only files: whole, torn by a crash, or damaged later, and how to tell.

A frame is a header (big-endian u32 length, u32 CRC-32 of the content, u32 CRC-32 of the eight bytes before), the
content, and newlines up to a multiple of 16 bytes. Files begin with a 16-byte magic, so every frame is aligned.

A disk loses sectors as a whole, and what a crash took from the end of a growing file is missing or reads as zeros. So a
*torn* frame ends early or shows an aligned block of 16 zeros, and no whole frame follows: it was never acknowledged, and
is cut. Any other frame that does not check is *damaged*: it may have been acknowledged, and cutting it would turn one
bad bit into lost data. Contents must not hold an aligned block of 16 zeros themselves; texts and ciphertexts do not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

from tallystick.errors import DamagedError, UnknownFormatError
from tallystick.proof._files import File

ALIGN = 16
HEADER = 12
_CHUNK = 1024 * 1024
RESTORE = "restore it from a backup or another copy"


def check_magic(file: File, magic: bytes, name: str) -> None:
    """Check how a file begins.

    Raises:
        DamagedError: it does not begin as it must.
        UnknownFormatError: a later version, told by the magic's last byte.
    """
    found = file.pread(len(magic), 0)
    if found != magic:
        if found[:-1] == magic[:-1]:
            raise UnknownFormatError(f"expected version {magic[-1]} of `{name}`, got {found[-1]}")
        raise DamagedError(f"`{name}` does not begin as it must", hint=RESTORE)


def format_frame(content: bytes) -> bytes:
    """Frame a content."""
    head = struct.pack(">II", len(content), crc32(content))
    frame = head + struct.pack(">I", crc32(head)) + content
    return frame + b"\n" * (-len(frame) % ALIGN)


def frame_size(length: int) -> int:
    """Size of the frame around a content of ``length`` bytes."""
    return -(-(HEADER + length) // ALIGN) * ALIGN


def read_frame(data: bytes) -> bytes | None:
    """Read the content of the frame that ``data`` begins with; None when it does not check."""
    length = frame_length(data)
    if length is None:
        return None
    end = frame_size(length)
    content = data[HEADER : HEADER + length]
    if end > len(data) or crc32(content) != int.from_bytes(data[4:8], "big"):
        return None
    return None if data[HEADER + length : end].strip(b"\n") else content


def frame_length(header: bytes) -> int | None:
    """Read the content's length from a header; None when the header does not check."""
    if len(header) < HEADER or crc32(header[:8]) != int.from_bytes(header[8:12], "big"):
        return None
    return int.from_bytes(header[:4], "big")


def walk_frames(file: File, start: int, *, name: str, limit: int) -> Iterator[tuple[int, bytes]]:
    """Walk over the whole frames of a file, up to a torn one.

    Args:
        file: aligned frames from ``start`` on.
        start: place of a frame.
        name: the file's name, for messages.
        limit: most bytes of a frame.

    Yields:
        Each frame's place and content.

    Raises:
        DamagedError: a frame is damaged.
    """
    size, place = file.size(), start
    buffer, begin = b"", place
    while place < size:
        if place - begin + limit > len(buffer) and begin + len(buffer) < size:
            buffer, begin = file.pread(max(_CHUNK, limit), place), place
        rest = buffer[place - begin : place - begin + limit]
        content = read_frame(rest)
        if content is None:
            check_torn(file, place, name=name, limit=limit)
            return
        yield place, content
        place += frame_size(len(content))


def check_torn(file: File, place: int, *, name: str, limit: int) -> None:
    """Make sure that what stands from ``place`` on is a torn frame.

    Raises:
        DamagedError: it is a damaged one, or whole frames follow.
    """
    left = file.size() - place
    rest = file.pread(min(left, limit + ALIGN), place)
    if left > limit or not _looks_torn(rest) or _holds_frame(rest):
        raise DamagedError(f"the frame at byte {place} of `{name}` is damaged", hint=RESTORE)


def _looks_torn(rest: bytes) -> bool:
    if len(rest) < ALIGN or any(not any(rest[at : at + ALIGN]) for at in range(0, len(rest), ALIGN)):
        return True
    length = frame_length(rest)
    return length is not None and len(rest) < frame_size(length)


def _holds_frame(rest: bytes) -> bool:
    return any(read_frame(rest[at:]) is not None for at in range(ALIGN, len(rest), ALIGN))
