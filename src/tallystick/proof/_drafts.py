"""From drafts to statements, in batches: times, schemas, commitments, canonical bytes.

What a batch shares is computed once: one look at the clock, one call for nonces, one base64 over all commitments.
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import lt
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import ClockError, StatementError
from tallystick.proof._commitments import commit_fields, padded_size
from tallystick.proof._encoding import JSON_INTEGER_LIMIT
from tallystick.proof._kinds import Kinds
from tallystick.proof._statements import STATEMENT_SIZE_LIMIT, PayloadRef, check_links, format_statement

CLOCK_AHEAD_LIMIT = 5 * 60 * 1_000_000  # microseconds that a given time may lie ahead of the clock
Ref = tuple[str, str, str, str, int]
"""The fields of `PayloadRef`, in its order."""

PAYLOAD_SIZE_LIMIT = 64 * 1024 * 1024  # bytes
_NOTHING = bytes(32)
_NO_NONCE = bytes(12)  # a payload's key seals one text only
COMMITMENT_PREFIX = b"tallystick/commitment/v1\x00"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """How far a journal believes its clock.

    Args:
        behind_s: seconds that the clock may stand behind the last statement. Raise it once to go on after statements
            were recorded with a clock that was ahead: what follows then takes the next microseconds.
        idle_days: days that may lie between two statements; a clock that jumps further would lock the journal there.
    """

    behind_s: int = 300
    idle_days: int = 366


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
        if (
            type(draft.kind) is not str
            or type(draft.body) is not dict
            or type(draft.media) is not str
            or type(draft.subject) is not str
        ):
            raise StatementError(
                "a draft must have a kind, a media type and a subject as text and a body as an object"
            )
        check(draft.kind, draft.body)
        payload = draft.payload
        if payload is not None and (type(payload) is not bytes or draft.fields is not None):
            raise StatementError(
                "a draft must have one payload: bytes in `payload`, or an object in `fields`"
            )


def give_times(
    drafts: Sequence[Draft], *, now: int, last: int, bounds: ClockBounds = ClockBounds()
) -> list[int]:
    """Give every draft its time, strictly increasing.

    Args:
        drafts: in order.
        now: the clock, microseconds.
        last: time of the last statement.
        bounds: how far the clock is believed.

    Raises:
        ClockError: the clock is out of its bounds.
        StatementError: a given time is not after the one before, or beyond `CLOCK_AHEAD_LIMIT`.
    """
    check_clock(now=now, last=last, bounds=bounds)
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


def check_clock(*, now: int, last: int, bounds: ClockBounds) -> None:
    """Refuse to write with a clock that went back, or far ahead.

    Raises:
        ClockError: it is out of its bounds against the last statement.
    """
    apart_s = (now - last) // 1_000_000
    if -apart_s > bounds.behind_s:
        raise ClockError(
            f"the clock stands {-apart_s} s behind the last statement",
            hint="set the machine's clock; if it is right and was ahead before, raise clock.behind_s to that number",
        )
    if last and apart_s > bounds.idle_days * 86_400:
        raise ClockError(
            f"the clock stands {apart_s // 86_400} days ahead of the last statement",
            hint="set the machine's clock; if it is right, raise clock.idle_days to that number",
        )


@dataclass(frozen=True, slots=True)
class Committed:
    """What drafts commit to, in their order; nothing for a draft without a payload.

    Args:
        refs: what each statement says of its payload.
        sealed: place among the drafts and what is stored, of those that are kept.
    """

    refs: list[Ref | None]
    sealed: list[tuple[int, bytes]]


class SubjectKey:
    """What payloads of one subject are salted and sealed with.

    Args:
        key: 32 bytes.
        tag: the 16 bytes that sealed payloads name the subject by.
    """

    __slots__ = ("key", "tag")

    def __init__(self, key: bytes, tag: bytes = b"") -> None:
        self.key, self.tag = key, tag

    def hash(self, message: bytes) -> bytes:
        """HMAC-SHA-256 under the key; 32 bytes."""
        return hmac.digest(self.key, message, "sha256")


def commit_many(drafts: Sequence[Draft], keys: Mapping[str, SubjectKey], nonces: bytes) -> Committed:
    """Commit to the payloads of drafts, and seal those that are to be kept.

    Args:
        drafts: in order.
        keys: subject -> her key, for every subject of a payload among them.
        nonces: 16 fresh bytes per draft.

    Raises:
        StatementError: a payload that is too large, or fields outside the profile.
    """
    cut = [nonces[at : at + 16] for at in range(0, 16 * len(drafts), 16)]
    commitments, sizes, sealed = [], [], []
    for at, (draft, nonce) in enumerate(zip(drafts, cut, strict=True)):
        payload, fields = draft.payload, draft.fields
        if payload is None and fields is None:
            commitments.append(_NOTHING)
            sizes.append(0)
            continue
        subject = keys[draft.subject]
        salt = subject.hash(nonce)
        if payload is not None:
            plain, commitment = payload, sha256(COMMITMENT_PREFIX + salt + payload).digest()
        else:
            assert fields is not None
            commitment = commit_fields(fields, salt)
            # The commitment checked every type: what is left to do is to write it down.
            plain = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        if len(plain) > PAYLOAD_SIZE_LIMIT:
            raise StatementError(f"a payload must have at most {PAYLOAD_SIZE_LIMIT} bytes, got {len(plain)}")
        commitments.append(commitment)
        sizes.append(padded_size(len(plain)))
        if draft.keep:
            box = AESGCM(subject.hash(b"payload\x00" + nonce)).encrypt(_NO_NONCE, plain, commitment)
            sealed.append((at, commitment + subject.tag + nonce + box))
    return Committed(_refs(drafts, commitments, cut, sizes), sealed)


def _refs(
    drafts: Sequence[Draft], commitments: Sequence[bytes], nonces: Sequence[bytes], sizes: Sequence[int]
) -> list[Ref | None]:
    # Blocks of whole base64 groups: each block's text, less its end, is the text of its bytes alone.
    texts = _base64url(b"\0".join(commitments) + b"\0")
    nonce_texts = _base64url(b"\0\0".join(nonces) + b"\0\0")
    return [
        None
        if not size
        else (texts[at : at + 43], "bytes", draft.media, nonce_texts[nonce_at : nonce_at + 22], size)
        if draft.fields is None
        else (texts[at : at + 43], "fields", "application/json", nonce_texts[nonce_at : nonce_at + 22], size)
        for at, nonce_at, draft, size in zip(
            range(0, len(texts), 44), range(0, len(nonce_texts), 24), drafts, sizes, strict=True
        )
    ]


def _base64url(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).decode("ascii")


def format_drafts(
    drafts: Sequence[Draft], *, times: Sequence[int], refs: Sequence[Ref | None], origin: str
) -> list[bytes]:
    """Write the statements of drafts that `check_drafts` accepted.

    `format_statement` writes the first one of a shape and thereby checks what its like share; those are put together
    around the same parts, and links that equal the ones before them are not looked at again. A property test holds
    both ways equal.

    Raises:
        StatementError: links or media are malformed, or a statement is too large.
    """
    checked: set[tuple[str, str]] = set()
    dumps, sort, made = orjson.dumps, orjson.OPT_SORT_KEYS, []
    end = b',"origin":' + dumps(origin)
    last: dict[str, list[str]] | None = None
    links = b"{}"
    for draft, at, ref in zip(drafts, times, refs, strict=True):
        kind = draft.kind
        shape = (kind, ref[2] if ref else "")
        if shape not in checked:
            made.append(_format_whole(draft, at, ref, origin))
            checked.add(shape)
            continue
        if draft.links is not last:
            last, links = draft.links, _format_links(draft.links, last, links)
        payload = (
            b',"payload":{"commitment":"%b","form":"%b","media":"%b","nonce":"%b","size":%d}'
            % (ref[0].encode(), ref[1].encode(), ref[2].encode(), ref[3].encode(), ref[4])
            if ref
            else b""
        )
        try:
            body = dumps(draft.body, option=sort)
        except TypeError as error:
            raise StatementError("a string must be valid Unicode, got a lone surrogate") from error
        data = b'{"at":%d,"body":%b,"kind":"%b","links":%b%b%b,"v":1}' % (
            at,
            body,
            kind.encode(),
            links,
            end,
            payload,
        )
        if len(data) > STATEMENT_SIZE_LIMIT:
            raise StatementError(
                f"a statement must have at most {STATEMENT_SIZE_LIMIT} bytes, got {len(data)}",
                hint="put what is long into the payload",
            )
        made.append(data)
    return made


def _format_links(
    links: dict[str, list[str]] | None, known: dict[str, list[str]] | None, written: bytes
) -> bytes:
    """Check links and write them down; those that equal ``known`` are ``written`` already."""
    if not links:
        return b"{}"
    if type(links) is not dict or links != known:
        check_links(links)
        written = orjson.dumps(links, option=orjson.OPT_SORT_KEYS)
    return written


def _format_whole(draft: Draft, at: int, ref: Ref | None, origin: str) -> bytes:
    payload = PayloadRef(*ref) if ref else None
    return format_statement(
        at=at,
        kind=draft.kind,
        body=draft.body,
        origin=origin,
        links=draft.links,
        payload=payload,
        checked=True,
    ).bytes


_COLUMNS = [(0, b"{"), (1, b'"'), (2, b"a"), (3, b"t"), (4, b'"'), (5, b":"), (22, b",")]
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


def _has_sixteen_digits(heads: bytes, count: int) -> bool:
    """Tell whether joined beginnings are all ``{"at":``, 16 digits and a comma; looks at columns, not at each."""
    if len(heads) != 23 * count or any(heads[at::23] != letter * count for at, letter in _COLUMNS):
        return False
    return len(heads.translate(None, b"0123456789")) == 7 * count and b"0" not in heads[6::23]


def check_ready(entries: Sequence[bytes], *, now: int, last: int, bounds: ClockBounds = ClockBounds()) -> int:
    """Check ready statements cheaply: size, beginning, increasing times.

    Returns:
        The last one's time.

    Raises:
        ClockError: the clock is out of its bounds.
        StatementError: out of bounds.
    """
    check_clock(now=now, last=last, bounds=bounds)
    if entries and max(map(len, entries)) > STATEMENT_SIZE_LIMIT:
        raise StatementError(f"a statement must have at most {STATEMENT_SIZE_LIMIT} bytes")
    heads = [entry[:23] for entry in entries]
    joined = b"".join(heads)
    if _has_sixteen_digits(joined, len(heads)):
        # Times of equal width (the years 2001 to 2286) have the order of their bytes.
        first, previous = int(heads[0][6:22]), int(heads[-1][6:22])
        increasing = first > last and all(map(lt, heads, heads[1:]))
    else:
        times = [last, *map(time_of, entries)]
        previous, increasing = times[-1], all(map(lt, times, times[1:]))
    if not increasing:
        raise StatementError(f"times of ready statements must increase, and be after {last}")
    if previous > now + CLOCK_AHEAD_LIMIT:
        raise StatementError("a statement's time must not lie beyond the clock")
    return previous
