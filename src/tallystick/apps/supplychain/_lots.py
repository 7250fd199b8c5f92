"""Which lots a pilot sends through the contracts: one at every level, one that is released, one that people look at."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.errors import DefectError
from tallystick.models import IntegerModel

from ._readings import Trip
from ._simulator import Lot, make_lot

__all__ = ["Chosen", "Scored", "choose", "ship", "without_assay"]

TRIED: Final = 400
ROAD: Final = ("left outside", "cooling fails", "steady", "ice beside it", "doors")
BESIDE: Final = 5  # further lots that are only scored


@dataclass(frozen=True, slots=True)
class Scored:
    """A lot with the model's score.

    Args:
        trip: its readings.
        row: the features.
        score: what the model gives.
        spoiled: what an assay found; None where there was none.
    """

    trip: Trip
    row: dict[str, str | None]
    score: int
    spoiled: bool | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The lots of a pilot.

    Args:
        every: all of them, scored.
        levels: goes through every level: the highest score.
        quick: goes through L1 alone: the lowest score, where there is a second lot.
        disputed: a lot in quarantine for people to look at, where there is a third.
    """

    every: tuple[Scored, ...]
    levels: Scored
    quick: Scored | None
    disputed: Scored | None


def ship(model: IntegerModel, threshold: int, *, seed: int) -> list[Scored]:
    """Simulate lots under way until there is a false alarm among them; a good lot that the model holds back.

    Args:
        model: scores them.
        threshold: the least score that is held back.
        seed: of the lots; none of them was trained on.
    """
    dice = random.Random(f"shipped {seed}")  # noqa: S311 - a simulation, no secret
    found: list[Scored] = []
    for number in range(TRIED):
        lot = make_lot(f"VX{number + 1:03}", ROAD[number % len(ROAD)], dice)
        found.append(_scored(model, lot))
        if len(found) > BESIDE and _is_told(found, threshold):
            return _thinned(found, threshold)
    if _is_told(found, threshold, false_alarm=False):
        return _thinned(found, threshold)
    raise DefectError("the simulator made no lot that is spoiled and seen to be")


def without_assay(trips: Sequence[Trip], model: IntegerModel) -> list[Scored]:
    """Score the user's own lots, of which nobody knows what was left."""
    scored = []
    for trip in trips:
        row = trip.row()
        scored.append(Scored(trip, row, model.score(row), None))
    return scored


def choose(lots: Sequence[Scored], threshold: int) -> Chosen:
    """Choose by the scores; every pilot has a lot at every level, the others where there are enough."""
    ordered = sorted(lots, key=lambda lot: lot.score)
    levels, quick = ordered[-1], ordered[0] if len(ordered) > 1 else None
    held = [lot for lot in ordered[1:-1] if lot.score >= threshold]
    # A false alarm shows best why people have the last word; else the nearest to the threshold.
    disputed = next((lot for lot in held if lot.spoiled is False), held[0] if held else None)
    return Chosen(tuple(lots), levels, quick, disputed)


def _scored(model: IntegerModel, lot: Lot) -> Scored:
    row = lot.trip.row()
    return Scored(lot.trip, row, model.score(row), lot.is_spoiled)


def _is_told(lots: Sequence[Scored], threshold: int, *, false_alarm: bool = True) -> bool:
    held = [lot for lot in lots if lot.score >= threshold]
    worst = max(lots, key=lambda lot: lot.score)
    told = bool(worst.spoiled) and worst.score >= threshold and len(held) < len(lots)
    return told and (not false_alarm or any(lot.spoiled is False for lot in held))


def _thinned(lots: Sequence[Scored], threshold: int) -> list[Scored]:
    """Keep the first few and those that the story needs, in their order."""
    chosen = choose(lots, threshold)
    needed = [chosen.levels, chosen.quick, chosen.disputed]
    return [lot for place, lot in enumerate(lots) if place < BESIDE or lot in needed]
