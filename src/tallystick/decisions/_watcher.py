"""The watcher: it scores every optimistic answer again and challenges a wrong one by itself.

- It says that it holds an opening only when it does, and when it could score the input.
- It challenges only what its own score contradicts. That is stated first, with the salt of its commitment sealed in the
  statement, so that after a crash it can show what it committed to.
- A challenge is committed to, then shown some blocks later, so that nobody can copy it and take its reward.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from tallystick.errors import DisclosureError, NotFoundError
from tallystick.proof import Randomness

from ._following import Following, Said
from ._holdings import Holdings
from ._oracle_terms import RequestStatus, challenge_commitment
from ._oversight import Journalled
from ._progress import Followed
from ._requests import RequestBook, RequestInHand

if TYPE_CHECKING:
    from tallystick.chain import Outbox

__all__ = ["Watcher"]

SALT_BYTES: Final = 32
MAX_ATTEMPTS: Final = 3
LOCAL_GAS: Final = 8_000_000  # more than the largest model takes

_log = logging.getLogger(__name__)


class Watcher(Following):
    """One watcher; named by a panel or not, it needs the openings only.

    Args:
        node: states what it challenges.
        book: the contract's requests.
        outbox: of the watcher's account, which needs the bonds in coins.
        account: that account, 0x and 40 lower-case hex digits.
        holdings: models and openings.
        followed: how far the chain was followed.
        randomness: source of the commitments' salts.
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
        randomness: Randomness = os.urandom,
    ) -> None:
        super().__init__(node, book, outbox, account=account, holdings=holdings, followed=followed)
        self._randomness = randomness
        self._challenged = Said(node, "answer.challenged")

    def challenged(self) -> list[str]:
        """Return the requests whose answer this watcher challenged, as its journal says."""
        return self._challenged.requests()

    def _is_done(self, request: RequestInHand) -> bool:
        status, oracle = request.answer.status, self._book.oracle
        if request.terms.level != 2 or status is RequestStatus.REFUNDED:
            return True
        if status is RequestStatus.FINAL:
            return self._is_settled(request)
        if status is RequestStatus.ANSWERED and request.answer.is_overturned:
            # The signers' bonds can be settled when the request has ended.
            self._put(f"finalise/{request.id}", lambda: oracle.finalise(request.terms.id))
            return False
        if request.is_late and (
            status is not RequestStatus.ANSWERED or request.id not in self._challenged.requests()
        ):
            return True  # what is left, others do: they get their bonds and fees by it
        right = self._holdings.output(request, also_retired=True)
        if right is None:
            return False
        if status is RequestStatus.WAITING:
            self._acknowledge(request)
        elif status is RequestStatus.ANSWERED and request.answer.output != right:
            self._challenge(request, right)
        return False

    def _acknowledge(self, request: RequestInHand) -> None:
        watchers = request.panel.watchers
        seat = watchers.index(self._account) if self._account in watchers else None
        if seat is not None and seat not in request.answer.acknowledged:
            call = self._book.oracle.acknowledge
            self._put(f"acknowledge/{request.id}", lambda: call(request.terms.id, seat=seat))

    def _challenge(self, request: RequestInHand, right: int) -> None:
        salt, opening = self._state_challenge(request, right), self._holdings.opening(request)
        if salt is None or opening is None:
            return
        oracle, of = self._book.oracle, request.terms.id
        committed = oracle.challenged_at(of, challenger=self._account)
        if committed is None:
            commitment = challenge_commitment(of, challenger=self._account, output=right, salt=salt)
            self._put(
                f"challenge-commit/{request.id}",
                lambda: oracle.commit_challenge(of, commitment=commitment),
                attempts=MAX_ATTEMPTS,
                bond=request.panel.bond,
            )
        elif committed < request.head or self._book.chain.is_local:
            words, hidden = opening.words, opening.salt
            self._put(
                f"challenge/{request.id}",
                lambda: oracle.challenge(of, words=words, input_salt=hidden, salt=salt),
                attempts=MAX_ATTEMPTS,
                # An idle embedded chain makes no block by itself, and asked in the block of the commitment it would
                # say that the challenge comes too early; sent, it stands in the next one.
                gas=LOCAL_GAS if self._book.chain.is_local else None,
            )

    def _state_challenge(self, request: RequestInHand, right: int) -> bytes | None:
        """Return the salt that the journal holds, after putting it there when there was none."""
        try:
            sealed = self._challenged.of(request.id)
        except DisclosureError:
            return None
        except NotFoundError:
            _log.warning("request %s was answered wrongly: challenging it", request.id[:12])
            claimed, salt = str(request.answer.output), self._randomness(SALT_BYTES)
            fields = {"claimed": claimed, "right": str(right), "salt": salt.hex()}
            self._state("answer.challenged", request, fields)
            return salt
        return bytes.fromhex(sealed["salt"])

    def _is_settled(self, request: RequestInHand) -> bool:
        """Take what is due for a challenge: a bond that is free, a reward; whether nothing is left."""
        if request.id not in self._challenged.requests():
            return True
        oracle, of = self._book.oracle, request.terms.id
        wrong = request.answer.signed & request.answer.committed
        waits = []
        if oracle.challenged_at(of, challenger=self._account) is not None:
            # Another's challenge came first: the bond comes back.
            release = oracle.release_challenge
            waits.append(self._put(f"release/{request.id}", lambda: release(of, challenger=self._account)))
        if request.answer.is_overturned and wrong:
            # Who answered wrongly will not come for its loss, and the reward is a part of that.
            waits.append(self._put(f"collect/{request.id}", lambda: oracle.collect(of, seats=wrong)))
        return not any(waits)
