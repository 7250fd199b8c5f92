"""What can be computed again of a healthcare trace, from what was opened, with the base install only.

- an aggregate is the exact sum of the masked updates that the round links;
- a round's parameters follow from the round before and its aggregate;
- the published model follows from the scaling totals and the last parameters;
- a decision's score and answer follow from the opened input and the published model.

What none of this shows: that an update came from the rows that were registered. That stays the site's word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tallystick.errors import EvidenceError, InputError, VerificationError
from tallystick.learning import advance, aggregate, assemble
from tallystick.models import Column, NumericFeature, parse_model
from tallystick.proof import HopCheck, Resolve, Traced, decode_base64, verify

__all__ = ["CHECKS", "input_of"]


def _payload(traced: Traced) -> bytes | None:
    """The opened bytes; verification has held them against the commitment already."""
    opened = traced.report.opened
    return opened if isinstance(opened, bytes) else None


def _opened(resolve: Resolve, statement_id: str) -> bytes | None:
    receipt = resolve(statement_id)
    if receipt is None or receipt.opening is None or "payload" not in receipt.opening:
        return None
    verify(receipt)  # holds the payload against the commitment, or raises
    return decode_base64(receipt.opening["payload"])


def _total(round_closed: Traced, resolve: Resolve) -> bytes | None:
    """The sum of a round's updates, when all of them are opened."""
    updates = [_opened(resolve, link) for link in round_closed.receipt.statement.links.get("update", [])]
    known = [update for update in updates if update is not None]
    if not updates or len(known) != len(updates):
        return None
    total = aggregate(known)
    if hashlib.sha256(total).hexdigest() != round_closed.receipt.statement.body["aggregate"]:
        raise VerificationError("a round's aggregate is not the sum of its updates")
    return total


def _check_update(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    if _total(parent, resolve) is None:
        return None
    update = _payload(child)
    if update is None or hashlib.sha256(update).hexdigest() != child.receipt.statement.body["update"]:
        raise VerificationError("an update is not the one that its site committed to")
    return f"the aggregate is the sum of {len(parent.receipt.statement.links['update'])} updates"


def _check_before(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    total, before, after = _total(parent, resolve), _payload(child), _payload(parent)
    if total is None or before is None or after is None:
        return None
    if advance(before, total) != after:
        raise VerificationError("a round's parameters do not follow from the round before")
    return "the parameters follow from the round before and the sum"


def _check_model(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    data, parameters = _payload(parent), _payload(child)
    if data is None or parameters is None:
        return None
    model = parse_model(data)
    scaling = resolve(parent.receipt.statement.links["scaling"][0])
    if scaling is None:
        return None
    totals = _total(Traced(scaling, verify(scaling)), resolve)
    if totals is None:
        return None
    columns = [
        Column(feature.name, "numeric", feature.title)
        if isinstance(feature, NumericFeature)
        else Column(feature.name, "category", feature.title, feature.codes)
        for feature in model.quantiser.features
    ]
    if assemble(model.name, model.target, columns, totals, parameters).bytes != model.bytes:
        raise VerificationError("the model does not follow from its rounds")
    return "the model file follows from the scaling totals and the last parameters"


def input_of(fields: Mapping[str, Any]) -> dict[str, str | None]:
    """The input row among opened fields, by column."""
    return {path.removeprefix("input."): value for path, value in fields.items() if path.startswith("input.")}


def _check_decision(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    data, fields = _payload(child), parent.report.opened
    if data is None or not isinstance(fields, Mapping) or "score" not in fields:
        return None
    row = input_of(fields)
    model = parse_model(data)
    if not row.keys() >= set(model.quantiser.names):
        return None
    if hashlib.sha256(data).hexdigest() != parent.receipt.statement.body["model"]:
        raise VerificationError("the decision names another model")
    try:
        score = model.score(row)
    except InputError as error:
        raise VerificationError("the opened input cannot be scored") from error
    answer = model.decision([score])
    if (score, answer) != (fields["score"], fields.get("answer", answer)):
        raise VerificationError("the model gives another score for the opened input")
    return f"score {score:,} computed again from the opened input, bit for bit"


def _guarded(check: HopCheck) -> HopCheck:
    """Turn whatever opened bytes make a room say into what is false here."""

    def run(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
        try:
            return check(parent, child, resolve)
        except VerificationError:
            raise
        except (EvidenceError, InputError, KeyError, TypeError) as error:
            raise VerificationError("what was opened cannot be what its statement says") from error

    return run


CHECKS: dict[tuple[str, str], HopCheck] = {
    ("decision.made", "model"): _guarded(_check_decision),
    ("model.published", "round"): _guarded(_check_model),
    ("round.closed", "before"): _guarded(_check_before),
    ("round.closed", "update"): _guarded(_check_update),
}
