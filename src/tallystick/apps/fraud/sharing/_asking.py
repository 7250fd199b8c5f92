"""A bank's asking side: tokens of the payees that it deals with, asked of all members, kept in memory only.

- What is kept ends with the process, or with the epoch. Nothing that links a payee to its token is ever written.
- Every answer's proof is checked before it is used; a member that answers by anything but its share is named.
- What was asked is counted when it leaves, whether or not an answer comes, and stated a batch at a time.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tallystick.errors import ConfigurationError, EncodingError, NodeUnreachableError, VerificationError
from tallystick.proof import Clock, Randomness, Signer, system_clock

from ._epochs import Epoch
from ._evaluator import STATED_EVERY, STATED_WITHIN_US, Bank
from ._exchange import MemberLink
from ._limits import Tally
from ._requests import PURPOSES, format_request, parse_answers
from ._tokens import MAX_POINTS, Blinded, blind, finish, verify_evaluation

__all__ = ["Tokens"]

KEPT: Final = 1_000_000  # tokens in memory, about 250 bytes each
Own = Callable[[Sequence[bytes]], list[bytes]]


class Tokens:
    """One bank's tokens within one epoch.

    Args:
        bank: the asker.
        epoch: the epoch.
        own: answers by the bank's own share.
        links: the ways to all other members, by party id.
        name_of: what a member is called in a message.
        kept: tokens that are kept in memory; the one that was not used for the longest time goes first.
        stated_every: points that are stated together.
        clock: microseconds.
        randomness: source of blinding factors and nonces.

    Raises:
        ConfigurationError: a member of the epoch has no link.
    """

    def __init__(
        self,
        bank: Bank,
        epoch: Epoch,
        *,
        own: Own,
        links: Mapping[str, MemberLink],
        name_of: Callable[[str], str] = str,
        kept: int = KEPT,
        stated_every: int = STATED_EVERY,
        clock: Clock = system_clock,
        randomness: Randomness = os.urandom,
    ) -> None:
        others = [party for party in epoch.members if party != bank.id]
        if any(party not in links for party in others):
            raise ConfigurationError(
                "every other member of the epoch needs a link: each token needs them all"
            )
        self.epoch = epoch
        self._bank, self._own, self._name_of = bank, own, name_of
        self._links = [links[party] for party in others]
        self._kept, self._clock, self._randomness = kept, clock, randomness
        self._signs = (bank.party, bank.party.signer("author"))
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._tally = Tally("lookup.made", points=stated_every, period=STATED_WITHIN_US)
        self._lock = threading.Lock()
        # A lock of its own: while counts are being written down, decisions go on finding tokens.
        self._counting = threading.Lock()
        self._askers = ThreadPoolExecutor(len(epoch.members), thread_name_prefix="lookup")

    def find(self, payee: str) -> bytes | None:
        """Return a token that is in memory, or None; asks nobody."""
        with self._lock:
            token = self._known.get(payee)
            if token is not None:
                self._known.move_to_end(payee)
            return token

    def ask(self, payees: Iterable[str], *, purpose: str) -> dict[str, bytes]:
        """Return payees' tokens, asking all members at once for those that are not in memory.

        Args:
            payees: any number; they are asked for in requests of at most `MAX_POINTS`.
            purpose: of `PURPOSES`.

        Raises:
            EncodingError: an unknown purpose, or a malformed answer.
            DeadlineError: the epoch is not open now.
            VerificationError: a member answered by something else than its share; it is named.
            TallystickError: a member refused, or did not answer; what came before stays in memory.
        """
        if purpose not in PURPOSES:
            raise EncodingError(f"a purpose must be one of {', '.join(PURPOSES)}")
        wanted = list(dict.fromkeys(payees))
        found = {payee: token for payee in wanted if (token := self.find(payee)) is not None}
        missing = [payee for payee in wanted if payee not in found]
        for first in range(0, len(missing), MAX_POINTS):
            found.update(self._ask(missing[first : first + MAX_POINTS], purpose))
        return found

    def settle(self) -> None:
        """State all counts that wait; call it every minute and before closing."""
        with self._counting:
            self._state()

    def close(self) -> None:
        """State what waits and forget all tokens."""
        self._askers.shutdown()
        self.settle()
        self._known.clear()

    def _ask(self, payees: Sequence[str], purpose: str) -> dict[str, bytes]:
        self.epoch.check_time(self._clock())
        for link in self._links:
            if link.is_resting:
                # Every token needs them all: the others' allowances are not spent on what cannot be finished.
                raise NodeUnreachableError(f"{self._name_of(link.party)} gave no answer a moment ago")
        blinded = [blind(payee, epoch=self.epoch.id, randomness=self._randomness) for payee in payees]
        points = [item.point for item in blinded]
        asked = [self._askers.submit(self._own, points)]
        asked += [self._askers.submit(self._ask_one, link, points, purpose) for link in self._links]
        # All are waited for before one may raise: an error must not leave a request running that nobody looks at.
        failed = [error for answer in asked if (error := answer.exception()) is not None]
        if failed:
            raise failed[0]
        return self._finished(payees, blinded, [answer.result() for answer in asked])

    def _ask_one(self, link: MemberLink, points: Sequence[bytes], purpose: str) -> list[bytes]:
        now = self._clock()
        request = format_request(
            points,
            signer=self._signer(),
            epoch=self.epoch,
            origin=link.origin,
            purpose=purpose,
            at=now,
            randomness=self._randomness,
        )
        with self._counting:
            self._tally.add(link.party, purpose, self.epoch.number, len(points), now=now)
            if self._tally.due(now):
                self._state()
        answers, proof = parse_answers(link.evaluate(request, epoch=self.epoch.number))
        try:
            verify_evaluation(
                self.epoch.commitments[link.party], points, answers, proof, context=self.epoch.id
            )
        except (EncodingError, VerificationError) as error:
            raise VerificationError(
                f"{self._name_of(link.party)} answered by something else than the share that it committed to",
                hint="keep its answer; no token can be made until it answers by its share",
            ) from error
        return answers

    def _signer(self) -> Signer:
        # Made once for a key: making it costs more than signing.
        party = self._bank.party
        if self._signs[0] is not party:
            self._signs = (party, party.signer("author"))
        return self._signs[1]

    def _finished(
        self, payees: Sequence[str], blinded: Sequence[Blinded], answers: Sequence[Sequence[bytes]]
    ) -> dict[str, bytes]:
        made = {
            payee: finish(item, [answer[place] for answer in answers], epoch=self.epoch.id)
            for place, (payee, item) in enumerate(zip(payees, blinded, strict=True))
        }
        with self._lock:
            self._known.update(made)
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return made

    def _state(self) -> None:
        drafts = self._tally.drafts("member")
        if drafts:
            self._bank.record_many(drafts)
            self._tally.clear()
