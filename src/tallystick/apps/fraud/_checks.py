"""What can be computed again of a decision's trace, from what was opened, with the base install only.

- the score and the probability follow from the stored inputs and the published model;
- action and status follow from the score, the rules that fired and the stated thresholds;
- a hold that was asked for is of a payment that this decision stopped.

What none of this shows: that the inputs are those of the payment, and that no other rule should have fired. The first
stays the bank's word; the second is shown by replaying, with the inputs of the rules.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

from tallystick.apps.fraud.deciding import RuleBook, outcome, unpacked
from tallystick.errors import EvidenceError, InputError, StorageError, VerificationError
from tallystick.models import parse_model
from tallystick.proof import HopCheck, Resolve, Traced

__all__ = ["CHECKS"]


def _check_model(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    data, fields = child.report.opened, parent.report.opened
    if not isinstance(data, bytes) or not isinstance(fields, Mapping) or "features" not in fields:
        return None
    if hashlib.sha256(data).hexdigest() != parent.receipt.statement.body["model"]:
        raise VerificationError("the decision names another model")
    model = parse_model(data)
    packed = unpacked(fields["features"])
    inputs = struct.unpack(f">{model.quantiser.width}h", packed)
    (score,) = model.scores_inputs(inputs)
    if score != fields["score"] or f"{model.probability(score):.6f}" != fields["probability"]:
        raise VerificationError("the model gives another score for the stored inputs")
    return f"score {score:,} computed again from the {len(inputs)} stored inputs, bit for bit"


def _check_rules(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    data, fields = child.report.opened, parent.report.opened
    if not isinstance(data, bytes) or not isinstance(fields, Mapping) or "answer" not in fields:
        return None
    book = RuleBook.parse(data)
    known = {rule.name: rule for rule in book.rules}
    names = [value for path, value in fields.items() if path.startswith("rules[")]
    missing = [name for name in names if name not in known]
    if missing:
        raise VerificationError("the decision names a rule that was not stated")
    if "proposal" in fields:
        return None  # a person had to confirm it: what follows is her decision
    found = outcome(
        book.policy,
        fields.get("score"),
        [known[name] for name in names],
        channel=fields["payment.channel"],
        unscored=fields.get("unscored", False),
    )
    said = (fields["answer"], fields["status"], fields["status_reason"])
    if (found.action, found.status, found.status_reason) != said:
        raise VerificationError("the action does not follow from the score, the rules and the thresholds")
    fired = f", {len(names)} rules fired" if names else ""
    return f"{found.action} follows from the stated thresholds{fired}"


def _check_hold(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    fields = child.report.opened
    if not isinstance(fields, Mapping) or "answer" not in fields:
        return None
    if fields["answer"] not in ("hold", "decline"):
        raise VerificationError("a hold was asked for on a payment that was not stopped")
    return f"the decision behind it was to {fields['answer']}"


def _guarded(check: HopCheck) -> HopCheck:
    """Turn whatever opened bytes make a room say into what is false here."""

    def run(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
        try:
            return check(parent, child, resolve)
        except VerificationError:
            raise
        except (EvidenceError, InputError, KeyError, StorageError, TypeError, struct.error) as error:
            raise VerificationError("what was opened cannot be what its statement says") from error

    return run


CHECKS: dict[tuple[str, str], HopCheck] = {
    ("decision.made", "model"): _guarded(_check_model),
    ("decision.made", "rules"): _guarded(_check_rules),
    ("hold.requested", "decision"): _guarded(_check_hold),
}
