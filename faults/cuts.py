"""Faults of the network between the members: cut in two halves, and one member cut off."""

from __future__ import annotations

from faults.namespaces import cut, lay_apart, why_no_cuts
from faults.rows import FaultRow
from faults.stage import MEMBERS, Ground

__all__ = ["cut_off", "halves"]

STAND_S = 6.0
_HALVES, _CUT_OFF = "partition 2|2", "partition 3|1"
WHICH = 0  # the member whose endpoint the first party calls its own


def halves(ground: Ground) -> list[FaultRow]:
    """Cut two from two: neither half can agree on a block, so nothing forks, and after healing all go on."""
    reason = why_no_cuts()
    if reason:
        return [FaultRow(_HALVES, skipped=reason)]
    stage = ground.stage(lay_apart)
    with stage.trial(_HALVES) as trial, cut((0, 1), (2, 3)) as heal:
        trial.broken()
        trial.stands(STAND_S)
        heal()
        trial.mended()
        trial.recovers()
    return [trial.row]


def cut_off(ground: Ground) -> list[FaultRow]:
    """Cut one from three: the three go on, the party that lives with the one as well, and it catches up."""
    reason = why_no_cuts()
    if reason:
        return [FaultRow(_CUT_OFF, skipped=reason)]
    stage = ground.stage(lay_apart)
    others = [place for place in range(MEMBERS) if place != WHICH]
    with stage.trial(_CUT_OFF) as trial, cut(others, (WHICH,)) as heal:
        trial.broken()
        trial.resumes()
        trial.blocks(MEMBERS + 1)
        trial.hurt(WHICH)
        heal()
        trial.mended()
        trial.recovers()
    return [trial.row]
