"""Supply chain: lots under escrow that a model's answer releases or quarantines, traceable to their readings.

from tallystick.apps.supplychain import APP
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.apps import App
from tallystick.apps.supplychain._kinds import KINDS, REMARKS
from tallystick.proof import HopCheck

__all__ = ["APP"]


def _checks() -> Mapping[tuple[str, str], HopCheck]:
    from tallystick.apps.supplychain._checks import CHECKS

    return CHECKS


def _pilot(**options: Any) -> Any:
    """Run the pilot; see `_pilot.run_pilot`. Imported here, because it needs both extras."""
    from tallystick.apps.supplychain._pilot import PilotOptions, run_pilot

    on_step = options.pop("on_step", lambda _step: None)
    on_progress = options.pop("on_progress", lambda _line: None)
    return run_pilot(PilotOptions(**options), on_step=on_step, on_progress=on_progress)


APP = App(
    "supplychain",
    "a contract releases, quarantines and pays for lots by a model's answer",
    kinds=KINDS,
    checks=_checks,
    remarks=REMARKS,
    pilots={"oracle": _pilot},
)
