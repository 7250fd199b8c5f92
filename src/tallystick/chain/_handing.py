"""Hand signed transactions to a chain in the order of their nonces, whether its nodes queue them or not.

* A node without a queue takes the next nonce only, and refuses what lies ahead; a block that lands in the middle of a
  burst may set it back. It says which nonce it expects, and from there the same bytes go again.
* A nonce that the node has already passed is with the node, or used: the receipts tell later by what.
* Bytes go again after a while, because a node that restarts forgets what stands in no block.
* A gap below the lowest nonce is closed only when it is believed: seen again and again over some time at a node that
  is up to date, and never over a nonce with which something of ours was mined (such a node is behind, or the chain
  lost it: then the very same bytes go again, which a chain takes once only).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import suppress

from tallystick.errors import ChainError, ChainUnreachableError, FundsError, NonceError, RevertError

from ._calls import Call
from ._connect import Chain, Fees
from ._intents import Intent, IntentStore, Variant

__all__ = ["FILLER", "Handing"]

FILLER = "gap/"
FILLER_GAS = 30_000
MAX_VARIANTS = 12
RESEND_AFTER_S = 5
BUMP_AFTER_S = 15
# a gap is believed when it is seen this often in a row over this time: a lagging node shows one falsely
STRIKES = 3
STRUCK_FOR_S = 5

_UNDERPRICED = re.compile(
    r"underpriced|fee too low|less than block base fee|gas price too low", re.IGNORECASE
)
# so long ago that its bytes are due
_NEVER_HANDED = -(1 << 62)
# a node that says so has not taken the bytes and never will
_NEVER = re.compile(
    r"intrinsic gas|exceeds block gas limit|gas limit too high|oversized|initcode size|not supported|invalid sender",
    re.IGNORECASE,
)
# a node that says so has not taken the bytes now and may do so in a moment
_BUSY = re.compile(r"pool is full|still rechecking|considered as full|too many requests", re.IGNORECASE)
_EXPECTED = re.compile(r"expected:? (\d+)", re.IGNORECASE)

_log = logging.getLogger(__name__)

Sign = Callable[[Call, int, int, Fees], Variant]


class Handing:
    """What one process has handed to a chain for an account; a new process hands all over again.

    Args:
        store: what is signed.
        chain: where it goes.
        address: of the account.
        sign: signs a call for a nonce, with a gas limit and fees.
        clock: microseconds since the epoch.
    """

    def __init__(
        self, store: IntentStore, chain: Chain, *, address: str, sign: Sign, clock: Callable[[], int]
    ) -> None:
        self._store, self._chain, self._address = store, chain, address
        self._sign, self._clock = sign, clock
        # by a variant's hash: when it was handed over first and last
        self._handed: dict[str, tuple[int, int]] = {}
        self._gap: tuple[int, int] | None = None
        # a pool in which one nonce is one transaction takes no dearer one instead
        self._replaces = True

    def hand_over(self, signed: list[Intent]) -> None:
        """Give the chain what it may not have yet.

        Args:
            signed: ascending by nonce.

        Raises:
            ChainUnreachableError: nobody answered.
            FundsError: the account cannot pay.
            ChainError: the node refused, and not because it is busy.
        """
        if not signed:
            return
        places = {intent.nonce: place for place, intent in enumerate(signed)}
        turned_to: set[int] = set()
        place = 0
        while place < len(signed):
            expected = self._one(signed[place])
            if expected is None:
                place += 1
                continue
            if expected in turned_to or expected not in places or places[expected] >= place:
                return
            # once in a look: a node that knows the bytes and still expects them goes on with its next block
            turned_to.add(expected)
            for intent in signed[places[expected] : place]:
                self._forget(intent)
            place = places[expected]

    def _one(self, intent: Intent) -> int | None:
        """Hand one intent over; None when the next may follow, else the nonce that the node wants first."""
        variants = self._store.variants(intent)
        variant = next(v for v in variants if v.nonce == intent.nonce)
        first, last = self._handed.get(variant.hash, (None, None))
        now = self._clock()
        if first is not None and self._replaces and now - first > BUMP_AFTER_S * 1_000_000:
            variant = self._bumped(intent, variant, len(variants))
        elif first is not None and last is not None and 0 <= now - last < _patience(first, last):
            return None
        return self._send(intent, variant, len(variants))

    def _send(self, intent: Intent, variant: Variant, variants: int) -> int | None:
        nothing = -1
        try:
            self._chain.send(variant.raw)
        except (FundsError, RevertError, ChainUnreachableError):
            raise
        except NonceError as error:
            said = _EXPECTED.search(error.message)
            expected = int(said.group(1)) if said else self._chain.nonce(self._address)
            if expected <= variant.nonce:
                return expected
            # the node has passed this nonce: something waits there, ours in all likelihood, or it is used
            self._replaces = self._replaces and not said
        except ChainError as error:
            if _UNDERPRICED.search(error.message):
                bumped = self._bumped(intent, variant, variants)
                if bumped.hash != variant.hash:
                    return self._send(intent, bumped, variants + 1)
            if _BUSY.search(error.message):
                return nothing
            if not _NEVER.search(error.message):
                raise
            self._store.finish(intent, "failed", at=self._clock(), reason=error.message)
            return nothing
        now = self._clock()
        self._handed[variant.hash] = (self._handed.get(variant.hash, (now, now))[0], now)
        return None

    def _forget(self, intent: Intent) -> None:
        """Let an intent's bytes go again at once."""
        for variant in self._store.variants(intent):
            if variant.hash in self._handed:
                first, _ = self._handed[variant.hash]
                self._handed[variant.hash] = (first, _NEVER_HANDED)

    def done(self, variants: list[Variant]) -> None:
        """Forget what came to its end."""
        for variant in variants:
            self._handed.pop(variant.hash, None)

    def _bumped(self, intent: Intent, variant: Variant, variants: int) -> Variant:
        """Sign the same call and nonce again with higher fees; the old variant when the cap is reached."""
        now_asked = self._chain.fees()
        # nodes take a replacement only when both fees rise by a tenth or more
        max_fee = max(variant.max_fee * 9 // 8 + 1, now_asked.max_fee)
        tip = max(variant.tip * 9 // 8 + 1, now_asked.tip)
        if max_fee > self._chain.profile.fee_cap_wei or variants >= MAX_VARIANTS:
            _log.warning("intent %s stays at the fee cap", intent.id)
            return variant
        bumped = self._sign(intent.call, variant.nonce, variant.gas, Fees(max_fee, min(tip, max_fee)))
        self._store.add_variant(intent, bumped)
        return bumped

    # -- gaps ---------------------------------------------------------------------------------------------

    def missing(self, signed: list[Intent], *, used: int) -> list[int]:
        """Return the nonces of a believed gap below the lowest signed one; what was mined there goes again.

        Args:
            signed: ascending by nonce.
            used: nonces of the account that were seen used before.
        """
        if not signed or signed[0].nonce is None:
            return []
        lowest = signed[0].nonce
        present = used if lowest <= used else self._present()
        if lowest <= present:
            self._gap = None
            return []
        now = self._clock()
        strikes, since = self._gap or (0, now)
        self._gap = (strikes + 1, since)
        # the embedded chain cannot lag behind itself
        patient = self._chain.is_local or now - since >= STRUCK_FOR_S * 1_000_000
        if strikes + 1 < STRIKES or not patient or self._is_behind():
            return []
        self._gap = None
        kept = [self._store.mined_at(nonce) for nonce in range(present, lowest)]
        if not any(kept):
            return list(range(present, lowest))
        for variant in kept:
            if variant is not None:
                with suppress(ChainUnreachableError, ChainError):
                    self._chain.send(variant.raw)
        return []

    def _present(self) -> int:
        return max(self._chain.nonce(self._address), self._chain.nonce(self._address, "pending"))

    def _is_behind(self) -> bool:
        if self._chain.is_local:
            return False
        try:
            return self._chain.ask("eth_syncing") not in (False, None)
        except ChainUnreachableError:
            raise
        except ChainError:
            return False


def _patience(first: int, last: int) -> int:
    """Microseconds until bytes go again: each time twice as long, for a slow network gets slower by repeats."""
    return max(RESEND_AFTER_S * 1_000_000, last - first)
