"""Shadow mode, live: each decision of the present scorer is stated as it is made, once, and ours is scored beside it.

Order is one: first come, first taken by the windows, first written. Whoever comes while a batch is being written waits
for the next one, so the wait for the disk is shared. Nobody hears of an observation before its statement is durable; a
crash at any moment loses none that was acknowledged, and whoever brings it again gets the statement that stands.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tallystick.apps.fraud.deciding import payment_key
from tallystick.apps.fraud.features import FeatureSource
from tallystick.apps.fraud.payments import CURRENCIES, Payment
from tallystick.errors import (
    ConfigurationError,
    ConflictError,
    DefectError,
    DisclosureError,
    NotFoundError,
    OverloadedError,
    PaymentError,
    RateLimitError,
    StorageError,
    TallystickError,
)
from tallystick.models import IntegerModel
from tallystick.proof import Clock, Draft, Entry, system_clock

from ._comparison import Comparison
from ._live_keeping import Bank, LiveKeeping
from ._live_labels import LabelAsk, Labelling
from ._live_settings import LiveSettings, LiveStats
from ._present import AskedScorer, Said, SaidScorer
from ._restoring import restore
from ._stated import compare_stated
from ._stating import Observed, Ours, draft_of, observed_of, sealed_of

__all__ = ["LiveShadow"]

DEFAULTS: Final = LiveSettings()
MAX_SCORE: Final = 1e15
MAX_SOURCE: Final = 64
_SECOND: Final = 1_000_000


@dataclass(slots=True, eq=False)
class _Ask:
    """An observation that waits to be stated."""

    payment: Payment
    said: Said | None  # None until a scorer behind HTTP has answered
    key: bytes
    received: int
    future: Future[Observed]
    followers: list[Future[Observed]] = field(default_factory=list)


class LiveShadow:
    """States what the present scorer decides, as it decides, and scores beside it. Safe to call from many threads.

    Args:
        node: open for writing; closed by whoever opened it, after `close`.
        present: a `SaidScorer`, whose decisions are brought; or an `AskedScorer`, that is asked.
        model: ours.
        features: the windows, as they stand before the journal's first observation; taken over.
        published: statement that published the present scorer's description; linked when given.
        beside: statement that published our model; linked when given.
        clock: microseconds since the epoch.
        settings: sizes and bounds.
        directory: where snapshots are kept, for a quick start; none when None.

    Raises:
        DamagedError: an observation in the journal cannot be read.
        DataError: our model reads a column that is not among the features.
    """

    def __init__(
        self,
        node: Bank,
        *,
        present: SaidScorer | AskedScorer,
        model: IntegerModel,
        features: FeatureSource,
        published: str = "",
        beside: str = "",
        clock: Clock = system_clock,
        settings: LiveSettings = DEFAULTS,
        directory: Path | None = None,
    ) -> None:
        self._ours = Ours(model, features.names)
        self._node, self._journal, self.present = node, node.journal, present
        self._links = {
            label: [statement] for label, statement in (("model", published), ("beside", beside)) if statement
        }
        self._clock, self._settings = clock, settings
        self._ahead = settings.ahead_s * _SECOND
        self._keeping = (
            LiveKeeping(
                directory,
                node.party.secret("storage"),
                scorer=present.hash,
                journal=node.journal,
                every=settings.snapshot_every,
            )
            if directory is not None
            else None
        )
        self._state = restore(
            node.journal,
            features,
            scorer=present.hash,
            remember=settings.remember,
            ahead_us=self._ahead,
            begun=self._keeping.newest(features, remember=settings.remember) if self._keeping else None,
        )
        if self._keeping is not None:
            self._keeping.owe(self._state.taken)
        self._labelling = Labelling(
            node.journal, self._record, self._state, find=self.find, scorer=present.hash, clock=clock
        )
        self._changed = threading.Condition()
        self._waiting: deque[_Ask | LabelAsk] = deque()
        self._under_way: dict[bytes, _Ask] = {}
        self._closing = self._ended = False
        self._failure: StorageError | None = None
        self._observed = self._repeats = self._labelled = 0
        self._comparing = threading.Lock()
        self._asking = (
            ThreadPoolExecutor(settings.asking, "shadow-asks") if isinstance(present, AskedScorer) else None
        )
        self._worker = threading.Thread(target=self._work, name="shadow-states", daemon=True)
        self._worker.start()

    # -- what callers do -----------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """Hash of our model."""
        return self._ours.hash

    def submit(self, payment: Payment, said: Said | None = None) -> Future[Observed]:
        """Let an observation wait until it is durable.

        Args:
            payment: which one.
            said: what the present scorer decided; None when it is asked.

        Returns:
            Gets the observation when its statement is durable, or the error that `observe` raises.

        Raises:
            TallystickError: as `observe`, when that is known at once.
        """
        self._check(payment, said)
        said = None if said is None else _as_stated(said)
        key, future = payment_key(payment.id), Future[Observed]()
        # From here on it cannot be called back: it may be in the windows already.
        future.set_running_or_notify_cancel()
        with self._changed:
            self._refuse_when_stopped()
            index = self._state.payments.find(key)
            first = self._under_way.get(key)
            if index is None and first is None:
                self._admit(_Ask(payment, said, key, self._clock(), future))
            elif index is None and first is not None:
                if first.payment != payment or (said is not None and first.said != said):
                    raise _conflict()
                first.followers.append(future)
        if index is not None:
            future.set_result(self._again(payment, said, index))
        return future

    def observe(self, payment: Payment, said: Said | None = None) -> Observed:
        """State what the present scorer decided about a payment; durable when this returns.

        The same payment with the same words again gives the same statement; nothing is stated twice. Of a scorer that
        is asked, what it said the first time stands.

        Args:
            payment: which one; out of order it is taken as the windows take it.
            said: what the present scorer decided; None when it is asked.

        Raises:
            ConflictError: this id was used for another payment, or the scorer said something else of it before.
            OverloadedError: too many wait, or it is closing.
            PaymentError: an unknown currency, a time ahead of the clock or before what is remembered, a score that is
                not finite, or words where the scorer is asked.
            ScorerError, ScorerUnreachableError: a scorer that is asked gave no usable answer; nothing was stated.
            StorageError: it could not be recorded, so it is not acknowledged; nothing more is stated until the next
                start, which reads what is in the journal.
        """
        return self.submit(payment, said).result()

    def find(self, payment_id: str) -> Observed:
        """Return what was stated of a payment.

        Raises:
            DisclosureError: it was erased.
            NotFoundError: none such is remembered.
        """
        with self._changed:
            index = self._state.payments.find(payment_key(payment_id))
        if index is None:
            raise NotFoundError("no such payment was observed here, or it is no longer remembered")
        return self._read(index)

    def report_label(self, payment: str, fraud: bool, *, source: str, decision: str = "") -> str:
        """State what a payment turned out to be, and teach it to the windows, which use it after their delay.

        The same label again changes nothing; another one is stated and learned in its place.

        Args:
            payment: an observed payment that is remembered; may be empty when `decision` is given.
            fraud: whether it was fraud.
            source: who says so: ``chargeback``, ``customer``, or a word of one's own.
            decision: the statement that observed it, for payments of long ago.

        Returns:
            The statement's id.

        Raises:
            ConfigurationError: a source of no or too many characters.
            DisclosureError: the observation was erased.
            NotFoundError: no such payment is remembered, or the statement is no observation of this scorer.
            OverloadedError: too many wait, or it is closing.
            PaymentError: the statement is on another payment.
            StorageError: it could not be recorded.
        """
        if not 0 < len(source) <= MAX_SOURCE:
            raise ConfigurationError(f"the source of a label must have 1 to {MAX_SOURCE} characters")
        future = Future[str]()
        future.set_running_or_notify_cancel()
        with self._changed:
            self._refuse_when_stopped()
            self._make_room()
            self._waiting.append(LabelAsk(payment, fraud, source, decision, future))
            self._changed.notify_all()
        return future.result()

    def compare(self, days: int, *, genuine_after_days: int | None = None, seed: int = 0) -> Comparison:
        """Compare both scorers over what was stated in the last days; reads the journal only. See `compare_stated`.

        Raises:
            ConfigurationError: days below 1.
            RateLimitError: a comparison is being made already.
        """
        if not self._comparing.acquire(blocking=False):
            raise RateLimitError("a comparison is being made already", hint="ask again in a moment")
        try:
            return compare_stated(
                self._journal,
                scorer=self.present.hash,
                model=self._ours.hash,
                days=days,
                now=self._clock(),
                genuine_after_days=genuine_after_days,
                seed=seed,
            )
        finally:
            self._comparing.release()

    def stats(self) -> LiveStats:
        """Say how it stands."""
        with self._changed:
            return LiveStats(
                observed=self._observed,
                repeats=self._repeats,
                labels=self._labelled,
                late=getattr(self._state.features, "late_taken", 0),
                waiting=len(self._waiting),
                remembered=len(self._state.payments),
                taken=self._state.taken,
                unread=self._state.unread,
                stopped=self._failure.message if self._failure else "",
            )

    def close(self) -> None:
        """State what waits, and take nothing more."""
        with self._changed:
            self._closing = True
        if self._asking is not None:
            self._asking.shutdown(wait=True)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._worker.join()
        if self._keeping is not None:
            self._keeping.close(self._state, whole=self._failure is None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- on the callers' threads ---------------------------------------------------------------------------

    def _check(self, payment: Payment, said: Said | None) -> None:
        if (said is None) is (self._asking is None):
            raise PaymentError(
                "an observation must say what the present scorer decided: alert and score"
                if said is None
                else "the present scorer is asked here: an observation brings its payment alone"
            )
        if said is not None and not -MAX_SCORE < said.score < MAX_SCORE:
            raise PaymentError("a score must be finite, between -1e15 and 1e15")
        if payment.currency not in CURRENCIES:
            raise PaymentError(
                "a currency must be one of ISO 4217", hint="three capital letters, such as EUR"
            )
        if payment.at > self._clock() + self._ahead:
            raise PaymentError(
                f"a payment's time must not lie more than {self._settings.ahead_s} s ahead of this clock",
                hint="compare both clocks; the unit is microseconds since 1970",
            )

    def _admit(self, ask: _Ask) -> None:
        self._make_room()
        if ask.payment.at <= self._state.payments.forgotten_until:
            # It might have been stated: a second statement would be worse than none.
            raise PaymentError(
                "this payment is older than what is remembered of observed payments",
                hint="look its statement up in the journal; raise `remember` where payments come this late",
            )
        self._under_way[ask.key] = ask
        if self._asking is not None:
            self._asking.submit(self._ask, ask)
        else:
            self._waiting.append(ask)
            self._changed.notify_all()

    def _make_room(self) -> None:
        if self._closing:
            raise OverloadedError("the service is closing", hint="send it again: another one is starting")
        if max(len(self._waiting), len(self._under_way)) >= self._settings.waiting:
            raise OverloadedError(
                f"more than {self._settings.waiting} observations wait", hint="try again in a moment"
            )

    def _ask(self, ask: _Ask) -> None:
        import numpy as np

        try:
            assert isinstance(self.present, AskedScorer)
            (said,) = self.present.say([ask.payment], np.empty((1, 0)))
            if not -MAX_SCORE < said.score < MAX_SCORE:
                raise PaymentError("the scorer's score must be between -1e15 and 1e15")
            ask.said = _as_stated(said)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may be left waiting
            self._fail([ask], error)
            return
        with self._changed:
            self._waiting.append(ask)
            self._changed.notify_all()

    def _again(self, payment: Payment, said: Said | None, index: int) -> Observed:
        try:
            found = self._read(index)
        except DisclosureError as error:
            raise ConflictError("this payment was observed, and erased since") from error
        is_same = said is None or (found.alert, found.present) == (said.alert, said.score)
        if found.payment != payment or not is_same:
            raise _conflict()
        with self._changed:
            self._repeats += 1
        return found

    def _read(self, index: int) -> Observed:
        entry = self._journal.entry(index)
        sealed = sealed_of(self._journal, entry)
        if sealed is None:
            raise DisclosureError("this observation was erased")
        return observed_of(sealed, entry.id)

    def _refuse_when_stopped(self) -> None:
        if self._failure is not None:
            raise StorageError(self._failure.message, hint=self._failure.hint) from self._failure

    # -- the worker ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait()
                count = min(self._settings.batch, len(self._waiting))
                taken = [self._waiting.popleft() for _ in range(count)]
            if not taken:
                return
            # Labels and payments keep their order, so that the journal gives the same windows again.
            for _, run in groupby(taken, key=type):
                self._state_run(list(run))
            if self._keeping is not None and self._failure is None:
                try:
                    self._keeping.count(len(taken), self._state)
                except BaseException as error:  # noqa: BLE001 - the worker must go on to answer
                    self._stop(error)

    def _state_run(self, run: Sequence[_Ask | LabelAsk]) -> None:
        try:
            self._refuse_when_stopped()
            asks = [one for one in run if isinstance(one, _Ask)]
            if asks:
                self._state_payments(asks)
            else:
                stated = self._labelling.state([one for one in run if isinstance(one, LabelAsk)])
                with self._changed:
                    self._labelled += stated
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may be left waiting
            self._stop(error)
            self._fail(run, error if isinstance(error, StorageError) else self._failure or error)

    def _state_payments(self, asks: Sequence[_Ask]) -> None:
        # From here on the windows hold these payments: whatever fails now stops the service.
        scored = self._ours.score(self._state.features.take([ask.payment for ask in asks]))
        drafts, said = [], []
        for ask, ours in zip(asks, scored, strict=True):
            assert ask.said is not None
            said.append(ask.said)
            drafts.append(
                draft_of(
                    ask.payment,
                    ask.said,
                    ours,
                    scorer=self.present.hash,
                    model=self._ours.hash,
                    links=self._links,
                    received=ask.received,
                )
            )
        entries = self._record(drafts)
        with self._changed:
            # Remembered before anybody hears of it: whoever repeats it at once must find it.
            for ask, entry in zip(asks, entries, strict=True):
                self._state.payments.add(ask.key, entry.index, ask.payment.at)
                del self._under_way[ask.key]
            self._observed += len(asks)
            self._repeats += sum(len(ask.followers) for ask in asks)
        for ask, one, ours, entry in zip(asks, said, scored, entries, strict=True):
            made = Observed(ask.payment, one.score, one.alert, ours[0], entry.id)
            ask.future.set_result(made)
            for follower in ask.followers:
                follower.set_result(replace(made, repeat=True))

    def _record(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        entries = self._node.record_many(drafts)
        if len(entries) != len(drafts):
            raise DefectError(f"expected {len(drafts)} statements to be durable, got {len(entries)}")
        return entries

    def _fail(self, asks: Sequence[_Ask | LabelAsk], error: BaseException) -> None:
        with self._changed:
            # Nobody may follow these any more: whoever came after this point would wait for ever.
            for ask in asks:
                if isinstance(ask, _Ask):
                    self._under_way.pop(ask.key, None)
        for ask in asks:
            futures: list[Future[Any]] = [ask.future, *(ask.followers if isinstance(ask, _Ask) else ())]
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _stop(self, error: BaseException) -> None:
        """State nothing more: windows and journal may differ, and nobody knows what reached the disk."""
        with self._changed:
            if self._failure is None:
                why = error.message if isinstance(error, TallystickError) else type(error).__name__
                self._failure = StorageError(
                    f"observing has stopped: {why}",
                    hint=(error.hint if isinstance(error, StorageError) else "")
                    or "start it again: its state is read from the journal",
                )
                self._failure.__cause__ = error


def _as_stated(said: Said) -> Said:
    """Return what was said as its statement tells it: the score with six decimals."""
    return Said(float(f"{said.score:.6f}"), said.alert)


def _conflict() -> ConflictError:
    return ConflictError(
        "this payment id was observed with another content, or the scorer said something else of it",
        hint="every payment needs an id of its own, and is decided once",
    )
