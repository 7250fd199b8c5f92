"""The engine: payments in, decisions out; an answer leaves only when its statement is durable.

- Fails closed: a control that refuses, a payment that cannot be used, a line that is too long or a journal that cannot
  write ends in an error and no answer. When what was taken into the windows could not be recorded, the engine stops;
  a restart rebuilds its state from the journal.
- The same payment twice gives the same decision, and one statement; the same id with another content is refused.
- A control that was set while an answer was on its way counts: the answer is kept back, and that is stated.
- One worker judges a batch while another makes the batch before it durable; callers share the wait.

    engine = Engine(node, models=detectors, features=windows, policy=policy, rules=rules, oversight=node.oversight)
    decision = engine.decide(payment)
    engine.close()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from tallystick.apps.fraud.features import FeatureSource, Signals
from tallystick.apps.fraud.payments import Payment
from tallystick.decisions import EVERY_MODEL, Control, Oversight
from tallystick.errors import (
    AccessDeniedError,
    ConfigurationError,
    NotFoundError,
    StorageError,
    TallystickError,
)
from tallystick.models import IntegerModel
from tallystick.proof import Clock, Draft, Entry, Party, system_clock

from ._batches import Admission, Batch, Item, LabelAsk, make_drafts
from ._decision import Decision
from ._detectors import Detectors
from ._drift import Drift
from ._judging import Judging
from ._keeping import Keeping
from ._labelling import Labelling
from ._line import Line
from ._placing import placed_all
from ._policy import DecisionPolicy
from ._reasons import feature_words
from ._recording import Audit, Recording
from ._replay import Replayed, replay
from ._restoring import RULES_KIND, Records, keeps_state, restore
from ._rules import PaymentRule, RuleBook
from ._settings import EngineSettings
from ._snapshots import Snapshots
from ._stats import Counters, EngineStats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Bank", "Engine"]

MAX_SOURCE: Final = 64  # characters
DRIFT_FILE: Final = "drift.json"  # what payments looked like first, where training left nothing
_SECOND: Final = 1_000_000
_USUAL: Final = EngineSettings()


class Bank(Protocol):
    """Whose payments are decided; a `Node` is one."""

    @property
    def party(self) -> Party: ...
    @property
    def journal(self) -> Records: ...
    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]: ...


class Engine:
    """Decides one bank's payments; threads may share it.

    Args:
        node: whose journal it is.
        models: champion and challenger.
        features: the windows, as they stand before this journal's first decision; brought up to date here.
        signals: what other banks let this one know.
        policy: thresholds.
        rules: written rules.
        oversight: the controls that count; none when None.
        clock: microseconds since the epoch.
        permit: statement that permits these decisions; linked.
        settings: see `EngineSettings`.
        directory: where snapshots stand; the state always comes from the journal when None.
        drift: watches inputs and scores; by default it learns from the first decisions, and keeps that in `directory`.
        timer: nanoseconds, monotonic.
        audit: leave it as it is.

    Raises:
        ConfigurationError: models, rules and features do not fit together.
        DamagedError: the journal is not what was signed.
        StorageError: the rules could not be stated.
    """

    def __init__(
        self,
        node: Bank,
        *,
        models: Detectors,
        features: FeatureSource,
        policy: DecisionPolicy,
        rules: Sequence[PaymentRule] = (),
        signals: Signals | None = None,
        oversight: Oversight | None = None,
        clock: Clock = system_clock,
        permit: str = "",
        settings: EngineSettings = _USUAL,
        directory: Path | None = None,
        drift: Drift | None = None,
        timer: Callable[[], int] = time.perf_counter_ns,
        audit: Audit = Audit.ON,
    ) -> None:
        self._node, self._journal, self._signals, self._oversight = node, node.journal, signals, oversight
        self._clock, self._timer, self._settings, self._audit = clock, timer, settings, audit
        self.book = RuleBook(tuple(rules), policy)
        names = (*features.names, *(signals.names if signals else ()))
        self._judging = Judging(models, self.book, names, feature_words())
        snapshots = _snapshots(node, directory, features)
        self._state = restore(
            self._journal,
            features,
            remember=settings.remember,
            snapshots=snapshots,
            ahead_s=settings.ahead_s,
            times=settings.times,
        )
        self._times = settings.times
        self._links = self._state_rules(permit)
        self._counters = Counters()
        self._admission = Admission(
            self._state, self._journal, ahead_s=settings.ahead_s, counters=self._counters
        )
        self._labelling = Labelling(
            node, self._state, self._admission, self._counters, clock=clock, ahead_s=settings.ahead_s,
            times=settings.times,
        )  # fmt: skip
        champion = models.champion
        if drift is None and champion is not None:
            kept = None if directory is None else directory / DRIFT_FILE
            drift = Drift.kept(champion.hash, champion.model.quantiser.names, kept)
        self._drift = drift
        self._recording = Recording(
            node,
            self._admission,
            self._counters,
            control=self._control,
            timer=timer,
            drift=self._drift,
            audit=audit,
        )
        self._failure: StorageError | None = None
        self._line: Line[Item | LabelAsk, Batch] = Line(
            self._prepare,
            self._finish,
            batch=settings.batch,
            waiting=settings.waiting,
            name="payments",
            gather_s=settings.gather_us / 1_000_000,
        )
        self._keeping = Keeping(
            snapshots,
            self._state,
            self._journal,
            self._admission,
            every=settings.snapshot_every,
            flush=self._settle,
        )

    # -- what callers do -----------------------------------------------------------------------------------

    @property
    def features(self) -> FeatureSource:
        """The windows as they stand now; only to look at."""
        return self._state.features

    @property
    def models(self) -> Detectors:
        """The models that decide."""
        return self._judging.detectors

    def submit(self, payment: Payment, *, wait: bool = False) -> Future[Decision]:
        """Let a payment wait for its decision.

        Args:
            payment: which one.
            wait: wait for room instead of refusing when too many wait.

        Returns:
            Gets the decision when its statement is durable, or the error that `decide` raises.

        Raises:
            OverloadedError: too many wait, or the engine is closing.
            StorageError: it has stopped.
        """
        self._refuse_when_stopped()
        future: Future[Decision] = Future()
        # From here on it cannot be called back: it may be in the windows already.
        future.set_running_or_notify_cancel()
        self._line.put(Item(payment, future, self._clock(), self._timer()), wait=wait)
        return future

    def decide(self, payment: Payment) -> Decision:
        """Decide a payment; its statement is durable when this returns.

        Raises:
            AccessDeniedError: a control refuses, or was set while the answer was on its way.
            ConflictError: this id was used for another payment.
            OverloadedError: too many wait, or the engine is closing.
            PaymentError: an unknown currency, a time ahead of the clock, or before what is remembered.
            StorageError: it could not be recorded, so there is no answer; the engine has stopped.
        """
        return self.submit(payment).result()

    def decide_many(self, payments: Sequence[Payment]) -> list[Decision]:
        """Decide payments in order; waits for room.

        Raises:
            TallystickError: the first that was refused; the others are decided and stated all the same.
        """
        futures = [self.submit(payment, wait=True) for payment in payments]
        for future in futures:
            future.exception()  # wait for all: none may still be on its way when this returns
        return [future.result() for future in futures]

    def find(self, payment_id: str) -> Decision | None:
        """Return the decision of a payment; None when none is remembered.

        Raises:
            AccessDeniedError: it was withheld.
            DisclosureError: it was erased.
        """
        return self._admission.find(payment_id)

    def report_label(
        self,
        payment_id: str,
        fraud: bool,
        *,
        source: str,
        known_at: int | None = None,
        decision: str = "",
    ) -> str:
        """State what a payment turned out to be, and learn it.

        The same label again changes nothing; another one is stated and learned in its place. Waits for both workers,
        so it must not be called by what a decision's future calls back.

        Args:
            payment_id: a decided payment that is remembered; may be empty when `decision` is given.
            fraud: whether it was fraud.
            source: who says so: ``case``, ``chargeback``, ``customer``, or a word of one's own.
            known_at: since when that is known, microseconds; now when None.
            decision: the statement that decided it: chargebacks come after months, when only the journal still knows.

        Returns:
            The statement's id.

        Raises:
            DisclosureError: the decision was erased.
            NotFoundError: no such payment is remembered, or no such decision.
            PaymentError: a time before the payment, or ahead of the clock, or a decision on another payment.
            StorageError: it could not be recorded.
        """
        if not 0 < len(source) <= MAX_SOURCE:
            raise ConfigurationError(f"the source of a label must have 1 to {MAX_SOURCE} characters")
        self._refuse_when_stopped()
        future: Future[str] = Future()
        future.set_running_or_notify_cancel()
        self._line.put(LabelAsk(payment_id, fraud, source, known_at, future, decision), wait=True)
        return future.result()

    def replay(self, since: int = 0, stop: int | None = None) -> Replayed:
        """Compute decisions again that these models made by these rules, and those of other models that are given.

        Args:
            since: index of the first entry of the journal.
            stop: index behind the last; all when None.

        Raises:
            NotFoundError: a decision was made by another model; see `replay`.
        """
        detectors = self._judging.detectors
        known = {one.hash: one.model for one in (detectors.champion, detectors.challenger) if one}

        def model(model_hash: str) -> IntegerModel:
            if model_hash not in known:
                raise NotFoundError("a decision was made by a model that this engine does not hold")
            return known[model_hash]

        functions = {rule.name: rule for rule in self.book.rules if rule.fires is not None}
        return replay(self._journal, model, since=since, stop=stop, functions=functions)

    def stats(self) -> EngineStats:
        """Return what there is to say now."""
        counters, detectors, mode = self._counters, self._judging.detectors, self._control().mode
        with counters.lock:
            decided, refused = dict(counters.decided), dict(counters.refused)
            latencies = counters.latencies.counts()
            p50, p99 = counters.latencies.quantile(0.5), counters.latencies.quantile(0.99)
        return EngineStats(
            decided=decided,
            repeats=counters.repeats,
            refused=refused,
            alerts=sum(decided.values()) - decided["approve"],
            rate=counters.rate(self._timer() // 1_000_000_000),
            p50_us=p50,
            p99_us=p99,
            latencies=latencies,
            backlog=len(self._line),
            mode="rules" if detectors.champion is None and mode != "refuse" else mode,
            model=detectors.champion.hash if detectors.champion else "",
            challenger=detectors.challenger.hash if detectors.challenger else "",
            rules=self.book.digest,
            missing=detectors.missing,
            late=getattr(self._state.features, "late_taken", 0),
            remembered=len(self._state.remembered),
            labels=counters.labels,
            drift=self._drift.indexes() if self._drift else {},
            restored=self._state.restored,
            snapshot=self._state.snapshot,
            stopped=self._failure.message if self._failure else "",
        )

    def close(self) -> None:
        """Decide what waits, take nothing more, and write a last snapshot."""
        self._line.close()
        self._keeping.close(whole=self._failure is None)
        if self._drift is not None:
            self._drift.settle()

    def discard_snapshots(self) -> int:
        """Delete all snapshots, as after the erasure of a person; returns how many there were."""
        return self._keeping.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the first worker ----------------------------------------------------------------------------------

    def _prepare(self, waiting: list[Item | LabelAsk]) -> Batch | None:
        items = [one for one in waiting if isinstance(one, Item)]
        try:
            self._refuse_when_stopped()
            for ask in waiting:
                if isinstance(ask, LabelAsk):
                    self._settle()  # no batch may be on its way: journal and windows keep one order
                    self._keeping.count(self._labelling.learn(ask))
            if not items:
                return None
            self._keeping.keep_when_due()
            return self._judge(items)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may be left waiting
            self._stop(error)
            self._admission.release(items)
            for one in waiting:
                one.fail(self._failure or error)
            return None

    def _judge(self, items: list[Item]) -> Batch | None:
        now, control = self._clock(), self._control()
        if control.mode == "refuse":
            refusal = AccessDeniedError(
                "no payment is decided now: a person has switched it off, or a control's time is over",
                hint="two persons can set another control",
            )
            self._refuse(items, refusal)
            return None
        fresh = self._admission.admit(items, now)
        if not fresh:
            return None
        payments = [item.payment for item in fresh]
        try:
            counted = placed_all(payments, [item.received_at for item in fresh], self._times)
            signals = None if self._signals is None else self._signals.look(counted)
        except TallystickError as error:
            # Nothing was taken yet: these payments may come again.
            self._admission.release(fresh)
            self._refuse(fresh, error)
            return None
        # From here on the windows hold these payments: whatever fails now stops the engine.
        numbers = _joined(self._state.features.take(counted), signals)
        verdicts, inputs, scores = self._judging.judge(payments, numbers, control)
        self._keeping.count(len(fresh))
        drafts = (
            []
            if self._audit is Audit.OFF_FOR_MEASURING
            else make_drafts(
                fresh,
                verdicts,
                judging=self._judging,
                links=self._links,
                control=control,
                until=self._until(now),
            )
        )
        champion = self._judging.detectors.champion
        return Batch(fresh, verdicts, drafts, control, champion.hash if champion else "", inputs, scores)

    def _refuse(self, items: Sequence[Item], error: TallystickError) -> None:
        for item in items:
            self._counters.refuse(error.code)
            item.fail(error)

    # -- the second worker ---------------------------------------------------------------------------------

    def _finish(self, batch: Batch) -> None:
        try:
            # A batch that was judged before the engine stopped must not be written after it.
            self._refuse_when_stopped()
            self._recording.finish(batch)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may be left waiting
            self._stop(error)
            # Nobody may follow these any more: whoever came after this point would wait for ever.
            self._admission.release(batch.items)
            for item in batch.items:
                item.fail(error if isinstance(error, StorageError) else self._failure or error)

    # -- state ---------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Return when nothing is on its way, and all of it went well."""
        self._line.flush()
        self._refuse_when_stopped()

    def _control(self) -> Control:
        if self._oversight is None:
            return Control()
        champion = self._judging.detectors.champion
        return self._oversight.control(champion.hash if champion else EVERY_MODEL)

    def _until(self, now: int) -> int:
        confirm_s = self._oversight.deadlines.confirm_s if self._oversight else 0
        return now + confirm_s * _SECOND

    def _stop(self, error: BaseException) -> None:
        """Decide nothing more: windows and journal may differ, and nobody knows what reached the disk."""
        if self._failure is None:
            why = error.message if isinstance(error, TallystickError) else type(error).__name__
            hint = error.hint if isinstance(error, StorageError) else ""
            self._failure = StorageError(
                f"the engine has stopped: {why}",
                hint=hint or "start it again: its state is rebuilt from the journal",
            )
            self._failure.__cause__ = error

    def _refuse_when_stopped(self) -> None:
        if self._failure is not None:
            raise StorageError(self._failure.message, hint=self._failure.hint) from self._failure

    def _state_rules(self, permit: str) -> dict[str, list[str]]:
        """State rules and policy, unless they stand in the journal already; return what decisions link."""
        links = {"permit": [permit]} if permit else {}
        if self._audit is Audit.OFF_FOR_MEASURING:
            return links
        digest = self.book.digest
        for entry in self._journal.entries(kinds=(RULES_KIND,)):
            if entry.statement.body["digest"] == digest:
                return {"rules": [entry.id], **links}
        body: dict[str, Any] = {"digest": digest, "rules": len(self.book.rules)}
        draft = Draft(RULES_KIND, body, payload=self.book.text, media="application/json")
        return {"rules": [self._node.record_many([draft])[0].id], **links}


def _snapshots(node: Bank, directory: Path | None, features: FeatureSource) -> Snapshots | None:
    if directory is None or not keeps_state(features):
        return None
    return Snapshots(directory, node.party.secret("storage"))


def _joined(features: NDArray[np.float64], signals: NDArray[np.float64] | None) -> NDArray[np.float64]:
    if signals is None:
        return features
    import numpy as np

    return np.concatenate([features, signals], axis=1)
