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
    Kind(
        "decision.withheld",
        {},
        "decisions that were never given out: a control was set while they were on their way",
    ),
    Kind("epoch.ended", {"number": "count"}, "a member's share is destroyed: no token can be made any more"),
    Kind(
        "epoch.opened",
        {
            "commitment": "digest",
            "members": "names",
            "number": "count",
            "proof": "text",
            "since": "count",
            "until": "count",
        },
        "a member takes part in an epoch of tokens",
    ),
    Kind(
        "hold.disputed",
        {"party": "digest", "token": "digest"},
        "another member's hold on a payee is disputed",
    ),
    Kind("hold.released", {"token": "digest"}, "the own hold on a payee ends"),
    Kind(
        "hold.requested",
        {"epoch": "count", "level": "text", "token": "digest", "until": "count"},
        "the others are asked not to pay a payee",
    ),
    Kind(
        "hold.reviewed",
        {"party": "digest", "token": "digest", "uphold": "flag"},
        "a person looked at another member's hold",
    ),
    Kind("label.reported", {}, "what a payment turned out to be"),
    Kind(
        "list.stated",
        {"as_of": "count", "entries": "count", "epoch": "count", "number": "count", "root": "digest"},
        "the list of reported payees, by its root",
    ),
    Kind(
        "lookup.made",
        {"count": "count", "epoch": "count", "member": "text", "purpose": "text"},
        "payees were looked up",
    ),
    Kind(
        "lookup.served",
        {"asker": "text", "count": "count", "epoch": "count", "purpose": "text", "refused": "count?"},
        "another bank's look-ups were answered",
    ),
    Kind("payee.disputed", {"epoch": "count", "reason": "text"}, "a payee's bank objects to a report"),
    Kind("payee.removed", {"epoch": "count", "reason": "text"}, "a member finds a reported payee innocent"),
    Kind("payee.reported", {"epoch": "count"}, "a customer reported a payee"),
    Kind("payee.withdrawn", {"epoch": "count"}, "a report is taken back"),
    Kind(
        "rules.stated",
        {"digest": "digest", "rules": "count"},
        "the rules and thresholds that decisions are made by",
    ),
)

REMARKS: Final = {
    ("decision.made", "model"): "that the inputs are the payment's is {by}'s word",
    ("decision.made", "rules"): "that these rules were applied is shown by replaying the decision",
}
