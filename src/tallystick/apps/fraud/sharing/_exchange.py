"""How members reach each other: a seam, and its implementation for members in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ._member import Member

__all__ = ["ListBoard", "LocalLink", "MemberLink"]


class MemberLink(Protocol):
    """The way to one other member."""

    @property
    def party(self) -> str:
        """Party id of the member behind it."""
        ...

    @property
    def origin(self) -> str:
        """Origin of that member's journal."""
        ...

    @property
    def is_resting(self) -> bool:
        """Whether it gave no answer a moment ago and would refuse at once; nobody else is asked in vain then."""
        ...

    def evaluate(self, request: bytes, *, epoch: int) -> bytes:
        """Let the member answer blinded points; see `Evaluator.evaluate`.

        Raises:
            TallystickError: it refused, or gave no answer in time.
        """
        ...

    def send_report(self, receipt: bytes) -> None:
        """Hand the member what was stated about a payee; see `PayeeList.receive`.

        Raises:
            TallystickError: it refused, or gave no answer in time.
        """
        ...


class ListBoard(Protocol):
    """Where the root of the list can be posted: the contract `Holds`."""

    def post_list(self, epoch: int, number: int, root: bytes, entries: int) -> object:
        """Post the root of one statement of the list."""
        ...


class LocalLink:
    """A member in this process."""

    def __init__(self, member: Member) -> None:
        self._member = member

    @property
    def party(self) -> str:
        """Party id of the member behind it."""
        return self._member.id

    @property
    def origin(self) -> str:
        """Origin of that member's journal."""
        return self._member.bank.origin

    @property
    def is_resting(self) -> bool:
        """Never: it is here."""
        return False

    def evaluate(self, request: bytes, *, epoch: int) -> bytes:
        """Let the member answer."""
        return self._member.evaluator.evaluate(request, epoch=epoch)

    def send_report(self, receipt: bytes) -> None:
        """Hand the member a receipt."""
        self._member.payees.receive(receipt)
