"""Deciding: rules and a model, thresholds and reasons; an answer leaves only when its statement is durable."""

from __future__ import annotations

from ._decision import ACTIONS, Action, Decision, ReasonCode

__all__ = ["ACTIONS", "Action", "Decision", "ReasonCode"]
