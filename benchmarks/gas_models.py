"""Gas of whole transactions of ``Models`` and of the executors: exact, the same on every machine.

python -m benchmarks.gas_models             # print the figures
python -m benchmarks.gas_models --update    # write them to tests/contracts/gas_models.json, which the tests hold
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gas import Measured, member_seat
from benchmarks.random_models import EXTREMES, inputs_near, linear, perceptron, trees
from benchmarks.rows import Row

if TYPE_CHECKING:
    from tallystick.models import IntegerModel, Models

SNAPSHOT = Path(__file__).resolve().parent.parent / "tests" / "contracts" / "gas_models.json"
LINEAR, TREES, PERCEPTRON = "answer, linear 30", "answer, 50 trees", "answer, perceptron 30-16-1"
SHARDED = "answer, 500 trees in 2 parts"
REACHES = {LINEAR: 27_000, TREES: 65_000, PERCEPTRON: 88_000, SHARDED: 750_000}
WIDTH = 30
INPUTS_COMPARED = 20_000


def gas_models(scale: float = 1.0) -> list[Row]:
    """Measure answers, as whole transactions, against their reaches.

    Args:
        scale: ignored; gas does not depend on how long one measures.
    """
    gas = measure()
    short = {LINEAR: "linear", TREES: "50 trees", PERCEPTRON: "perceptron", SHARDED: "500 trees"}
    return [
        Row(f"gas-models {short[name]}", gas[name], "gas", reach, "<=", {}) for name, reach in REACHES.items()
    ]


def executors(scale: float = 1.0) -> list[Row]:
    """Compare executors with the Python reference on 20,000 inputs of random models, extremes among them.

    Args:
        scale: below 1 compares fewer.

    Returns:
        How many answers differed.
    """
    rng = random.Random(2026)
    compared, different = 0, 0
    while compared < INPUTS_COMPARED * scale:
        with tempfile.TemporaryDirectory() as folder:
            measured = Measured(Path(folder) / "chain")
            try:
                models = _register(measured)
                for model in _random_models(rng):
                    different += _differences(measured, models, model, rng, 50)
                    compared += 50
            finally:
                measured.chain.close()
    return [Row(f"executors {compared:,} inputs", different, "differ", 0, "<=", {})]


def measure() -> dict[str, int]:
    """Send one transaction of each kind on a fresh chain.

    Returns:
        Gas of whole transactions, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        measured = Measured(Path(folder) / "chain")
        try:
            models = _register(measured)
            _measure_answers(measured, models)
            _measure_votes(measured, models)
        finally:
            measured.chain.close()
    return measured.gas


def _register(measured: Measured) -> Models:
    from tallystick.chain import Members
    from tallystick.models import Blueprints, Models

    seats = [member_seat(name) for name in "ABCD"]
    members = measured.deploy("A", Members.deploy_call(seats, threshold=3))
    places = {
        family: measured.deploy("A", Models.blueprint_call(family), f"deploy blueprint, {family}")
        for family in ("linear", "trees", "perceptron")
    }
    call = Models.deploy_call(members, approvals_needed=2, blueprints=Blueprints(**places))
    return Models(measured.web3, measured.deploy("A", call, "deploy Models"))


def _measure_answers(measured: Measured, models: Models) -> None:
    from tallystick.models import Executor

    rng = random.Random(30)
    measured_models = {
        LINEAR: linear(rng, WIDTH),
        TREES: trees(rng, WIDTH, 50),
        PERCEPTRON: perceptron(rng, WIDTH, 16),
        SHARDED: trees(rng, WIDTH, 500),
    }
    # No byte of these is zero, so that nothing of the input is cheap.
    inputs = tuple(257 * rng.randint(1, 127) for _ in range(WIDTH))
    for name, model in measured_models.items():
        executor = Executor(measured.web3, _deploy(measured, models, model, name.removeprefix("answer, ")))
        if executor.answer(inputs) != model.scores_inputs(inputs)[0]:
            raise RuntimeError(f"the contract gives another score: {name}")
        measured.send(name, "A", executor.answer_call(inputs))


def _measure_votes(measured: Measured, models: Models) -> None:
    first, second = (sha256(name).hexdigest() for name in (b"first", b"second"))
    statement, reason = sha256(b"statement").hexdigest(), sha256(b"reason").digest()
    measured.send("publish", "A", models.publish(first))
    measured.send("publish with a parent", "A", models.publish(second, parent=first))
    for model in (first, second):
        measured.send("approve, first", "B", models.approve(model))
        measured.send("approve, second", "C", models.approve(model))
    measured.send("report evaluation", "B", models.report_evaluation(first, statement, passed=True))
    measured.send("promote", "A", models.promote(first))
    measured.send("sign override", "B", models.sign_override(second, reason))
    measured.send("", "C", models.sign_override(second, reason))
    measured.send("promote by override", "A", models.promote_by_override(second, reason))
    measured.send("retire", "A", models.retire(first))
    measured.send("ask for retirement", "B", models.retire(second))


def _deploy(measured: Measured, models: Models, model: IntegerModel, name: str = "") -> str:
    packed = model.packed
    if packed is None:
        raise RuntimeError("no contract can execute this model")
    for part in packed.parts:
        # A small linear model stands in its executor; storing its words too changes nothing.
        if packed.scalars[0] != 1 and models.part(sha256(part).digest()) is None:
            measured.send(f"store a part of {len(part):,} bytes" if name else "", "A", models.store(part))
    measured.send(f"deploy {name}" if name else "", "A", models.deploy(model))
    return str(models.executor(model.hash))


def _random_models(rng: random.Random) -> list[IntegerModel]:
    """Make models of every family, of random shapes."""
    made: list[IntegerModel] = []
    for _ in range(4):
        made.append(linear(rng, rng.choice((1, 15, 16, 17, 30, 32, 33, 64)), rng.choice((1, 1, 2 + 1))))
        depth, heads = rng.randint(1, 4), rng.choice((1, 1, 3))
        made.append(trees(rng, rng.choice((1, 12, 30, 100)), rng.choice((1, 5, 25, 26)), heads, depth))
        shape = rng.choice((1, 16, 17, 30)), rng.choice((1, 5, 16, 17)), rng.choice((1, 1, 3))
        made.append(perceptron(rng, *shape, shift=rng.randint(0, 30)))
    made.append(trees(rng, WIDTH, 50))
    made.append(perceptron(rng, WIDTH, 16))
    return made


def _differences(
    measured: Measured, models: Models, model: IntegerModel, rng: random.Random, count: int
) -> int:
    from tallystick.models import Executor

    executor = Executor(measured.web3, _deploy(measured, models, model))
    asked = [(value,) * model.quantiser.width for value in EXTREMES]
    asked += [inputs_near(rng, model) for _ in range(count - len(asked))]
    different = 0
    for inputs in asked:
        scores = model.scores_inputs(inputs)
        if model.heads == 1:
            different += executor.answer(inputs) != scores[0]
        else:
            different += executor.scores(inputs) != scores
    return different


def _main(arguments: list[str]) -> int:
    gas = measure()
    for name, value in gas.items():
        print(f"{value:>12,}  {name}")
    if arguments == ["--update"]:
        SNAPSHOT.write_text(json.dumps(gas, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(f"wrote {SNAPSHOT}")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
