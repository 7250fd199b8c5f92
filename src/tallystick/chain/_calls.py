"""What is asked of a chain before anybody signs it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Call"]


@dataclass(frozen=True, slots=True)
class Call:
    """One transaction without its sender, nonce, gas and fees, which the outbox adds.

    Attributes:
        to: the account or contract (0x and 40 lower-case hex digits); None creates a contract.
        data: what it is told, or the contract's creation code.
        value: wei that go with it.
    """

    to: str | None
    data: bytes
    value: int = 0
