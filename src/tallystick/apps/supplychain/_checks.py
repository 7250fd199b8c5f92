"""What can be computed again of a lot's trace, from what was opened, with the base install only.

- a page of readings carries the signature of the logger whose key was registered;
- the features of a trip follow from the signed readings;
- the input that the request committed to is these features, quantised by the published model;
- the request's id follows from its terms, so it is this input and this model that were asked about;
- each signer's EIP-712 signature is of the chain key on its card, over this very answer;
- the score follows from the opened input and the model: an overturned answer is shown to be wrong;
- a release or a quarantine follows from the score and the stated threshold.

What none of this shows: that the logger lay beside the lot, that the contract did what is stated (the chain shows
that), and that the model is any good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tallystick.decisions import Terms, answer_digest
from tallystick.errors import EvidenceError, InputError, VerificationError
from tallystick.models import IntegerModel, input_commitment, pack_inputs, parse_model
from tallystick.proof import (
    HopCheck,
    Receipt,
    Resolve,
    Traced,
    chain_address,
    decode_base64,
    verify,
    verify_author,
    verify_typed_data,
)

from ._readings import Reading, Trip, parse_page

__all__ = ["CHECKS"]


def _check_logger(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    key, lot, page, readings = _page(parent.receipt)
    body = parent.receipt.statement.body
    if key != child.receipt.statement.body["key"] or body["logger"] != child.receipt.statement.body["logger"]:
        raise VerificationError("readings are not signed with the key of their logger")
    if (lot, page) != (body["lot"], body["page"]):
        raise VerificationError("a page of readings is of another lot than its statement says")
    return f"page {page}: {len(readings)} readings carry this logger's signature"


def _page(receipt: Receipt) -> tuple[str, str, int, tuple[Reading, ...]]:
    statement = receipt.statement
    key, content = verify_author(statement.body["author"], origin=statement.origin)
    return key, *parse_page(content)


def _check_readings(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    row = _row(parent.report.opened)
    pages: dict[int, tuple[Reading, ...]] = {}
    keys = set()
    lot = parent.receipt.statement.body["lot"]
    for link in parent.receipt.statement.links["reading"]:
        receipt = resolve(link)
        if receipt is None:
            return None
        verify(receipt)
        key, of, number, readings = _page(receipt)
        keys.add(key)
        if of != lot or number in pages:
            raise VerificationError("the readings of a trip are of another lot, or twice the same page")
        pages[number] = readings
    if row is None:
        return None
    if sorted(pages) != list(range(1, len(pages) + 1)) or len(keys) != 1:
        raise VerificationError("the readings of a trip must be all pages of one logger")
    trip = Trip(lot, tuple(reading for number in sorted(pages) for reading in pages[number]))
    if trip.row() != row:
        raise VerificationError("the features of a trip do not follow from its readings")
    return f"all {len(row)} features follow from the {len(trip.readings)} signed readings"


def _check_input(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    score = _score(parent.receipt, parent.report.opened, _model(child.receipt, parent.receipt))
    return None if score is None else f"these features, packed, open the committed input; score {score:,}"


def _check_trip(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    said, trip = parent.receipt.statement.body, child.receipt.statement.body
    _check_request(said)
    if (said["input"], said["model"]) != (trip["input"], trip["model"]):
        raise VerificationError("the answer is to another input or model than the trip's")
    score = _score_of(child.receipt, resolve)
    if score is None:
        return None
    if score != said["output"]:
        raise VerificationError("the model gives another score for the trip than the answer says")
    if said["overturned"]:
        if score == said["signed"]:
            raise VerificationError("an answer was overturned that the model gives")
        return f"score {score:,} computed again: what {len(said['signatures'])} had signed was wrong"
    return f"score {score:,} computed again from the opened input, bit for bit"


def _check_request(said: Mapping[str, Any]) -> None:
    """Check that the request's id is the hash of this model, this input and these terms."""
    terms, fact = said["terms"], said["chain"]
    asked = Terms(
        model=said["model"],
        input=bytes.fromhex(said["input"]),
        level=int(said["level"][1:]),
        panel=bytes.fromhex(terms["panel"]),
        step_s=terms["step_s"],
        step_blocks=terms["step_blocks"],
        callback_gas=terms["callback_gas"],
        fee=int(terms["fee"]),
    )
    found = asked.id(chain_id=fact["chain"], oracle=fact["contract"], requester=said["requester"])
    if not found.hex() == said["request"] == fact["id"]:
        raise VerificationError("the request's id does not follow from its terms")


def _check_answer(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    said = parent.receipt.statement.body
    _check_request(said)
    if child.receipt.statement.body["request"] != said["request"]:
        raise VerificationError("a node's statement is about another request")
    key = _chain_key(child.receipt)
    signature = said["signatures"].get(chain_address(key))
    if signature is None:
        raise VerificationError("an answer names a node as signer that did not sign")
    digest = answer_digest(
        bytes.fromhex(said["request"]),
        model=said["model"],
        commitment=bytes.fromhex(said["input"]),
        output=said["signed"],
        level=int(said["level"][1:]),
        chain_id=said["chain"]["chain"],
        oracle=said["chain"]["contract"],
    )
    verify_typed_data(key, bytes.fromhex(signature), digest)
    opened = child.report.opened
    if isinstance(opened, Mapping) and int(opened["output"]) != said["signed"]:
        raise VerificationError("a node stated another output than it signed")
    return f"its EIP-712 signature of {said['signed']:,} at {said['level']} verifies"


def _check_challenge(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    said, opened = parent.receipt.statement.body, child.report.opened
    if child.receipt.statement.body["request"] != said["request"]:
        raise VerificationError("a challenge is of another request")
    if not isinstance(opened, Mapping):
        return None
    if (int(opened["claimed"]), int(opened["right"])) != (said["signed"], said["output"]):
        raise VerificationError("the challenge does not lead from what was signed to the answer")
    return f"it holds {said['output']:,} against the signed {said['signed']:,}"


def _check_outcome(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
    outcome, answer = parent.receipt.statement, child.receipt.statement.body
    said = outcome.body
    if (said["chain"]["id"], said["level"], said["output"]) != (
        answer["request"], answer["level"], answer["output"],
    ):  # fmt: skip
        raise VerificationError("a lot's outcome rests on another answer than it says")
    is_below = said["output"] < said["threshold"]
    if not said["reviewed"] and is_below != (outcome.kind == "shipment.released"):
        raise VerificationError("a lot's outcome does not follow from its score and threshold")
    sign = "below" if is_below else "not below"
    return f"score {said['output']:,} is {sign} the stated threshold {said['threshold']:,}"


def _chain_key(receipt: Receipt) -> bytes:
    """The key of its party's chain account; verification has held the cards against the log key already."""
    origin = receipt.statement.origin
    cards = next(cards for cards in receipt.cards.values() if cards[-1].origin == origin)
    return cards[-1].keys["chain"]


def _opened_of(receipt: Receipt) -> Any:
    return verify(receipt).opened if receipt.opening is not None else None


def _row(opened: Any) -> dict[str, str | None] | None:
    if not isinstance(opened, Mapping) or "salt" not in opened:
        return None
    return {path.removeprefix("row."): value for path, value in opened.items() if path.startswith("row.")}


def _model(published: Receipt, trip: Receipt) -> IntegerModel | None:
    if published.opening is None or "payload" not in published.opening:
        return None
    verify(published)
    data = decode_base64(published.opening["payload"])
    if hashlib.sha256(data).hexdigest() != trip.statement.body["model"]:
        raise VerificationError("the trip names another model")
    return parse_model(data)


def _score(trip: Receipt, opened: Any, model: IntegerModel | None) -> int | None:
    """Score an opened trip; None where something is closed."""
    row = _row(opened)
    if row is None or model is None:
        return None
    inputs = model.quantiser.inputs(row)
    words = pack_inputs(inputs)
    if input_commitment(bytes.fromhex(opened["salt"]), words).hex() != trip.statement.body["input"]:
        raise VerificationError("the features of a trip are not the input that was committed to")
    return model.answer(model.scores_inputs(inputs))


def _score_of(trip: Receipt, resolve: Resolve) -> int | None:
    published = resolve(trip.statement.links["model"][0])
    if published is None:
        return None
    return _score(trip, _opened_of(trip), _model(published, trip))


def _guarded(check: HopCheck) -> HopCheck:
    """Turn whatever opened bytes make a room say into what is false here."""

    def run(parent: Traced, child: Traced, resolve: Resolve) -> str | None:
        try:
            return check(parent, child, resolve)
        except VerificationError:
            raise
        except (EvidenceError, InputError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise VerificationError("what was opened cannot be what its statement says") from error

    return run


CHECKS: dict[tuple[str, str], HopCheck] = {
    ("answer.received", "answer"): _guarded(_check_answer),
    ("answer.received", "challenge"): _guarded(_check_challenge),
    ("answer.received", "trip"): _guarded(_check_trip),
    ("reading.received", "logger"): _guarded(_check_logger),
    ("shipment.quarantined", "answer"): _guarded(_check_outcome),
    ("shipment.rejected", "answer"): _guarded(_check_outcome),
    ("shipment.released", "answer"): _guarded(_check_outcome),
    ("trip.summarised", "model"): _guarded(_check_input),
    ("trip.summarised", "reading"): _guarded(_check_readings),
}
