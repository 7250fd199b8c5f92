"""The oracle node: it answers requests of contracts, once each, whenever it is killed and started again.

- An answer that the journal holds is the node's answer for ever: after a crash it is read from there, not computed
  again. See `Following` for the rest of what makes it safe.
- It commits to its signature on chain first, and shows it only when the contract takes no more commitments.
- Others' signatures are verified before they are used. One signer submits for all; when it does not, the next one
  does after a while. The same order holds for what ends a request.

    service = OracleNode(node, book, outbox, holdings=holdings, exchange=exchange, signer=signer, followed=followed,
                         panels=[panel.id])
    follow(service, is_stopped=stop.is_set, sleep=time.sleep)
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from tallystick.chain import recover_signer
from tallystick.errors import ConfigurationError, DisclosureError, NotFoundError, VerificationError
from tallystick.proof import Clock, system_clock

from ._exchange import Exchange, Revealed
from ._following import Following, Said
from ._holdings import Holdings
from ._oracle_terms import RequestStatus, signature_commitment
from ._oversight import Journalled
from ._progress import Followed
from ._requests import RequestBook, RequestInHand

if TYPE_CHECKING:
    from tallystick.chain import Outbox

__all__ = ["AnswerSigner", "OracleNode"]

TAKEOVER_S: Final = 30  # seconds that each signer waits for the one before it
MAX_ATTEMPTS: Final = 5  # of one call that the contract refused

_log = logging.getLogger(__name__)


class AnswerSigner(Protocol):
    """An account that signs answers; ``chain.Account`` is one."""

    @property
    def address(self) -> str: ...
    def sign_digest(self, digest: bytes) -> bytes:
        """Return r, s, v: 65 bytes, low s, the same for the same digest."""


class OracleNode(Following):
    """One signer of an oracle.

    Args:
        node: states what it answers.
        book: the contract's requests.
        outbox: of the signer's account, which needs the fees and, at L2, the bonds in coins.
        holdings: models and openings.
        exchange: where signers show their answers.
        signer: the account.
        followed: how far the chain was followed.
        panels: ids of the panels that this signer has joined. Anybody may name any account in a panel, with a bond of
            any size: requests to others are passed over.
        least_fee: wei that a signer's share of the fee must reach before this node begins to work for a request;
            anybody may ask a panel for nothing.
        clock: microseconds since the epoch.
        takeover_s: seconds that each signer waits for the one before it.
    """

    def __init__(
        self,
        node: Journalled,
        book: RequestBook,
        outbox: Outbox,
        *,
        holdings: Holdings,
        exchange: Exchange,
        signer: AnswerSigner,
        followed: Followed,
        panels: Collection[bytes],
        least_fee: int = 0,
        clock: Clock = system_clock,
        takeover_s: int = TAKEOVER_S,
    ) -> None:
        super().__init__(node, book, outbox, account=signer.address, holdings=holdings, followed=followed)
        self._exchange, self._signer, self._panels = exchange, signer, frozenset(panels)
        self._least_fee = least_fee
        self._clock, self._takeover_us = clock, takeover_s * 1_000_000
        self._given = Said(node, "answer.given")
        self._shown: set[str] = set()
        self._ready: dict[str, int] = {}  # what could be done -> when this process first saw that

    def step(self, *, wait_s: float = 0) -> int:
        """See `Following.step`."""
        unfinished = super().step(wait_s=wait_s)
        if not unfinished:
            self._ready.clear()
            self._shown.clear()
        return unfinished

    def answered(self, request: str) -> int | None:
        """Return what this node's journal says it answered; None when it did not, or that was erased."""
        try:
            sealed = self._given.of(request)
        except (DisclosureError, NotFoundError):
            return None
        return int(sealed["output"])

    def _is_done(self, request: RequestInHand) -> bool:
        signers, status = request.panel.signers, request.answer.status
        if self._account not in signers or request.terms.panel not in self._panels:
            return True
        seat = signers.index(self._account)
        if seat not in request.answer.committed and request.terms.fee // len(signers) < self._least_fee:
            return True
        if status in (RequestStatus.FINAL, RequestStatus.REFUNDED):
            return self._is_collected(request, seat)
        if status is RequestStatus.ANSWERED:
            if request.answer.is_overturned or request.is_late:
                self._end(request, "finalise")
            return False
        if request.is_late:
            return not self._is_refunding(request, seat)
        if request.may_answer:
            self._answer(request, seat)
        elif request.may_commit:
            self._commit(request, seat)
        return False

    # -- answering -------------------------------------------------------------------------------------------

    def _commit(self, request: RequestInHand, seat: int) -> None:
        output = self._state_answer(request) if seat not in request.answer.committed else None
        if output is None:
            return
        commitment = signature_commitment(self._sign(request, output))
        self._put(
            f"commit/{request.id}",
            lambda: self._book.oracle.commit(request.terms.id, seat=seat, commitment=commitment),
            attempts=MAX_ATTEMPTS,
            bond=request.panel.bond if request.terms.level == 2 else 0,
        )

    def _state_answer(self, request: RequestInHand) -> int | None:
        """Return the answer that the journal holds, after putting it there when there was none."""
        try:
            self._given.of(request.id)
        except NotFoundError:
            output = self._holdings.output(request)
            if output is None:
                return None
            self._state("answer.given", request, {"output": str(output)}, level=request.level)
        except DisclosureError:
            return None  # answered once, and erased: it is not answered a second time
        return self.answered(request.id)

    def _sign(self, request: RequestInHand, output: int) -> bytes:
        return self._signer.sign_digest(self._book.digest(request, output))

    def _answer(self, request: RequestInHand, seat: int) -> None:
        if request.terms.level == 0:
            if self._is_my_turn(request, request.panel.signers, "answer"):
                output = self._state_answer(request)
                if output is not None:
                    self._submit(request, output, {seat: self._sign(request, output)})
            return
        own = self.answered(request.id)
        if own is None or seat not in request.answer.committed:
            return
        if request.id not in self._shown:  # once in each process: showing it again changes nothing
            self._exchange.show(Revealed(request.id, own, self._account, self._sign(request, own)))
            self._shown.add(request.id)
        agreed = self._agreed(request, own)
        signers = [request.panel.signers[place] for place in agreed]
        if agreed and self._is_my_turn(request, signers, "answer"):
            self._submit(request, own, {place: one.signature for place, one in agreed.items()})

    def _submit(self, request: RequestInHand, output: int, signatures: dict[int, bytes]) -> None:
        self._put(
            f"answer/{request.id}",
            lambda: self._book.oracle.answer(request.terms.id, output=output, signatures=signatures),
            attempts=MAX_ATTEMPTS,
        )

    def _agreed(self, request: RequestInHand, own: int) -> dict[int, Revealed]:
        """Return the verified answers equal to one's own, by seat; empty when they are too few.

        What one holds to be wrong one does not submit, however many others say so.
        """
        agreed = {}
        for revealed in self._exchange.shown(request.id):
            seat = self._verified(request, revealed) if revealed.output == own else None
            if seat is not None:
                agreed[seat] = revealed
        return agreed if len(agreed) >= request.panel.need else {}

    def _verified(self, request: RequestInHand, revealed: Revealed) -> int | None:
        """Return the seat of who signed, or None when this signature would spoil the submission."""
        signers = request.panel.signers
        seat = signers.index(revealed.signer) if revealed.signer in signers else None
        if seat is None or seat not in request.answer.committed:
            return None
        try:
            signer = recover_signer(self._book.digest(request, revealed.output), revealed.signature)
            commitment = signature_commitment(revealed.signature)
        except (ConfigurationError, VerificationError) as error:
            _log.warning("request %s: a shown answer is malformed: %s", request.id[:12], error)
            return None
        if signer != revealed.signer:
            _log.warning("request %s: a shown answer is not of the signer it names", request.id[:12])
            return None
        committed = self._book.oracle.commitment_of(request.terms.id, seat=seat)
        return seat if committed == commitment else None

    # -- ending ----------------------------------------------------------------------------------------------

    def _end(self, request: RequestInHand, what: str) -> bool:
        """Send what ends a request, by turns; whether it may still happen."""
        call = getattr(self._book.oracle, what)
        if not self._is_my_turn(request, request.panel.signers, what):
            return True
        return self._put(f"{what}/{request.id}", lambda: call(request.terms.id), attempts=MAX_ATTEMPTS)

    def _is_refunding(self, request: RequestInHand, seat: int) -> bool:
        """Give the requester its fee back when one's own bond hangs on it; whether that may still happen."""
        return seat in request.answer.committed and self._end(request, "refund")

    def _is_collected(self, request: RequestInHand, seat: int) -> bool:
        """Take what is due from a request that has ended; whether nothing is left."""
        if seat not in request.answer.committed:
            return True
        call = self._book.oracle.collect
        return not self._put(f"collect/{request.id}", lambda: call(request.terms.id, seats=[seat]))

    def _is_my_turn(self, request: RequestInHand, signers: Iterable[str], what: str) -> bool:
        """Say whether this signer acts now: the first in the request's own order at once, the others later."""
        now = self._clock()
        since = self._ready.setdefault(f"{what}/{request.id}", now)
        order = sorted(signers, key=lambda signer: sha256(f"{request.id}{signer}".encode()).digest())
        place = order.index(self._account) if self._account in order else len(order)
        return now - since >= place * self._takeover_us
