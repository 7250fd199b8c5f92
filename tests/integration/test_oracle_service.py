"""Oracle nodes and a watcher against the real contracts: quorums, liars, colluders, and kill -9."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.oracle_town import BOND, STEP_BLOCKS, STEP_S, WINDOW_BLOCKS, WINDOW_S, Town, small_trees
from benchmarks.oracle_watch import watch

from tallystick.decisions import Holdings, Openings, RequestStatus
from tallystick.models import IntegerModel

DRIVER = Path(__file__).with_name("killed_oracle.py")
MODEL: IntegerModel = small_trees(trees=2, width=4)
ROW: dict[str, str | None] = {"f0": "17", "f1": "-400", "f2": "900", "f3": "0"}
RIGHT = MODEL.scores(ROW)[0]


class Lying(Holdings):
    """Scores everything one too high."""

    def output(self, *arguments: Any, **options: Any) -> int | None:
        right = super().output(*arguments, **options)
        return None if right is None else right + 1


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path / "town", MODEL)
    yield made
    made.close()


def liar(town: Town, place: int) -> Any:
    from benchmarks.oracle_town import _OneModel

    return town.signer(place, holdings=Lying(_OneModel(town), Openings(town.path / f"l{place}"), town.handed))


def run(*followers: Any, rounds: int = 1) -> None:
    for _ in range(rounds):
        for one in followers:
            one.step(wait_s=60)


def end_step(town: Town) -> None:
    town.pass_time(STEP_S + 1, blocks=STEP_BLOCKS + 1)


def end_window(town: Town) -> None:
    town.pass_time(WINDOW_S + 1, blocks=WINDOW_BLOCKS + 1)


def test_a_quorum_outvotes_a_liar_and_everybody_is_paid_once(town: Town) -> None:
    (request,) = town.ask([ROW], level=1)
    signers = [liar(town, 0), town.signer(1), town.signer(2)]
    run(*signers, rounds=2)
    town.pass_time(6, blocks=1)
    run(*signers, rounds=2)
    state = town.state(request)
    assert (state.status, state.output, state.signed) == (RequestStatus.FINAL, RIGHT, frozenset({1, 2}))
    run(*signers, rounds=2)
    assert town.state(request).committed == frozenset()
    assert [one.step() for one in signers] == [0, 0, 0]
    assert len(town.oracle.logged("Answered")) == 1


def test_one_signature_answers_at_level_zero(town: Town) -> None:
    (request,) = town.ask([ROW], level=0)
    signers = [town.signer(place) for place in range(3)]
    run(*signers, rounds=2)
    assert (town.state(request).is_final, town.state(request).output) == (True, RIGHT)


def test_colluders_lose_their_bonds_to_one_honest_watcher(town: Town) -> None:
    (request,) = town.ask([ROW])
    watcher, signers = town.watcher(), [liar(town, place) for place in range(3)]
    run(*signers)
    assert town.state(request).status is RequestStatus.WAITING
    run(watcher, *signers, rounds=2)
    town.pass_time(6, blocks=1)
    run(*signers, rounds=2)
    assert (town.state(request).status, town.state(request).output) == (RequestStatus.ANSWERED, RIGHT + 1)
    run(watcher, rounds=6)
    assert (town.state(request).is_overturned, town.state(request).output) == (True, RIGHT)
    assert town.state(request).status is RequestStatus.FINAL
    lost = len(town.state(request).signed) * BOND
    assert town.oracle.account(town.watching.address).free == BOND + lost // 4
    assert town.oracle.account(town.asker.address).free == lost // 2
    assert watcher.challenged() == [request]
    kinds = [entry.statement.kind for entry in town.node("watcher").journal.entries()]
    assert kinds == ["answer.challenged"]


def test_a_right_answer_stands_and_its_bonds_come_back_after_the_window(town: Town) -> None:
    (request,) = town.ask([ROW])
    watcher, signers = town.watcher(), [town.signer(place) for place in range(3)]
    run(watcher, *signers, rounds=2)
    town.pass_time(6, blocks=1)
    run(watcher, *signers, rounds=2)
    assert town.state(request).status is RequestStatus.ANSWERED
    end_window(town)
    for _ in range(3):
        run(watcher, *signers)
        town.pass_time(6, blocks=1)
    run(watcher, *signers, rounds=2)
    assert (town.state(request).status, town.state(request).output) == (RequestStatus.FINAL, RIGHT)
    assert [town.oracle.account(one.address).locked for one in town.signers] == [0, 0, 0]
    assert watcher.challenged() == []


def test_without_enough_signers_the_requester_gets_its_fee_back_and_the_bond_is_free(town: Town) -> None:
    (request,) = town.ask([ROW])
    watcher, signer = town.watcher(), town.signer(0)
    run(watcher, signer, rounds=2)
    assert town.oracle.account(town.signers[0].address).locked == BOND
    end_step(town)
    end_step(town)
    for _ in range(4):
        run(watcher, signer)
        town.pass_time(6, blocks=1)
    assert town.state(request).status is RequestStatus.REFUNDED
    assert town.oracle.account(town.signers[0].address).locked == 0


def test_of_twenty_wrong_answers_none_stands_and_no_right_one_is_overturned(tmp_path: Path) -> None:
    tally = watch(tmp_path / "town", wrong=20, seed=5, trees=2)
    assert (tally.wrong, tally.overturned, tally.challenged) == (20, 20, 20)
    assert tally.right == tally.stood > 0


@pytest.mark.slow
def test_nodes_that_are_killed_again_and_again_neither_lose_nor_double_an_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tmp_path), "24", "7"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["unfinished"], told["right"], told["asked"]) == (0, 18, 18)
    # Each signer stated each answer once, committed to it once, and each was submitted once.
    assert (told["given"], told["answered"], told["committed"]) == ([1], [1], [1])
    assert told["statements"] == told["commitments"] == 2 * told["asked"]
    # Every wrong answer was challenged in one statement and overturned once, and no right one was.
    assert told["challenged"] == told["overturns"] == told["spoiled"]
    assert told["challenged_once"]
    assert told["overturned"] in ([1], [])
