"""Random lives of many holds beside a plain model in Python: contract and model never disagree."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from contract_world import party
from holds_world import DAY, HOUR, OPEN_LIMIT, OTHER, REASON, REVIEW_BLOCKS, THRESHOLD, TOKEN, HoldsWorld

from tallystick.apps.fraud.holding import HoldState, MemberRecord
from tallystick.chain import Call

STEPS = 75
WHOLE = 15  # steps between two looks at everything
NAMES = "ABCDE"
OPEN = (HoldState.STANDS, HoldState.DISPUTED, HoldState.UPHELD)


@dataclass
class Kept:
    """One hold, as the rules have it."""

    state: HoldState
    until: int
    slot: int
    review_until: int = 0
    review_block: int = 0
    spoken: dict[str, bool] = field(default_factory=dict)

    def is_open(self, now: int, block: int) -> bool:
        if self.state is HoldState.DISPUTED and block >= self.review_block:
            return now < min(self.until, self.review_until)
        return self.state in OPEN and now < self.until

    def has_lapsed(self, now: int, block: int) -> bool:
        ran_out = self.state is HoldState.DISPUTED and self.review_until < self.until
        return ran_out and not self.is_open(now, block)


class Rules:
    """The contract's rules about holds, written down once more without a chain."""

    def __init__(self, world: HoldsWorld) -> None:
        self.world = world
        self.kept: dict[tuple[bytes, str], Kept] = {}
        self.counts: dict[str, list[int]] = {name: [0] * 6 for name in NAMES}
        self.executed: set[tuple[bytes, str]] = set()

    def at(self) -> tuple[int, int]:
        return self.world.now, self.world.block() + 1

    def is_open(self, token: bytes, name: str) -> bool:
        return (token, name) in self.kept and self.kept[token, name].is_open(*self.at())

    def taken(self, name: str) -> set[int]:
        return {
            hold.slot for (token, who), hold in self.kept.items() if who == name and self.is_open(token, who)
        }

    def may_place(self, token: bytes, name: str, slot: int, until: int) -> bool:
        free = slot < OPEN_LIMIT and slot not in self.taken(name)
        return free and 0 < until - self.world.now <= 10 * DAY and not self.is_open(token, name)

    def place(self, token: bytes, name: str, slot: int, until: int, *, executed: bool) -> None:
        self.settle(token, name)
        self.kept[token, name] = Kept(HoldState.STANDS, until, slot)
        self.counts[name][0] += 1
        self.counts[name][1] += executed

    def settle(self, token: bytes, name: str) -> bool:
        hold = self.kept.get((token, name))
        if hold is None or not hold.has_lapsed(*self.at()):
            return False
        hold.state = HoldState.OVERTURNED
        self.counts[name][3] += 1
        return True

    def speak(self, token: bytes, name: str, by: str, *, uphold: bool) -> None:
        hold = self.kept[token, name]
        hold.spoken[by] = uphold
        if list(hold.spoken.values()).count(uphold) < 2:
            return
        hold.state = HoldState.UPHELD if uphold else HoldState.OVERTURNED
        self.counts[name][4 if uphold else 3] += 1


def step(world: HoldsWorld, rules: Rules, dice: random.Random) -> tuple[str, bytes]:
    """Do something that anybody might; whether the contract does it must be what the rules say. What, and to whom."""
    token, name, by = dice.choice([TOKEN, OTHER]), dice.choice("AB"), dice.choice(NAMES)
    hold, is_open = rules.kept.get((token, name)), rules.is_open(token, name)
    may_speak = is_open and hold is not None and by != name and by not in hold.spoken
    what = dice.choice(
        ["place", "place", "execute", "release", "dispute", "dispute", "uphold", "overturn", "settle", "wait"]
    )
    until = world.now + dice.choice([HOUR, DAY + HOUR, 3 * DAY, 10 * DAY, 10 * DAY + 1, 0])
    slot = dice.randrange(OPEN_LIMIT + 1)
    if what == "place":
        call = world.place_call(world.requested(name, token, until=until), token, until=until, slot=slot)
        if send(world, name, call, rules.may_place(token, name, slot, until)):
            rules.place(token, name, slot, until, executed=False)
    elif what == "execute":
        call = world.execute_call(token, until=until, slot=slot)
        fresh = (token, name) not in rules.executed
        if send(world, name, call, fresh and rules.may_place(token, name, slot, until)):
            rules.executed.add((token, name))
            rules.place(token, name, slot, until, executed=True)
    elif what == "release":
        if send(world, name, world.release_call(name, token), is_open) and hold is not None:
            hold.state = HoldState.RELEASED
            rules.counts[name][2] += 1
    elif what == "dispute":
        call = world.holds.dispute(token, party(name), reason=REASON)
        allowed = may_speak and hold is not None and hold.state is HoldState.STANDS
        if send(world, by, call, allowed) and hold is not None:
            hold.state, hold.review_until = HoldState.DISPUTED, world.now + DAY
            hold.review_block = world.block() + REVIEW_BLOCKS
            rules.counts[by][5] += 1
            rules.speak(token, name, by, uphold=False)
    elif what in ("uphold", "overturn"):
        uphold = what == "uphold"
        wanted = (HoldState.DISPUTED,) if uphold else (HoldState.STANDS, HoldState.DISPUTED)
        call = world.review_call(uphold=uphold, name=name, token=token)
        if send(world, by, call, may_speak and hold is not None and hold.state in wanted):
            rules.speak(token, name, by, uphold=uphold)
    elif what == "settle":
        lapsed = hold is not None and hold.has_lapsed(*rules.at())
        if send(world, "anybody", world.holds.settle(token, party(name)), lapsed):
            rules.settle(token, name)
    else:
        world.pass_us(dice.choice([HOUR, DAY, 4 * DAY]))
        world.pass_blocks(dice.randrange(REVIEW_BLOCKS + 1))
    return what, token


def send(world: HoldsWorld, sender: str, call: Call, allowed: bool) -> bool:
    world.fund(sender)
    refusal = world.refusal(sender, call)
    assert (refusal == "") == allowed, refusal
    if allowed:
        world.send(sender, call)
    return allowed


def check(world: HoldsWorld, rules: Rules, token: bytes) -> None:
    ends = []
    for name in "AB":
        hold, found = rules.kept.get((token, name)), world.hold(name, token)
        assert found.state is (HoldState.NONE if hold is None else hold.state)
        if hold is not None and rules.is_open(token, name):
            shortened = hold.state is HoldState.DISPUTED and rules.at()[1] >= hold.review_block
            ends.append(min(hold.until, hold.review_until) if shortened else hold.until)
    held = world.held(token)
    assert (None if held is None else held.until) == max(ends, default=None)


def check_all(world: HoldsWorld, rules: Rules) -> None:
    for token in (TOKEN, OTHER):
        check(world, rules, token)
        for name in "AB":
            assert world.holds.is_open(token, party(name)) == rules.is_open(token, name)
    for name in NAMES:
        assert world.holds.record(party(name)) == MemberRecord(*rules.counts[name])
    for name in "AB":
        assert world.holds.open_count(party(name)) == len(rules.taken(name)) <= OPEN_LIMIT


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_contract_does_what_the_rules_say(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    done: set[str] = set()
    with HoldsWorld(tmp_path / "chain") as world:
        rules = Rules(world)
        world.named()
        world.score(THRESHOLD)
        for number in range(STEPS):
            what, token = step(world, rules, dice)
            done.add(what)
            check(world, rules, token)
            if number % WHOLE == WHOLE - 1:
                check_all(world, rules)
    totals = [sum(counts) for counts in zip(*rules.counts.values(), strict=True)]
    assert len(done) == 8
    placed, executed, _, overturned, *_, disputes = totals
    assert min(placed, executed, overturned, disputes) > 0
