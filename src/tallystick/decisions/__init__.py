"""Decisions: ask a model, answer with reasons and an assurance level, and keep people in charge of it.

The door itself needs no web3; names that talk to a chain load when they are first asked for.
"""

from __future__ import annotations

from tallystick.decisions._answers import Answer, words_for
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
from tallystick.decisions._levels import LEVELS, Audience, Level, before_revealing, find_level
from tallystick.decisions._openings import (
    Opening,
    Openings,
    OpeningSource,
    format_opening,
    make_opening,
    parse_opening,
)
from tallystick.decisions._oversight import Deadlines, Journalled, Oversight, Records
from tallystick.decisions._progress import Followed
from tallystick.decisions._queue import Effect, Waiting

__all__ = [
    "EVERY_MODEL",
    "LEVELS",
    "MODES",
    "Answer",
    "Audience",
    "Band",
    "ChainFact",
    "CheckPermit",
    "Control",
    "Deadlines",
    "Desk",
    "Effect",
    "Exchange",
    "ExchangeDirectory",
    "Followed",
    "Journalled",
    "Level",
    "ModelSource",
    "ModelVersion",
    "Opening",
    "OpeningSource",
    "Openings",
    "Oversight",
    "Permit",
    "Recorder",
    "Records",
    "Revealed",
    "Rule",
    "SharedExchange",
    "Waiting",
    "before_revealing",
    "find_level",
    "format_opening",
    "format_revealed",
    "make_opening",
    "parse_opening",
    "parse_revealed",
    "words_for",
]
