"""From drafts to statements, in batches: times, schemas, commitments, canonical bytes.

What a batch shares is computed once: one look at the clock, one call for nonces, one base64 over all commitments.
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.errors import ClockError, StatementError
from tallystick.proof._commitments import commit_bytes, commit_fields, padded_size
from tallystick.proof._encoding import JSON_INTEGER_LIMIT, format_json
from tallystick.proof._kinds import Kinds
from tallystick.proof._statements import STATEMENT_SIZE_LIMIT, PayloadRef, Statement, format_statement

CLOCK_BEHIND_LIMIT = 5 * 60 * 1_000_000  # microseconds that the clock may stand behind the last statement
CLOCK_AHEAD_LIMIT = 5 * 60 * 1_000_000  # microseconds that a given time may lie ahead of the clock
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement to be, before the journal gives it its time and place.

    Args:
        kind: ``noun.verb``, known to the journal.
        body: JSON object that fits the kind.
        links: label -> ids of earlier statements.
        payload: bytes to commit to, or None.
        fields: JSON object to commit to field by field, or None; not together with ``payload``.
        media: media type of ``payload``.
        subject: whom the payload is about; her key salts it.
        keep: store the payload, encrypted; False commits only, and the caller keeps it.
        at: microseconds since the epoch; the journal's clock when None.
    """

    kind: str
    body: dict[str, Any]
    links: dict[str, list[str]] | None = None
    payload: bytes | None = None
    fields: Mapping[str, Any] | None = None
    media: str = "application/octet-stream"
    subject: str = ""
    keep: bool = True
    at: int | None = None


def check_drafts(drafts: Sequence[Draft], kinds: Kinds) -> None:
    """Refuse a batch as a whole before anything of it is written.

    Raises:
        StatementError: a body that does not fit its kind, or two payloads.
    """
    check = kinds.check
    for draft in drafts:
        check(draft.kind, draft.body)
        if draft.payload is not None and draft.fields is not None:
            raise StatementError("a statement has one payload: expected `payload` or `fields`, got both")


def give_times(drafts: Sequence[Draft], *, now: int, last: int) -> list[int]:
    """Give every draft its time, strictly increasing.

    Args:
        drafts: in order.
        now: the clock, microseconds.
        last: time of the last statement.

    Raises:
        ClockError: the clock went back by more than `CLOCK_BEHIND_LIMIT`.
        StatementError: a given time is not after the one before, or beyond `CLOCK_AHEAD_LIMIT`.
    """
    check_clock(now=now, last=last)
    times = []
    for draft in drafts:
        at = draft.at
        if at is None:
            # A small step back of the clock is bridged: order matters more than a few microseconds.
            at = now if now > last else last + 1
        elif type(at) is not int or not last < at <= min(now + CLOCK_AHEAD_LIMIT, JSON_INTEGER_LIMIT):
            raise StatementError(
                "a given time must lie after the last statement's and not beyond the clock",
                hint="leave `at` out to take the journal's clock",
            )
        times.append(at)
        last = at
    return times


def check_clock(*, now: int, last: int) -> None:
    """Refuse to write with a clock that went back.

    Raises:
        ClockError: it stands more than `CLOCK_BEHIND_LIMIT` behind the last statement.
    """
    if last - now > CLOCK_BEHIND_LIMIT:
        raise ClockError(f"the clock stands {(last - now) // 1_000_000} s behind the last statement")


def commit_many(drafts: Sequence[Draft], keys: Mapping[str, bytes], nonces: bytes) -> list[PayloadRef | None]:
    """Commit to the payloads of drafts that are not kept here; None for all others.

    Args:
        drafts: in order.
        keys: subject -> subject key, for every subject among them.
        nonces: 16 fresh bytes per draft.
    """
    commitments = []
    sizes = []
    digest = hmac.digest
    for at, draft in enumerate(drafts):
        if draft.keep or (draft.payload is None and draft.fields is None):
            commitments.append(bytes(32))
            sizes.append(0)
            continue
        salt = digest(keys[draft.subject], nonces[16 * at : 16 * at + 16], "sha256")
        if draft.payload is not None:
            commitments.append(commit_bytes(draft.payload, salt))
            sizes.append(padded_size(len(draft.payload)))
        else:
            assert draft.fields is not None
            commitments.append(commit_fields(draft.fields, salt))
            sizes.append(padded_size(len(format_json(draft.fields))))
    # Blocks of whole base64 groups: each block's text, less its padding, is the text of its bytes alone.
    texts = _base64url(b"".join([commitment + b"\0" for commitment in commitments]))
    nonce_texts = _base64url(b"".join([nonces[at : at + 16] + b"\0\0" for at in range(0, len(nonces), 16)]))
    refs: list[PayloadRef | None] = []
    for at, (draft, size) in enumerate(zip(drafts, sizes, strict=True)):
        if not size:
            refs.append(None)
            continue
        form, media = ("bytes", draft.media) if draft.fields is None else ("fields", "application/json")
        commitment, nonce = texts[44 * at : 44 * at + 43], nonce_texts[24 * at : 24 * at + 22]
        refs.append(PayloadRef(commitment, form, media, nonce, size))
    return refs


def _base64url(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).decode("ascii")


def format_drafts(
    drafts: Sequence[Draft], *, times: Sequence[int], refs: Sequence[PayloadRef | None], origin: str
) -> list[Statement]:
    """Write the statements of drafts that `check_drafts` accepted.

    Raises:
        StatementError: links or media are malformed, or a statement is too large.
    """
    return [
        format_statement(
            at=at,
            kind=draft.kind,
            body=draft.body,
            origin=origin,
            links=draft.links,
            payload=ref,
            checked=True,
        )
        for draft, at, ref in zip(drafts, times, refs, strict=True)
    ]


_AT = b'{"at":'


def time_of(entry: bytes) -> int:
    """Read a statement's time from its first bytes; keys are sorted, so it always comes first.

    Raises:
        StatementError: it does not begin as a statement.
    """
    digits = entry[6 : entry.find(b",", 6, 30)]
    if entry[:6] != _AT or not digits.isdigit():
        raise StatementError("a statement must begin with its time")
    return int(digits)


def check_ready(entries: Sequence[bytes], *, now: int, last: int) -> int:
    """Check ready statements cheaply: size, beginning, increasing times.

    Returns:
        The last one's time.

    Raises:
        ClockError: the clock went back.
        StatementError: out of bounds.
    """
    check_clock(now=now, last=last)
    if entries and max(map(len, entries)) > STATEMENT_SIZE_LIMIT:
        raise StatementError(f"a statement must have at most {STATEMENT_SIZE_LIMIT} bytes")
    times = [time_of(entry) for entry in entries]
    previous = last
    for at in times:
        if at <= previous:
            raise StatementError(f"a statement's time must be after {previous}, got {at}")
        previous = at
    if previous > now + CLOCK_AHEAD_LIMIT:
        raise StatementError("a statement's time must not lie beyond the clock")
    return previous
