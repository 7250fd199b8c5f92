"""Serving: a bank's engine with what goes on beside it: cases, anchors, hashing the journal again behind the start."""

from __future__ import annotations

from ._counting import JournalCounts, recent_payees
from ._serving import Serving
from ._settings import FRAUD_FILE, FraudSettings
from ._shared_rules import with_shared_rules
from ._standing import Standing

__all__ = [
    "FRAUD_FILE",
    "FraudSettings",
    "JournalCounts",
    "Serving",
    "Standing",
    "recent_payees",
    "with_shared_rules",
]
