"""Decisions: ask a model, answer with reasons and an assurance level, and keep people in charge of it.

The door itself needs no web3; names that talk to a chain load when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tallystick.decisions._answers import Answer, ReceiptSource, words_for
from tallystick.decisions._asking import (
    ChainFact,
    CheckPermit,
    Desk,
    ModelSource,
    ModelVersion,
    Permit,
    Recorder,
    Rule,
)
from tallystick.decisions._controls import EVERY_MODEL, MODES, Band, Control
from tallystick.decisions._exchange import (
    Exchange,
    ExchangeDirectory,
    Revealed,
    SharedExchange,
    format_revealed,
    parse_revealed,
)
from tallystick.decisions._following import Following, follow
from tallystick.decisions._holdings import Holdings
from tallystick.decisions._levels import LEVELS, Audience, Level, before_revealing, find_level
from tallystick.decisions._openings import (
    Opening,
    Openings,
    OpeningSource,
    format_opening,
    make_opening,
    parse_opening,
)
from tallystick.decisions._oracle_terms import (
    Delivery,
    OracleAnswer,
    OracleRequest,
    Panel,
    RequestStatus,
    Terms,
    Until,
    answer_digest,
    answer_domain,
    challenge_commitment,
    compact_signature,
    signature_commitment,
)
from tallystick.decisions._oversight import Deadlines, Journalled, Oversight, Records
from tallystick.decisions._persons import is_same_person, plain_name
from tallystick.decisions._progress import Followed
from tallystick.decisions._queue import Effect, Waiting
from tallystick.decisions._requesting import make_request
from tallystick.decisions._requests import Heads, RequestBook, RequestInHand
from tallystick.decisions._watcher import Watcher

if TYPE_CHECKING:
    from tallystick.decisions._oracle_contract import Oracle, OracleAccount
    from tallystick.decisions._oracle_service import AnswerSigner, OracleNode

__all__ = [
    "EVERY_MODEL",
    "LEVELS",
    "MODES",
    "Answer",
    "AnswerSigner",
    "Audience",
    "Band",
    "ChainFact",
    "CheckPermit",
    "Control",
    "Deadlines",
    "Delivery",
    "Desk",
    "Effect",
    "Exchange",
    "ExchangeDirectory",
    "Followed",
    "Following",
    "Heads",
    "Holdings",
    "Journalled",
    "Level",
    "ModelSource",
    "ModelVersion",
    "Opening",
    "OpeningSource",
    "Openings",
    "Oracle",
    "OracleAccount",
    "OracleAnswer",
    "OracleNode",
    "OracleRequest",
    "Oversight",
    "Panel",
    "Permit",
    "ReceiptSource",
    "Recorder",
    "Records",
    "RequestBook",
    "RequestInHand",
    "RequestStatus",
    "Revealed",
    "Rule",
    "SharedExchange",
    "Terms",
    "Until",
    "Waiting",
    "Watcher",
    "answer_digest",
    "answer_domain",
    "before_revealing",
    "challenge_commitment",
    "compact_signature",
    "find_level",
    "follow",
    "format_opening",
    "format_revealed",
    "is_same_person",
    "make_opening",
    "make_request",
    "parse_opening",
    "parse_revealed",
    "plain_name",
    "signature_commitment",
    "words_for",
]

# name -> the private module that holds it; these need the chain extra
_PLACES = {
    "AnswerSigner": "_oracle_service",
    "Oracle": "_oracle_contract",
    "OracleAccount": "_oracle_contract",
    "OracleNode": "_oracle_service",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
