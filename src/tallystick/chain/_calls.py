"""What is asked of a chain before anybody signs it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tallystick.errors import ConfigurationError

__all__ = ["Call", "is_address"]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")


def is_address(value: str) -> bool:
    """Tell whether a text is an account's address, in any case."""
    return _ADDRESS.match(value) is not None


@dataclass(frozen=True, slots=True)
class Call:
    """One transaction without its sender, nonce, gas and fees, which the outbox adds.

    Attributes:
        to: the account or contract (0x and 40 lower-case hex digits); None creates a contract.
        data: what it is told, or the contract's creation code.
        value: wei that go with it.

    Raises:
        ConfigurationError: not an address, or less than no wei.
    """

    to: str | None
    data: bytes
    value: int = 0

    def __post_init__(self) -> None:
        if self.to is not None and not is_address(self.to):
            raise ConfigurationError("an address is 0x and 40 hex digits")
        if not 0 <= self.value < 2**256:
            raise ConfigurationError(f"value must be >= 0 wei, got {self.value}")
