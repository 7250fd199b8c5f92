"""What is decided about a payment, and what may be said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["ACTIONS", "Action", "Decision", "ReasonCode"]

Action = Literal["approve", "review", "hold", "decline"]
"""What happens to a payment.

- approve: it goes on;
- review: it goes on, and a person looks at it afterwards;
- hold: it waits until a person has looked at it; an instant payment cannot wait and is declined instead;
- decline: it does not go on.
"""

ACTIONS: Final[tuple[Action, ...]] = (
    "approve",
    "review",
    "hold",
    "decline",
)  # each stricter than the one before


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """One reason, as a person at the bank reads it.

    Args:
        code: short and stable, such as ``T03``.
        text: plain words.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision; its statement is durable.

    Args:
        payment: the payment's id.
        action: see `Action`.
        status: pacs.002 transaction status: ``ACCP``, ``PDNG`` or ``RJCT``.
        status_reason: ISO external status reason code with ``RJCT`` and ``PDNG``, such as ``FRAD``; else empty.
        reasons: at most four, the strongest first.
        score: the champion's integer score; None when rules decided alone.
        probability: of fraud, by the champion's calibration; None as for the score.
        model: the champion's hash; empty when rules decided alone.
        rules: names of the rules that fired.
        statement: id of the statement.
        decided_at: microseconds, as stated.
        latency_us: from taking the payment to a durable statement, microseconds.
        repeat: it was decided before; this is that decision.
    """

    payment: str
    action: Action
    status: str
    status_reason: str
    reasons: tuple[ReasonCode, ...]
    score: int | None
    probability: float | None
    model: str
    rules: tuple[str, ...]
    statement: str
    decided_at: int
    latency_us: int = 0
    repeat: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, as the service answers it."""
        return {
            "action": self.action,
            "decided_at": self.decided_at,
            "latency_us": self.latency_us,
            "model": self.model or None,
            "payment": self.payment,
            "probability": None if self.probability is None else round(self.probability, 6),
            "reasons": [{"code": reason.code, "text": reason.text} for reason in self.reasons],
            "repeat": self.repeat,
            "rules": list(self.rules),
            "score": self.score,
            "statement": self.statement,
            "status": self.status,
            "status_reason": self.status_reason or None,
        }
