"""What an oracle node and a watcher share: they follow requests, and survive being killed at any point.

- What is done next follows from three things only: what the chain says now, what the own journal says, and what the
  outbox has been told. So each pass may begin anywhere and repeats looks, never deeds.
- Journal first, then outbox; intents are named by the request, so that none is ever put twice.
- The block from which the chain is followed moves on last, and only past what is finished.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ChainError, ChainUnreachableError, DisclosureError, NotFoundError
from tallystick.proof import Draft

from ._asking import ChainFact
from ._holdings import Holdings
from ._oversight import Journalled
from ._progress import Followed
from ._requests import RequestBook, RequestInHand

if TYPE_CHECKING:
    from tallystick.chain import Call, Outbox

__all__ = ["Following", "Said", "follow"]

PAUSE_S: Final = 2.0  # between two looks
LONGEST_PAUSE_S: Final = 60.0  # after many failures

GAS_WEI: Final = 10**16  # kept back for gas: half a million at 20 gwei
BONDED: Final = ("commit/", "challenge-commit/")

_log = logging.getLogger(__name__)


class Said:
    """What a journal says about requests, in statements of one kind.

    Args:
        node: whose journal it is.
        kind: of the statements; their body names the request.
    """

    def __init__(self, node: Journalled, kind: str) -> None:
        self._node, self._kind = node, kind
        self._said: dict[str, Mapping[str, Any] | None] = {}
        self._read = 0

    def of(self, request: str) -> Mapping[str, Any]:
        """Return the sealed fields of the first statement about a request.

        Raises:
            DisclosureError: it cannot be opened any more.
            NotFoundError: there is none.
        """
        self._catch_up()
        if request not in self._said:
            raise NotFoundError(f"this journal has no {self._kind} about the request")
        sealed = self._said[request]
        if sealed is None:
            raise DisclosureError(f"the {self._kind} about the request cannot be opened any more")
        return sealed

    def requests(self) -> list[str]:
        """Return the requests that something was said about, in order."""
        self._catch_up()
        return list(self._said)

    def _catch_up(self) -> None:
        journal = self._node.journal
        size = journal.size
        for entry in journal.entries(self._read, size, kinds=(self._kind,)):
            self._read = entry.index + 1
            try:
                sealed = journal.payload(entry.index)
            except DisclosureError:
                sealed = b""
            request = entry.statement.body["request"]
            self._said.setdefault(request, sealed if isinstance(sealed, dict) else None)
        self._read = size


class Following(ABC):
    """Somebody who follows requests. Not for several threads at once; one process per journal and account.

    Args:
        node: states what is done.
        book: the contract's requests.
        outbox: of the account that acts.
        account: that account, 0x and 40 lower-case hex digits.
        holdings: models and openings.
        followed: how far the chain was followed.
    """

    def __init__(
        self,
        node: Journalled,
        book: RequestBook,
        outbox: Outbox,
        *,
        account: str,
        holdings: Holdings,
        followed: Followed,
    ) -> None:
        self._node, self._book, self._outbox, self._account = node, book, outbox, account
        self._holdings, self._followed = holdings, followed
        self._done: set[str] = set()

    def step(self, *, wait_s: float = 0) -> int:
        """Look at every unfinished request once and do what is due.

        Args:
            wait_s: seconds to wait for what was sent; what is not mined by then is followed in the next pass.

        Returns:
            How many requests are unfinished.

        Raises:
            SurroundingsError: chain or disk; everything is kept and the next pass goes on.
        """
        head = self._book.look()
        asked = self._book.asked_since(self._followed.block)
        unfinished = []
        for request, block in asked:
            if request in self._done:
                continue
            if self._is_done(self._book.read(request, block)):
                self._done.add(request)
                self._holdings.ended(request)
            else:
                unfinished.append(block)
        if self._outbox.pending():
            self._outbox.flush(timeout_s=wait_s)
        # Blocks that are not settled may be replaced by others, so they are read again.
        self._followed.remember(min([head, self._book.chain.settled(), *unfinished]))
        self._done &= {request for request, _ in asked}
        return len(unfinished)

    @abstractmethod
    def _is_done(self, request: RequestInHand) -> bool:
        """Do what is due for a request; whether nothing will ever be due any more."""

    def _state(self, kind: str, request: RequestInHand, sealed: dict[str, Any], **body: str) -> None:
        oracle = self._book.oracle.address
        fact = ChainFact(self._book.chain.chain_id, oracle, request.asked_at, request.id)
        said = {"chain": fact.body(), "model": request.terms.model, "request": request.id, **body}
        model = self._holdings.published(request.terms.model)
        links = {"model": [model]} if model else None
        self._node.record_many([Draft(kind, said, links, fields=sealed)])

    def _put(
        self, name: str, make: Callable[[], Call], *, attempts: int = 1, bond: int = 0, gas: int | None = None
    ) -> bool:
        """Put an intent unless it was put before.

        Args:
            name: ends with the request's id.
            make: makes its call.
            attempts: how often it may be put again after the contract refused it.
            bond: wei that the account needs in the contract for it.
            gas: limit; None asks the chain.

        Returns:
            Whether it may still happen, or has.
        """
        for attempt in range(attempts):
            intent_id = f"{name}/{attempt}" if attempt else name
            try:
                if self._outbox.intent(intent_id).state != "failed":
                    return True
            except NotFoundError:
                if bond and not self._is_covered(intent_id, bond):
                    return True
                self._outbox.put(intent_id, make(), gas=gas)
                return True
        return False

    def _is_covered(self, intent_id: str, bond: int) -> bool:
        """Put what is missing of a bond into the contract, counting what is on its way; False when it cannot be paid.

        What cannot be paid is not put: it would stand in the way of all that comes after it.
        """
        waiting = self._outbox.pending()
        coming = sum(one.call.value for one in waiting if one.id.startswith("bond/"))
        going = bond * sum(one.id.startswith(BONDED) for one in waiting)
        missing = bond + going - coming - self._book.oracle.account(self._account).free
        if missing <= 0:
            return True
        if missing + coming + GAS_WEI > self._book.chain.balance(self._account):
            _log.warning("account %s cannot pay a bond of %d wei: send coins to it", self._account, bond)
            return False
        name = f"bond/{intent_id}"
        try:
            self._outbox.intent(name)  # a crash came between this and the intent that needs it
        except NotFoundError:
            self._outbox.put(name, self._book.oracle.deposit(missing))
        return True


def follow(
    follower: Following,
    *,
    is_stopped: Callable[[], bool],
    sleep: Callable[[float], None],
    wait_s: float = 0,
    pause_s: float = PAUSE_S,
) -> None:
    """Look again and again, through chains that refuse or do not answer.

    Args:
        follower: an oracle node or a watcher.
        is_stopped: asked before each look.
        sleep: waits so many seconds.
        wait_s: as for `Following.step`.
        pause_s: seconds between two looks; twice as long after each failure, up to a minute.

    Raises:
        StorageError: the disk failed: nothing may be done that cannot be stated.
    """
    pause = pause_s
    while not is_stopped():
        try:
            follower.step(wait_s=wait_s)
            pause = pause_s
        except (ChainError, ChainUnreachableError) as error:
            pause = min(2 * pause, LONGEST_PAUSE_S)
            _log.warning("%s; the next look is in %.0f s", error, pause)
        sleep(pause)
