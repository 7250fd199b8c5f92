"""Casework: what people do with alerts: cases with a deadline, four eyes before a stopped payment goes, labels."""

from __future__ import annotations

from ._cases import Alert, CaseDeadlines, Cases, Labels
from ._rules import FRAUD, GENUINE, Case, Outcome

__all__ = ["FRAUD", "GENUINE", "Alert", "Case", "CaseDeadlines", "Cases", "Labels", "Outcome"]
