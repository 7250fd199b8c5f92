"""Random histories: the contract and its model must agree on every answer and every refusal."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract_world import DELAY_BLOCKS, DELAY_S, LIFETIME_S, World, address, card, journal, party, seat
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from members_model import MembersModel, RefusalError

from tallystick.chain import Action, Call, Keys, Seat, Standing

NAMES = ["A", "B", "C", "D", "E", "F"]
names = st.sampled_from(NAMES)
ACCOUNTS = [*NAMES, "A2", "B2", "C2", "D2", "stranger"]
accounts = st.sampled_from(ACCOUNTS)
# Mostly an active member's account, see `who`.
senders = st.integers(0, 15)
# Mostly one that fits, see `fit`.
thresholds = st.integers(-3, 3)
# Mostly the latest, sometimes one that was never made.
recent = st.sampled_from([0, 0, 0, 0, 1, 2, 10_000])
new_keys = st.builds(
    lambda account, writer, shown: Keys(address(account), address(writer), card(shown)),
    accounts,
    accounts,
    st.sampled_from(["A", "B", "C", "x", "y", "z"]),
)


class MembersMachine(RuleBasedStateMachine):
    """One founding, then anything."""

    world: World

    @initialize(size=st.integers(1, 4), slack=st.integers(0, 1))
    def found(self, size: int, slack: int) -> None:
        founders = NAMES[:size]
        threshold = min(size // 2 + 1 + slack, size)
        self.members = self.world.found(founders, threshold)
        self.model = MembersModel(
            [seat(name) for name in founders],
            threshold,
            delay_s=DELAY_S,
            delay_blocks=DELAY_BLOCKS,
            lifetime_s=LIFETIME_S,
            block=self.world.block(),
        )
        self.calls = {
            Action.LEAVE: self.members.propose_leave,
            Action.SUSPEND: self.members.propose_suspend,
            Action.REINSTATE: self.members.propose_reinstate,
        }

    @rule(
        sender=senders,
        name=names,
        keys=new_keys,
        own=st.booleans(),
        carry=st.booleans(),
        swap=st.booleans(),
        threshold=thresholds,
    )
    def join(
        self, sender: int, name: str, keys: Keys, own: bool, carry: bool, swap: bool, threshold: int
    ) -> None:
        kept = journal("A") if swap else journal(name)
        wanted = seat(name) if own else Seat(party(name), kept, keys)
        threshold = self.fit(threshold)
        call = self.members.propose_join(wanted, threshold=threshold)
        self.propose_and_maybe_pass(carry, sender, call, Action.JOIN, wanted, threshold)

    @rule(
        sender=senders,
        name=names,
        action=st.sampled_from([Action.LEAVE, Action.SUSPEND, Action.REINSTATE]),
        threshold=thresholds,
        carry=st.booleans(),
    )
    def propose(self, sender: int, name: str, action: Action, threshold: int, carry: bool) -> None:
        threshold = self.fit(threshold)
        call = self.calls[action](party(name), threshold=threshold)
        self.propose_and_maybe_pass(carry, sender, call, action, seat(name), threshold)

    @rule(sender=senders, name=names, keys=new_keys, epoch=st.booleans(), carry=st.booleans())
    def propose_keys(self, sender: int, name: str, keys: Keys, epoch: bool, carry: bool) -> None:
        make = self.members.propose_epoch if epoch else self.members.propose_rotation
        action = Action.OPEN_EPOCH if epoch else Action.ROTATE
        wanted = Seat(party(name), journal(name), keys)
        self.propose_and_maybe_pass(carry, sender, make(party(name), keys), action, wanted, 0)

    @rule(sender=senders, threshold=thresholds, carry=st.booleans())
    def propose_threshold(self, sender: int, threshold: int, carry: bool) -> None:
        threshold = self.fit(threshold)
        call = self.members.propose_threshold(threshold)
        nobody = Seat(bytes(32), bytes(32), Keys("", "", bytes(32)))
        self.propose_and_maybe_pass(carry, sender, call, Action.SET_THRESHOLD, nobody, threshold)

    @precondition(lambda self: self.model.proposals)
    @rule(sender=senders, back=recent)
    def approve(self, sender: int, back: int) -> None:
        number = max(len(self.model.proposals) - back, 0)
        self.same(sender, self.members.approve(number), lambda m, sent: m.approve(sent, number))

    @precondition(lambda self: self.model.proposals)
    @rule(sender=senders, back=recent)
    def veto(self, sender: int, back: int) -> None:
        number = max(len(self.model.proposals) - back, 0)
        self.same(sender, self.members.veto(number), lambda m, sent: m.veto(sent, number))

    @precondition(lambda self: self.model.proposals)
    @rule(sender=senders, back=recent)
    def execute(self, sender: int, back: int) -> None:
        number = max(len(self.model.proposals) - back, 0)
        self.same(sender, self.members.execute(number), lambda m, sent: m.execute(sent, number))

    @precondition(lambda self: self.model.proposals)
    @rule(back=recent)
    def pass_the_vote(self, back: int) -> None:
        number = max(len(self.model.proposals) - back, 0)
        for sender in range(len(self.voters())):
            self.approve(sender, back)
        self.wait(DELAY_S, DELAY_BLOCKS)
        self.same(15, self.members.execute(number), lambda m, sent: m.execute(sent, number))

    @rule(sender=senders, keys=new_keys)
    def rotate(self, sender: int, keys: Keys) -> None:
        self.same(sender, self.members.rotate(keys), lambda m, sent: m.rotate(sent, keys))

    @rule(seconds=st.sampled_from([1, DELAY_S - 1, DELAY_S, LIFETIME_S]), blocks=st.integers(0, DELAY_BLOCKS))
    def wait(self, seconds: int, blocks: int) -> None:
        self.world.pass_time(seconds)
        self.world.pass_blocks(blocks)

    @invariant()
    def the_threshold_is_a_majority(self) -> None:
        k, n = self.members.threshold(), self.members.active_count()
        assert k <= n < 2 * k
        assert (k, n) == (self.model.threshold, len(self.model.active()))

    @invariant()
    def writers_are_those_of_active_parties(self) -> None:
        for name in NAMES:
            known = self.model.parties.get(party(name))
            expected = (self.model.writer(journal(name)), known.epoch if known else 0)
            assert self.members.writer_and_epoch(journal(name)) == expected

    def teardown(self) -> None:
        if not hasattr(self, "members"):
            return
        assert self.members.count() == len(self.model.parties)
        for found in self.members.parties():
            known = self.model.parties[found.party]
            assert (found.account, found.card) == (known.keys.account, known.keys.card)
            assert (found.standing, found.place) == (known.standing, known.place)
            assert (found.revision, found.journal) == (known.revision, known.journal)
            assert [(r.card, r.since) for r in self.members.cards(found.party)] == known.cards
            is_active = known.standing == Standing.ACTIVE
            assert self.members.member(found.account) == (found.party if is_active else None)
        assert self.members.proposal_count() == len(self.model.proposals)
        for number, known in enumerate(self.model.proposals, 1):
            made = self.members.proposal(number)
            assert made is not None
            assert (made.action, made.status, made.mark) == (known.action, known.status, known.mark)
            assert made.expires_at == known.expires_at
            assert (made.approved_at, made.approved_block) == (known.approved_at, known.approved_block)
            assert made.approvals == {self.model.parties[voter].place for voter in known.approvals}

    def voters(self) -> list[str]:
        held = {self.model.parties[found].keys.account for found in self.model.active()}
        return [name for name in ACCOUNTS if address(name) in held]

    def who(self, sender: int) -> str:
        """An active member's account for small numbers, any account for the others."""
        voters = self.voters()
        return voters[sender % len(voters)] if sender < 12 else ACCOUNTS[-sender % len(ACCOUNTS)]

    def fit(self, threshold: int) -> int:
        """A majority of about as many members as there are, or 0."""
        return 0 if threshold == 3 else max((len(self.model.active()) + threshold) // 2 + 1, 0)

    def propose_and_maybe_pass(self, carry: bool, sender: int, call: Call, *proposal: object) -> None:
        before = len(self.model.proposals)
        self.same(sender, call, lambda m, sent: m.propose(sent, *proposal))
        if carry and len(self.model.proposals) > before:
            self.pass_the_vote(0)

    def same(self, sender: int, call: Call, predict: Callable[[MembersModel, str], None]) -> None:
        name = self.who(sender)
        # Money must be there first, because paying in takes a block.
        self.world.fund(name)
        self.model.at(self.world.now_s, self.world.block() + 1)
        expected = ""
        try:
            predict(self.model, address(name))
        except RefusalError as refusal:
            expected = str(refusal)
        assert self.world.refusal(name, call) == expected
        if not expected:
            self.world.send(name, call)


@pytest.fixture
def shared_world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp())
    try:
        with World(folder / "chain") as made:
            yield made
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_members_does_what_its_model_does(shared_world: World) -> None:
    class Machine(MembersMachine):
        world = shared_world

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
