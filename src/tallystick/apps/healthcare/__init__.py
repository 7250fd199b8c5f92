"""Healthcare: hospitals that learn together and can prove every decision.

from tallystick.apps.healthcare import APP
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.apps import App
from tallystick.apps.healthcare._tracing import REMARKS
from tallystick.proof import HopCheck

__all__ = ["APP"]


def _checks() -> Mapping[tuple[str, str], HopCheck]:
    from tallystick.apps.healthcare._checks import CHECKS

    return CHECKS


def _pilot(**options: Any) -> Any:
    """Run the pilot; see `_pilot.run_pilot`. Imported here, because it needs both extras."""
    from tallystick.apps.healthcare._pilot import PilotOptions, run_pilot

    on_step = options.pop("on_step", lambda _step: None)
    on_progress = options.pop("on_progress", lambda _line: None)
    return run_pilot(PilotOptions(**options), on_step=on_step, on_progress=on_progress)


APP = App(
    "healthcare",
    "hospitals learn together and can prove every decision",
    checks=_checks,
    remarks=REMARKS,
    pilots={"healthcare": _pilot},
)
