"""A payment as every part of this application sees it, whatever message it came in."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from tallystick.errors import PaymentError
from tallystick.proof import format_json

__all__ = ["CHANNELS", "Label", "Payment"]

CHANNELS: Final = ("card", "card-not-present", "instant", "transfer")
MAX_AMOUNT: Final = 10**12  # minor units: ten thousand million of a currency with cents
MAX_ID: Final = 128  # characters of an id
LATEST: Final = 4_102_444_800_000_000  # microseconds: the year 2100
# No blank at either end: nobody would see that these are two.
_id = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?").fullmatch
_currency = re.compile(r"[A-Z]{3}").fullmatch


@dataclass(frozen=True)
class Payment:
    """One payment, or one card authorisation.

    Ids are the bank's own (account, card and device numbers or its pseudonyms of them); they never leave its sealed
    payloads. An empty id means that there is none.

    Args:
        id: idempotency key, unique in one bank: the message's own id.
        at: when it was initiated, microseconds since the epoch, by the bank's clock.
        amount: minor units of the currency (cents), > 0.
        currency: ISO 4217, three letters.
        customer: who pays.
        payee: who is paid: an account, or a merchant.
        channel: of `CHANNELS`; ``instant`` cannot wait.
        card: the card, where one was used.
        terminal: the terminal or the web shop.
        device: the customer's device.

    Raises:
        PaymentError: a field is missing or out of its range; the message names the field, never its value.
    """

    id: str
    at: int
    amount: int
    currency: str
    customer: str
    payee: str
    channel: str = "card"
    card: str = ""
    terminal: str = ""
    device: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "customer", "payee"):
            _check_id(name, getattr(self, name))
        for name in ("card", "terminal", "device"):
            if getattr(self, name) != "":
                _check_id(name, getattr(self, name))
        if type(self.at) is not int or not 0 < self.at < LATEST:
            raise PaymentError("a payment's time must be microseconds between 1970 and 2100")
        if type(self.amount) is not int or not 0 < self.amount <= MAX_AMOUNT:
            raise PaymentError(f"an amount must be 1 to {MAX_AMOUNT} minor units")
        if type(self.currency) is not str or not _currency(self.currency):
            raise PaymentError("a currency must be three capital letters")
        if self.channel not in CHANNELS:
            raise PaymentError(f"a channel must be one of {', '.join(CHANNELS)}")

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, empty ids left out."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) != ""}

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the record: two payments with one id must have one digest."""
        return sha256(format_json(self.record())).digest()


_NAMES: Final = tuple(field.name for field in fields(Payment))


@dataclass(frozen=True, slots=True)
class Label:
    """What a payment turned out to be.

    Args:
        payment: which one.
        fraud: whether it was fraud.
        known_at: when that was known, microseconds; nothing may use it before.
    """

    payment: Payment
    fraud: bool
    known_at: int

    def __post_init__(self) -> None:
        if type(self.known_at) is not int or not self.payment.at <= self.known_at < LATEST:
            raise PaymentError("a label cannot be known before its payment")


def _check_id(name: str, value: object) -> None:
    if type(value) is not str or not _id(value):
        raise PaymentError(
            f"a payment's {name} must be 1 to {MAX_ID} printable ASCII characters, no blanks around them"
        )
