"""SIMULATED lots of vaccine: trips as a cold chain has them, and what was left of the potency at their end.

Nothing here was measured. The simulator serves to show a decision that a contract acts on; a model trained on it must
never release a medicine.

How a lot travels: a box that holds about 5 °C, kept by a compressor or by ice packs, drifts towards the air around it
while the door is open, while it is handled, and when cooling fails; badly packed ice freezes what lies beside it. The
vial lags behind the logger's sensor, and the sensor is off by a little: what counts is in the vial, what is seen is the
sensor's.

What is left of it: potency decays at first order, with a speed that follows Arrhenius; a lot whose vial stayed below
-0.5 °C may freeze, which ruins vaccines with an aluminium adjuvant. A lot is *spoiled* when it lost more than
`BUDGET` of its potency on this trip, or froze.

Source: WHO, "Temperature sensitivity of vaccines" (WHO/IVB/06.10), for first-order loss, its Arrhenius form and
freezing; the figures below are round ones of our own, within what is told there.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from ._readings import Reading, Trip

__all__ = ["LABEL", "SIMULATED", "Lot", "make_lot", "make_lots"]

SIMULATED: Final = "SIMULATED"
LABEL: Final = "the lot lost more than 0.5% of its potency on the trip, or froze (SIMULATED)"
BUDGET: Final = 0.005
STEP_MIN: Final = 15
LOSS_PER_DAY: Final = 0.0004  # at 5 °C: about a quarter in two years
ACTIVATION_K: Final = (
    11_000.0,
    16_000.0,
)  # activation energy over the gas constant, of more and less stable lots
FREEZES_BELOW: Final = -0.5
LAG: Final = 0.35  # how much of the way to the sensor's temperature a vial goes in one step
COURSES: Final = (
    ("steady", 36), ("doors", 18), ("cooling fails", 20), ("left outside", 14), ("ice beside it", 8), ("warm ice", 4),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lot:
    """A simulated lot.

    Args:
        trip: what the logger saw.
        course: what befell it, in two words.
        lost: share of its potency that it lost, 0 to 1; 1 when it froze.
    """

    trip: Trip
    course: str
    lost: float

    @property
    def is_spoiled(self) -> bool:
        """Whether it must not be used."""
        return self.lost > BUDGET


def make_lots(count: int, *, seed: int, counted: float = 0.9) -> list[Lot]:
    """Simulate lots; the same seed gives the same ones.

    Args:
        count: how many.
        seed: of everything.
        counted: share of the lots whose doors, handling and distance somebody counted.
    """
    dice = random.Random(f"lots {seed}")  # noqa: S311 - a simulation, no secret
    names, weights = zip(*COURSES, strict=True)
    courses = dice.choices(names, weights, k=count)
    return [
        make_lot(f"SIM-{number:05}", course, dice, counts=dice.random() < counted)
        for number, course in enumerate(courses)
    ]


def make_lot(name: str, course: str, dice: random.Random, *, counts: bool = True) -> Lot:
    """Simulate one lot.

    Args:
        name: its number.
        course: what befalls it, a name of `COURSES`.
        dice: chance.
        counts: whether doors, handling and distance are counted.
    """
    steps, box = dice.randint(48, 192), _Box(course, dice)
    readings, vial, lost, frozen_for = [], box.inside, 0.0, 0
    speed, offset = dice.uniform(*ACTIVATION_K), dice.gauss(0, 0.15)
    for step in range(steps):
        doors, handling, km = box.pass_step(step, steps)
        vial += LAG * (box.inside - vial)
        lost += LOSS_PER_DAY * STEP_MIN / 1440 * math.exp(speed * (1 / 278.15 - 1 / (vial + 273.15)))
        frozen_for += STEP_MIN if vial < FREEZES_BELOW else 0
        seen = round(10 * (box.inside + offset + dice.gauss(0, 0.08)))
        counted = (doors, handling, km) if counts else (None, None, None)
        readings.append(Reading(step * STEP_MIN, seen, *counted))
    if dice.random() < 1 - math.exp(-frozen_for / 240):
        lost = 1.0
    return Lot(Trip(name, tuple(readings)), course, min(1.0, 1 - math.exp(-lost)))


class _Box:
    """A box under way; `inside` is its temperature in °C."""

    def __init__(self, course: str, dice: random.Random) -> None:
        self._dice, self._course = dice, course
        self._outside = dice.uniform(14, 40)
        self._set = dice.gauss(5, 0.5)
        self._tightness = dice.uniform(0.010, 0.030)  # of the way to the outside, in one step without cooling
        self._begins, self._lasts = dice.uniform(0.1, 0.7), dice.randint(4, 96)
        self.inside = self._set

    def pass_step(self, step: int, steps: int) -> tuple[int, int, int]:
        """Pass 15 minutes: door openings, minutes handled, kilometres."""
        dice, begins = self._dice, int(self._begins * steps)
        often = 0.25 if self._course == "doors" else 0.04
        doors = sum(dice.random() < often for _ in range(2))
        handling = dice.randint(2, 12) if doors and dice.random() < 0.5 else 0
        troubled = begins <= step < begins + self._lasts
        target, pull = self._set, 0.35
        if troubled and self._course == "cooling fails":
            target, pull = self._outside, self._tightness
        elif troubled and self._course == "left outside":
            target, pull = self._outside, 0.12
        elif troubled and self._course == "ice beside it":
            target, pull = -3.0, 0.10
        elif troubled and self._course == "warm ice":
            target, pull = 9.5, 0.15
        self.inside += pull * (target - self.inside) + dice.gauss(0, 0.12)
        self.inside += doors * 0.035 * (self._outside - self.inside)
        return doors, handling, 0 if troubled and dice.random() < 0.5 else dice.randint(4, 22)
