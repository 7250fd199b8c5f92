"""pacs.002: what became of payments, written for those who sent them and read from those they were sent to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import orjson

from tallystick.errors import PaymentError

from ._messages import MAX_TRANSACTIONS, NOT_PROVIDED, Reference, customers_id, find_body, is_short_id
from ._parts import Part, read_json, read_xml
from ._times import format_time, parse_time

__all__ = ["Status", "StatusReport", "format_status", "parse_status"]

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10"
REPORT: Final = "FIToFIPmtStsRpt"
_code = re.compile(r"[A-Z0-9]{4}").fullmatch
_reason = re.compile(r"[A-Z0-9]{1,4}").fullmatch


@dataclass(frozen=True, slots=True)
class Status:
    """What became of one payment.

    Args:
        reference: the payment, as its own message named it.
        status: ISO external payment transaction status, such as ``ACCP``, ``PDNG``, ``RJCT``.
        reason: ISO external status reason, such as ``FRAD``; empty when none is given.
    """

    reference: Reference
    status: str
    reason: str = ""

    def __post_init__(self) -> None:
        if not _code(self.status):
            raise PaymentError("a status must be four capital letters or digits, such as RJCT")
        if self.reason and not _reason(self.reason):
            raise PaymentError("a status reason must be at most four capital letters or digits")


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One pacs.002.

    Args:
        id: of the message.
        at: when it was made, microseconds; written to the millisecond.
        statuses: one or more.
    """

    id: str
    at: int
    statuses: tuple[Status, ...]

    def __post_init__(self) -> None:
        if not is_short_id(self.id):
            raise PaymentError("a message's id must be 1 to 35 printable ASCII characters")
        if not 0 < len(self.statuses) <= MAX_TRANSACTIONS:
            raise PaymentError(f"a status report must have 1 to {MAX_TRANSACTIONS} transactions")


def format_status(report: StatusReport, *, form: str = "xml") -> bytes:
    """Write a pacs.002.

    Args:
        report: what became of payments.
        form: ``xml`` or ``json``.
    """
    content: dict[str, Any] = {
        "GrpHdr": {"MsgId": report.id, "CreDtTm": format_time(report.at)},
        "TxInfAndSts": [_transaction(status) for status in report.statuses],
    }
    document = {"Document": {REPORT: content}}
    if form == "json":
        return orjson.dumps(document)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns={quoteattr(NAMESPACE)}>'
    return f"{head}{_xml(REPORT, content)}</Document>\n".encode()


def _transaction(status: Status) -> dict[str, Any]:
    """The fields of one transaction, in the order of the schema."""
    said = status.reference
    group = {"OrgnlMsgId": said.message, **({"OrgnlMsgNmId": said.name} if said.name else {})}
    found: dict[str, Any] = {"OrgnlGrpInf": group, "OrgnlEndToEndId": said.end_to_end or NOT_PROVIDED}
    if said.transaction:
        found["OrgnlTxId"] = said.transaction
    if said.uetr:
        found["OrgnlUETR"] = said.uetr
    found["TxSts"] = status.status
    if status.reason:
        found["StsRsnInf"] = {"Rsn": {"Cd": status.reason}}
    return found


def _xml(name: str, value: Any) -> str:
    if type(value) is list:
        return "".join(_xml(name, item) for item in value)
    inside = "".join(_xml(key, item) for key, item in value.items()) if type(value) is dict else escape(value)
    return f"<{name}>{inside}</{name}>"


def parse_status(data: bytes, *, form: str) -> StatusReport:
    """Read a pacs.002, ours or somebody else's.

    A status of a whole group without transactions is refused: it names no payment.

    Args:
        data: the document.
        form: ``xml`` or ``json``.

    Raises:
        MissingExtraError: XML without defusedxml.
        PaymentError: not such a message, or a field is missing.
    """
    body = find_body(read_xml(data) if form == "xml" else read_json(data), (REPORT,))
    found = body.all("TxInfAndSts")
    original = body.said("OrgnlGrpInfAndSts/OrgnlMsgId") if len(body.all("OrgnlGrpInfAndSts")) == 1 else ""
    statuses = []
    for place, part in enumerate(found, start=1):
        try:
            statuses.append(_status(part, original))
        except PaymentError as error:
            raise PaymentError(f"transaction {place}: {error.message}", hint=error.hint) from None
    said = body.said("GrpHdr/CreDtTm")
    if not said:
        raise PaymentError("a status report must say when it was made, GrpHdr/CreDtTm")
    return StatusReport(body.said("GrpHdr/MsgId"), parse_time(said), tuple(statuses))


def _status(part: Part, original: str) -> Status:
    reference = Reference(
        message=part.said("OrgnlGrpInf/OrgnlMsgId") or original,
        end_to_end=customers_id(part.said("OrgnlEndToEndId")),
        transaction=part.said("OrgnlTxId", "OrgnlInstrId"),
        uetr=part.said("OrgnlUETR").lower(),
        name=part.said("OrgnlGrpInf/OrgnlMsgNmId"),
    )
    codes = [found.text for found in part.all("StsRsnInf/Rsn/Cd") if found.text]
    return Status(reference, part.said("TxSts"), codes[0] if codes else "")
