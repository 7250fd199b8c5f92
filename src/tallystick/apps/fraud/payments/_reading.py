"""What a service is sent: one door for every form of payment, by content type."""

from __future__ import annotations

from typing import Any, Final

from tallystick.errors import PaymentError

from ._currencies import check_currency
from ._messages import INITIATION, TRANSFER, PaymentMessage, parse_message
from ._parts import parse_json_object
from ._payment import Payment
from ._times import parse_time

__all__ = [
    "ISO_JSON",
    "ISO_XML",
    "PLAIN_JSON",
    "is_message",
    "make_payment",
    "parse_payment",
    "parse_payment_message",
]

PLAIN_JSON: Final = ("application/json",)
ISO_JSON: Final = ("application/iso20022+json", "application/vnd.iso20022+json")
ISO_XML: Final = ("application/xml", "text/xml", "application/iso20022+xml", "application/vnd.iso20022+xml")
_FIELDS: Final = frozenset(
    {"amount", "at", "card", "channel", "currency", "customer", "device", "id", "payee", "terminal"}
)
LEAST_AT: Final = 10**14  # microseconds, the year 1973: what is less was meant as seconds or milliseconds
_NEEDED: Final = ("id", "at", "amount", "currency", "customer", "payee")


def parse_payment(data: bytes, content_type: str = "application/json") -> list[Payment]:
    """Read payments from a document.

    - ``application/json``: one payment as a plain object with the fields of `Payment` (``amount`` in minor units,
      ``at`` in microseconds or as ISO 8601); or an ISO 20022 message as JSON, known by its ``GrpHdr``;
    - ``application/xml`` and the like: pain.001 or pacs.008.

    Args:
        data: the document.
        content_type: of HTTP, parameters are passed over.

    Raises:
        MissingExtraError: XML without defusedxml.
        PaymentError: another content type, or a document that cannot be used.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in PLAIN_JSON:
        document = parse_json_object(data)
        if not is_message(document):
            return [make_payment(document)]
    return list(parse_payment_message(data, kind).payments)


def parse_payment_message(data: bytes, content_type: str) -> PaymentMessage:
    """Read an ISO 20022 message by its content type; raises as `parse_payment`."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in (*PLAIN_JSON, *ISO_JSON):
        return parse_message(data, form="json")
    if kind in ISO_XML:
        return parse_message(data, form="xml")
    raise PaymentError("a payment must come as JSON or XML", hint="set the content type, application/json")


def make_payment(found: Any) -> Payment:
    """Make a payment from a plain object.

    Raises:
        PaymentError: not an object, a field that nobody knows, a field that is missing or out of its range.
    """
    if type(found) is not dict:
        raise PaymentError("a payment must be an object")
    if not _FIELDS.issuperset(found):
        raise PaymentError(
            "a payment has a field that nobody knows", hint=f"known: {', '.join(sorted(_FIELDS))}"
        )
    for name in _NEEDED:
        if name not in found:
            raise PaymentError(f"a payment must say its {name}")
    if type(found["at"]) is str:
        found = {**found, "at": parse_time(found["at"])}
    elif type(found["at"]) is int and 0 < found["at"] < LEAST_AT:
        raise PaymentError(
            "a payment's time must be microseconds since 1970",
            hint="seconds times 1,000,000, milliseconds times 1,000; or a text such as 2026-11-22T10:03:11.250Z",
        )
    if type(found["amount"]) is not int:
        raise PaymentError(
            "an amount must be a whole number of minor units",
            hint="send 1250 for 12.50, without quotation marks",
        )
    check_currency(found["currency"])
    channel = found.get("channel", "card")
    if type(channel) is not str:
        raise PaymentError("a channel must be text")
    return Payment(**found)


def is_message(document: Any) -> bool:
    """Say whether a JSON object is a message of ISO 20022, with or without its envelope."""
    inside = document.get("Document", document) if type(document) is dict else None
    return type(inside) is dict and (INITIATION in inside or TRANSFER in inside)
