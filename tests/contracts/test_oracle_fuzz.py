"""Random lives of many requests: money is conserved at every step, and in the end none is locked."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from contract_world import address
from oracle_world import (
    BOND,
    RIGHT,
    SIGNERS,
    STEP_S,
    WATCHERS,
    WINDOW_S,
    WORDS,
    WRONG,
    Asked,
    OracleWorld,
)

from tallystick.chain import Call
from tallystick.decisions import OracleAnswer, RequestStatus

PEOPLE = [*SIGNERS, *WATCHERS, "asker", "anybody"]
CHALLENGERS = [*WATCHERS, SIGNERS[3]]
ENDED = (RequestStatus.FINAL, RequestStatus.REFUNDED)


class Life:
    """Requests at every stage, and people who do at random what is, or is not, allowed."""

    def __init__(self, world: OracleWorld, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.asked: list[tuple[Asked, bytes]] = []  # with the input's salt
        self.picked: tuple[Asked, bytes]
        self.challenged: list[tuple[Asked, str]] = []
        self.running: list[tuple[Asked, bytes]] = []
        self.done: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.actions: list[Callable[[], None]] = [
            self.acknowledge, self.commit, self.answer, self.execute, self.commit_challenge, self.challenge,
            self.finalise, self.refund, self.collect, self.release, self.move_money, self.pass_time,
        ]  # fmt: skip

    def act(self) -> None:
        """Mostly what is due, sometimes anything."""
        self.running = [one for one in self.running if self.world.state(one[0]).status not in ENDED]
        if len(self.running) < 3:
            self.ask()
        self.picked = self.chance.choice(self.running)
        draw = self.chance.random()
        if draw < 0.2:
            self.picked = self.chance.choice(self.asked[-6:])
            self.chance.choice(self.actions)()
        elif draw < 0.3:
            self.picked = self.chance.choice(self.asked)
            self.chance.choice([self.collect, self.release])()
        else:
            self.chance.choice(self.due(self.picked[0]))()

    def due(self, asked: Asked) -> list[Callable[[], None]]:
        """What somebody would do now; or nobody does, and time passes."""
        state = self.world.state(asked)
        is_late = state.deadline.is_over(second=self.world.now_s, block=self.world.block() + 1)
        if state.status == RequestStatus.ANSWERED:
            if is_late or state.is_overturned:
                return [self.finalise]
            return [self.challenge if state.is_challenged else self.commit_challenge] * 3 + [self.pass_window]
        if is_late:
            return [self.refund]
        if state.status == RequestStatus.WAITING:
            return [self.acknowledge] * 5 + [self.pass_time]
        if asked.terms.level in (0, 4):
            return [self.execute if asked.terms.level else self.answer]
        if state.until.is_over(second=self.world.now_s, block=self.world.block() + 1):
            return [self.answer if len(state.committed) >= 3 else self.pass_time]
        return [self.commit, self.pass_time] if len(state.committed) >= 3 else [self.commit]

    def pass_window(self) -> None:
        self.world.pass_time(WINDOW_S)

    def send(self, name: str, call: Call) -> None:
        """Send what may be refused; a refusal must name its reason and change nothing."""
        what = call.data[:4].hex()
        reason = self.world.refusal(name, call)
        if reason:
            assert reason.startswith("oracle: "), reason
            self.refused[what] = self.refused.get(what, 0) + 1
        else:
            self.world.send(name, call)
            self.done[what] = self.done.get(what, 0) + 1

    def pick(self) -> tuple[Asked, bytes]:
        return self.picked

    def ask(self) -> None:
        level = self.chance.choice([0, 1, 1, 2, 2, 2, 4])
        fee = self.chance.choice([0, 1, 4_003])
        self.asked.append((self.world.ask(level, fee=fee), self.world.salt()))
        self.running.append(self.asked[-1])

    def acknowledge(self) -> None:
        seat = self.chance.randrange(2)
        self.send(WATCHERS[seat], self.world.oracle.acknowledge(self.pick()[0].id, seat=seat))

    def output(self, asked: Asked) -> int:
        """What this request's signers agree on: some always lie."""
        return (RIGHT, WRONG)[asked.id[0] & 1]

    def commit(self) -> None:
        asked, _ = self.pick()
        for name in self.chance.sample(SIGNERS, 3):
            self.send(name, self.world.commit_call(name, asked, self.output(asked)))

    def answer(self) -> None:
        asked, _ = self.pick()
        committed = [SIGNERS[seat] for seat in sorted(self.world.state(asked).committed)]
        names = self.chance.sample(SIGNERS, 1) if asked.terms.level == 0 else committed or SIGNERS[:3]
        self.send("anybody", self.world.answer_call(names, asked, self.output(asked)))

    def execute(self) -> None:
        asked, salt = self.pick()
        self.send("anybody", self.world.oracle.execute(asked.id, words=WORDS, salt=salt))

    def challenger(self, asked: Asked) -> str:
        """Mostly the same for one request."""
        return CHALLENGERS[asked.id[1] % 3] if self.chance.random() < 0.8 else self.chance.choice(CHALLENGERS)

    def commit_challenge(self) -> None:
        asked, _ = self.pick()
        name = self.challenger(asked)
        self.send(name, self.world.commit_challenge_call(name, asked, RIGHT))
        self.challenged.append((asked, name))

    def challenge(self) -> None:
        asked, salt = self.pick()
        name = self.challenger(asked)
        self.send(name, self.world.challenge_call(asked, input_salt=salt))

    def finalise(self) -> None:
        self.send("anybody", self.world.oracle.finalise(self.pick()[0].id))

    def refund(self) -> None:
        self.send("anybody", self.world.oracle.refund(self.pick()[0].id))

    def collect(self) -> None:
        asked, _ = self.pick()
        seats = self.chance.sample(range(4), self.chance.randint(1, 4))
        self.send("anybody", self.world.oracle.collect(asked.id, seats=seats))

    def release(self) -> None:
        asked, name = self.chance.choice(self.challenged or [(self.pick()[0], WATCHERS[0])])
        self.send("anybody", self.world.oracle.release_challenge(asked.id, challenger=address(name)))

    def move_money(self) -> None:
        name, amount = self.chance.choice(PEOPLE), self.chance.choice([1, BOND, 3 * BOND])
        oracle = self.world.oracle
        self.send(name, oracle.deposit(amount) if self.chance.random() < 0.6 else oracle.withdraw(amount))

    def pass_time(self) -> None:
        self.world.pass_time(self.chance.choice([1, STEP_S // 2, STEP_S]))
        self.world.pass_blocks(self.chance.randrange(5))

    def check(self) -> None:
        """Every wei that the contract holds is somebody's, a running request's, or burned."""
        accounts = {name: self.world.money(name) for name in PEOPLE}
        locked = dict.fromkeys(PEOPLE, 0)
        fees = 0
        for asked, _ in self.asked:
            state = self.world.state(asked)
            fees += held(asked, state)
            if asked.terms.level == 2:
                for seat in state.committed:
                    locked[SIGNERS[seat]] += BOND
                for name in CHALLENGERS:
                    if self.world.oracle.challenged_at(asked.id, challenger=address(name)):
                        locked[name] += BOND
        assert {name: account.locked for name, account in accounts.items()} == locked
        owned = sum(account.free + account.locked for account in accounts.values())
        assert owned + fees + self.world.oracle.burned() == self.world.balance()

    def end(self) -> None:
        """Wait, then let anybody end and settle everything."""
        oracle = self.world.oracle
        self.world.pass_time(10 * WINDOW_S)
        self.world.pass_blocks(20)
        for asked, _ in self.asked:
            state = self.world.state(asked)
            if state.status not in ENDED:
                answered = state.status == RequestStatus.ANSWERED
                self.world.send("anybody", oracle.finalise(asked.id) if answered else oracle.refund(asked.id))
            if state.committed:
                self.world.settle(asked)
            for name in CHALLENGERS:
                if oracle.challenged_at(asked.id, challenger=address(name)):
                    self.world.send("anybody", oracle.release_challenge(asked.id, challenger=address(name)))


def held(asked: Asked, state: OracleAnswer) -> int:
    """What the contract still holds of a request's fee."""
    fee, level = asked.terms.fee, asked.terms.level
    if state.status not in ENDED:
        return fee
    if state.status == RequestStatus.REFUNDED or state.is_overturned or level == 4:
        return 0
    return (fee if level == 0 else fee // 4) * len(state.signed & state.committed)


@pytest.mark.slow
def test_money_is_conserved_and_nothing_stays_locked(tmp_path: Path) -> None:
    with OracleWorld(tmp_path / "chain") as world:
        life = Life(world, 5)
        world.rich(*SIGNERS, *WATCHERS)
        for turn in range(220):
            life.act()
            if turn % 40 == 0:
                life.check()
        life.end()
        life.check()
        assert {world.money(name).locked for name in PEOPLE} == {0}
        for name in PEOPLE:
            if world.money(name).free:
                world.send(name, world.oracle.withdraw(world.money(name).free))
        assert world.balance() == world.oracle.burned()
        # Else this would prove nothing: every kind of step was taken, and nearly each was refused, too.
        assert len(life.done) == 12, life.done
        assert len(life.refused) >= 9, life.refused
        states = [world.state(asked) for asked, _ in life.asked]
        assert {state.status for state in states} == set(ENDED)
        assert {state.is_overturned for state in states} == {True, False}
        assert world.oracle.burned() > 0
