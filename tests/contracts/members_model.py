"""What ``Members`` shall do, in plain Python: the contract is fuzzed against it.

Time is a second and a block number that the caller gives; a refusal carries the contract's own words.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tallystick.chain import Action, Keys, ProposalStatus, Seat, Standing

NO_MAJORITY = "members: threshold must be a majority of the active members"


class RefusalError(Exception):
    """The contract would revert with these words."""


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise RefusalError(f"members: {reason}" if not reason.startswith("members:") else reason)


@dataclass
class PartyModel:
    keys: Keys
    journal: bytes
    standing: Standing
    place: int
    revision: int = 0
    turns: int = 0
    epoch: int = 0
    cards: list[tuple[bytes, int]] = field(default_factory=list)


@dataclass
class ProposalModel:
    action: Action
    seat: Seat
    threshold: int
    mark: int
    expires_at: int
    status: ProposalStatus = ProposalStatus.OPEN
    approved_at: int = 0
    approved_block: int = 0
    approvals: set[bytes] = field(default_factory=set)


class MembersModel:
    """The state, and one method for each function."""

    def __init__(
        self,
        founders: list[Seat],
        threshold: int,
        *,
        delay_s: int,
        delay_blocks: int,
        lifetime_s: int,
        block: int,
    ) -> None:
        self.delay_s, self.delay_blocks, self.lifetime_s = delay_s, delay_blocks, lifetime_s
        self.now_s, self.block = 0, block
        self.parties: dict[bytes, PartyModel] = {}
        self.holders: dict[str, bytes] = {}
        self.proposals: list[ProposalModel] = []
        self.threshold = threshold
        for seat in founders:
            self._join(seat)

    def at(self, now_s: int, block: int) -> MembersModel:
        self.now_s, self.block = now_s, block
        return self

    def active(self) -> set[bytes]:
        return {party for party, known in self.parties.items() if known.standing == Standing.ACTIVE}

    def writer(self, journal: bytes) -> str | None:
        for known in self.parties.values():
            if known.journal == journal and known.standing == Standing.ACTIVE:
                return known.keys.writer
        return None

    def propose(self, sender: str, action: Action, seat: Seat, threshold: int) -> None:
        voter = self._voter(sender)
        made = ProposalModel(action, seat, threshold, self._mark(action, seat), self.now_s + self.lifetime_s)
        self._check_action(made)
        self.proposals.append(made)
        self._approve(made, voter)

    def approve(self, sender: str, number: int) -> None:
        voter = self._voter(sender)
        self._approve(self._open(number), voter)

    def veto(self, sender: str, number: int) -> None:
        voter = self._voter(sender)
        made = self._open(number)
        require(made.action == Action.ROTATE, "only a rotation can be vetoed")
        require(made.seat.party == voter, "not the party concerned")
        require(not self._delay_is_over(made), "too late to veto")
        made.status = ProposalStatus.VETOED

    def execute(self, sender: str, number: int) -> None:
        made = self._open(number)
        require(len(made.approvals & self.active()) >= self.threshold, "not enough approvals")
        require(made.approved_at != 0, "delay has not started")
        require(self._delay_is_over(made), "delay is not over")
        self._check_action(made)
        made.status = ProposalStatus.EXECUTED
        party = made.seat.party
        if made.action == Action.JOIN:
            self._join(made.seat)
        elif made.action == Action.LEAVE:
            self._set_standing(party, Standing.GONE)
        elif made.action == Action.SUSPEND:
            self._set_standing(party, Standing.SUSPENDED)
        elif made.action == Action.REINSTATE:
            self._set_standing(party, Standing.ACTIVE)
        elif made.action in (Action.ROTATE, Action.OPEN_EPOCH):
            self._set_keys(made.seat)
            self.parties[party].epoch += made.action == Action.OPEN_EPOCH
        self.threshold = made.threshold or self.threshold

    def rotate(self, sender: str, keys: Keys) -> None:
        party = self._voter(sender)
        seat = Seat(party, self.parties[party].journal, keys)
        self._check_keys(seat)
        self._set_keys(seat)

    def _voter(self, sender: str) -> bytes:
        party = self.holders.get(sender)
        known = self.parties.get(party) if party else None
        is_member = known is not None and known.standing == Standing.ACTIVE and known.keys.account == sender
        require(is_member, "not an active member")
        assert party is not None
        return party

    def _open(self, number: int) -> ProposalModel:
        require(0 < number <= len(self.proposals), "no such proposal")
        made = self.proposals[number - 1]
        require(made.status != ProposalStatus.EXECUTED, "already executed")
        require(made.status != ProposalStatus.VETOED, "vetoed")
        require(self.now_s <= made.expires_at, "proposal expired")
        return made

    def _approve(self, made: ProposalModel, voter: bytes) -> None:
        require(voter not in made.approvals, "already approved")
        before = len(made.approvals & self.active())
        made.approvals.add(voter)
        if before + 1 >= self.threshold and (before < self.threshold or not made.approved_at):
            made.approved_at, made.approved_block = self.now_s, self.block

    def _delay_is_over(self, made: ProposalModel) -> bool:
        return (
            made.approved_at != 0
            and self.now_s >= made.approved_at + self.delay_s
            and self.block >= made.approved_block + self.delay_blocks
        )

    def _check_action(self, made: ProposalModel) -> None:
        number = len(self.active())
        known = self.parties.get(made.seat.party)
        if made.action == Action.JOIN:
            self._check_join(made.seat)
            number += 1
        elif made.action == Action.SET_THRESHOLD:
            require(made.threshold != 0, NO_MAJORITY)
        else:
            require(known is not None and known.standing != Standing.GONE, "not a member")
            assert known is not None
            if made.action == Action.REINSTATE:
                require(known.standing == Standing.SUSPENDED, "not suspended")
                number += 1
            elif made.action == Action.SUSPEND:
                require(known.standing == Standing.ACTIVE, "already suspended")
                number -= 1
            elif made.action == Action.LEAVE:
                number -= known.standing == Standing.ACTIVE
            else:
                self._check_keys(made.seat)
        require(made.mark == self._mark(made.action, made.seat), "party changed meanwhile")
        after = made.threshold or self.threshold
        require(after <= number, "threshold exceeds the active members")
        require(2 * after > number, NO_MAJORITY)

    def _mark(self, action: Action, seat: Seat) -> int:
        known = self.parties.get(seat.party)
        if known is None or action == Action.SET_THRESHOLD:
            return 0
        return {Action.ROTATE: known.revision, Action.OPEN_EPOCH: known.epoch}.get(action, known.turns)

    def _check_join(self, seat: Seat) -> None:
        known = self.parties.get(seat.party)
        require(known is None or known.standing == Standing.GONE, "already a member")
        keeper = next((p for p, other in self.parties.items() if other.journal == seat.journal), None)
        if known is not None:
            require(keeper == seat.party, "a party keeps its journal")
        else:
            require(keeper is None, "journal is taken")
        self._check_keys(seat)

    def _check_keys(self, seat: Seat) -> None:
        require(self.holders.get(seat.keys.account) in (None, seat.party), "account is taken")
        known = self.parties.get(seat.party)
        old = [card for card, _ in known.cards[:-1]] if known else []
        require(seat.keys.card not in old, "an old card does not come back")

    def _join(self, seat: Seat) -> None:
        if seat.party not in self.parties:
            self.parties[seat.party] = PartyModel(
                seat.keys, seat.journal, Standing.ACTIVE, len(self.parties), epoch=1
            )
        self._set_standing(seat.party, Standing.ACTIVE)
        self._set_keys(seat)

    def _set_standing(self, party: bytes, standing: Standing) -> None:
        self.parties[party].standing = standing
        self.parties[party].turns += 1

    def _set_keys(self, seat: Seat) -> None:
        known = self.parties[seat.party]
        self.holders[seat.keys.account] = seat.party
        known.keys = seat.keys
        known.revision += 1
        if not known.cards or known.cards[-1][0] != seat.keys.card:
            known.cards.append((seat.keys.card, self.block))
