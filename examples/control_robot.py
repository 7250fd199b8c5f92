"""Control: a warehouse robot chooses its aisle by a small perceptron that a contract executes, too.

A planner that knows all travel times labels random situations; a perceptron of 16 hidden units imitates it and is
driven through trips that it has not seen. Then it is deployed on the embedded chain: the contract computes the same
scores as the robot, so that whoever pays for a delay can have a choice checked without trusting the robot's maker.

    pip install 'tallystick[ai,chain]' scikit-learn && python examples/control_robot.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tallystick.decisions import words_for
from tallystick.models import Executor, Row, fit_perceptron
from tallystick.node import Consortium

AISLES = ("left", "middle", "right")
NAMES = (
    "shelf_m",
    "load_kg",
    "battery_pct",
    *(f"{what}_{aisle}" for what in ("robots", "forklift") for aisle in AISLES),
)
ENTRY_M = np.array([5.0, 20.0, 35.0])  # where the aisles begin, along the wall of the docks
CHARGER = 1  # the middle aisle passes the charger


def situations(dice: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw situations: target shelf, load, battery, and per aisle how many robots and whether a forklift is in it."""
    return np.column_stack(
        [
            np.round(dice.uniform(0, 40, count), 1), np.round(dice.uniform(0, 60, count)),
            np.round(dice.uniform(8, 100, count)), dice.integers(0, 6, (count, 3)), dice.random((count, 3)) < 0.2,
        ]
    )  # fmt: skip


def travel_s(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the seconds that each aisle takes, shape (situations, 3): what the planner knows and the robot does not."""
    shelf, load, battery = found[:, 0:1], found[:, 1:2], found[:, 2:3]
    robots, forklift = found[:, 3:6], found[:, 6:9]
    speed = 1.6 - 0.01 * load  # m/s; a loaded robot is slower
    way = (30 + np.abs(shelf - ENTRY_M)) / speed
    waiting = 5 * robots * (1 + load / 120) + 45 * forklift
    stop = np.where((battery < 20) & (np.arange(3) != CHARGER), 60.0, 0.0)  # a detour to the charger
    return way + waiting + stop


def row_of(situation: NDArray[np.float64]) -> Row:
    """Write a situation as the row that the model is asked with."""
    return {name: f"{value:g}" for name, value in zip(NAMES, situation, strict=True)}


def main() -> None:
    """Imitate, drive, publish, deploy, ask the robot and the chain."""
    dice = np.random.default_rng(11)
    lessons = situations(dice, 6_000)
    best = travel_s(lessons).argmin(axis=1)
    fitted = fit_perceptron(
        lessons,
        best,
        name="routes",
        target="which aisle to take",
        names=NAMES,
        labels=AISLES,
        hidden=16,
        rounds=120,
    )
    model = fitted.model
    print(
        f"float and integer policy choose alike in {fitted.fidelity.equal_decisions} of {fitted.fidelity.rows} lessons"
    )

    trips = situations(dice, 2_000)
    seconds, every = travel_s(trips), np.arange(len(trips))
    chosen = model.scores_inputs_many(model.quantiser.inputs_of_array(trips)).argmax(axis=1)
    nearest = np.abs(trips[:, 0:1] - ENTRY_M).argmin(axis=1)
    for who, choice in (("planner", seconds.argmin(axis=1)), ("robot", chosen), ("nearest aisle", nearest)):
        print(f"{who:<14} {seconds[every, choice].mean():5.1f} s a trip")

    with (
        tempfile.TemporaryDirectory() as place,
        Consortium(["Robot Maker", "Warehouse", "Insurer"], directory=Path(place)) as consortium,
    ):
        consortium.found_models()
        maker = consortium.nodes[0]
        version = maker.models.publish(model, "routes")
        place_on_chain = maker.models.deploy(version).executor
        row = row_of(trips[0])
        answer = maker.ask("routes", row)
        print(
            f"\nthe robot takes the {answer.decision} aisle; stated as {answer.statement[:12]}… at {answer.level}:"
        )
        print(f"  {answer.words}")
        executor = Executor(consortium.chain.web3, place_on_chain)
        inputs = model.quantiser.inputs(row)
        said = AISLES[executor.answer(inputs)]
        print(f"the contract at {place_on_chain[:10]}… takes the {said} aisle, as a contract would at L4:")
        print(f"  {words_for('L4', reexecutable=True)}")
        equal = executor.scores(inputs) == answer.scores
        print(f"scores of robot and contract: {'equal' if equal else 'DIFFERENT'} {answer.scores}")


if __name__ == "__main__":
    main()
