"""L2: watchers, bonds, the window, and a challenge that executes the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from contract_world import address
from oracle_world import (
    BOND,
    RIGHT,
    SIGNERS,
    STEP_BLOCKS,
    STEP_S,
    WATCHERS,
    WINDOW_BLOCKS,
    WINDOW_S,
    WORDS,
    WRONG,
    OracleWorld,
)

from tallystick.decisions import OracleAccount, RequestStatus, Until
from tallystick.models import input_commitment

BACKED = [*SIGNERS, *WATCHERS]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[OracleWorld]:
    with OracleWorld(tmp_path / "chain") as made:
        made.rich(*BACKED)
        yield made


def locked(world: OracleWorld, names: Sequence[str] = SIGNERS) -> list[int]:
    return [world.money(name).locked // BOND for name in names]


def free(world: OracleWorld, names: Sequence[str]) -> list[int]:
    return [world.money(name).free - 10 * BOND for name in names]


# Watchers first


def test_no_commitment_is_taken_before_enough_watchers_hold_the_opening(world: OracleWorld) -> None:
    panel = replace(world.panel, watch_need=2)
    world.send("anybody", world.oracle.open_panel(panel))
    asked = world.ask(2, panel=panel.id)
    commit = world.commit_call(SIGNERS[0], asked, RIGHT)
    for seat, name in enumerate(WATCHERS):
        assert world.state(asked).status == RequestStatus.WAITING
        assert world.refuse(SIGNERS[0], commit) == "oracle: not open"
        world.send(name, world.oracle.acknowledge(asked.id, seat=seat))
    assert world.state(asked).status == RequestStatus.OPEN
    assert world.state(asked).acknowledged == frozenset({0, 1})
    world.send(SIGNERS[0], commit)


def test_only_a_named_watcher_acknowledges_once(world: OracleWorld) -> None:
    panel = replace(world.panel, watch_need=2)
    world.send("anybody", world.oracle.open_panel(panel))
    asked = world.ask(2, panel=panel.id)
    call = world.oracle.acknowledge(asked.id, seat=0)
    for name in ("stranger", WATCHERS[1], SIGNERS[0], "asker"):
        assert world.refuse(name, call) == "oracle: not the watcher"
    beyond = world.oracle.acknowledge(asked.id, seat=16)
    assert world.refuse(WATCHERS[0], beyond) == "oracle: not the watcher"
    world.send(WATCHERS[0], call)
    assert world.refuse(WATCHERS[0], call) == "oracle: already acknowledged"


def test_the_signers_step_starts_when_the_watchers_are_ready(world: OracleWorld) -> None:
    asked = world.ask(2)
    world.pass_time(STEP_S)
    done = world.send(WATCHERS[0], world.oracle.acknowledge(asked.id, seat=0))
    assert world.state(asked).until == Until(world.now_s + STEP_S, done.block + STEP_BLOCKS)
    assert world.state(asked).deadline == Until(world.now_s + 2 * STEP_S, done.block + 2 * STEP_BLOCKS)
    late = world.oracle.acknowledge(asked.id, seat=1)
    assert world.refuse(WATCHERS[1], late) == "oracle: not waiting for watchers"


def test_watchers_who_come_too_late_are_refused_and_the_fee_goes_back(world: OracleWorld) -> None:
    asked = world.ask(2)
    world.end_step()
    late = world.oracle.acknowledge(asked.id, seat=0)
    assert world.refuse(WATCHERS[0], late) == "oracle: too late to acknowledge"
    world.send("anybody", world.oracle.refund(asked.id))
    assert world.money("asker").free == 4_000


# Bonds


def test_a_bond_is_locked_with_the_commitment_and_free_after_the_end(world: OracleWorld) -> None:
    asked = world.answered(2)
    assert locked(world) == [1, 1, 1, 0]
    world.end_window()
    world.send("anybody", world.oracle.finalise(asked.id))
    world.settle(asked)
    assert locked(world) == [0, 0, 0, 0]
    assert free(world, SIGNERS) == [1_000, 1_000, 1_000, 0]
    assert world.money("asker").free == 1_000


def test_a_locked_bond_cannot_be_withdrawn_or_locked_twice(world: OracleWorld) -> None:
    world.send(SIGNERS[0], world.oracle.withdraw(9 * BOND))
    asked, other = world.ask(2), world.ask(2)
    for one in (asked, other):
        world.send(WATCHERS[0], world.oracle.acknowledge(one.id, seat=0))
    world.commit(SIGNERS[:1], asked, RIGHT)
    assert world.money(SIGNERS[0]) == OracleAccount(free=0, locked=BOND)
    assert world.refuse(SIGNERS[0], world.oracle.withdraw(1)) == "oracle: not enough free money"
    assert world.refuse(SIGNERS[0], world.commit_call(SIGNERS[0], other, RIGHT)) == "oracle: bond too small"


def test_bonds_come_back_when_no_answer_came(world: OracleWorld) -> None:
    asked = world.ask(2)
    world.send(WATCHERS[0], world.oracle.acknowledge(asked.id, seat=0))
    world.commit(SIGNERS[:2], asked, RIGHT)
    world.end_step()
    world.end_step()
    world.send("anybody", world.oracle.refund(asked.id))
    world.settle(asked)
    assert free(world, SIGNERS) == [0, 0, 0, 0]
    assert locked(world) == [0, 0, 0, 0]


def test_who_committed_and_was_left_out_gets_the_bond_but_no_share(world: OracleWorld) -> None:
    asked = world.ask(2)
    world.send(WATCHERS[0], world.oracle.acknowledge(asked.id, seat=0))
    world.commit(SIGNERS, asked, WRONG)
    world.send("anybody", world.answer_call(SIGNERS[:3], asked, WRONG))
    world.overturn(WATCHERS[0], asked)
    world.send("anybody", world.oracle.finalise(asked.id))
    world.settle(asked)
    assert free(world, SIGNERS) == [-BOND, -BOND, -BOND, 0]


# The window


def test_an_l2_answer_is_not_final_before_its_window_is_over(world: OracleWorld) -> None:
    asked = world.answered(2)
    state = world.state(asked)
    assert (state.status, state.is_final, state.output) == (RequestStatus.ANSWERED, False, RIGHT)
    assert state.until == state.deadline
    assert world.refuse("anybody", world.oracle.finalise(asked.id)) == "oracle: the window still runs"
    assert world.refuse("anybody", world.oracle.refund(asked.id)) == "oracle: nothing to refund"
    assert world.refuse("anybody", world.oracle.collect(asked.id, seats=[0])) == "oracle: not settled yet"
    world.end_window()
    world.send("anybody", world.oracle.finalise(asked.id))
    assert world.state(asked).is_final
    assert world.refuse("anybody", world.oracle.finalise(asked.id)) == "oracle: nothing to finalise"


def test_a_challenge_after_the_window_is_too_late(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.end_window()
    call = world.commit_challenge_call(WATCHERS[0], asked)
    assert world.refuse(WATCHERS[0], call) == "oracle: too late to challenge"


def test_a_challenge_committed_in_the_last_block_can_still_be_shown(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.pass_blocks(WINDOW_BLOCKS + 5)
    world.pass_time(WINDOW_S)
    world.send(WATCHERS[0], world.commit_challenge_call(WATCHERS[0], asked))
    world.pass_time(1)
    assert world.refuse("anybody", world.oracle.finalise(asked.id)) == "oracle: the window still runs"
    world.end_window()  # the grace is over, but nobody finalised
    world.send(WATCHERS[0], world.challenge_call(asked))
    assert world.state(asked).output == RIGHT


def test_a_challenge_that_is_never_shown_delays_and_is_burned(world: OracleWorld) -> None:
    asked = world.answered(2)
    world.send(WATCHERS[0], world.commit_challenge_call(WATCHERS[0], asked, WRONG))
    release = world.oracle.release_challenge(asked.id, challenger=address(WATCHERS[0]))
    assert world.refuse("anybody", release) == "oracle: not settled yet"
    world.end_window()
    assert world.refuse("anybody", world.oracle.finalise(asked.id)) == "oracle: the window still runs"
    world.end_window()
    world.send("anybody", world.oracle.finalise(asked.id))
    world.send("anybody", release)
    assert world.money(WATCHERS[0]) == OracleAccount(free=9 * BOND, locked=0)
    assert world.oracle.burned() == BOND
    assert world.refuse("anybody", release) == "oracle: no challenge committed"


# A challenge


def test_one_challenge_overturns_a_wrong_answer_in_one_transaction(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.send(WATCHERS[0], world.commit_challenge_call(WATCHERS[0], asked))
    assert world.oracle.challenged_at(asked.id, challenger=address(WATCHERS[0])) == world.block()
    done = world.send(WATCHERS[0], world.challenge_call(asked))
    state = world.state(asked)
    assert (state.output, state.is_final, state.is_overturned) == (RIGHT, True, True)
    (logged,) = world.oracle.logged("Overturned", start=done.block, request=asked.id)
    assert (logged.values["was"], logged.values["output"]) == (WRONG, RIGHT)
    assert world.money(WATCHERS[0]) == OracleAccount(free=10 * BOND, locked=0)
    assert world.oracle.challenged_at(asked.id, challenger=address(WATCHERS[0])) is None


def test_after_an_overturn_bonds_move_and_a_part_is_burned(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.overturn(WATCHERS[0], asked)
    world.send("anybody", world.oracle.finalise(asked.id))
    world.settle(asked)
    assert free(world, SIGNERS) == [-BOND, -BOND, -BOND, 0]
    assert world.money("asker").free == 3 * BOND // 2 + 4_000  # compensation, and the fee
    assert free(world, WATCHERS) == [3 * BOND // 4, 0]
    assert world.oracle.burned() == 3 * BOND // 4
    assert locked(world, BACKED) == [0] * 6
    (logged,) = world.oracle.logged("Finalised", request=asked.id)
    assert (logged.values["output"], logged.values["overturned"]) == (RIGHT, True)


def test_bonds_of_an_overturned_answer_move_the_same_one_by_one(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.overturn(WATCHERS[0], asked)
    world.send("anybody", world.oracle.finalise(asked.id))
    for seat in (2, 0, 1):
        world.send("anybody", world.oracle.collect(asked.id, seats=[seat]))
    assert world.money("asker").free == 3 * BOND // 2 + 4_000
    assert free(world, WATCHERS) == [3 * BOND // 4, 0]


def test_a_right_answer_cannot_be_overturned(world: OracleWorld) -> None:
    asked = world.answered(2, RIGHT)
    for claimed in (RIGHT, WRONG):
        name = WATCHERS[claimed - RIGHT]
        world.send(name, world.commit_challenge_call(name, asked, claimed))
        assert world.refuse(name, world.challenge_call(asked)) == "oracle: the answer stands"
    assert world.state(asked).output == RIGHT


def test_anybody_with_the_opening_and_a_bond_may_challenge(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    poor = world.commit_challenge_call("passer-by", asked)
    assert world.refuse("passer-by", poor) == "oracle: bond too small"
    world.rich("passer-by", amount=BOND)
    world.overturn("passer-by", asked)
    assert world.state(asked).is_overturned


def test_a_challenge_needs_what_was_committed_a_block_before(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    name = WATCHERS[0]
    assert world.refuse(name, world.challenge_call(asked)) == "oracle: no challenge committed"
    world.send(name, world.commit_challenge_call(name, asked))
    assert world.refuse(name, world.commit_challenge_call(name, asked)) == "oracle: already challenged"
    wrong = {
        "oracle: not the input": {"words": (5, 8)},
        "oracle: not what was committed": {"salt": b"x" * 32},
    }
    for reason, change in wrong.items():
        assert world.refuse(name, world.challenge_call(asked, **change)) == reason
    assert world.refuse(name, world.challenge_call(asked, input_salt=bytes(32))) == "oracle: not the input"
    world.send(name, world.challenge_call(asked))


def test_a_challenger_who_computed_something_else_does_not_overturn(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.send(WATCHERS[0], world.commit_challenge_call(WATCHERS[0], asked, RIGHT - 1))
    assert world.refuse(WATCHERS[0], world.challenge_call(asked)) == "oracle: not what was committed"
    world.overturn(WATCHERS[1], asked)
    assert world.state(asked).output == RIGHT


def test_only_a_running_l2_answer_is_challenged(world: OracleWorld) -> None:
    final, waiting = world.answered(1, WRONG), world.ask(2)
    for asked in (final, waiting):
        call = world.commit_challenge_call(WATCHERS[0], asked)
        assert world.refuse(WATCHERS[0], call) == "oracle: no answer to challenge"
    asked = world.answered(2, WRONG)
    world.overturn(WATCHERS[0], asked)
    call = world.commit_challenge_call(WATCHERS[1], asked)
    assert world.refuse(WATCHERS[1], call) == "oracle: no answer to challenge"


def test_a_challenger_whom_another_outran_gets_the_bond_back(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.send(WATCHERS[1], world.commit_challenge_call(WATCHERS[1], asked))
    world.overturn(WATCHERS[0], asked)
    assert world.refuse(WATCHERS[1], world.challenge_call(asked)) == "oracle: no answer to challenge"
    world.send("anybody", world.oracle.release_challenge(asked.id, challenger=address(WATCHERS[1])))
    assert world.money(WATCHERS[1]) == OracleAccount(free=10 * BOND, locked=0)
    assert world.oracle.burned() == 0


def test_the_executor_of_an_overturned_request_is_no_longer_told(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    before = world.oracle.request_of(asked.id)
    world.overturn(WATCHERS[0], asked)
    after = world.oracle.request_of(asked.id)
    assert before is not None
    assert after is not None
    assert before.executor == world.executor
    assert after == replace(before, executor=None)


def test_the_words_shown_are_those_of_the_request(world: OracleWorld) -> None:
    asked = world.answered(2, WRONG)
    world.send(WATCHERS[0], world.commit_challenge_call(WATCHERS[0], asked))
    for words in ((*WORDS, 0), WORDS[:1], WORDS[::-1]):
        call = world.challenge_call(asked, words=words)
        assert world.refuse(WATCHERS[0], call) == "oracle: not the input"


def test_an_input_that_the_model_cannot_score_has_no_right_output(world: OracleWorld) -> None:
    # The stated limit: so a watcher acknowledges, and a signer signs, only what the model can score.
    unfit, salt = (*WORDS, 0), b"u" * 32
    asked = world.ask(2, input=input_commitment(salt, unfit))
    world.give(SIGNERS[:3], asked, WRONG)
    world.send(WATCHERS[0], world.commit_challenge_call(WATCHERS[0], asked))
    show = world.challenge_call(asked, words=unfit, input_salt=salt)
    assert world.refuse(WATCHERS[0], show) == "stand-in: two words"
