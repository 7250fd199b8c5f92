"""A bank's running side of sharing: it opens epochs as planned, follows the others, and answers them.

    sharing = Sharing(node, ShareSettings.read(path))
    sharing.resume()
    sharing.start()
    Serving(node, settings, features=..., signals=sharing.signals)

- Epochs follow the plan that all members have: each opens the next one ahead, fetches the others' openings, and joins
  when all of them are there and its time has come. Until then payees are unknown; decisions go on.
- What a member did not take is handed to it again until it does. What this bank said about payees before a restart is
  sent again after it.
- The root of the list is stated, posted and held against the others' every hour; see `ListDesk`.
- Nothing here runs in a decision's way: decisions read what is in memory, and wait for tokens as long as `patience_ms`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from tallystick.errors import NotFoundError, OverloadedError, TallystickError
from tallystick.proof import Clock, Randomness, format_json, parse_receipt, system_clock

from ._epochs import Epoch
from ._held import HeldPayees, HoldsReader
from ._http_link import HttpMemberLink
from ._limits import SECOND
from ._lists import ListDesk, PostedLists, ServedList
from ._live import LiveSignals
from ._member import Member
from ._payees import PayeeList
from ._risk import RiskHistory
from ._rounds import Counts, RoundDesk
from ._share_file import ShareSettings
from ._signals import SharedSignals

if TYPE_CHECKING:
    from tallystick.node import Node

__all__ = ["RemoteLink", "ShareStanding", "Sharing", "format_listed", "links_of"]

AHEAD_US: Final = 3_600 * SECOND  # an epoch is opened so long before it begins
TEND_EVERY_S: Final = 0.5
ROUNDS_EVERY_S: Final = 5.0
LISTS_EVERY_S: Final = 15.0
SETTLE_EVERY_US: Final = 60 * SECOND
DELIVER_EVERY_US: Final = 5 * SECOND
EVALUATING: Final = 2  # look-ups and reports of others that are dealt with at once
EVALUATE_WAIT_S: Final = 1.0
JOIN_S: Final = 10.0  # that the background has to end


class RemoteLink(ServedList, Protocol):
    """The way to a member of whom more can be read than look-ups need; `HttpMemberLink` is one."""

    def opening(self, number: int) -> bytes:
        """Read its ``epoch.opened``, not yet verified."""
        ...

    def round_part(self, epoch: int, number: int, part: str) -> bytes:
        """Read what it hands in to a round of masked sums, not yet verified."""
        ...


@dataclass(frozen=True, slots=True)
class ShareStanding:
    """How sharing stands, in figures that nobody's privacy hangs on.

    Args:
        epoch: number of the epoch whose tokens are used; 0 when none is.
        until: when it ends, microseconds; 0 when none is.
        members: the other members: name -> whether it answered when it was asked last.
        looked: payments whose payee was looked up or found in memory.
        unknown: of those, for how many nothing was known.
        well: whether everything was known of the last ones; a round of masked sums that waits does not count.
        trouble: what is wrong, in words; empty when nothing is.
        listed: payees that anything was said about.
        undelivered: receipts that a member has not taken yet.
        round: the newest round of masked sums that is held, or will not be any more; 0 for none.
        held: payees that a hold stands on; None where holds are not looked at.
        list: number of the newest list whose root this bank stated; 0 for none.
        lists: how the others' roots stand to it: name -> ``same``, ``late``, ``waits`` or ``differs``.
    """

    epoch: int
    until: int
    members: Mapping[str, bool]
    looked: int
    unknown: int
    well: bool
    trouble: str
    listed: int
    undelivered: int
    round: int
    held: int | None
    list: int = 0
    lists: Mapping[str, str] = field(default_factory=dict)


class Sharing:
    """One bank's running side.

    Args:
        node: the bank's, open for writing; closed by whoever opened it, after `close`.
        settings: see `ShareSettings`.
        links: the ways to the other members; over HTTP as the settings say when None.
        ahead: payees that are looked up when an epoch begins or goes on, before they are paid again.
        holds: reads the open holds; None where none are looked at.
        counts: counts the bank's own payments for rounds of masked sums; none are held when None.
        board: makes what the lists' roots are posted to; they are compared as they are served when None.
        joined: is told of every epoch that is in use, beside the looks at the chain, until it does not raise.
        clock: microseconds; all members' epochs go by it.
        randomness: source of shares, blinding factors and nonces.

    Attributes:
        member: the bank's side of the exchange: it reports, disputes, and answers.
        signals: what decisions read.
    """

    def __init__(
        self,
        node: Node,
        settings: ShareSettings,
        *,
        links: Sequence[RemoteLink] | None = None,
        holds: HoldsReader | None = None,
        counts: Counts | None = None,
        ahead: Callable[[], Iterable[str]] | None = None,
        board: Callable[[Member], PostedLists] | None = None,
        joined: Callable[[Epoch], object] | None = None,
        clock: Clock = system_clock,
        randomness: Randomness = os.urandom,
    ) -> None:
        self.settings, self._clock = settings, clock
        self.member = Member(
            node,
            policy=settings.policy,
            directory=node.workspace.path / "sharing",
            limits=settings.limits,
            limits_of={peer.party: peer.limits for peer in settings.peers if peer.limits is not None},
            days=settings.days,
            clock=clock,
            randomness=randomness,
        )
        self._links = list(links) if links is not None else links_of(settings)
        self.member.link(self._links)
        stale_s = settings.holds.stale_s if settings.holds else 30.0
        self._held = None if holds is None else HeldPayees(holds, stale_s=stale_s, clock=clock)
        risks = RiskHistory()
        self._rounds = None
        if settings.rounds is not None and counts is not None:
            self._rounds = RoundDesk(
                self.member,
                self._links,
                plan=settings.rounds,
                counts=counts,
                risks=risks,
                directory=node.workspace.path / "sharing" / "rounds",
            )
        self._lists = ListDesk(
            self.member, self._links, plan=settings.lists, board=board(self.member) if board else None
        )
        shared = SharedSignals(self.member, risks=risks, patience_s=settings.patience_ms / 1_000)
        self.signals = LiveSignals(shared, self._held)
        self._openings: dict[int, bytes] = {}
        self._fetched: dict[int, dict[str, bytes]] = {}
        self._joined = 0
        self._delivered_at = 0
        self._settled_at, self._trouble = 0, "no epoch is open yet"
        self._round_trouble = self._list_trouble = ""
        self._ahead, self._looked_ahead = ahead, 0
        self._tell, self._told = joined, 0
        self._telling_trouble = ""
        self._evaluating = threading.Semaphore(EVALUATING)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    # -- what goes on ----------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with the epoch that was open before a restart; before anybody asks, and before `start`.

        Raises:
            VerificationError: what was kept does not hold under the policy any more.
        """
        epoch = self.member.resume()
        self._joined = epoch.number if epoch is not None else 0
        if self._rounds is not None:
            self._rounds.resume()

    def start(self) -> None:
        """Begin what goes on in the background."""
        self._go(self._keep_tending, "share-tend")
        self._go(self._keep_lists, "share-lists")
        if self._rounds is not None:
            self._go(self._keep_rounds, "share-rounds")
        if self._held is not None:
            every_s = self.settings.holds.every_s if self.settings.holds else 1.0
            self._go(lambda: self._keep_looking(every_s), "share-holds")

    def tend(self) -> bool:
        """Do what is due: open, join and end epochs, hand out what was not taken; whether an epoch is in use."""
        with self._lock:
            now = self._clock()
            try:
                self._trouble = self._turn(now)
                if now - self._settled_at >= SETTLE_EVERY_US:
                    self._settled_at = now
                    self.member.settle()
                if self.member.undelivered and now - self._delivered_at >= DELIVER_EVERY_US:
                    self._delivered_at = now
                    self.member.deliver()
                self._look_ahead()
            except TallystickError as error:
                self._trouble = error.message
            return not self._trouble

    def hold_rounds(self) -> bool:
        """Do what a round of masked sums asks for now; whether none is open."""
        if self._rounds is None or self._joined == 0:
            return True
        try:
            self._round_trouble = self._rounds.turn(self._clock())
        except TallystickError as error:
            self._round_trouble = error.message
        return not self._round_trouble

    def state_lists(self) -> bool:
        """State, post and compare the list that is due; whether nobody's differs."""
        if self._joined == 0:
            return True
        try:
            self._list_trouble = self._lists.turn(self._clock())
        except TallystickError as error:
            self._list_trouble = f"the list's root: {error.message}"
        return not self._list_trouble

    def look_at_holds(self) -> bool:
        """Look at the chain now, and tell it of an epoch that is new; whether that went well."""
        if self._tell is not None and self._joined not in (0, self._told):
            try:
                epoch = self.member.tokens.epoch
                self._tell(epoch)
                self._told, self._telling_trouble = epoch.number, ""
            except TallystickError as error:
                self._telling_trouble = f"holds cannot be placed: {error.message}"
        return self._held is None or self._held.look()

    def close(self) -> None:
        """End what goes on, and state what waits."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        self.signals.shared.close()
        self.member.close()
        for link in self._links:
            if isinstance(link, HttpMemberLink):
                link.close()
        if self._held is not None:
            self._held.close()

    # -- what other members ask ------------------------------------------------------------------------------

    def evaluate(self, request: bytes, *, epoch: int, asker: str) -> bytes:
        """Answer another member's look-up; see `Evaluator.evaluate`.

        Raises:
            OverloadedError: others are answered at this moment, and this one waited long enough.
        """
        with self._turn_of_another():
            return self.member.evaluator.evaluate(request, epoch=epoch, asker=asker)

    def receive(self, receipt: bytes) -> None:
        """Take up what another member stated about a payee; see `PayeeList.receive`.

        Raises:
            OverloadedError: see `evaluate`; it is handed in again later.
        """
        with self._turn_of_another():
            self.member.payees.receive(receipt)

    @contextmanager
    def _turn_of_another(self) -> Iterator[None]:
        # Curve arithmetic and signatures: members that all ask at once must not take the processor from the decisions.
        if not self._evaluating.acquire(timeout=EVALUATE_WAIT_S):
            raise OverloadedError("other members are answered at this moment")
        try:
            yield
        finally:
            self._evaluating.release()

    def opening(self, number: int) -> bytes:
        """Return this member's ``epoch.opened``.

        Raises:
            NotFoundError: it has not opened that epoch.
        """
        found = self._openings.get(number)
        if found is None:
            raise NotFoundError(f"epoch {number} is not open here", hint="compare [epochs] in share.toml")
        return found

    def listed(self, epoch: int, *, at: int) -> bytes:
        """Return the list at a moment, see `format_listed`.

        Raises:
            NotFoundError: another epoch is in use.
        """
        payees = self.member.payees
        if payees.epoch.number != epoch:
            raise NotFoundError(f"epoch {epoch} is not in use here")
        return format_listed(payees, at)

    def standing(self) -> ShareStanding:
        """Say how it stands."""
        signals, trouble = self.signals.status, self._trouble
        epoch = payees = None
        try:
            epoch, payees = self.member.tokens.epoch, self.member.payees
        except TallystickError as error:
            trouble = trouble or error.message
        said = (trouble, signals.trouble, self._held.trouble if self._held else "")
        waiting = (self._telling_trouble, self._round_trouble, self._list_trouble)
        well = signals.well and not any(said)
        return ShareStanding(
            epoch=epoch.number if epoch else 0,
            until=epoch.until if epoch else 0,
            members={self.member.name_of(link.party): not link.is_resting for link in self._links},
            looked=signals.looked,
            unknown=signals.unknown,
            well=well,
            trouble="; ".join(dict.fromkeys(one for one in (*said, *waiting) if one)),
            listed=len(payees.tokens) if payees else 0,
            undelivered=len(self.member.undelivered),
            round=self._rounds.over if self._rounds else 0,
            held=self._held.count if self._held else None,
            list=self._lists.number,
            lists={self.member.name_of(one.party): one.standing for one in self._lists.agreements},
        )

    def round_part(self, epoch: int, number: int, part: str) -> bytes:
        """Return what this member hands in to a round of masked sums."""
        if self._rounds is None:
            raise NotFoundError("no rounds are held here")
        return self._rounds.part(epoch, number, part)

    # -- epochs ----------------------------------------------------------------------------------------------

    def _turn(self, now: int) -> str:
        """Open and join what is due; what is wrong, or nothing."""
        plan = self.settings.epochs
        present = plan.at(now)
        following = plan.number if present is None else present + 1
        if present is not None:
            self._open(present)
        if plan.times(following)[0] - now <= AHEAD_US:
            self._open(following)
            self._fetch(following)
        if present is None:
            return f"epoch {plan.number} has not begun"
        if self._joined == present:
            return ""
        missing = self._fetch(present)
        if missing:
            return f"epoch {present}: {', '.join(missing)} did not open it here yet"
        try:
            self.member.join([self._openings[present], *self._fetched[present].values()])
        except TallystickError:
            self._fetched.pop(present)  # who corrects its plan is asked again
            raise
        self._joined = present
        self.member.undelivered.clear()  # it was about payees of the epoch before
        self._fetched = {number: found for number, found in self._fetched.items() if number > present}
        self._openings = {number: found for number, found in self._openings.items() if number >= present}
        return ""

    def _open(self, number: int) -> None:
        if number in self._openings:
            return
        bank = self.member.bank
        for entry in bank.journal.entries(kinds=("epoch.opened",)):
            if entry.statement.body["number"] == number:
                self._openings[number] = bank.receipt(entry.index).format()
        if number not in self._openings:
            since, until = self.settings.epochs.times(number)
            members = sorted([self.member.id, *(link.party for link in self._links)])
            made = self.member.open(number, since=since, until=until, members=members, again=True)
            self._openings[number] = made.format()

    def _fetch(self, number: int) -> list[str]:
        """Fetch the others' openings; names of those who have not given theirs."""
        found = self._fetched.setdefault(number, {})
        missing = []
        for link in self._links:
            if link.party in found:
                continue
            try:
                given = link.opening(number)
                said = parse_receipt(given).statement
            except TallystickError:
                missing.append(self.member.name_of(link.party))
                continue
            if said.party == link.party and said.body.get("number") == number:
                found[link.party] = given
            else:
                missing.append(self.member.name_of(link.party))
        return missing

    def _look_ahead(self) -> None:
        """Look up whom the bank's customers pay, once an epoch: the first payment to each need not wait."""
        if self._ahead is not None and self._joined and self._looked_ahead != self._joined:
            self._looked_ahead = self._joined
            self.signals.shared.prefetch(self._ahead())

    # -- the background --------------------------------------------------------------------------------------

    def _keep_tending(self) -> None:
        self._safely(self.tend)
        while not self._stopping.wait(TEND_EVERY_S):
            self._safely(self.tend)

    def _keep_rounds(self) -> None:
        while not self._stopping.wait(ROUNDS_EVERY_S):
            self._safely(self.hold_rounds)

    def _keep_lists(self) -> None:
        while not self._stopping.wait(LISTS_EVERY_S):
            self._safely(self.state_lists)

    def _keep_looking(self, every_s: float) -> None:
        self._safely(self.look_at_holds)
        while not self._stopping.wait(every_s):
            self._safely(self.look_at_holds)

    def _safely(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - what failed once is said and tried again; it must not end for ever
            self._trouble = f"sharing failed: {type(error).__name__}"

    def _go(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def links_of(settings: ShareSettings) -> list[HttpMemberLink]:
    """Make the ways to all other members."""
    made = []
    for peer in settings.peers:
        pinned = settings.policy.by_id[peer.party]
        made.append(
            HttpMemberLink(
                peer.party,
                origin=pinned.cards[-1].origin,
                url=peer.url,
                key=peer.key,
                name=pinned.name,
                timeout_s=settings.timeout_s,
                ca=peer.ca,
            )
        )
    return made


def format_listed(payees: PayeeList, at: int) -> bytes:
    """Write the list at a moment: each payee's entry, and the root over all of them."""
    found = payees.statement(1, at=at)
    entries = [
        {"disputed": one.disputed, "reports": one.reports, "since": one.since, "token": one.token.hex()}
        for one in found.entries
    ]
    return format_json(
        {
            "as_of": at,
            "entries": entries,
            "epoch": payees.epoch.number,
            "root": found.root.hex(),
            "type": "tallystick/payee-list",
            "v": 1,
        }
    )
