"""One payment and the records of who takes part in it: its row of features, and the records afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import ConfigurationError

from ._records import (
    DAY,
    LARGEST,
    NO_CARD,
    NO_DEVICE,
    NO_TERMINAL,
    add_label,
    has_labels,
    mark,
    see_card,
    see_customer,
    see_device,
    see_payee,
    see_terminal,
)

__all__ = ["KINDS", "Records", "Terms", "label_record", "names_of", "see"]

KINDS: Final = ("customer", "card", "device", "payee", "terminal")
MICROSECONDS: Final = 1_000_000
_THURSDAY: Final = 3  # 1970-01-01; Monday is 0
_NIGHT_ENDS: Final = 6
_FLAGS: Final = {
    "card": (1, 0, 0, 0),
    "card-not-present": (0, 1, 0, 0),
    "instant": (0, 0, 1, 0),
    "transfer": (0, 0, 0, 1),
}
_PEOPLE_DAYS: Final = 30 * DAY
_PAYEE_DAYS: Final = 7 * DAY

Records = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]
"""Of a payment's customer, card, device, payee and terminal; None where there is none, or nothing is known."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What features are worked out by; part of a state, for other terms make other numbers.

    Args:
        lateness_s: how far behind the newest a payment is taken exactly, 0 to a day.
        label_delay_s: how far before a payment its risk windows end, 0 to a year.
        utc_offset_s: of the bank's wall clock, for hour, night (before 6) and weekend; -14 h to 14 h.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    lateness_s: int = 300
    label_delay_s: int = 7 * DAY
    utc_offset_s: int = 0

    def __post_init__(self) -> None:
        if type(self.lateness_s) is not int or not 0 <= self.lateness_s <= DAY:
            raise ConfigurationError(f"lateness must be 0 to {DAY} seconds")
        if type(self.label_delay_s) is not int or not 0 <= self.label_delay_s <= 365 * DAY:
            raise ConfigurationError(f"label delay must be 0 to {365 * DAY} seconds")
        if type(self.utc_offset_s) is not int or not abs(self.utc_offset_s) <= 14 * 3600:
            raise ConfigurationError("the offset from UTC must be within 14 hours")


def names_of(payment: Payment) -> tuple[str, str, str, str, str]:
    """Return who takes part, in the order of `KINDS`; empty where nobody does."""
    return payment.customer, payment.card, payment.device, payment.payee, payment.terminal


def see(payment: Payment, records: Records, terms: Terms) -> tuple[tuple[float, ...], Records]:
    """Return a payment's features, in the order of `FEATURES`, and the records with this payment.

    Args:
        payment: it.
        records: as they stood before it.
        terms: the windows' own.
    """
    t = payment.at // MICROSECONDS
    amount = payment.amount if payment.amount < LARGEST else LARGEST
    customer = mark(payment.customer)
    late, delay = terms.lateness_s, terms.label_delay_s
    people = _PEOPLE_DAYS + late
    days, second = divmod(t + terms.utc_offset_s, DAY)
    hour = second // 3600
    weekend = 1 if (days + _THURSDAY) % 7 >= 5 else 0
    hers, of_customer = see_customer(records[0], t, amount, mark(payment.payee), people)
    card, device, terminal = NO_CARD, NO_DEVICE, NO_TERMINAL
    of_card = of_device = of_terminal = None
    if payment.card:
        card, of_card = see_card(records[1], t, amount, people)
    if payment.device:
        device, of_device = see_device(records[2], t, amount, customer, people)
    payee, of_payee = see_payee(records[3], t, amount, customer, delay, _PAYEE_DAYS + late)
    if payment.terminal:
        terminal, of_terminal = see_terminal(records[4], t, amount, delay, DAY + late)
    row = (
        payment.amount, *hers[:2], 1 if hour < _NIGHT_ENDS else 0, weekend, hour, *_FLAGS[payment.channel],
        *hers[2:], *card, *device, *payee, *terminal,
    )  # fmt: skip
    return row, (of_customer, of_card, of_device, of_payee, of_terminal)


def label_record(kind: str, record: bytes, label: Label) -> bytes:
    """Return a payee's or a terminal's record with a label of a payment there."""
    columns = 3 if kind == KINDS[3] else 2
    if not label.fraud and not has_labels(record, columns):
        return record  # nearly all labels: nothing to take back
    at, known = label.payment.at // MICROSECONDS, -(-label.known_at // MICROSECONDS)
    return add_label(record, columns, (at, known, mark(label.payment.id), label.fraud))
