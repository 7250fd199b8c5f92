"""Send each intent to a chain exactly once, through crashes, restarts and nodes that come and go.

* One intent per id (a statement's id): putting it again changes nothing, so an outbox can be rebuilt.
* Signed bytes and their nonce are on the disk before anything leaves. After kill -9 the same bytes leave again, and
  a chain takes the same bytes once only.
* An intent has succeeded when the *mined hash is one of its own*: that an account's nonce moved on proves nothing.
* A nonce is taken back only when a settled block shows that something else used it; as long as signed bytes could
  still be mined, their intent is never signed for a second nonce. A missing receipt alone says nothing.
* Nodes with a queue and nodes without one are served alike (`_handing`); a busy node delays only.
* Where calls can be rebuilt, one intent is on its way at a time: what is mined first turns those after it stale.
* When no node answers, the account is empty or the time is up, what waits stays and a later flush goes on.

    outbox = Outbox("outbox.db", chain, account=Account(party.secret("chain")))
    outbox.put(statement_id, anchors.anchor(...))
    for mined in outbox.flush(timeout_s=30): ...
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eth_hash.auto import keccak

from tallystick.errors import ChainError, FundsError, InputError, RevertError, SurroundingsError

from ._calls import Call
from ._connect import Chain, Fees, MinedTransaction
from ._handing import FILLER, FILLER_GAS, Handing
from ._intents import Intent, IntentStore, Variant
from ._nonces import find_use
from ._receipts import Receipts

__all__ = ["Intent", "Mined", "Outbox"]

Clock = Callable[[], int]
Rebuild = Callable[[Intent], Call | None]

MAX_ATTEMPTS = 5
POLL_S = 0.25
# signed in one go, with one write to the disk
_MOST_SIGNED = 500
# of each settled block: a node may name a block a moment before it shows the state behind it
_LOOKS = 2
# from so many on, a block's receipts are asked for together
_MANY = 4

_log = logging.getLogger(__name__)


def _now() -> int:
    return time.time_ns() // 1_000


class Signing(Protocol):
    """An account that can sign; ``Account`` is one."""

    address: str

    def sign(
        self, call: Call, *, chain_id: int, nonce: int, gas: int, max_fee: int, max_priority_fee: int
    ) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Mined:
    """An intent that happened. ``contract`` is the address that it created, or empty."""

    intent_id: str
    hash: str
    block: int
    block_hash: str
    gas_used: int
    contract: str


class Outbox:
    """The only way in which a node writes to a chain. Not for use by several threads at once.

    Args:
        path: its SQLite file, made when it is not there.
        chain: where the intents go.
        account: who signs and pays.
        rebuild: asked for a new call when an intent's own no longer fits (an anchor that another overtook);
            None from it means that the intent is not needed any more, the same call that it cannot be mended.
        clock: microseconds since the epoch.
        sleep: waits so many seconds between two looks.

    Raises:
        ChainMismatchError: the file belongs to another chain or account.
    """

    def __init__(
        self,
        path: str | Path,
        chain: Chain,
        *,
        account: Signing,
        rebuild: Rebuild | None = None,
        clock: Clock = _now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._chain = chain
        self._account = account
        self._rebuild = rebuild
        self._clock = clock
        self._sleep = sleep
        # the settled block of the last look, and how many looks it had; nonces used then
        self._looked = (-1, 0)
        self._used = 0
        # intents whose own transaction stands in a block while its receipt is not shown yet
        self._seen_in_block: set[int] = set()
        owner = f"{account.address} on chain {chain.chain_id} {chain.genesis}"
        self._store = IntentStore(Path(path), owner=owner)
        self._handing = Handing(self._store, chain, address=account.address, sign=self._sign, clock=clock)

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what waits is found again by the next outbox on it."""
        self._store.close()

    def put(self, intent_id: str, call: Call, *, gas: int | None = None) -> Intent:
        """Keep an intent until it has happened; durable when it returns, and nothing is sent yet.

        Args:
            intent_id: 1 to 200 ascii characters, unique for ever; a statement's id.
            call: what shall happen.
            gas: limit; None asks the chain when the intent is signed.

        Raises:
            InputError: the id stands for another call already.
        """
        if intent_id.startswith(FILLER):
            raise InputError(f"an intent's id must not begin with {FILLER}")
        return self._put(intent_id, call, gas=gas)

    def _put(self, intent_id: str, call: Call, *, gas: int | None) -> Intent:
        self._store.put(intent_id, call, gas=gas, at=self._clock())
        return self._store.intent(intent_id)

    def pending(self) -> list[Intent]:
        """Return what has not happened yet: first what is on its way, by nonce, then what waits."""
        return self._store.in_state("signed", "waiting")

    def failed(self) -> list[Intent]:
        """Return what the chain refused for good, with the reason."""
        return self._store.in_state("failed")

    def intent(self, intent_id: str) -> Intent:
        """Return one intent.

        Raises:
            NotFoundError: nobody put it.
        """
        return self._store.intent(intent_id)

    def retry(self, intent_id: str) -> None:
        """Let a failed intent wait again, after what made it fail was mended."""
        intent = self._store.intent(intent_id)
        if intent.state == "failed":
            self._store.release(intent, intent.call, at=self._clock(), anew=True)

    def send(
        self, intent_id: str, call: Call, *, gas: int | None = None, timeout_s: float | None = None
    ) -> Mined:
        """Put one intent, flush, and return how it was mined.

        Raises:
            RevertError: the contract refused.
            ChainError: it was refused, dropped, or is not mined in time (it is kept and goes on later).
        """
        self.put(intent_id, call, gas=gas)
        self.flush(timeout_s=timeout_s)
        intent = self._store.intent(intent_id)
        if intent.state == "mined":
            return _mined(intent)
        if intent.state == "failed":
            raise RevertError(f"the contract refused: {intent.reason}", reason=intent.reason)
        if intent.state == "dropped":
            raise ChainError(f"intent {intent_id} was dropped: {intent.reason}")
        raise ChainError(
            f"intent {intent_id} is not mined yet", hint="it is kept: the next flush goes on with it"
        )

    def flush(self, *, timeout_s: float | None = None) -> list[Mined]:
        """Sign and send what waits, and follow it until it counts by the profile's finality.

        Args:
            timeout_s: the profile's ``wait_s`` when None. What is not mined by then stays pending.

        Returns:
            What was seen mined by this call, in the order of the nonces; reverted ones are in ``failed``.

        Raises:
            ChainUnreachableError: no node answered.
            FundsError: the account cannot pay; the hint names it.
            ChainError: the node refused; everything is kept.
        """
        deadline = time.monotonic() + (self._chain.profile.wait_s if timeout_s is None else timeout_s)
        self._looked = (-1, 0)
        mined = self._settle()
        while self.pending():
            self._sign_waiting()
            try:
                self._hand_over()
            except FundsError as error:
                raise self._no_funds(error) from error
            mined |= self._settle()
            if not self.pending() or time.monotonic() >= deadline:
                break
            # a chain that seals while it is asked has nothing to wait for, as long as it gets on
            if self._store.has_signed():
                self._sleep(POLL_S)
        # an index of receipts may show a later one first
        return [mined[nonce] for nonce in sorted(mined)]

    # -- what has happened --------------------------------------------------------------------------------

    def _settle(self) -> dict[int, Mined]:
        """Write down which signed intents are mined, by nonce, and take back nonces that others used."""
        signed = self._store.in_state("signed")
        if not signed:
            return {}
        settled = self._chain.settled()
        seen, looks = self._looked
        if seen == settled and looks >= _LOOKS:
            return {}  # no block came since: nothing else can have settled
        used = self._chain.nonce(self._account.address)
        self._used = used
        receipts = Receipts(self._chain)
        done: list[tuple[Intent, dict[str, Any]]] = []
        for place, intent in enumerate(signed):
            if intent.nonce is None or intent.nonce >= used:
                continue
            receipt = self._receipt(intent, receipts, many=len(signed) - place >= _MANY)
            if receipt is None:
                self._judge_usurped(intent, settled)
            elif receipt.block <= settled and receipt.succeeded:
                done.append((intent, _columns(receipt)))
            elif receipt.block <= settled:
                self._refused(intent, receipt)
        ended = {intent.position for intent, _ in done}
        open_still = any(
            one.nonce is not None and one.nonce < used and one.position not in ended for one in signed
        )
        self._looked = (settled, 0 if open_still else (looks + 1 if seen == settled else 1))
        # one write to the disk for all of them; after a crash before it the chain tells the same again
        if done:
            self._store.finish_all(done, "mined", at=self._clock())
        for intent, _ in done:
            self._forget(intent)
        return {
            intent.nonce: _mined(self._store.intent(intent.id))
            for intent, _ in done
            if intent.nonce is not None and not intent.id.startswith(FILLER)
        }

    def _receipt(self, intent: Intent, receipts: Receipts, *, many: bool) -> MinedTransaction | None:
        # the present nonce first: what an earlier nonce met, a refusal perhaps, is older than that, whatever the
        # clock said then
        variants = self._store.variants(intent)
        for variant in sorted(variants, key=lambda found: found.nonce != intent.nonce):
            found = receipts.find(variant.hash, many=many)
            if found is not None:
                return found
        return None

    def _refused(self, intent: Intent, receipt: MinedTransaction) -> None:
        """Rebuild an intent that was mined and reverted, or write down why it failed."""
        self._forget(intent)
        reason = self._reason(intent, receipt.block)
        if not self._rebuilt(intent):
            self._store.finish(intent, "failed", at=self._clock(), reason=reason, **_columns(receipt))

    def _forget(self, intent: Intent) -> None:
        self._seen_in_block.discard(intent.position)
        self._handing.done(self._store.variants(intent))

    def _reason(self, intent: Intent, block: int) -> str:
        """Run a reverted call again on the state before its block, to hear why."""
        try:
            self._chain.call(intent.call, sender=self._account.address, block=max(block - 1, 0))
        except RevertError as error:
            return error.reason or "reverted without a reason"
        except SurroundingsError:
            pass
        return "reverted"

    def _judge_usurped(self, intent: Intent, settled: int) -> None:
        """Let an intent wait again when a settled block shows a transaction of somebody else with its nonce."""
        if intent.nonce is None or intent.position in self._seen_in_block:
            return
        use = find_use(self._chain, self._account.address, intent.nonce, settled=settled)
        if use is None:
            return
        if use.hash in {variant.hash for variant in self._store.variants(intent)}:
            self._seen_in_block.add(intent.position)
            return
        _log.warning("nonce %d of %s was used elsewhere", intent.nonce, self._account.address)
        if intent.id.startswith(FILLER):
            # there never was a gap
            self._store.finish(intent, "dropped", at=self._clock(), reason="no longer needed")
        elif not self._rebuilt(intent, or_same=True):
            reason = "its nonce was used elsewhere too often: does another program use this account?"
            self._store.finish(intent, "failed", at=self._clock(), reason=reason)

    def _rebuilt(self, intent: Intent, *, or_same: bool = False) -> bool:
        """Ask for a new call for an intent that can no longer happen as it is; whether that settled it."""
        if intent.attempts >= MAX_ATTEMPTS:
            return False
        call = intent.call if self._rebuild is None else self._rebuild(intent)
        if call is None:
            self._store.finish(intent, "dropped", at=self._clock(), reason="no longer needed")
            return True
        if call == intent.call and not or_same:
            return False
        self._store.release(intent, call, at=self._clock())
        return True

    # -- signing ------------------------------------------------------------------------------------------

    def _sign_waiting(self) -> None:
        waiting = self._store.in_state("waiting")[:_MOST_SIGNED]
        if not waiting:
            return
        chosen: list[Intent] = []
        gas: dict[int, int] = {}
        empty: FundsError | None = None
        under_way = self._store.has_signed()
        for intent in waiting:
            if self._rebuild is not None and (under_way or chosen):
                # the chain would still say that this call fits, until the one on its way turns it stale; signed
                # together, of a queue all but one are refused in each round, and the last runs out of attempts
                break
            try:
                limit = self._gas_for(intent, under_way=under_way or bool(chosen))
            except FundsError as error:
                empty = error
                break
            if limit is None:
                # a later intent may build upon this one, so the order of the outbox is kept
                break
            if limit:
                chosen.append(self._store.intent(intent.id))
                gas[intent.position] = limit
        if chosen:
            self._lease(chosen, gas)
        if empty is not None:
            raise empty

    def _gas_for(self, intent: Intent, *, under_way: bool) -> int | None:
        """Return the gas limit; 0 when the intent ended here, None when it has to wait for those before it."""
        for _ in range(MAX_ATTEMPTS + 1):
            if intent.gas is not None:
                return intent.gas
            try:
                asked = self._chain.estimate_gas(intent.call, sender=self._account.address)
                # state may change before the transaction runs; what is not used is not paid
                return asked + asked // 4
            except FundsError as error:
                raise self._no_funds(error) from error
            except RevertError as error:
                if under_way:
                    return None
                if not self._rebuilt(intent):
                    reason = error.reason or "reverted without a reason"
                    self._store.finish(intent, "failed", at=self._clock(), reason=reason)
                    return 0
                intent = self._store.intent(intent.id)
                if intent.state != "waiting":
                    return 0
        return None

    def _lease(self, intents: list[Intent], gas: dict[int, int], *, exactly: int | None = None) -> None:
        fees = self._chain.fees()
        free = self._chain.nonce(self._account.address, "pending") if exactly is None else exactly
        self._store.lease(
            intents,
            chain_nonce=free,
            sign=lambda intent, nonce: self._sign(intent.call, nonce, gas[intent.position], fees),
            exactly=exactly is not None,
        )

    def _sign(self, call: Call, nonce: int, gas: int, fees: Fees) -> Variant:
        raw = self._account.sign(
            call,
            chain_id=self._chain.chain_id,
            nonce=nonce,
            gas=gas,
            max_fee=fees.max_fee,
            max_priority_fee=fees.tip,
        )
        return Variant(
            hash="0x" + keccak(raw).hex(),
            nonce=nonce,
            raw=raw,
            gas=gas,
            max_fee=fees.max_fee,
            tip=fees.tip,
            made_at=self._clock(),
        )

    # -- sending ------------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Give the chain what it may not have yet, and close a gap that is believed."""
        for nonce in self._handing.missing(self._store.in_state("signed"), used=self._used):
            _log.warning("closing a gap at nonce %d of %s", nonce, self._account.address)
            call = Call(to=self._account.address, data=b"")
            filler = self._put(f"{FILLER}{nonce}/{self._clock()}", call, gas=FILLER_GAS)
            self._lease([filler], {filler.position: FILLER_GAS}, exactly=nonce)
        self._handing.hand_over(self._store.in_state("signed"))

    def _no_funds(self, error: FundsError) -> FundsError:
        way = "tallystick_fund or Chain.fund" if self._chain.is_local else "send coins to it"
        return FundsError(
            error.message, hint=f"account {self._account.address} cannot pay: {way}; what waits is kept"
        )


def _columns(receipt: MinedTransaction) -> dict[str, Any]:
    return {
        "hash": receipt.hash,
        "block": receipt.block,
        "block_hash": receipt.block_hash,
        "gas_used": receipt.gas_used,
        "contract": receipt.contract,
    }


def _mined(intent: Intent) -> Mined:
    return Mined(
        intent_id=intent.id,
        hash=intent.hash,
        block=intent.block,
        block_hash=intent.block_hash,
        gas_used=intent.gas_used,
        contract=intent.contract,
    )
