"""Epochs: the time for which tokens hold, and each member's share of the key behind them.

- Every member states ``epoch.opened`` in its own journal: the number, the time, who takes part, its commitment to its
  share and a proof that it knows the share. An epoch is open when all of them have said the same.
- A share stands nowhere but in its own member's file, sealed under that member's storage secret.
- At the end the file is replaced by one without the share, then ``epoch.ended`` is stated. One member that does so is
  enough: without all shares there is no token, for anybody, ever again.

What replacing a file cannot reach: a backup or a copy-on-write file system that still holds the old one, together with
the storage secret. Leave the file out of backups: a share that is lost ends the epoch early and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import (
    ConfigurationError,
    DamagedError,
    DeadlineError,
    EncodingError,
    NotFoundError,
    VerificationError,
)
from tallystick.proof import (
    Files,
    OsFiles,
    Party,
    Policy,
    Randomness,
    Receipt,
    check_format,
    decode_base64,
    encode_base64,
    format_json,
    parse_json,
    parse_receipt,
    read_whole,
    verify,
    write_atomically,
)

from ._group import draw_scalar, multiply_base
from ._tokens import prove_possession, verify_possession

__all__ = ["Epoch", "Shares", "epoch_of", "opening_body"]

MAX_MEMBERS: Final = 64
_FORMAT: Final = "tallystick/epoch-shares"
_FILE_LIMIT: Final = 1024 * 1024  # bytes
_DOMAIN: Final = b"tallystick/epoch/v1\x00"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch that all members have opened.

    Args:
        number: 1, 2, ...
        since: microseconds, from here on.
        until: microseconds, before this.
        commitments: party id -> the point that commits to its share.
    """

    number: int
    since: int
    until: int
    commitments: Mapping[str, bytes]
    id: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain = {
            "members": {party: point.hex() for party, point in self.commitments.items()},
            "number": self.number,
            "since": self.since,
            "until": self.until,
        }
        object.__setattr__(self, "id", hashlib.sha256(_DOMAIN + format_json(plain)).digest())

    @property
    def members(self) -> tuple[str, ...]:
        """Party ids, sorted."""
        return tuple(sorted(self.commitments))

    @property
    def network(self) -> str:
        """What a request is signed for, beside the journal of the member that it asks."""
        return f"tallystick/payees/{self.id.hex()}"

    def check_time(self, at: int) -> None:
        """Refuse a time outside of it.

        Raises:
            DeadlineError: it has not begun, or is over.
        """
        if not self.since <= at < self.until:
            raise DeadlineError(
                f"epoch {self.number} {'is over' if at >= self.until else 'has not begun'}",
                hint="open the next epoch: all members have to",
            )


class Shares:
    """A member's own shares, sealed in one small file.

    Args:
        path: the file; made when the first share is drawn.
        party: its storage secret seals them.
        files: file operations.
        randomness: source of shares.

    Raises:
        DamagedError: the file is not what was written.
    """

    def __init__(
        self, path: Path, party: Party, *, files: Files | None = None, randomness: Randomness = os.urandom
    ) -> None:
        self._path, self._party = path, party
        self._files, self._randomness = files or OsFiles(), randomness
        self._lock = threading.Lock()
        self._sealed, self._last, self._unstated = self._read()

    def __repr__(self) -> str:
        return f"Shares(epochs={sorted(self._sealed)})"

    @property
    def numbers(self) -> tuple[int, ...]:
        """Epochs whose share is kept, ascending."""
        return tuple(sorted(self._sealed))

    def draw(self, number: int) -> bytes:
        """Draw a share for a new epoch; durable when this returns.

        Returns:
            The commitment to it, 32 bytes.

        Raises:
            ConfigurationError: the number is not above all before: a share is never made twice.
        """
        with self._lock:
            if type(number) is not int or number <= self._last:
                raise ConfigurationError(f"the next epoch must be {self._last + 1} or later, got {number}")
            share, tags = draw_scalar(self._randomness), self._randomness(32)
            nonce = self._randomness(12)
            kept = {**self._sealed, number: nonce + self._box().encrypt(nonce, share + tags, _bound(number))}
            self._write(kept, number, self._unstated)
        return multiply_base(share)

    def share(self, number: int) -> bytes:
        """Open the share of an epoch, 32 bytes.

        Raises:
            DeadlineError: it was destroyed, or never drawn.
            DamagedError: the file was changed.
        """
        return self._open(number)[:32]

    def tag(self, number: int, *words: str) -> bytes:
        """Name somebody within an epoch so that nobody else can tell who it is; 16 bytes, gone with the share."""
        message = b"tag\x00" + format_json(list(words))
        return hmac.digest(self._open(number)[32:], message, "sha256")[:16]

    def key(self, number: int, purpose: bytes) -> bytes:
        """Derive a key that is gone with the share, 32 bytes."""
        return hmac.digest(self._open(number)[32:], b"key\x00" + purpose, "sha256")

    def destroy(self, number: int) -> bool:
        """Destroy a share; True when there was one. That it is gone waits in `unstated` to be stated.

        A crash before the rename leaves everything as it was; a crash after it leaves only the statement to be made.
        """
        with self._lock:
            if number not in self._sealed:
                return False
            kept = {n: sealed for n, sealed in self._sealed.items() if n != number}
            self._write(kept, self._last, (*self._unstated, number))
        return True

    @property
    def unstated(self) -> tuple[int, ...]:
        """Epochs whose share is destroyed, and whose end is not stated yet."""
        return self._unstated

    def stated(self, number: int) -> None:
        """Remember that an epoch's end is stated; a crash before this states it twice, which harms nobody."""
        with self._lock:
            self._write(self._sealed, self._last, tuple(n for n in self._unstated if n != number))

    def _open(self, number: int) -> bytes:
        sealed = self._sealed.get(number)
        if sealed is None:
            raise DeadlineError(
                f"the share of epoch {number} is not here: it was destroyed, or never drawn",
                hint="open the next epoch: all members have to",
            )
        try:
            return self._box().decrypt(sealed[:12], sealed[12:], _bound(number))
        except InvalidTag as error:
            raise DamagedError("the file of shares is damaged", hint="open the next epoch") from error

    def _box(self) -> AESGCM:
        storage = self._party.secret("storage").reveal()
        return AESGCM(hmac.digest(storage, b"tallystick/epoch-shares/v1", "sha256"))

    def _read(self) -> tuple[dict[int, bytes], int, tuple[int, ...]]:
        try:
            data = read_whole(self._files, self._path, limit=_FILE_LIMIT)
        except NotFoundError:
            return {}, 0, ()
        try:
            document = check_format(parse_json(data, limit=_FILE_LIMIT), _FORMAT)
            sealed = {int(number): decode_base64(text) for number, text in document["shares"].items()}
            return sealed, int(document["last"]), tuple(map(int, document["unstated"]))
        except (EncodingError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError("the file of shares is damaged", hint="open the next epoch") from error

    def _write(self, kept: dict[int, bytes], last: int, unstated: tuple[int, ...]) -> None:
        document = {
            "last": last,
            "shares": {str(number): encode_base64(sealed) for number, sealed in sorted(kept.items())},
            "type": _FORMAT,
            "unstated": list(unstated),
            "v": 1,
        }
        self._files.make_directory(self._path.parent)
        write_atomically(self._files, self._path, format_json(document), mode=0o600)
        # Only what the disk says counts: a failed write leaves all as it was.
        self._sealed, self._last, self._unstated = kept, last, unstated


def opening_body(
    shares: Shares,
    *,
    number: int,
    since: int,
    until: int,
    member: str,
    members: Sequence[str],
    randomness: Randomness,
    again: bool = False,
) -> dict[str, Any]:
    """Draw this member's share and make the body of its ``epoch.opened``.

    With `again`, a share that was drawn before a crash, and of which nothing was stated, is used.

    Raises:
        ConfigurationError: no two members, one twice, or a time that is none.
    """
    told = sorted(set(members))
    if not 2 <= len(told) <= MAX_MEMBERS or len(told) != len(members) or member not in told:
        raise ConfigurationError(f"an epoch must have 2 to {MAX_MEMBERS} different members, this one too")
    if not 0 <= since < until:
        raise ConfigurationError("an epoch must end after it begins")
    drawn = again and number in shares.numbers
    commitment = multiply_base(shares.share(number)) if drawn else shares.draw(number)
    context = _context(number, since, until, member, told)
    return {
        "commitment": commitment.hex(),
        "members": told,
        "number": number,
        "proof": prove_possession(shares.share(number), context=context, randomness=randomness).hex(),
        "since": since,
        "until": until,
    }


def epoch_of(openings: Sequence[Receipt | bytes], *, policy: Policy) -> Epoch:
    """Put an epoch together from every member's ``epoch.opened``.

    Args:
        openings: one receipt of each member.
        policy: who the members are.

    Raises:
        VerificationError: a receipt or a proof does not hold, they say different things, or one is missing.
    """
    said: dict[str, Mapping[str, Any]] = {}
    for item in openings:
        receipt = item if isinstance(item, Receipt) else parse_receipt(item)
        verify(receipt, policy=policy)
        if receipt.statement.kind != "epoch.opened":
            raise VerificationError("an epoch is opened by statements of the kind epoch.opened")
        body = receipt.statement.body
        if said.setdefault(receipt.statement.party, body) != body:
            raise VerificationError("a member opened the same epoch twice, with different shares")
    if not said:
        raise VerificationError("an epoch needs every member's epoch.opened, got none")
    return _agreed(said)


def _agreed(said: Mapping[str, Mapping[str, Any]]) -> Epoch:
    first = next(iter(said.values()))
    shared = ("members", "number", "since", "until")
    if any(body[name] != first[name] for body in said.values() for name in shared):
        raise VerificationError("the members opened different epochs: number, time and members must agree")
    if sorted(said) != first["members"]:
        raise VerificationError("every member must open the epoch, and nobody else")
    number, since, until = first["number"], first["since"], first["until"]
    commitments = {}
    for party, body in said.items():
        context = _context(number, since, until, party, first["members"])
        try:
            point, proof = bytes.fromhex(body["commitment"]), bytes.fromhex(body["proof"])
            verify_possession(point, proof, context=context)
        except (EncodingError, ValueError) as error:
            raise VerificationError("a member's commitment or its proof is malformed") from error
        commitments[party] = point
    return Epoch(number, since, until, commitments)


def _context(number: int, since: int, until: int, member: str, members: Sequence[str]) -> bytes:
    plain = {
        "member": member,
        "members": list(members),
        "number": number,
        "since": since,
        "until": until,
    }
    return hashlib.sha256(_DOMAIN + format_json(plain)).digest()


def _bound(number: int) -> bytes:
    return b"epoch\x00%d" % number
