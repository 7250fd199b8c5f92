"""The sealed form of a decision: what is committed to, kept encrypted, and read again by replay, cases and restart."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from tallystick.apps.fraud.payments import Payment
from tallystick.errors import DamagedError, PaymentError
from tallystick.proof import Entry

from ._decision import Decision, ReasonCode
from ._judging import Verdict

__all__ = ["DECISION_KINDS", "decided_of", "payment_of", "seal"]

DECISION_KINDS: Final = ("decision.made", "decision.proposed", "decision.ruled")


def seal(payment: Payment, verdict: Verdict, *, received_at: int) -> dict[str, Any]:
    """Return the fields that a decision's statement commits to; numbers with a point stand as text."""
    found = verdict.outcome
    fields: dict[str, Any] = {
        "answer": found.action,
        "payment": payment.record(),
        "reasons": [f"{reason.code} {reason.text}" for reason in verdict.reasons],
        "received_at": received_at,
        "rules": list(verdict.rules),
        "status": found.status,
        "status_reason": found.status_reason,
    }
    if verdict.score is not None:
        fields["features"] = _text(verdict.inputs)
        fields["probability"] = verdict.probability
        fields["score"] = verdict.score
    if verdict.facts:
        fields["rule_inputs"] = _text(verdict.facts)
    if found.proposal:
        fields["proposal"] = found.proposal
    if verdict.unscored:
        fields["unscored"] = True
    if verdict.challenger is not None:
        model, score, inputs = verdict.challenger
        fields["challenger"] = {"model": model, "score": score}
        if inputs:
            fields["challenger"]["features"] = _text(inputs)
    return fields


def payment_of(sealed: Mapping[str, Any]) -> Payment:
    """Return the payment of a sealed decision.

    Raises:
        DamagedError: there is none in it.
    """
    try:
        return Payment(**sealed["payment"])
    except (KeyError, PaymentError, TypeError) as error:
        raise DamagedError("a decision's payload holds no payment that can be read") from error


def decided_of(entry: Entry, sealed: Mapping[str, Any], *, repeat: bool = True) -> Decision:
    """Return a decision as its statement tells it.

    Raises:
        DamagedError: the payload is not one that `seal` made.
    """
    said = entry.statement
    try:
        probability = sealed.get("probability")
        return Decision(
            payment=sealed["payment"]["id"],
            action=sealed["answer"],
            status=sealed["status"],
            status_reason=sealed["status_reason"],
            reasons=tuple(ReasonCode(*one.split(" ", 1)) for one in sealed["reasons"]),
            score=sealed.get("score"),
            probability=None if probability is None else float(probability),
            model=said.body.get("model", "") if said.kind != "decision.ruled" else "",
            rules=tuple(sealed["rules"]),
            statement=entry.id,
            decided_at=said.at,
            repeat=repeat,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedError("a decision's payload is not what an engine seals") from error


def unpacked(text: str) -> bytes:
    """Return the bytes of a packed field.

    Raises:
        DamagedError: it is not strict base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DamagedError("a packed field of a decision cannot be read") from error


def _text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
