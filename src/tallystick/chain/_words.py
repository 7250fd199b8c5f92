"""What callers give the contracts, checked before it is encoded; and what contracts answer for "nothing"."""

from __future__ import annotations

import re

from tallystick.errors import ConfigurationError

__all__ = ["checked_account", "checked_count", "checked_digest", "found_account", "found_digest"]

DIGEST_BYTES = 32
NOBODY = "0x" + "00" * 20

_ACCOUNT = re.compile(r"0x[0-9a-fA-F]{40}\Z").match


def checked_digest(value: bytes) -> bytes:
    """Return a bytes32 as it is.

    Raises:
        ConfigurationError: it has another length.
    """
    if len(value) != DIGEST_BYTES:
        raise ConfigurationError(f"a hash must be {DIGEST_BYTES} bytes, got {len(value)}")
    return value


def checked_count(value: int) -> int:
    """Return a uint64 as it is.

    Raises:
        ConfigurationError: it does not fit.
    """
    if not 0 <= value < 2**64:
        raise ConfigurationError(f"a count must be >= 0 and below 2^64, got {value}")
    return value


def checked_account(value: str) -> str:
    """Return an address in lower case.

    Raises:
        ConfigurationError: it is none.
    """
    if not _ACCOUNT(value):
        raise ConfigurationError(f"an address must be 0x and 40 hex digits, got {len(value)} characters")
    return value.lower()


def found_account(value: str) -> str | None:
    """Return an address that a contract answered; None for the empty one."""
    return None if value == NOBODY else value


def found_digest(value: bytes) -> bytes | None:
    """Return a bytes32 that a contract answered; None for the empty one."""
    return value if any(value) else None
