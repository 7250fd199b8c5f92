"""The contract ``Members``: who takes part, with which keys, and who writes which journal.

- Everything on chain is a hash: a party is SHA-256 of its id, a journal SHA-256 of its origin, a card SHA-256 of
  its bytes. ``hashed_id`` makes the first two.
- Whatever concerns others is a vote: propose, ``threshold`` active members approve, the delay passes, anyone
  executes before the proposal expires. A party changes its own keys at once with ``rotate``.
- At all times the threshold is a majority of the active members and no more than them. A vote that changes their
  number carries the threshold that holds after it, or 0 to keep it.

    members = Members(web3, address)
    outbox.send(members.propose_join(seat, threshold=2))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tallystick.errors import ConfigurationError

from ._artifacts import load
from ._calls import Call
from ._contract import Contract, Logged
from ._words import checked_account, checked_count, checked_digest, found_account, found_digest

if TYPE_CHECKING:
    from web3 import Web3

__all__ = [
    "Action",
    "Keys",
    "Member",
    "Members",
    "Proposal",
    "ProposalStatus",
    "Seat",
    "Standing",
    "hashed_id",
]

MAX_FOUNDERS = 64
ONE_WEEK_S = 7 * 24 * 3600


class Action(IntEnum):
    """What a proposal asks for."""

    JOIN = 1
    LEAVE = 2
    SUSPEND = 3
    REINSTATE = 4
    ROTATE = 5
    OPEN_EPOCH = 6
    SET_THRESHOLD = 7


class Standing(IntEnum):
    """How a party stands. Only an active one votes, vetoes, rotates and anchors."""

    STRANGER = 0
    ACTIVE = 1
    SUSPENDED = 2
    GONE = 3


class ProposalStatus(IntEnum):
    """How a proposal stands; an expired one is still open, but nothing can be done with it."""

    NONE = 0
    OPEN = 1
    EXECUTED = 2
    VETOED = 3


@dataclass(frozen=True, slots=True)
class Keys:
    """What a party acts with.

    Args:
        account: votes and vetoes; ``0x`` and 40 hex digits.
        writer: anchors the party's journal; often the same account.
        card: SHA-256 of the card's bytes.
    """

    account: str
    writer: str
    card: bytes


@dataclass(frozen=True, slots=True)
class Seat:
    """A party as it joins.

    Args:
        party: SHA-256 of its id.
        journal: SHA-256 of its journal's origin.
        keys: what it acts with.
    """

    party: bytes
    journal: bytes
    keys: Keys


@dataclass(frozen=True, slots=True)
class Member:
    """What the contract knows of a party, its writer excepted.

    Args:
        party: SHA-256 of its id.
        account: the account that votes.
        journal: SHA-256 of its journal's origin.
        card: SHA-256 of its present card's bytes.
        standing: whether it takes part.
        place: in the order in which parties first joined; its bit in a proposal's approvals.
        revision: how often its keys were set.
        turns: how often its standing changed.
    """

    party: bytes
    account: str
    journal: bytes
    card: bytes
    standing: Standing
    place: int
    revision: int
    turns: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as it stands.

    Args:
        number: from 1.
        action: what it asks for.
        status: open, executed or vetoed.
        seat: whom it concerns; keys are empty where they do not change.
        threshold: the threshold after it, 0 keeps it.
        proposer: SHA-256 of the id of the party that made it.
        mark: revision, epoch or turns of the party when it was made; it lapses when that changes.
        expires_at: POSIX second after which nothing can be done with it.
        approved_at: POSIX second in which enough members had approved, 0 before.
        approved_block: the block of it, 0 before.
        approvals: places of the parties that approved.
    """

    number: int
    action: Action
    status: ProposalStatus
    seat: Seat
    threshold: int
    proposer: bytes
    mark: int
    expires_at: int
    approved_at: int
    approved_block: int
    approvals: frozenset[int]


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A card of a party's history.

    Args:
        card: SHA-256 of the card's bytes.
        since: block from which it is valid.
    """

    card: bytes
    since: int


def hashed_id(text: str) -> bytes:
    """Hash a party's id or a journal's origin, as the contracts know them."""
    return sha256(text.encode()).digest()


class Members:
    """The contract ``Members`` at an address.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
    """

    def __init__(self, web3: Web3, address: str) -> None:
        self._contract = Contract(web3, address, load("tallystick.chain", "Members"))
        self.address = self._contract.address

    @staticmethod
    def deploy_call(
        founders: Sequence[Seat],
        *,
        threshold: int,
        delay_s: int = 0,
        delay_blocks: int = 0,
        lifetime_s: int = ONE_WEEK_S,
    ) -> Call:
        """Make the call that founds a consortium.

        Args:
            founders: the first parties; one is enough for a pilot.
            threshold: how many active members must approve: a majority.
            delay_s: seconds between enough approvals and execution; 0 leaves no time for a veto, fit for a pilot.
            delay_blocks: blocks between enough approvals and execution, so that a halt cannot eat the delay.
            lifetime_s: seconds that a proposal lives, more than the delay.

        Raises:
            ConfigurationError: founders, threshold or times that the contract would refuse.
        """
        if not 0 < len(founders) <= MAX_FOUNDERS:
            raise ConfigurationError(f"founders must be 1 to {MAX_FOUNDERS}, got {len(founders)}")
        if not threshold <= len(founders) < 2 * threshold:
            raise ConfigurationError(
                f"threshold must be a majority of {len(founders)} founders, got {threshold}"
            )
        if not 0 <= delay_s < lifetime_s or delay_blocks < 0:
            raise ConfigurationError(
                f"delay must be >= 0 and below {lifetime_s} s, got {delay_s} s, {delay_blocks} blocks"
            )
        seats = [_seat_fields(seat) for seat in founders]
        artifact = load("tallystick.chain", "Members")
        return Contract.deploy_call(artifact, seats, threshold, delay_s, delay_blocks, lifetime_s)

    def propose_join(self, seat: Seat, *, threshold: int = 0) -> Call:
        """Propose a new member, or one that left and comes back with the same journal."""
        return self._contract.call("propose_join", _seat_fields(seat), checked_count(threshold))

    def propose_leave(self, party: bytes, *, threshold: int = 0) -> Call:
        """Propose that a party leaves; its history stays."""
        return self._contract.call("propose_leave", checked_digest(party), checked_count(threshold))

    def propose_suspend(self, party: bytes, *, threshold: int = 0) -> Call:
        """Propose to suspend a party: it can neither vote, veto, rotate nor anchor."""
        return self._contract.call("propose_suspend", checked_digest(party), checked_count(threshold))

    def propose_reinstate(self, party: bytes, *, threshold: int = 0) -> Call:
        """Propose to lift a suspension."""
        return self._contract.call("propose_reinstate", checked_digest(party), checked_count(threshold))

    def propose_rotation(self, party: bytes, keys: Keys) -> Call:
        """Propose new keys for a party that lost its own; its present account can veto during the delay."""
        return self._contract.call("propose_rotation", checked_digest(party), *_key_fields(keys))

    def propose_epoch(self, party: bytes, keys: Keys) -> Call:
        """Propose a new epoch of a party's journal after a compromise, with new keys; no veto."""
        return self._contract.call("propose_epoch", checked_digest(party), *_key_fields(keys))

    def propose_threshold(self, threshold: int) -> Call:
        """Propose another threshold."""
        return self._contract.call("propose_threshold", checked_count(threshold))

    def approve(self, number: int) -> Call:
        """Approve a proposal."""
        return self._contract.call("approve", checked_count(number))

    def veto(self, number: int) -> Call:
        """Refuse a rotation of one's own keys that others proposed."""
        return self._contract.call("veto", checked_count(number))

    def execute(self, number: int) -> Call:
        """Carry out an approved proposal after its delay."""
        return self._contract.call("execute", checked_count(number))

    def rotate(self, keys: Keys) -> Call:
        """Change one's own keys, at once."""
        return self._contract.call("rotate", *_key_fields(keys))

    def writer(self, journal: bytes) -> str | None:
        """Read who may anchor a journal now; None for an unknown one and when its party is suspended or left."""
        return found_account(self._contract.read("writer", checked_digest(journal)))

    def writer_and_epoch(self, journal: bytes) -> tuple[str | None, int]:
        """Read who may anchor a journal now, and its epoch: from 1, 0 for an unknown journal."""
        writer, epoch = self._contract.read("writer_and_epoch", checked_digest(journal))
        return found_account(writer), int(epoch)

    def epoch_since(self, journal: bytes, epoch: int) -> int | None:
        """Read the block in which an epoch of a journal was opened; None when it never was."""
        return int(self._contract.read("epoch_since", checked_digest(journal), checked_count(epoch))) or None

    def party_of(self, journal: bytes) -> bytes | None:
        """Read whose journal it is, also after the party left; None for an unknown journal."""
        return found_digest(self._contract.read("party_of", checked_digest(journal)))

    def member(self, account: str) -> bytes | None:
        """Read which active party votes with an account; None when none does."""
        return found_digest(self._contract.read("member", checked_account(account)))

    def party(self, party: bytes) -> Member | None:
        """Read what is known of a party; None for a stranger."""
        fields = self._contract.read("party", checked_digest(party))
        account, journal, card, standing, place, revision, turns = fields
        if standing == Standing.STRANGER:
            return None
        return Member(party, account, journal, card, Standing(standing), place, revision, turns)

    def parties(self) -> list[Member]:
        """Read all parties there ever were, in the order in which they first joined."""
        ids = [self._contract.read("party_at", place) for place in range(self.count())]
        found = [self.party(party) for party in ids]
        return [member for member in found if member is not None]

    def count(self) -> int:
        """Read how many parties there ever were."""
        return int(self._contract.read("count"))

    def party_at(self, place: int) -> bytes | None:
        """Read one party in the order in which they first joined; None beyond the last."""
        return found_digest(self._contract.read("party_at", checked_count(place)))

    def active_count(self) -> int:
        """Read how many members are active."""
        return int(self._contract.read("active_count"))

    def threshold(self) -> int:
        """Read how many active members must approve."""
        return int(self._contract.read("threshold"))

    def delay(self) -> tuple[int, int]:
        """Read the delay between enough approvals and execution: seconds and blocks, both must pass."""
        return int(self._contract.read("delay_s")), int(self._contract.read("delay_blocks"))

    def lifetime(self) -> int:
        """Read how many seconds a proposal lives."""
        return int(self._contract.read("lifetime_s"))

    def card(self, party: bytes) -> bytes | None:
        """Read the hash of a party's present card; None for a stranger."""
        return found_digest(self._contract.read("card", checked_digest(party)))

    def cards(self, party: bytes) -> list[CardRecord]:
        """Read all cards of a party, oldest first."""
        number = int(self._contract.read("card_count", checked_digest(party)))
        return [CardRecord(*self._contract.read("card_at", party, place)) for place in range(number)]

    def card_since(self, party: bytes, card: bytes) -> int | None:
        """Read the block from which a card is valid; None when the party never had it here."""
        return int(self._contract.read("card_since", checked_digest(party), checked_digest(card))) or None

    def proposal_count(self) -> int:
        """Read how many proposals were made; they are numbered from 1."""
        return int(self._contract.read("proposal_count"))

    def proposal(self, number: int) -> Proposal | None:
        """Read a proposal; None when there is none of that number."""
        fields = self._contract.read("proposal", checked_count(number))
        action, status, seat, threshold, proposer, mark, expires_at, approved_at, approved_block, bits = (
            fields
        )
        if status == ProposalStatus.NONE:
            return None
        party, account, writer, journal, card = seat
        return Proposal(
            number,
            Action(action),
            ProposalStatus(status),
            Seat(party, journal, Keys(account, writer, card)),
            threshold,
            proposer,
            mark,
            expires_at,
            approved_at,
            approved_block,
            frozenset(place for place in range(int(bits).bit_length()) if bits >> place & 1),
        )

    def logged(self, event: str, *, start: int = 0, **topics: Any) -> list[Logged]:
        """Read the contract's events of one name, such as ``EpochOpened``, from a block on."""
        return self._contract.logged(event, start=start, **topics)


def _seat_fields(seat: Seat) -> tuple[bytes, str, str, bytes, bytes]:
    account, writer, card = _key_fields(seat.keys)
    return checked_digest(seat.party), account, writer, checked_digest(seat.journal), card


def _key_fields(keys: Keys) -> tuple[str, str, bytes]:
    return checked_account(keys.account), checked_account(keys.writer), checked_digest(keys.card)
