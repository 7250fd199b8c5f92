"""The list's root at agreed moments: each member states it, posts it, and holds it against what the others posted.

    lists = ListDesk(member, links, plan=ListPlan(), board=desk)
    lists.turn(now)                 # every half a minute; what is wrong, in words

- Moment `number` of an epoch is so many intervals after its beginning. A list is made up a while later, because a report
  may reach a member late; every member makes it up from the words that it has.
- On a chain each member's root stands as its own transaction: two that differ are evidence by themselves. Without a
  chain a member is taken at the list that it serves.
- Two roots may differ because a word came later than the while. So the lists are compared again as they are now: when
  they agree by now, that is said and no alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import orjson

from tallystick.errors import ConfigurationError, EncodingError, TallystickError

from ._exchange import ListBoard, MemberLink
from ._limits import SECOND
from ._payees import ListStatement
from ._tokens import TOKEN_SIZE
from ._words import Listed

if TYPE_CHECKING:
    from ._member import Member

__all__ = ["ListAgreement", "ListDesk", "ListPlan", "PostedLists", "ServedList", "parse_listed"]

Agreement = Literal["same", "late", "waits", "differs"]
"""How a member's list stands to one's own: ``late`` were two words that came late, ``waits`` is not posted yet."""

STATED: Final = "list.stated"
TOO_OFTEN: Final = 3  # lists in a row that came late
MAX_ENTRIES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ListPlan:
    """When lists are made up; the same for all members.

    Args:
        every_s: seconds from one to the next, from an epoch's beginning on.
        settle_s: seconds that a word may come late.
    """

    every_s: int = 3_600
    settle_s: int = 600

    def __post_init__(self) -> None:
        if not 10 <= self.every_s <= 86_400 or not 0 <= self.settle_s <= 86_400:
            raise ConfigurationError("lists are made up every 10 seconds to 24 hours, at most 24 hours late")

    def number(self, since: int, now: int) -> int:
        """Return the newest list that can be made up in an epoch; 0 for none."""
        return max(0, (now - since - self.settle_s * SECOND) // (self.every_s * SECOND))

    def moment(self, since: int, number: int) -> int:
        """Return the moment of a list, microseconds."""
        return since + number * self.every_s * SECOND


class PostedLists(ListBoard, Protocol):
    """Where roots stand side by side: the contract `Holds`, as a `HoldDesk` reads it."""

    def posted(self, epoch: int, number: int, party: str) -> bytes | None:
        """Return the root that a member posted; None where it did not."""
        ...


class ServedList(MemberLink, Protocol):
    """The way to a member whose list can be read; `HttpMemberLink` is one."""

    def listed(self, epoch: int, *, at: int) -> bytes:
        """Read its list at a moment, see `parse_listed`."""
        ...


@dataclass(frozen=True, slots=True)
class ListAgreement:
    """How one member's list stands to one's own.

    Args:
        party: its party id.
        number: of the list.
        standing: see `Agreement`.
        more: payees that stand on its list only, as it serves it now; None where it could not be read.
        less: payees that stand on one's own only.
        times: for how many lists in a row its root was another one while the lists agree by now.
    """

    party: str
    number: int
    standing: Agreement
    more: int | None = None
    less: int | None = None
    times: int = 0

    @property
    def words(self) -> str:
        """What is wrong; empty when nothing is."""
        if self.standing == "late" and self.times >= TOO_OFTEN:
            return f"posted another list than it serves, {self.times} times in a row"
        if self.standing != "differs":
            return ""
        if self.more is None:
            return f"has another list {self.number}, and does not show it"
        return f"has another list {self.number}: {self.more} payees only there, {self.less} only here"


class ListDesk:
    """States one member's lists, posts their roots and compares them; one thread at a time.

    Args:
        member: the bank's side of the exchange.
        links: the ways to the others.
        plan: see `ListPlan`.
        board: where roots are posted; None where there is no chain.
    """

    def __init__(
        self,
        member: Member,
        links: Sequence[ServedList],
        *,
        plan: ListPlan,
        board: PostedLists | None = None,
    ) -> None:
        self._member, self._links, self._plan, self._board = member, links, plan, board
        self._own: ListStatement | None = None
        self._body: Mapping[str, Any] = {}  # as it was stated: a word may have come late since
        self._is_posted = False
        self._late = Counter[str]()
        self.agreements: tuple[ListAgreement, ...] = ()

    @property
    def number(self) -> int:
        """Number of the newest list that was stated; 0 for none."""
        return 0 if self._own is None else self._own.number

    def turn(self, now: int) -> str:
        """Do what is due; what is wrong, or nothing.

        Args:
            now: microseconds.

        Raises:
            NotFoundError: no epoch is open.
            TallystickError: the list could not be stated, or not be posted; it is tried again at the next turn.
        """
        epoch = self._member.tokens.epoch
        number = self._plan.number(epoch.since, now)
        if number < 1:
            return ""
        if self._own is None or (self._own.epoch, self._own.number) != (epoch.number, number):
            self._count()
            self._own, self._body = self._state(number)
            self._is_posted, self.agreements = False, ()
        if self._board is not None and not self._is_posted:
            root = bytes.fromhex(self._body["root"])
            self._board.post_list(epoch.number, number, root, self._body["entries"])
            self._is_posted = True
        if not self.agreements or any(one.standing in ("waits", "differs") for one in self.agreements):
            self.agreements = tuple(self._compare(link, self._own) for link in self._links)
        return "; ".join(
            f"{self._member.name_of(one.party)} {one.words}" for one in self.agreements if one.words
        )

    def _state(self, number: int) -> tuple[ListStatement, Mapping[str, Any]]:
        """State a list, or take the one that was stated before a restart: a number has one root, which was stated."""
        epoch = self._member.tokens.epoch
        at = self._plan.moment(epoch.since, number)
        made = self._member.payees.statement(number, at=at)
        for entry in self._member.bank.journal.entries(kinds=(STATED,)):
            said = entry.statement.body
            if (said["epoch"], said["number"], said["as_of"]) == (epoch.number, number, at):
                return made, said
        stated = self._member.state_list(at=at, number=number)
        return stated, stated.body

    def _compare(self, link: ServedList, own: ListStatement) -> ListAgreement:
        posted: bytes | None = None
        if self._board is not None:
            posted = self._board.posted(own.epoch, own.number, link.party)
            if posted is None:
                return ListAgreement(link.party, own.number, "waits", times=self._late[link.party])
            if posted.hex() == self._body["root"]:
                return ListAgreement(link.party, own.number, "same")
        try:
            theirs = parse_listed(link.listed(own.epoch, at=own.as_of), own)
        except TallystickError:
            return ListAgreement(link.party, own.number, "waits" if posted is None else "differs")
        # As both are now: a word that came late stands in both.
        mine = {one.bytes for one in self._member.payees.statement(own.number, at=own.as_of).entries}
        there = {one.bytes for one in theirs}
        more, less = len(there - mine), len(mine - there)
        if more or less:
            return ListAgreement(link.party, own.number, "differs", more, less)
        if posted is None:
            return ListAgreement(link.party, own.number, "same")
        # It may have lacked a word when it posted, or this member did. Again and again is another matter.
        return ListAgreement(link.party, own.number, "late", 0, 0, self._late[link.party] + 1)

    def _count(self) -> None:
        """Count in how many lists in a row a member's came late."""
        for one in self.agreements:
            self._late[one.party] = one.times


def parse_listed(data: bytes, own: ListStatement) -> tuple[Listed, ...]:
    """Read what a member serves as its list, see `format_listed`; the root is computed, never taken.

    Args:
        data: JSON.
        own: the list that it has to be comparable with.

    Raises:
        EncodingError: it is no list, or one of another epoch or moment.
    """
    try:
        said: Any = orjson.loads(data)
        if (said["type"], said["v"], said["epoch"], said["as_of"]) != (
            "tallystick/payee-list",
            1,
            own.epoch,
            own.as_of,
        ):
            raise EncodingError("a member's list is of another epoch or moment")
        if len(said["entries"]) > MAX_ENTRIES:
            raise EncodingError(f"a member's list must have at most {MAX_ENTRIES:,} payees")
        found = tuple(
            Listed(bytes.fromhex(one["token"]), one["reports"], one["since"], one["disputed"])
            for one in said["entries"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EncodingError("a member's list is none") from error
    if not all(_is_entry(one) for one in found):
        raise EncodingError("an entry of a member's list does not fit")
    return found


def _is_entry(one: Listed) -> bool:
    if len(one.token) != TOKEN_SIZE or type(one.disputed) is not bool:
        return False
    return all(type(number) is int and 0 <= number < 2**63 for number in (one.reports, one.since))
