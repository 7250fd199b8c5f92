"""How oracle nodes show each other their signatures once all are committed to, and what they check before using one.

- What comes from others is material to judge: malformed, foreign and false signatures are passed over, never raised.
- Nothing here is secret: a signature is shown only when the contract can take no further commitment.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tallystick.errors import EncodingError, ModelInputError, NotFoundError, StorageError
from tallystick.proof import (
    Files,
    OsFiles,
    format_json,
    parse_json,
    read_whole,
    write_atomically,
)

__all__ = ["Exchange", "ExchangeDirectory", "Revealed", "SharedExchange", "format_revealed", "parse_revealed"]

FORMAT: Final = "tallystick/revealed"
MAX_BYTES: Final = 1_024
_request = re.compile(r"[0-9a-f]{64}").fullmatch
_signer = re.compile(r"0x[0-9a-f]{40}").fullmatch
_signature = re.compile(r"[0-9a-f]{130}").fullmatch
_number = re.compile(r"0|-?[1-9][0-9]{0,77}").fullmatch


@dataclass(frozen=True, slots=True)
class Revealed:
    """A signer's answer, shown.

    Args:
        request: hex of the request's 32 bytes.
        output: what it answers, int256.
        signer: the account that says so, 0x and 40 lower-case hex digits.
        signature: r, s, v over the answer's EIP-712 digest, 65 bytes.

    Raises:
        ModelInputError: out of these bounds.
    """

    request: str
    output: int
    signer: str
    signature: bytes

    def __post_init__(self) -> None:
        fits = _request(self.request) and _signer(self.signer) and len(self.signature) == 65
        if not fits or not -(2**255) <= self.output < 2**255:
            raise ModelInputError(
                "a revealed answer must have a request, an int256, an account and a signature"
            )


class Exchange(Protocol):
    """Where signers show their answers to each other."""

    def show(self, revealed: Revealed) -> None:
        """Show one's own answer; showing it again changes nothing."""

    def shown(self, request: str) -> list[Revealed]:
        """Return what was shown for a request, not checked yet."""


class SharedExchange:
    """An exchange inside one process."""

    def __init__(self) -> None:
        self._shown: dict[str, dict[str, Revealed]] = {}
        self._lock = threading.Lock()

    def show(self, revealed: Revealed) -> None:
        """Show an answer."""
        with self._lock:
            self._shown.setdefault(revealed.request, {})[revealed.signer] = revealed

    def shown(self, request: str) -> list[Revealed]:
        """Return what was shown for a request."""
        with self._lock:
            return list(self._shown.get(request, {}).values())


class ExchangeDirectory:
    """An exchange over a directory that all signers can write: one file a request and signer.

    Args:
        directory: made when it is not there.
        files: file operations.
    """

    def __init__(self, directory: Path | str, *, files: Files | None = None) -> None:
        self._directory, self._files = Path(directory), files or OsFiles()
        if not self._files.exists(self._directory):
            self._files.make_directory(self._directory)

    def show(self, revealed: Revealed) -> None:
        """Show an answer, durably."""
        name = f"{revealed.request}.{revealed.signer}.json"
        write_atomically(self._files, self._directory / name, format_revealed(revealed))

    def shown(self, request: str) -> list[Revealed]:
        """Return what was shown for a request; files that are no revealed answers are passed over."""
        names = [name for name in self._files.list(self._directory) if name.startswith(f"{request}.")]
        return list(self._read(request, names))

    def _read(self, request: str, names: list[str]) -> Iterator[Revealed]:
        for name in names:
            try:
                found = parse_revealed(read_whole(self._files, self._directory / name, limit=MAX_BYTES))
            except (EncodingError, NotFoundError, StorageError):
                continue  # somebody else's mistake must not stop those who answer
            if found.request == request:
                yield found


def format_revealed(revealed: Revealed) -> bytes:
    """Write a revealed answer as its only canonical bytes."""
    return format_json(
        {
            "output": str(revealed.output),
            "request": revealed.request,
            "signature": revealed.signature.hex(),
            "signer": revealed.signer,
            "type": FORMAT,
            "v": 1,
        }
    )


def parse_revealed(data: bytes) -> Revealed:
    """Read a revealed answer; the inverse of `format_revealed`, and as strict. The signature is not checked.

    Raises:
        EncodingError: not one of this version.
    """
    if len(data) > MAX_BYTES:
        raise EncodingError(f"a revealed answer must have at most {MAX_BYTES} bytes, got {len(data)}")
    said = parse_json(data)
    if type(said) is not dict or set(said) != {"output", "request", "signature", "signer", "type", "v"}:
        raise EncodingError("a revealed answer must have output, request, signature, signer, type and v")
    if said["type"] != FORMAT or type(said["v"]) is not int or said["v"] != 1:
        raise EncodingError("not a revealed answer of version 1")
    checks = {"output": _number, "request": _request, "signature": _signature, "signer": _signer}
    if any(type(said[name]) is not str or not check(said[name]) for name, check in checks.items()):
        raise EncodingError("a field of a revealed answer is malformed")
    signature = bytes.fromhex(said["signature"])
    try:
        return Revealed(said["request"], int(said["output"]), said["signer"], signature)
    except ModelInputError as error:
        raise EncodingError(error.message) from error
