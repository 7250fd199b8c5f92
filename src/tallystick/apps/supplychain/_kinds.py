"""What a cold chain states beside the standard kinds, and what its links do not show."""

from __future__ import annotations

from typing import Final

from tallystick.proof import Kind

__all__ = ["KINDS", "REMARKS"]

_OUTCOME: Final = {
    "chain": "object",
    "level": "text",
    "lot": "text",
    "output": "integer",
    "reviewed": "flag",
    "simulated": "flag",
    "threshold": "integer",
}

KINDS: Final = (
    Kind(
        "answer.received",
        {
            "chain": "object",
            "input": "digest",
            "level": "text",
            "model": "digest",
            "output": "integer",
            "overturned": "flag",
            "request": "digest",
            "requester": "text",
            "signatures": "object",
            "signed": "integer?",
            "terms": "object",
        },
        "what an oracle answered, and on whose signatures",
    ),
    Kind("logger.registered", {"key": "text", "logger": "text"}, "the key with which a logger signs"),
    Kind(
        "reading.received",
        {"logger": "text", "lot": "text", "page": "count"},
        "readings that a logger signed",
    ),
    Kind("shipment.quarantined", _OUTCOME, "a contract keeps a lot back"),
    Kind("shipment.rejected", _OUTCOME, "a lot must not be used"),
    Kind("shipment.released", _OUTCOME, "a contract released a lot and paid for it"),
    Kind(
        "shipment.reviewed",
        {"lot": "text", "reason": "text", "release": "flag"},
        "a person looked at a lot in quarantine",
    ),
    Kind(
        "trip.summarised",
        {"input": "digest", "lot": "text", "model": "digest", "simulated": "flag"},
        "the features of a trip, sealed, and the input that commits to them",
    ),
)

REMARKS: Final = {
    ("model.published", "data"): "that the model was trained on it is {by}'s word",
    ("reading.received", "logger"): "that the logger lay beside the lot is the carrier's word",
    ("shipment.released", "review"): "what a person saw is {by}'s word",
    ("shipment.rejected", "review"): "what a person saw is {by}'s word",
}
