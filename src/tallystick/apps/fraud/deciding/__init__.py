"""Deciding: rules and a model, thresholds and reasons; an answer leaves only when its statement is durable."""

from __future__ import annotations

from ._decision import ACTIONS, Action, Decision, ReasonCode
from ._detectors import Detector, Detectors
from ._drift import Drift
from ._engine import Bank, Engine
from ._judging import Outcome, outcome
from ._policy import DecisionPolicy
from ._recording import Audit
from ._reference import Reference
from ._remembered import Remembered, payment_key
from ._replay import Replayed, replay, replay_sealed
from ._restoring import has_terms_of, is_ours
from ._rules import Condition, PaymentRule, RuleBook, default_rules, parse_rules
from ._sealed import DECISION_KINDS, decided_of, payment_of, unpacked
from ._settings import EngineSettings
from ._snapshots import Snapshot, Snapshots
from ._stats import EngineStats

__all__ = [
    "ACTIONS",
    "DECISION_KINDS",
    "Action",
    "Audit",
    "Bank",
    "Condition",
    "Decision",
    "DecisionPolicy",
    "Detector",
    "Detectors",
    "Drift",
    "Engine",
    "EngineSettings",
    "EngineStats",
    "Outcome",
    "PaymentRule",
    "ReasonCode",
    "Reference",
    "Remembered",
    "Replayed",
    "RuleBook",
    "Snapshot",
    "Snapshots",
    "decided_of",
    "default_rules",
    "has_terms_of",
    "is_ours",
    "outcome",
    "parse_rules",
    "payment_key",
    "payment_of",
    "replay",
    "replay_sealed",
    "unpacked",
]
