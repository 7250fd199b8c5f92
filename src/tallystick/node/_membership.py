"""A node's part in the contract `Members`: read who takes part, propose, vote."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tallystick.errors import ConfigurationError, NotFoundError

from ._founding import seat_of
from ._node import Node
from ._peers import CardFile

if TYPE_CHECKING:
    from tallystick.chain import Call

__all__ = ["Membership"]

ACTIONS = ("join", "leave", "suspend", "reinstate", "rotate", "epoch")


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
        """All proposals, the oldest first."""
        found = [self._members.proposal(number) for number in range(1, self._members.proposal_count() + 1)]
        return [
            {
                "about": self._name(one.seat.party),
                "action": one.action.name.lower(),
                "approvals": len(one.approvals),
                "number": one.number,
                "status": one.status.name.lower(),
            }
            for one in found
            if one is not None
        ]

    def propose(self, action: str, peer: CardFile, *, threshold: int = 0) -> int:
        """Propose a change; its number.

        Raises:
            ConfigurationError: another action than those of `ACTIONS`.
            RevertError: the contract refused.
        """
        if action not in ACTIONS:
            raise ConfigurationError(f"an action must be {', '.join(ACTIONS)}, got {action!r}")
        seat = seat_of(peer.cards)
        members, party = self._members, seat.party
        calls: dict[str, Callable[[], Call]] = {
            "join": lambda: members.propose_join(seat, threshold=threshold),
            "leave": lambda: members.propose_leave(party, threshold=threshold),
            "suspend": lambda: members.propose_suspend(party, threshold=threshold),
            "reinstate": lambda: members.propose_reinstate(party, threshold=threshold),
            "rotate": lambda: members.propose_rotation(party, seat.keys),
            "epoch": lambda: members.propose_epoch(party, seat.keys),
        }
        call = calls[action]()
        number = self._members.proposal_count() + 1
        # Card and threshold stand in the id: what was refused with one may be proposed with another.
        what = f"{action}/{seat.party.hex()[:16]}/{seat.keys.card.hex()[:16]}/{threshold}"
        self._send(f"propose/{number}/{what}", call)
        return self._members.proposal_count()

    def vote(self, word: str, number: int) -> None:
        """Approve, veto or execute a proposal.

        Raises:
            NotFoundError: no such proposal.
            RevertError: the contract refused.
        """
        if self._members.proposal(number) is None:
            raise NotFoundError(f"there is no proposal {number}", hint="see `tallystick members list`")
        calls = {
            "approve": self._members.approve,
            "execute": self._members.execute,
            "veto": self._members.veto,
        }
        self._send(f"{word}/{number}/{self._chain.head().number}", calls[word](number))

    def _send(self, intent_id: str, call: Call) -> None:
        from tallystick.chain import Outbox

        if self._chain.is_local and self._chain.balance(self._account.address) == 0:
            self._chain.fund(self._account.address)
        path = self._node.workspace.outbox(self._account.address)
        with Outbox(path, self._chain, account=self._account) as outbox:
            outbox.put(intent_id, call)
            # What was refused before may be right now: a member joined, a delay is over.
            outbox.retry(intent_id)
            outbox.send(intent_id, call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chain.close()
