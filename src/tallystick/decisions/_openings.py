"""What opens a request's input commitment: who holds it can score the input, and can show that it is the one meant.

- ``commitment = keccak256(salt || words)``; only that stands on a chain before a challenge.
- An opening is checked against the commitment before it is kept: a wrong one is refused, never stored.
- One file a request, readable by its owner only, written whole or not at all, in canonical JSON:

    {"request":"<hex>","salt":"<hex>","type":"tallystick/opening","v":1,"words":["<hex>",..]}
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tallystick.errors import DamagedError, EncodingError, ModelInputError, NotFoundError, VerificationError
from tallystick.models import IntegerModel, Row, input_commitment, pack_inputs
from tallystick.proof import Files, OsFiles, Randomness, format_json, parse_json, read_whole, write_atomically

__all__ = ["Opening", "OpeningSource", "Openings", "format_opening", "make_opening", "parse_opening"]

FORMAT = "tallystick/opening"
MAX_WORDS = 16
MAX_BYTES = 4_096
SALT_BYTES = 32
_hex32 = re.compile(r"[0-9a-f]{64}").fullmatch


@dataclass(frozen=True, slots=True)
class Opening:
    """A packed input and the salt that hides it. Its ``repr`` shows neither.

    Args:
        request: hex of the request's 32 bytes; empty until there is a request.
        salt: 32 random bytes.
        words: uint256 words, see `pack_inputs`; 1 to 16.

    Raises:
        ModelInputError: out of these bounds.
    """

    request: str
    salt: bytes
    words: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.request and not _hex32(self.request):
            raise ModelInputError("a request must be 64 hex digits")
        if len(self.salt) != SALT_BYTES:
            raise ModelInputError(f"a salt must have {SALT_BYTES} bytes, got {len(self.salt)}")
        if not 1 <= len(self.words) <= MAX_WORDS or any(not 0 <= word < 2**256 for word in self.words):
            raise ModelInputError(f"an opening must have 1 to {MAX_WORDS} words of 32 bytes")

    def __repr__(self) -> str:
        return f"Opening(request={self.request!r})"

    @property
    def commitment(self) -> bytes:
        """What the request says of the input, 32 bytes."""
        return input_commitment(self.salt, self.words)

    def of(self, request: str) -> Opening:
        """Return the same opening under the request that it belongs to."""
        return replace(self, request=request)

    def check(self, commitment: bytes) -> None:
        """Check that this is what was committed to.

        Raises:
            VerificationError: another input or another salt was.
        """
        if self.commitment != commitment:
            raise VerificationError(
                "the opening is not of the input that the request committed to",
                hint="ask whoever made the request for the right one; nothing was kept",
            )


class OpeningSource(Protocol):
    """Where a node gets openings from: its own store, the requester's node, a shared directory."""

    def fetch(self, request: str) -> Opening | None:
        """Return the opening of a request, None while it is not there."""


def make_opening(model: IntegerModel, row: Row, randomness: Randomness = os.urandom) -> Opening:
    """Quantise and pack a row, and hide it behind a fresh salt.

    Args:
        model: whose quantiser turns the row into inputs.
        row: the model's columns.
        randomness: source of the salt; one that repeats would tell equal inputs.

    Raises:
        ModelInputError: the row does not fit, or the model has more inputs than a contract takes.
    """
    return Opening("", randomness(SALT_BYTES), pack_inputs(model.quantiser.inputs(row)))


def format_opening(opening: Opening) -> bytes:
    """Write an opening as its only canonical bytes.

    Raises:
        ModelInputError: it belongs to no request yet.
    """
    if not opening.request:
        raise ModelInputError("an opening must belong to a request before it is written")
    words = [f"{word:064x}" for word in opening.words]
    said = {"request": opening.request, "salt": opening.salt.hex(), "type": FORMAT, "v": 1, "words": words}
    return format_json(said)


def parse_opening(data: bytes) -> Opening:
    """Read an opening; the inverse of `format_opening`, and as strict.

    Raises:
        EncodingError: not an opening of this version.
    """
    if len(data) > MAX_BYTES:
        raise EncodingError(f"an opening must have at most {MAX_BYTES} bytes, got {len(data)}")
    said = parse_json(data)
    if type(said) is not dict or set(said) != {"request", "salt", "type", "v", "words"}:
        raise EncodingError("an opening must have request, salt, type, v and words")
    if said["type"] != FORMAT or type(said["v"]) is not int or said["v"] != 1:
        raise EncodingError("not an opening of version 1")
    words = said["words"]
    texts = [said["request"], said["salt"], *(words if type(words) is list else [None])]
    if not all(type(text) is str and _hex32(text) for text in texts):
        raise EncodingError("an opening's fields must be 64 hex digits each")
    try:
        return Opening(texts[0], bytes.fromhex(texts[1]), tuple(int(word, 16) for word in texts[2:]))
    except ModelInputError as error:
        raise EncodingError(error.message) from error


class Openings:
    """The openings that a node holds, one file each.

    Args:
        directory: made when it is not there.
        files: file operations.

    Raises:
        StorageError: the directory cannot be used.
    """

    def __init__(self, directory: Path | str, *, files: Files | None = None) -> None:
        self._directory, self._files = Path(directory), files or OsFiles()
        if not self._files.exists(self._directory):
            self._files.make_directory(self._directory)
            self._files.sync_directory(self._directory.parent)

    def take(self, opening: Opening, commitment: bytes) -> None:
        """Keep an opening, durably, after checking it.

        Args:
            opening: of a request.
            commitment: what that request said, as read from the chain; 32 bytes.

        Raises:
            VerificationError: it opens something else; nothing is kept.
            StorageError: it could not be written.
        """
        opening.check(commitment)
        write_atomically(self._files, self._path(opening.request), format_opening(opening))

    def fetch(self, request: str) -> Opening | None:
        """Return what is kept for a request, None when nothing is.

        Raises:
            StorageError: it cannot be read, or is not what was written.
        """
        try:
            data = read_whole(self._files, self._path(request), limit=MAX_BYTES)
        except NotFoundError:
            return None
        try:
            opening = parse_opening(data)
        except EncodingError as error:
            raise DamagedError("a kept opening is damaged on the disk", hint="fetch it again") from error
        if opening.request != request:
            raise DamagedError("a kept opening stands under another request's name", hint="fetch it again")
        return opening

    def drop(self, request: str) -> None:
        """Delete an opening that nobody needs any more; nothing happens when there is none."""
        if self._files.exists(self._path(request)):
            self._files.unlink(self._path(request))
            self._files.sync_directory(self._directory)

    def __iter__(self) -> Iterator[str]:
        """Walk over the requests whose opening is kept, sorted."""
        names = self._files.list(self._directory)
        yield from (name.removesuffix(".json") for name in names if _hex32(name.removesuffix(".json")))

    def _path(self, request: str) -> Path:
        if not _hex32(request):  # it becomes a file's name
            raise ModelInputError("a request must be 64 hex digits")
        return self._directory / f"{request}.json"
