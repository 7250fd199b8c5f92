"""The kinds of statements that fraud detection adds to the standard ones.

No pseudonym of a person, account or card stands in a body: those are in the sealed payload.
"""

from __future__ import annotations

from typing import Final

from tallystick.proof import Kind

__all__ = ["KINDS", "REMARKS"]

KINDS: Final = (
    Kind("case.judged", {}, "a person says what a payment is"),
    Kind("case.opened", {"until": "count"}, "an alert waits for a person"),
    Kind("case.taken", {}, "a person works on a case"),
    Kind("label.reported", {}, "what a payment turned out to be"),
)

REMARKS: Final = {
    ("decision.made", "model"): "that the inputs are the payment's is {by}'s word",
}
