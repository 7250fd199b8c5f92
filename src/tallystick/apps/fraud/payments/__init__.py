"""Payments: what they are, and how messages and tables become them."""

from __future__ import annotations

from ._currencies import CURRENCIES, to_minor
from ._mapping import ColumnMapping, TimeForm
from ._messages import MAX_TRANSACTIONS, PaymentMessage, Reference
from ._parts import MAX_MESSAGE_BYTES
from ._payment import CHANNELS, Label, Payment
from ._reading import (
    ISO_JSON,
    ISO_XML,
    PLAIN_JSON,
    is_message,
    make_payment,
    parse_payment,
    parse_payment_message,
)
from ._status import Status, StatusReport, format_status, parse_status
from ._tables import Row, read_payments
from ._times import format_time, parse_time

__all__ = [
    "CHANNELS",
    "CURRENCIES",
    "ISO_JSON",
    "ISO_XML",
    "MAX_MESSAGE_BYTES",
    "MAX_TRANSACTIONS",
    "PLAIN_JSON",
    "ColumnMapping",
    "Label",
    "Payment",
    "PaymentMessage",
    "Reference",
    "Row",
    "Status",
    "StatusReport",
    "TimeForm",
    "format_status",
    "format_time",
    "is_message",
    "make_payment",
    "parse_payment",
    "parse_payment_message",
    "parse_status",
    "parse_time",
    "read_payments",
    "to_minor",
]
