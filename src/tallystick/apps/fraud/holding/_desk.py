"""Holds as a running service asks for them: by payee, each on a decision of its own journal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from tallystick.apps.fraud.sharing import Epoch, Member
from tallystick.chain import hashed_id
from tallystick.errors import VerificationError

from ._dealing import open_holding

if TYPE_CHECKING:
    from tallystick.node import Node
    from tallystick.proof import Entry

__all__ = ["HoldDesk"]

_SECOND: Final = 1_000_000
DECISIONS: Final = "decision."


class HoldDesk:
    """Places and releases one bank's holds, one at a time; each is stated, anchored and mined when it returns.

    Args:
        node: the bank's.
        member: its side of sharing, which makes tokens.
        address: of the contract ``Holds``.
    """

    def __init__(self, node: Node, member: Member, address: str) -> None:
        self._node, self._member, self._address = node, member, address
        self._lock = threading.Lock()

    def vote(self, epoch: Epoch) -> None:
        """Tell the contract that this bank is in an epoch, once; holds count in it when enough members have.

        Raises:
            ChainError, ChainUnreachableError, RevertError: as `Holding.open_epoch`.
        """
        with self._lock, open_holding(self._node, self._address) as holding:
            holding.open_epoch(
                epoch.number,
                agreed=epoch.id,
                since=epoch.since,
                until=epoch.until,
                share=epoch.commitments[self._member.id],
            )

    def post_list(self, epoch: int, number: int, root: bytes, entries: int) -> None:
        """Post the root of the list of reported payees, once.

        Raises:
            RevertError: another root counts under this number already, or the epoch does not run.
            TallystickError: as `Holding.post_list`.
        """
        with self._lock, open_holding(self._node, self._address) as holding:
            holding.post_list(epoch, number, root, entries)

    def posted(self, epoch: int, number: int, party: str) -> bytes | None:
        """Return the root that a member posted; None where it did not.

        Args:
            epoch: number of the epoch.
            number: of the list.
            party: the member's party id.
        """
        with self._lock, open_holding(self._node, self._address) as holding:
            return holding.contract.posted(epoch, number, hashed_id(party))

    def hold(self, payee: str, *, decision: str, seconds: int) -> Entry:
        """Ask the other members not to pay a payee.

        Args:
            payee: an account or a merchant; its token of the present epoch is what stands on the chain.
            decision: statement of this bank's journal that stopped a payment to it.
            seconds: how long, at most ten days less a minute.

        Raises:
            NotFoundError: no such statement here.
            VerificationError: the statement is no decision.
            TallystickError: as `Holding.request`.
        """
        if not self._node.journal.statement(decision).kind.startswith(DECISIONS):
            raise VerificationError("a hold must rest on a decision of this bank's own")
        token = self._member.tokens.ask([payee], purpose="review")[payee]
        with self._lock, open_holding(self._node, self._address) as holding:
            return holding.request(
                token,
                epoch=self._member.tokens.epoch.number,
                until=self._node.clock() + seconds * _SECOND,
                links={"decision": [decision]},
                subject=f"payee {token.hex()}",
            )

    def release(self, payee: str) -> Entry:
        """End this bank's own hold on a payee.

        Raises:
            NotFoundError: there is none.
            TallystickError: as `Holding.release`.
        """
        token = self._member.tokens.find(payee) or self._member.tokens.ask([payee], purpose="review")[payee]
        with self._lock, open_holding(self._node, self._address) as holding:
            return holding.release(token)

    def settle(self) -> int:
        """Send what was stated before a crash and never sent; see `Holding.settle`."""
        with self._lock, open_holding(self._node, self._address) as holding:
            return holding.settle()
