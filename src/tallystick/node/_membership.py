"""A node's part in the contract `Members`: read who takes part, propose, vote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tallystick.errors import ChainError, ConfigurationError, NotFoundError

from ._endpoint_stating import stating
from ._founding import seat_of
from ._node import Node
from ._peers import CardFile

if TYPE_CHECKING:
    from tallystick.chain import Call, Mined, Outbox, Proposal, Seat

__all__ = ["Membership"]

ACTIONS = ("join", "leave", "suspend", "reinstate", "rotate", "epoch", "threshold")
_NAMES = {**{name: name.upper() for name in ACTIONS}, "epoch": "OPEN_EPOCH", "threshold": "SET_THRESHOLD"}
_NOBODY = "0x" + "00" * 20


class Membership:
    """The contract `Members` as one node uses it; closed by ``with``.

    Args:
        node: its chain key signs.

    Raises:
        ConfigurationError: the settings name no contract.
    """

    def __init__(self, node: Node) -> None:
        from tallystick.chain import Account, Members, connect

        settings = node.settings.chain
        if settings is None or not settings.members:
            raise ConfigurationError(
                "the settings name no Members contract",
                hint="run `tallystick members found`, or set chain.members",
            )
        self._node = node
        self._account = Account(node.party.secret("chain"))
        self._chain = connect(settings.profile)
        self._members = Members(self._chain.web3, settings.members)

    def threshold(self) -> int:
        """How many members must approve a proposal."""
        return self._members.threshold()

    def _name(self, party: bytes) -> str:
        from tallystick.chain import hashed_id

        known = [CardFile(self._node.party.cards), *self._node.peers]
        return next(
            (peer.name for peer in known if hashed_id(peer.id) == party), f"unknown {party.hex()[:12]}…"
        )

    def parties(self) -> list[dict[str, str]]:
        """All parties there ever were: name as this workspace knows it, standing, account."""
        return [
            {
                "account": member.account,
                "name": self._name(member.party),
                "standing": member.standing.name.lower(),
            }
            for member in self._members.parties()
        ]

    def proposals(self) -> list[dict[str, Any]]:
        """All proposals, the oldest first.

        Each with its ``number``, ``action``, ``about`` whom, ``proposer``, ``status`` (open, approved, expired, executed or
        vetoed), ``approvals`` of active members, the ``threshold`` after it (0: as now), and the POSIX seconds
        ``not_before`` (0: too few approvals), ``not_before_block`` and ``expires_at`` between which it can be executed.
        """
        active = {one.place for one in self._members.parties() if one.standing.name == "ACTIVE"}
        found = [self._members.proposal(number) for number in range(1, self._members.proposal_count() + 1)]
        return [self._plain(one, active) for one in found if one is not None]

    def _plain(self, one: Proposal, active: set[int]) -> dict[str, Any]:
        seconds, blocks = self._members.delay()
        approvals = len(one.approvals & active)
        # Who was suspended since counts no more: the contract counts again when it is executed.
        enough = one.approved_at > 0 and approvals >= self._members.threshold()
        status = one.status.name.lower()
        if one.status.name == "OPEN":
            expired = self._chain.head().time > one.expires_at
            status = "expired" if expired else "approved" if enough else "open"
        return {
            "about": self._name(one.seat.party) if any(one.seat.party) else "all",
            "action": one.action.name.lower(),
            "approvals": approvals,
            "expires_at": one.expires_at,
            "not_before": one.approved_at + seconds if enough else 0,
            "not_before_block": one.approved_block + blocks if enough else 0,
            "number": one.number,
            "proposer": self._name(one.proposer),
            "status": status,
            "threshold": one.threshold,
        }

    def propose(self, action: str, peer: CardFile | None = None, *, threshold: int = 0) -> int:
        """Propose a change; its number.

        What this party proposed already and is still open is not proposed again: a run that was killed while it waited
        goes on with the proposal that it made.

        Args:
            action: one of `ACTIONS`.
            peer: whom it is about; None for ``threshold``.
            threshold: after it; 0 keeps it.

        Raises:
            ConfigurationError: another action, or one without what it needs.
            RevertError: the contract refused.
        """
        call, seat = self._asked(action, peer, threshold)
        with self._outbox() as outbox:
            outbox.flush()  # a proposal that an earlier run sent and did not see mined
            standing = self._own_open(_NAMES[action], seat, threshold)
            if standing is not None:
                return standing.number
            # Card and threshold stand in the id: what was refused with one may be proposed with another.
            what = f"{action}/{seat.party.hex()[:16]}/{seat.keys.card.hex()[:16]}/{threshold}"
            mined = _sent(outbox, f"propose/{self._members.proposal_count() + 1}/{what}", call)
        # Others propose in the same block: only the own transaction's event has the own number.
        for event in self._members.logged("Proposed", start=mined.block):
            if event.transaction == mined.hash:
                return int(event.values["number"])
        raise ChainError(
            "the proposal is mined and its event cannot be read", hint="see `tallystick members list`"
        )

    def _asked(self, action: str, peer: CardFile | None, threshold: int) -> tuple[Call, Seat]:
        from tallystick.chain import Keys, Seat

        if action not in ACTIONS:
            raise ConfigurationError(f"an action must be {', '.join(ACTIONS)}, got {action!r}")
        members = self._members
        if action == "threshold":
            if peer is not None or threshold < 1:
                raise ConfigurationError("a new threshold concerns nobody's card, and must be 1 or more")
            return members.propose_threshold(threshold), Seat(
                bytes(32), bytes(32), Keys(_NOBODY, _NOBODY, bytes(32))
            )
        if peer is None:
            raise ConfigurationError(f"{action} needs the card of the party that it is about")
        if threshold and action in ("rotate", "epoch"):
            raise ConfigurationError(f"{action} changes no threshold", hint="propose `threshold` by itself")
        seat = seat_of(peer.cards)
        party = seat.party
        calls: dict[str, Callable[[], Call]] = {
            "join": lambda: members.propose_join(seat, threshold=threshold),
            "leave": lambda: members.propose_leave(party, threshold=threshold),
            "suspend": lambda: members.propose_suspend(party, threshold=threshold),
            "reinstate": lambda: members.propose_reinstate(party, threshold=threshold),
            "rotate": lambda: members.propose_rotation(party, seat.keys),
            "epoch": lambda: members.propose_epoch(party, seat.keys),
        }
        return calls[action](), seat

    def _own_open(self, action: str, seat: Seat, threshold: int) -> Proposal | None:
        """This party's open proposal of the very same, when there is one; it may be younger than this look by a block."""
        me, now = self._members.member(self._account.address), self._chain.head().time
        for number in range(self._members.proposal_count(), 0, -1):
            one = self._members.proposal(number)
            if one is None or one.status.name != "OPEN" or now > one.expires_at:
                continue
            keyed = action in ("JOIN", "ROTATE", "OPEN_EPOCH")
            same_keys = not keyed or one.seat.keys.card == seat.keys.card
            same = (one.proposer, one.action.name, one.seat.party, one.threshold) == (
                me,
                action,
                seat.party,
                threshold,
            )
            if same and same_keys:
                return one
        return None

    def vote(self, word: str, number: int) -> bool:
        """Approve, veto or execute a proposal.

        Returns:
            Whether that was done now; False when it was so already.

        Raises:
            NotFoundError: no such proposal.
            RevertError: the contract refused.
        """
        calls = {
            "approve": self._members.approve,
            "execute": self._members.execute,
            "veto": self._members.veto,
        }
        with self._outbox() as outbox:
            outbox.flush()  # a vote that an earlier run sent and did not see mined
            one = self._members.proposal(number)
            if one is None:
                raise NotFoundError(f"there is no proposal {number}", hint="see `tallystick members list`")
            if self._is_done(word, one):
                return False
            _sent(outbox, f"{word}/{number}/{self._chain.head().number}", calls[word](number))
        return True

    def _is_done(self, word: str, one: Proposal) -> bool:
        if word != "approve":
            return one.status.name == {"execute": "EXECUTED", "veto": "VETOED"}[word]
        me = self._members.member(self._account.address)
        known = self._members.party(me) if me else None
        return known is not None and known.place in one.approvals

    def _outbox(self) -> Outbox:
        from tallystick.chain import Outbox

        if self._chain.is_local and self._chain.balance(self._account.address) == 0:
            self._chain.fund(self._account.address)
        return Outbox(self._node.workspace.outbox(self._account.address), self._chain, account=self._account)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        record = None if self._node.read_only else self._node.record_many
        with closing(self._chain), stating(record, self._chain):
            pass  # nothing more is asked; what was learned of endpoints is stated


def _sent(outbox: Outbox, intent_id: str, call: Call) -> Mined:
    outbox.put(intent_id, call)
    # What was refused before may be right now: a member joined, a delay is over.
    outbox.retry(intent_id)
    return outbox.send(intent_id, call)
