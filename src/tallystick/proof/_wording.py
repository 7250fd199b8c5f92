"""How verification words things: times, names and an issuer's text, safe to show on anybody's screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["joined", "moment", "plain", "short_origin", "shown"]


def moment(seconds: int) -> str:
    """A POSIX time for people, UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"


def short_origin(origin: str) -> str:
    """An origin, or a did:key alone, cut in its middle."""
    party, _, journal = origin.partition("/")
    return f"{party[:16]}…{party[-6:]}" + (f"/{journal}" if journal else "")


def plain(text: str) -> str:
    """An issuer's text, so that it cannot draw a line of its own on the verifier's screen."""
    safe = text if text.isprintable() else repr(text)
    return safe if len(safe) <= 60 else f"{safe[:57]}…"


def shown(value: Any) -> str:
    """An opened value, on one line."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def joined(names: Sequence[str]) -> str:
    """Names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
