"""One bank's side of it all: its share, its answers, its tokens, its list, what it says about payees.

members = connect([Member(node, policy=policy, directory=...) for node in nodes])
open_epoch(members, since=..., until=...)
members[0].report(payee, customer="c-17", at=...)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.errors import ConfigurationError, DeadlineError, TallystickError
from tallystick.proof import (
    Clock,
    Draft,
    OsFiles,
    Policy,
    Randomness,
    Receipt,
    encode_base64url,
    parse_receipt,
    system_clock,
)

from ._asking import Tokens
from ._epochs import Epoch, Shares, epoch_of, opening_body
from ._evaluator import STATED_EVERY, Bank, Evaluator
from ._exchange import ListBoard, LocalLink, MemberLink
from ._limits import Limits
from ._payees import DISCLOSED, KEPT_DAYS, ListStatement, PayeeList
from ._received import Received
from ._tokens import normalise_payee
from ._words import Word

if TYPE_CHECKING:
    from tallystick.node import Node

__all__ = ["Member", "connect", "open_epoch", "share_in_process"]


class Member:
    """A bank that shares.

    Args:
        bank: its node.
        policy: who the members are; each is pinned.
        directory: where its file of shares stands; leave it out of backups.
        limits: what each other member may ask; overruled per party id by `limits_of`.
        limits_of: party id -> other limits.
        days: how long a report counts; the same for all members, or their lists differ.
        stated_every: look-ups that are stated together.
        kept: whether what is received outlives a restart; False in throw-away pilots only.
        clock: microseconds; all members' epochs go by it.
        randomness: source of shares, blinding factors and nonces.
    """

    def __init__(
        self,
        bank: Bank,
        *,
        policy: Policy,
        directory: Path,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        limits_of: Mapping[str, Limits] | None = None,
        days: int = KEPT_DAYS,
        stated_every: int = STATED_EVERY,
        kept: bool = True,
        clock: Clock = system_clock,
        randomness: Randomness = os.urandom,
    ) -> None:
        self.bank, self.policy = bank, policy
        self._directory, self._kept = directory, kept
        self._clock, self._randomness = clock, randomness
        self._days, self._stated_every = days, stated_every
        self._shares = Shares(directory / "shares.json", bank.party, randomness=randomness)
        self._links: dict[str, MemberLink] = {}
        self._tokens: Tokens | None = None
        self._payees: PayeeList | None = None
        self._received: Received | None = None
        self.undelivered: list[tuple[str, bytes]] = []
        """Receipts that a member did not take: party id and receipt; `deliver` tries them again."""
        self.evaluator = Evaluator(
            bank,
            self._shares,
            policy=policy,
            limits=limits,
            limits_of=limits_of,
            stated_every=stated_every,
            clock=clock,
            randomness=randomness,
        )

    @property
    def id(self) -> str:
        """Party id."""
        return self.bank.id

    @property
    def clock(self) -> Clock:
        """What epochs go by."""
        return self._clock

    @property
    def tokens(self) -> Tokens:
        """This bank's tokens in the present epoch.

        Raises:
            DeadlineError: no epoch is open.
        """
        if self._tokens is None:
            raise DeadlineError("no epoch is open", hint="all members have to open one")
        return self._tokens

    @property
    def payees(self) -> PayeeList:
        """The list in the present epoch.

        Raises:
            DeadlineError: no epoch is open.
        """
        if self._payees is None:
            raise DeadlineError("no epoch is open", hint="all members have to open one")
        return self._payees

    def link(self, links: Iterable[MemberLink]) -> None:
        """Set the ways to the other members."""
        self._links = {link.party: link for link in links if link.party != self.id}

    def open(
        self, number: int, *, since: int, until: int, members: Sequence[str], again: bool = False
    ) -> Receipt:
        """Draw this member's share of a new epoch and state it; see `epoch_of` for what follows.

        Args:
            number: above all before.
            since: microseconds.
            until: microseconds.
            members: party ids of all of them.
            again: a crash may have come between drawing and stating: a share that is there is used.

        Raises:
            ConfigurationError: the number was used before, or times or members do not fit.
        """
        body = opening_body(
            self._shares,
            number=number,
            since=since,
            until=until,
            member=self.id,
            members=members,
            randomness=self._randomness,
            again=again,
        )
        return self.bank.receipt(self.bank.record_many([Draft("epoch.opened", body)])[0].index)

    def join(self, openings: Sequence[Receipt | bytes]) -> Epoch:
        """Begin to use an epoch that all members have opened; the one before is closed, not ended.

        Raises:
            VerificationError: the openings do not hold together, see `epoch_of`.
        """
        epoch = epoch_of(openings, policy=self.policy)
        if self._begin(epoch):
            return epoch
        for opening in openings:
            self._keep(opening.format() if isinstance(opening, Receipt) else opening)
        return epoch

    def resume(self) -> Epoch | None:
        """Go on after a restart with the newest epoch whose share is here; None when there is none.

        The list is built from what was kept; what this bank had stated and perhaps not sent is sent to all again.

        Raises:
            VerificationError: what was kept does not hold under the policy any more.
        """
        for number in reversed(self._shares.numbers):
            received = self._open_received(number)
            found = list(received.walk())
            received.close()
            count = next((n for n, (_, data) in enumerate(found) if not _is_opening(data)), len(found))
            if count:
                epoch = epoch_of([data for _, data in found[:count]], policy=self.policy)
                self._begin(epoch)
                self._send_own_again()
                return epoch
        return None

    def _begin(self, epoch: Epoch) -> bool:
        """Build everything that an epoch needs; True when it was kept before a restart."""
        before, received = self._tokens, self._open_received(epoch.number) if self._kept else None
        self._tokens = Tokens(
            self.bank,
            epoch,
            own=lambda points: self.evaluator.own(points, epoch=epoch.number),
            links=self._links,
            name_of=self.name_of,
            stated_every=self._stated_every,
            clock=self._clock,
            randomness=self._randomness,
        )
        self._payees = PayeeList(
            epoch, policy=self.policy, days=self._days, clock=self._clock, keep=self._keep
        )
        found = list(received.walk()) if received is not None else []
        for at, data in found:
            if not _is_opening(data):
                self._payees.receive(data, kept_at=at)
        if self._received is not None:
            self._received.close()
        self._received = received
        self.evaluator.serve(epoch)
        if before is not None:
            before.close()
        return bool(found)

    def _open_received(self, number: int) -> Received:
        return Received(
            self._directory / f"received-{number}",
            self._shares.key(number, b"received"),
            files=OsFiles(),
            randomness=self._randomness,
        )

    def _keep(self, receipt: bytes) -> None:
        if self._received is not None:
            self._received.keep(receipt, at=self._clock())

    def _send_own_again(self) -> None:
        for entry in self.bank.journal.entries(kinds=tuple(DISCLOSED)):
            statement = entry.statement
            if statement.body.get("epoch") == self.tokens.epoch.number:
                receipt = self.bank.receipt(entry.index, disclose=DISCLOSED[statement.kind]).format()
                self.payees.receive(receipt)
                self._send(self._links, receipt)

    def name_of(self, party: str) -> str:
        """What this member calls another."""
        pinned = self.policy.by_id.get(party)
        return pinned.name if pinned is not None else "a stranger"

    def report(self, payee: str, *, customer: str, at: int | None = None, payment: str = "") -> Word:
        """State that a customer reports a payee, and tell all members; durable here before anybody hears of it.

        Args:
            payee: an account or a merchant.
            customer: who reports; sealed under her subject, and shown to others only as a tag of this epoch and payee.
            at: when she did, microseconds; now when None.
            payment: id of the statement that decided the payment; stays sealed.

        Raises:
            DeadlineError: no epoch is open then.
            TallystickError: the payee's token could not be made: a member did not answer.
        """
        token = self.tokens.ask([payee], purpose="report")[payee]
        fields = {"reporter": encode_base64url(self._tag(customer, token))}
        if payment:
            fields["payment"] = payment
        return self._say("payee.reported", {}, token, at, fields, subject=customer)

    def withdraw(self, payee: str, *, customer: str, at: int | None = None) -> Word:
        """Take a customer's report back; see `report`."""
        token = self.tokens.ask([payee], purpose="report")[payee]
        fields = {"reporter": encode_base64url(self._tag(customer, token))}
        return self._say("payee.withdrawn", {}, token, at, fields, subject=customer)

    def dispute(self, payee: str, *, reason: str, at: int | None = None) -> Word:
        """Object to reports of a payee that is this bank's customer; that it is one is this bank's word."""
        token = self.tokens.ask([payee], purpose="review")[payee]
        return self._say("payee.disputed", {"reason": reason}, token, at, {}, subject=f"payee {token.hex()}")

    def remove(self, token: bytes, *, reason: str, at: int | None = None) -> Word:
        """Say after a review that a payee is innocent; two different members have to."""
        return self._say("payee.removed", {"reason": reason}, token, at, {}, subject=f"payee {token.hex()}")

    def state_list(
        self, *, at: int | None = None, number: int | None = None, board: ListBoard | None = None
    ) -> ListStatement:
        """State the list's root as of a moment, and post it where it can be posted.

        Args:
            at: microseconds; now when None.
            number: of the list, as all members count; the next of this member's own when None.
            board: for instance the contract `Holds`.
        """
        if number is None:
            number = 1 + sum(
                entry.statement.body["epoch"] == self.tokens.epoch.number
                for entry in self.bank.journal.entries(kinds=("list.stated",))
            )
        listed = self.payees.statement(number, at=self._clock() if at is None else at)
        self.bank.record_many([Draft("list.stated", listed.body)])
        if board is not None:
            board.post_list(listed.epoch, listed.number, listed.root, len(listed.entries))
        return listed

    def deliver(self) -> int:
        """Hand out what members did not take before; how much is left."""
        waiting, self.undelivered = self.undelivered, []
        for party, receipt in waiting:
            self._send([party], receipt)
        return len(self.undelivered)

    def settle(self) -> None:
        """State all counts that wait and end what is over; call it every minute and before closing."""
        if self._tokens is not None:
            self._tokens.settle()
        self.evaluator.settle()

    def end(self) -> None:
        """End the present epoch here: destroy the share, forget tokens and list."""
        epoch = self.tokens.epoch
        self.tokens.close()
        self._tokens = self._payees = None
        self._close_received()
        self.evaluator.settle()
        self.evaluator.end(epoch.number)
        # Without the share it is noise already; a crash before this leaves noise.
        kept = self._directory / f"received-{epoch.number}"
        if OsFiles().exists(kept):
            OsFiles().unlink(kept)

    def close(self) -> None:
        """State all counts that wait and forget the tokens; the epoch goes on without this process."""
        if self._tokens is not None:
            self._tokens.close()
        self._close_received()
        self.evaluator.settle()

    def _close_received(self) -> None:
        received, self._received = self._received, None
        if received is not None:
            received.close()

    def _tag(self, customer: str, token: bytes) -> bytes:
        # As payees are: one customer in two spellings of her account must not make the two that list a payee.
        plain = normalise_payee(customer.strip()).decode()
        if not plain:
            raise ConfigurationError("a report must name the customer who makes it")
        return self._shares.tag(self.tokens.epoch.number, plain, token.hex())

    def _say(
        self,
        kind: str,
        body: dict[str, Any],
        token: bytes,
        at: int | None,
        fields: dict[str, Any],
        *,
        subject: str,
    ) -> Word:
        epoch, at = self.tokens.epoch, self._clock() if at is None else at
        # Looked at before it is stated: what all would refuse must not stand in the journal.
        self.payees.check_time(at)
        sealed = {**fields, "at": at, "token": encode_base64url(token)}
        draft = Draft(kind, {"epoch": epoch.number, **body}, fields=sealed, subject=subject)
        entry = self.bank.record_many([draft])[0]
        receipt = self.bank.receipt(entry.index, disclose=DISCLOSED[kind]).format()
        word = self.payees.receive(receipt)
        self._send(self._links, receipt)
        return word

    def _send(self, parties: Iterable[str], receipt: bytes) -> None:
        for party in parties:
            try:
                self._links[party].send_report(receipt)
            except TallystickError:
                # The report stands in the journal already; a member that is away gets it later.
                self.undelivered.append((party, receipt))


def connect(members: Sequence[Member]) -> list[Member]:
    """Let members in one process reach each other."""
    for member in members:
        member.link(LocalLink(other) for other in members if other is not member)
    return list(members)


def open_epoch(members: Sequence[Member], *, since: int, until: int, number: int = 1) -> Epoch:
    """Let members in one process open an epoch together."""
    parties = [member.id for member in members]
    openings = [member.open(number, since=since, until=until, members=parties) for member in members]
    for member in members:
        epoch = member.join(openings)
    return epoch


def _is_opening(receipt: bytes) -> bool:
    return parse_receipt(receipt).statement.kind == "epoch.opened"


def share_in_process(
    nodes: Sequence[Node],
    *,
    policy: Policy,
    since: int,
    until: int,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    kept: bool = False,
    clock: Clock | None = None,
    randomness: Randomness = os.urandom,
) -> list[Member]:
    """Let nodes in one process share: members that reach each other, with an open epoch; for pilots and tests.

    Args:
        nodes: at least two.
        policy: pins them all.
        since: the epoch's beginning, microseconds.
        until: its end.
        limits: what each may ask of each other.
        kept: whether what is received outlives a restart.
        clock: what the epoch goes by, such as the time of replayed payments; each node's own when None.
        randomness: source of shares, blinding factors and nonces.
    """
    members = [
        Member(
            node,
            policy=policy,
            directory=node.workspace.path / "sharing",
            limits=limits,
            kept=kept,
            clock=clock or node.clock,
            randomness=randomness,
        )
        for node in nodes
    ]
    connect(members)
    open_epoch(members, since=since, until=until)
    return members
