"""What a pilot's summary keeps of lots and shipments, as plain data; the report shows nothing else."""

from __future__ import annotations

from typing import Any

from tallystick.decisions import find_level
from tallystick.models import IntegerModel

from ._lots import Scored
from ._parties import STEP_S, WINDOW_S
from ._shipping import Shipped

__all__ = ["lot_figures", "shipped_figures"]

# The longest that a request may take when nobody hurries: steps and windows, in seconds.
_LONGEST = {"L0": STEP_S, "L1": 2 * STEP_S, "L2": 3 * STEP_S + 2 * WINDOW_S, "L4": STEP_S}


def lot_figures(model: IntegerModel, threshold: int, lot: Scored) -> dict[str, Any]:
    """Return a lot's readings, features and score."""
    return {
        "held": lot.score >= threshold,
        "lot": lot.trip.lot,
        "probability": round(model.probability(lot.score), 4),
        "readings": len(lot.trip.readings),
        "row": dict(lot.row),
        "score": lot.score,
        "spoiled": lot.spoiled,
        "temperatures": [reading.tenths / 10 for reading in lot.trip.readings],
        "minutes": [reading.minute for reading in lot.trip.readings],
    }


def shipped_figures(done: Shipped, threshold: int) -> dict[str, Any]:
    """Return what became of a lot, at what cost, and what the level may claim. Money is wei as text."""
    level = find_level(done.asked.level)
    return {
        "challenge_gas": done.challenge,
        "claim": level.claim,
        "evidence": level.evidence,
        "gas": sum(gas for _, gas in done.gas.values()),
        "gas_by": {name: {"gas": gas, "transactions": count} for name, (count, gas) in done.gas.items()},
        "level": level.name,
        "longest_s": _LONGEST[level.name],
        "lot": done.asked.lot,
        "money": {
            name: {"after": str(after), "before": str(before)} for name, (before, after) in done.money.items()
        },
        "outcome": done.record.state.name.lower(),
        "output": done.answer.output,
        "overturned": done.answer.is_overturned,
        "request": done.asked.request.hex(),
        "seconds": round(done.seconds, 3),
        "signed": done.signed,
        "signers": list(done.signers),
        "statement": done.outcome.id,
        "threshold": threshold,
        "who_sees": {
            "input": list(level.who_sees.input),
            "text": level.who_sees.text,
            "weights": list(level.who_sees.weights),
        },
    }
