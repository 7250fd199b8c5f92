"""A member's answering side: it answers blinded points by its share, within limits, and states for whom and what for.

- What is asked must be signed by a member, for this epoch and this journal, now, with a purpose of the list.
- Each asker has an allowance; what goes beyond it is refused, and the refusal is counted too.
- Counts are exact and stated together, by minute or by number. A crash loses at most the counts that were waiting;
  the asker's own statements and those of the other members still show them, for every token needs them all.
  With ``stated_every=1`` every count is durable before its answer leaves.
- After the epoch's end nothing is answered: the share is destroyed and ``epoch.ended`` stated.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from tallystick.errors import DeadlineError, NotFoundError, VerificationError
from tallystick.proof import Clock, Draft, Entry, Journal, Party, Policy, Randomness, Receipt, system_clock

from ._epochs import Epoch, Shares
from ._group import multiply
from ._limits import SECOND, Allowances, Limits, Tally
from ._requests import format_answers, parse_request
from ._tokens import evaluate

__all__ = ["Bank", "Evaluator"]

FRESH_US: Final = 120 * SECOND  # a request is answered within this time of its own
SEEN: Final = 4096  # digests of requests after which old ones are forgotten
STATED_EVERY: Final = 1024  # points
STATED_WITHIN_US: Final = 60 * SECOND


class Bank(Protocol):
    """What this room needs of a party's node; `Node` is one."""

    party: Party
    journal: Journal

    @property
    def name(self) -> str:
        """Legal name."""
        ...

    @property
    def id(self) -> str:
        """Party id."""
        ...

    @property
    def origin(self) -> str:
        """Origin of its journal."""
        ...

    def record_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        """State several things; durable when it returns."""
        ...

    def receipt(self, id_or_index: str | int, *, disclose: Sequence[str] | None = None) -> Receipt:
        """Make a receipt, with chosen fields opened."""
        ...


class Evaluator:
    """Answers requests of other members.

    Args:
        bank: the answering member.
        shares: its shares.
        policy: who the members are.
        limits: what each asker may ask; overruled per party id by `limits_of`.
        limits_of: party id -> other limits.
        stated_every: points that are stated together.
        clock: microseconds; the one that epochs are opened by.
        randomness: source of nonces.
    """

    def __init__(
        self,
        bank: Bank,
        shares: Shares,
        *,
        policy: Policy,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        limits_of: Mapping[str, Limits] | None = None,
        stated_every: int = STATED_EVERY,
        clock: Clock = system_clock,
        randomness: Randomness = os.urandom,
    ) -> None:
        others = dict(limits_of or {})
        self._bank, self._shares, self._policy = bank, shares, policy
        self._clock, self._randomness = clock, randomness
        self._allowances = Allowances(lambda asker: others.get(asker, limits))
        self._tally = Tally("lookup.served", points=stated_every, period=STATED_WITHIN_US)
        self._epochs: dict[int, Epoch] = {}
        self._seen: dict[bytes, int] = {}  # digest of a request -> when it was answered
        self._prune_at = SEEN
        self._lock = threading.Lock()

    def serve(self, epoch: Epoch) -> None:
        """Begin to answer for an epoch that all members have opened."""
        with self._lock:
            self._epochs[epoch.number] = epoch

    def evaluate(self, request: bytes, *, epoch: int, asker: str = "") -> bytes:
        """Answer a request.

        Args:
            request: see `format_request`.
            epoch: number of the epoch that it is for.
            asker: party id of who handed it in, where that is known: nobody may hand in another's.

        Returns:
            See `format_answers`.

        Raises:
            DeadlineError: the epoch is over or has not begun, or the request is not of now.
            EncodingError: malformed, or a point that is not of the group.
            NotFoundError: this member has not opened that epoch.
            RateLimitError: more than the asker is allowed.
            VerificationError: not signed by a member for this epoch and journal, or served before.
        """
        known = self._epoch(epoch)
        asked = parse_request(request, epoch=known, origin=self._bank.origin, policy=self._policy)
        if asker and asker != asked.asker:
            raise VerificationError("a look-up must be signed by the member that hands it in")
        count = len(asked.points)
        with self._lock:
            now = self._clock()
            self._check_fresh(asked.digest, asked.at, now)
            try:
                self._allowances.take(asked.asker, count, now=now)
            except Exception:
                self._tally.add(asked.asker, asked.purpose, epoch, 0, now=now, refused=count)
                self._state_when_due(now)
                raise
        answers, proof = evaluate(
            self._shares.share(epoch), asked.points, context=known.id, randomness=self._randomness
        )
        with self._lock:
            # Counted, and stated when it is time to, before the answer leaves.
            self._tally.add(asked.asker, asked.purpose, epoch, count, now=now)
            self._state_when_due(now)
        return format_answers(answers, proof)

    def own(self, points: Sequence[bytes], *, epoch: int) -> list[bytes]:
        """Answer this bank's own points; nobody else is asked, so nothing is counted."""
        self._epoch(epoch)
        share = self._shares.share(epoch)
        return [multiply(share, point) for point in points]

    def end(self, number: int) -> None:
        """End an epoch: destroy the share, then state it; a second time does nothing."""
        with self._lock:
            self._epochs.pop(number, None)
            self._shares.destroy(number)
            self._state_ends()

    def settle(self) -> None:
        """State all counts that wait, and end what is over; call it every minute and before closing."""
        with self._lock:
            self._state()
            self._state_ends()
            over = [number for number, epoch in self._epochs.items() if self._clock() >= epoch.until]
        for number in over:
            self.end(number)

    @property
    def epochs(self) -> Collection[Epoch]:
        """The epochs that are served."""
        return tuple(self._epochs.values())

    def _epoch(self, number: int) -> Epoch:
        known = self._epochs.get(number)
        if known is None:
            self._shares.share(number)  # says that it is over, where that is why
            raise NotFoundError(
                f"epoch {number} is not open here", hint="hand in every member's epoch.opened"
            )
        now = self._clock()
        if now >= known.until:
            self.end(number)
        known.check_time(now)
        return known

    def _check_fresh(self, digest: bytes, at: int, now: int) -> None:
        if abs(now - at) > FRESH_US:
            raise DeadlineError(
                f"a look-up must be of the last {FRESH_US // SECOND} s", hint="set the clocks, then ask again"
            )
        if digest in self._seen:
            raise VerificationError("this look-up was answered before")
        if len(self._seen) >= self._prune_at:
            self._seen = {other: time for other, time in self._seen.items() if now - time <= 2 * FRESH_US}
            self._prune_at = max(SEEN, 2 * len(self._seen))
        self._seen[digest] = now

    def _state_when_due(self, now: int) -> None:
        if self._tally.due(now):
            self._state()

    def _state(self) -> None:
        drafts = self._tally.drafts("asker")
        if drafts:
            self._bank.record_many(drafts)
            self._tally.clear()

    def _state_ends(self) -> None:
        for number in self._shares.unstated:
            self._bank.record_many([Draft("epoch.ended", {"number": number})])
            self._shares.stated(number)
