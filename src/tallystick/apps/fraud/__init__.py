"""Fraud: payments decided in real time, with reasons, each decision provable for years; banks catch together what none sees alone.

from tallystick.apps.fraud import APP
"""

from __future__ import annotations

from tallystick.apps import App

from ._kinds import KINDS, REMARKS

__all__ = ["APP"]

APP = App(
    "fraud",
    "payments decided in real time, with an audit trail that outlives the bank",
    kinds=KINDS,
    remarks=REMARKS,
)
