"""One honest watcher against 1,000 injected wrong answers, among right ones, with a model of 10 trees.

Every answer is signed and bonded by colluders whom the contract believes; nobody but the watcher says otherwise. What
counts is what the contract holds in the end.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.oracle_town import WINDOW_BLOCKS, WINDOW_S, Town, small_trees
from benchmarks.rows import Row

WRONG = 1_000
TREES = 10
BATCH = 50
RIGHT_EVERY = 5  # of five answers one is right
ROUNDS = 12  # passes in which the watcher must be done with a batch


@dataclass(slots=True)
class Tally:
    """What the contract held in the end.

    Args:
        wrong: wrong answers that were injected.
        overturned: of these, how many ended with the right output.
        right: right answers beside them.
        stood: of these, how many ended as they were given.
        challenged: how many answers the watcher challenged.
    """

    wrong: int = 0
    overturned: int = 0
    right: int = 0
    stood: int = 0
    challenged: int = 0


def oracle_watch(scale: float = 1.0) -> list[Row]:
    """Measure the watcher against its reach.

    Args:
        scale: below 1 injects fewer wrong answers.
    """
    wrong = max(int(WRONG * scale), 20)
    with tempfile.TemporaryDirectory() as folder:
        tally = watch(Path(folder) / "town", wrong=wrong, seed=11)
    injected = f"oracle-watch overturned of {tally.wrong:,}"
    beside = f"oracle-watch stood of {tally.right:,}"
    return [
        Row(injected, tally.overturned, "wrong", tally.wrong, ">=", {}),
        Row(beside, tally.stood, "right", tally.right, ">=", {}),
    ]


def watch(path: Path, *, wrong: int, seed: int, trees: int = TREES) -> Tally:
    """Inject wrong answers among right ones and let one watcher look.

    Args:
        path: where the town is made.
        wrong: how many wrong answers.
        seed: of rows, errors and their order.
        trees: of the model.
    """
    dice, tally = random.Random(seed), Tally()
    town = Town(path, small_trees(trees=trees), signers=2, need=2)
    try:
        for account in (town.watching, *town.signers):
            town.send((account, town.oracle.deposit(10**19)))
        watcher = town.watcher()
        while tally.wrong < wrong:
            _batch(town, watcher, dice, tally, most=wrong - tally.wrong)
        tally.challenged = len(watcher.challenged())
    finally:
        town.close()
    return tally


def _batch(town: Town, watcher: object, dice: random.Random, tally: Tally, *, most: int) -> None:
    from tallystick.decisions import Watcher

    assert isinstance(watcher, Watcher)
    spoil = min(most, BATCH)
    spoiled = [True] * spoil + [False] * max(spoil // (RIGHT_EVERY - 1), 1)
    dice.shuffle(spoiled)
    names = town.model.quantiser.names
    rows: list[dict[str, str | None]] = [
        {name: str(dice.randint(-1_200, 1_200)) for name in names} for _ in spoiled
    ]
    requests = town.ask(rows)
    watcher.step(wait_s=60)
    right = {request: town.model.scores(row)[0] for request, row in zip(requests, rows, strict=True)}
    errors = [dice.choice((-1, 1, 2**40, -(2**200))) if spoil else 0 for spoil in spoiled]
    given = {request: right[request] + error for request, error in zip(requests, errors, strict=True)}
    town.answer(given)
    for _ in range(ROUNDS):
        watcher.step(wait_s=60)
        if all(town.state(request).is_final for request in requests if given[request] != right[request]):
            break
    town.pass_time(WINDOW_S + 1, blocks=WINDOW_BLOCKS + 1)
    stood = [request for request in requests if not town.state(request).is_final]
    town.send(*((town.asker, town.oracle.finalise(bytes.fromhex(request))) for request in stood))
    watcher.step(wait_s=60)
    for request in requests:
        held = town.state(request).is_final and town.state(request).output == right[request]
        if given[request] == right[request]:
            tally.right += 1
            tally.stood += held and not town.state(request).is_overturned
        else:
            tally.wrong += 1
            tally.overturned += held and town.state(request).is_overturned
