"""Fraud: payments decided in real time, with reasons, each decision provable for years; banks catch together what none sees alone.

from tallystick.apps.fraud import APP
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.apps import App
from tallystick.proof import HopCheck

from ._kinds import KINDS, REMARKS

__all__ = ["APP"]


def _checks() -> Mapping[tuple[str, str], HopCheck]:
    from ._checks import CHECKS

    return CHECKS


def _pilot(**options: Any) -> Any:
    """Run the pilot; see `_pilot.run_pilot`. Imported here, because it needs the extra."""
    from ._pilot import PilotOptions, run_pilot

    on_step = options.pop("on_step", lambda _step: None)
    on_progress = options.pop("on_progress", lambda _text: None)
    return run_pilot(PilotOptions(**options), on_step=on_step, on_progress=on_progress)


APP = App(
    "fraud",
    "payments decided in real time, with an audit trail that outlives the bank",
    kinds=KINDS,
    checks=_checks,
    remarks=REMARKS,
    pilots={"fraud": _pilot},
)
