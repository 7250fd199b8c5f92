"""Simulated lots are the same for the same seed, and both outcomes occur."""

from __future__ import annotations

import random

from tallystick.apps.supplychain import APP
from tallystick.apps.supplychain._simulator import COURSES, LABEL, SIMULATED, make_lot, make_lots
from tallystick.proof import STANDARD_KINDS


def test_the_same_seed_gives_the_same_lots_and_another_one_others() -> None:
    first, again, other = make_lots(20, seed=3), make_lots(20, seed=3), make_lots(20, seed=4)
    assert first == again
    assert first != other


def test_heat_and_ice_spoil_and_a_steady_trip_does_not() -> None:
    dice = random.Random(1)
    spoiled = {
        course: sum(make_lot("x", course, dice).is_spoiled for _ in range(25)) for course, _ in COURSES
    }
    assert spoiled["steady"] == spoiled["doors"] == 0
    assert spoiled["left outside"] > 0
    assert spoiled["ice beside it"] > 0


def test_what_nobody_counted_is_unknown() -> None:
    lot = make_lot("x", "doors", random.Random(2), counts=False)
    assert {reading.doors for reading in lot.trip.readings} == {None}
    assert lot.trip.row()["door_openings"] is None


def test_everything_simulated_says_so() -> None:
    assert SIMULATED == "SIMULATED"
    assert SIMULATED in LABEL
    assert all(lot.trip.lot.startswith("SIM-") for lot in make_lots(3, seed=0))


def test_the_kinds_of_the_application_extend_the_standard_ones() -> None:
    assert "shipment.released" in STANDARD_KINDS.extended(APP.kinds)
    assert {parent for parent, _ in APP.checks()} <= {kind.name for kind in APP.kinds}
