"""Payment messages of ISO 20022: pain.001 and pacs.008, as XML or as JSON with the same names.

Only what a decision needs is read. What a message becomes:

- id: the UETR where there is one; else the message's id and the transaction's own, ``MSG/E2E``. The same message
  twice is the same payments twice.
- time: when the bank accepted it (``AccptncDtTm``), else when the message was made (``CreDtTm``), else the requested
  day of execution. A time without a zone is taken as UTC.
- amount: what the customer instructed; else what is settled. Decimal text becomes minor units exactly.
- customer and payee: the accounts of debtor and creditor. An IBAN's check digits must be right.
- channel: ``instant`` where the local instrument or the service level says ``INST``, else ``transfer``.

Source: ISO 20022 message definitions pain.001.001.03 to .11 and pacs.008.001.02 to .10; other versions are read when
the same fields are there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from tallystick.errors import PaymentError

from ._accounts import check_iban
from ._currencies import to_minor
from ._parts import Part, read_json, read_xml
from ._payment import Payment
from ._times import parse_time

__all__ = ["MAX_TRANSACTIONS", "PaymentMessage", "Reference", "find_body", "parse_message"]

MAX_TRANSACTIONS: Final = 10_000  # in one message
INITIATION: Final = "CstmrCdtTrfInitn"
TRANSFER: Final = "FIToFICstmrCdtTrf"
NAMES: Final = {INITIATION: "pain.001", TRANSFER: "pacs.008"}
NOT_PROVIDED: Final = "NOTPROVIDED"  # what ISO 20022 asks to be written where a customer gave no id
_uetr = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
is_short_id = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,33}[\x21-\x7e])?").fullmatch


@dataclass(frozen=True, slots=True)
class Reference:
    """How messages name one transaction.

    Args:
        message: id of the message.
        end_to_end: id that the customer gave; empty when there is none (messages then say ``NOTPROVIDED``).
        transaction: id that a bank gave (``TxId``, else ``InstrId``); empty when there is none.
        uetr: its universal id, lower case; empty when there is none.
        name: which message it was, such as ``pacs.008``; empty when not known.
        place: its number in the message, from 1; names it where nothing else does.
    """

    message: str
    end_to_end: str = ""
    transaction: str = ""
    uetr: str = ""
    name: str = ""
    place: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not is_short_id(self.message):
            raise PaymentError("a message's id must be 1 to 35 printable ASCII characters")
        for said in (self.end_to_end, self.transaction, self.name):
            if said and not is_short_id(said):
                raise PaymentError("a transaction's id must be 1 to 35 printable ASCII characters")
        if self.uetr and not _uetr(self.uetr):
            raise PaymentError("a UETR must be a version 4 UUID in lower case")

    @property
    def payment(self) -> str:
        """The payment's id."""
        if self.uetr:
            return self.uetr
        own = self.end_to_end or self.transaction
        if not own and not self.place:
            raise PaymentError("a transaction must have an id of its own")
        return f"{_escaped(self.message)}/{_unlike_a_place(own) if own else f'#{self.place}'}"


def _escaped(message: str) -> str:
    """Leave a message's id no slash: the first one in a payment's id ends it, so two messages never make one id."""
    return message.replace("%", "%25").replace("/", "%2F")


def _unlike_a_place(own: str) -> str:
    """Let no id that a bank gave look like the number of a transaction without one."""
    return f"%{ord(own[0]):02X}{own[1:]}" if own[0] in "#%" else own


@dataclass(frozen=True, slots=True)
class PaymentMessage:
    """One message: what it was, and its payments with the names that others know them by."""

    name: str
    id: str
    payments: tuple[Payment, ...]
    references: tuple[Reference, ...]


def parse_message(data: bytes, *, form: str) -> PaymentMessage:
    """Read a pain.001 or a pacs.008.

    Args:
        data: the document.
        form: ``xml`` or ``json``.

    Raises:
        MissingExtraError: XML without defusedxml.
        PaymentError: anything that a decision needs is missing or out of its range; the message names the field.
    """
    body = find_body(read_xml(data) if form == "xml" else read_json(data), tuple(NAMES))
    name = NAMES[body.name]
    identity = body.said("GrpHdr/MsgId")
    found = _initiated(body) if body.name == INITIATION else _transferred(body)
    if not 0 < len(found) <= MAX_TRANSACTIONS:
        raise PaymentError(f"a message must have 1 to {MAX_TRANSACTIONS} transactions, got {len(found)}")
    count = body.said("GrpHdr/NbOfTxs")
    if count and count != str(len(found)):
        raise PaymentError("a message must have as many transactions as NbOfTxs says")
    payments, references = [], []
    for place, (above, part) in enumerate(found, start=1):
        try:
            reference = _reference(part, identity, name, place)
            payments.append(_payment(body, above, part, reference))
        except PaymentError as error:
            raise PaymentError(f"transaction {place}: {error.message}", hint=error.hint) from None
        references.append(reference)
    _check_apart(payments)
    return PaymentMessage(name, identity, tuple(payments), tuple(references))


def _check_apart(payments: list[Payment]) -> None:
    """Refuse transactions that share an id: the second would be taken for the first one again, and go undecided."""
    places: dict[str, int] = {}
    for place, payment in enumerate(payments, start=1):
        first = places.setdefault(payment.id, place)
        if first != place:
            raise PaymentError(
                f"transactions {first} and {place} of a message must not have one id",
                hint="give each its own EndToEndId, or a UETR",
            )


def find_body(top: Part, names: tuple[str, ...]) -> Part:
    """Return the part that a message's content stands in, whatever envelope is around it.

    Raises:
        PaymentError: there is none of these names, or more than one.
    """
    found = [part for part in top.walk() if part.name in names]
    if len(found) != 1:
        raise PaymentError(f"a message must have one {' or '.join(names)}, got {len(found)}")
    return found[0]


def customers_id(text: str) -> str:
    """Return the id that a customer gave; empty when a message says that none was."""
    return "" if text == NOT_PROVIDED else text


def _initiated(body: Part) -> list[tuple[Part, Part]]:
    return [(group, part) for group in body.all("PmtInf") for part in group.all("CdtTrfTxInf")]


def _transferred(body: Part) -> list[tuple[Part, Part]]:
    group = body.one("GrpHdr") or Part("GrpHdr")
    return [(group, part) for part in body.all("CdtTrfTxInf")]


def _reference(part: Part, message: str, name: str, place: int) -> Reference:
    return Reference(
        message=message,
        end_to_end=customers_id(part.said("PmtId/EndToEndId")),
        transaction=part.said("PmtId/TxId", "PmtId/InstrId"),
        uetr=part.said("PmtId/UETR").lower(),
        name=name,
        place=place,
    )


def _payment(body: Part, above: Part, part: Part, reference: Reference) -> Payment:
    """Make a payment; what a transaction does not say itself, the part above it may say for all."""
    amount = _amount(part)
    is_instant = "INST" in (_kind(part) or _kind(above))
    return Payment(
        id=reference.payment,
        at=_time(body, above, part),
        amount=to_minor(amount.text, amount.currency),
        currency=amount.currency,
        customer=_account(part, "DbtrAcct") or _account(above, "DbtrAcct"),
        payee=_account(part, "CdtrAcct"),
        channel="instant" if is_instant else "transfer",
    )


def _kind(part: Part) -> list[str]:
    """The codes that say what kind of transfer it is."""
    places = ("LclInstrm/Cd", "LclInstrm/Prtry", "SvcLvl/Cd", "SvcLvl/Prtry")
    return [found.text for place in places for found in part.all(f"PmtTpInf/{place}")]


def _amount(part: Part) -> Part:
    for path in ("Amt/InstdAmt", "InstdAmt", "Amt/EqvtAmt/Amt", "IntrBkSttlmAmt"):
        found = part.one(path)
        if found is not None:
            return found
    raise PaymentError("a transaction must say its amount, InstdAmt or IntrBkSttlmAmt")


def _time(body: Part, above: Part, part: Part) -> int:
    said = part.said("AccptncDtTm") or body.said("GrpHdr/CreDtTm")
    said = said or above.said("ReqdExctnDt/DtTm", "ReqdExctnDt/Dt", "ReqdExctnDt")
    if not said:
        raise PaymentError("a message must say when it was made, GrpHdr/CreDtTm")
    return parse_time(said)


def _account(part: Part, name: str) -> str:
    iban = part.said(f"{name}/Id/IBAN")
    return check_iban(iban) if iban else part.said(f"{name}/Id/Othr/Id")
