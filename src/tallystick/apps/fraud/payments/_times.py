"""Times of messages and tables: ISO 8601 and plain numbers become microseconds; without a zone it is UTC."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Final

from tallystick.errors import PaymentError

__all__ = ["format_exactly", "format_time", "parse_time"]

_iso = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?)?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
).fullmatch
MICROSECONDS: Final = 1_000_000


def parse_time(text: object) -> int:
    """Return the microseconds since the epoch of an ISO 8601 time; without a zone it is taken as UTC.

    Finer parts than microseconds are cut off. A date alone is its midnight.

    Raises:
        PaymentError: not such a time, or not between 1970 and 2100.
    """
    found = _iso(text) if type(text) is str else None
    if found is None:
        raise PaymentError("a time must be ISO 8601, such as 2026-11-22T10:03:11.250Z")
    year, month, day, hour, minute, second, fraction, zone = found.groups(default="")
    try:
        whole = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=UTC)
        # A leap second is counted as the first of the next minute, as POSIX does.
        seconds = timegm(whole.timetuple()) + _seconds(second) - _offset(zone)
    except (ValueError, OverflowError):
        raise PaymentError("a time must be a day and an hour that exist") from None
    if not 0 <= seconds < 4_102_444_800:
        raise PaymentError("a time must lie between 1970 and 2100")
    return seconds * MICROSECONDS + int(fraction[:6].ljust(6, "0"))


def _seconds(text: str) -> int:
    seconds = int(text or 0)
    if seconds > 60:
        raise ValueError
    return seconds


def _offset(zone: str) -> int:
    """Seconds that a zone is ahead of UTC."""
    if zone in ("", "Z"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 14 or minutes > 59:
        raise ValueError
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)


def format_time(microseconds: int) -> str:
    """Write a time as ISO 8601 in UTC with milliseconds, as payment messages do."""
    moment = datetime.fromtimestamp(microseconds // MICROSECONDS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds % MICROSECONDS // 1000:03d}Z"


def format_exactly(microseconds: int) -> str:
    """Write a time as ISO 8601 in UTC with microseconds; empty when it has no calendar day of four digits."""
    try:
        moment = datetime.fromtimestamp(microseconds // MICROSECONDS, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds % MICROSECONDS:06d}Z"
