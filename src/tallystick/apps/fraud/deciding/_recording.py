"""The recording side: a batch becomes durable, and only then its decisions leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import InvalidStateError
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import Protocol

from tallystick.decisions import Control
from tallystick.errors import AccessDeniedError, DefectError
from tallystick.proof import Draft, Entry

from ._batches import Admission, Batch, Item
from ._decision import Decision
from ._drift import Drift
from ._judging import Verdict
from ._restoring import WITHHELD_KIND
from ._stats import Counters

__all__ = ["Audit", "Recorder", "Recording"]


class Audit(Enum):
    """Whether decisions are stated.

    OFF_FOR_MEASURING exists for the benchmark of what statements cost, and for nothing else: nothing that it answers
    can be proved, repeated or found again, and every answer says so by an empty statement.
    """

    ON = "on"
    OFF_FOR_MEASURING = "off, for measuring what statements cost"


class Recorder(Protocol):
    """Whoever makes statements durable; a `Node` does."""

    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]: ...


class Recording:
    """Makes batches durable and gives their decisions out.

    Args:
        recorder: the node.
        admission: learns what was decided.
        counters: what is counted.
        control: what counts now.
        timer: nanoseconds.
        drift: learns what was scored.
        audit: see `Audit`.
    """

    def __init__(
        self,
        recorder: Recorder,
        admission: Admission,
        counters: Counters,
        *,
        control: Callable[[], Control],
        timer: Callable[[], int],
        drift: Drift | None,
        audit: Audit,
    ) -> None:
        self._recorder, self._admission, self._counters = recorder, admission, counters
        self._control, self._timer, self._drift, self._audit = control, timer, drift, audit

    def finish(self, batch: Batch) -> None:
        """Make a batch durable and answer; whatever it raises has answered nobody.

        Raises:
            TallystickError: it is not durable, or nobody knows whether it is.
        """
        if self._audit is Audit.OFF_FOR_MEASURING:
            self._answer(batch, [("", item.received_at) for item in batch.items])
            self._admission.release(batch.items)
            return
        entries = self._recorder.record_many(batch.drafts)
        if len(entries) != len(batch.drafts):
            raise DefectError(f"expected {len(batch.drafts)} statements to be durable, got {len(entries)}")
        if self._control() != batch.control:
            self._withhold(batch, entries)
            return
        # Remembered before anybody hears of it: whoever repeats it at once must find it.
        self._admission.decided(batch.items, [entry.index for entry in entries])
        self._answer(batch, [(entry.id, time_of(entry)) for entry in entries])

    def _answer(self, batch: Batch, stated: Sequence[tuple[str, int]]) -> None:
        now = self._timer()
        model, latencies = batch.model, []
        for item, verdict, (statement, at) in zip(batch.items, batch.verdicts, stated, strict=True):
            latency = (now - item.began) // 1000
            latencies.append(latency)
            decision = _decision(item, verdict, model, statement, at, latency)
            item.future.set_result(decision)
            if item.followers:
                again = replace(decision, repeat=True)
                for follower in item.followers:
                    # One that came in a batch that could not be judged has its error already.
                    with suppress(InvalidStateError):
                        follower.set_result(again)
        actions = Counter[str](verdict.outcome.action for verdict in batch.verdicts)
        self._counters.batch(actions, latencies, now // 1_000_000_000)
        if self._drift is not None and batch.inputs is not None and batch.scores is not None:
            self._drift.see(batch.inputs, batch.scores)

    def _withhold(self, batch: Batch, entries: Sequence[Entry]) -> None:
        """Keep the answers back: what was stated stands, but nobody gets to act on it."""
        ids = [entry.id for entry in entries]
        # Until this is durable nobody hears anything either, so a crash here gives nothing out.
        self._recorder.record_many([Draft(WITHHELD_KIND, {}, {"decision": ids})])
        self._admission.withhold(batch.items)
        self._admission.decided(batch.items, [entry.index for entry in entries])
        error = AccessDeniedError(
            "a control was set while the answer was on its way",
            hint="the decision was stated and withheld: a person has to override it",
        )
        for item in batch.items:
            self._counters.refuse(error.code)
            item.fail(error)


def _decision(item: Item, verdict: Verdict, model: str, statement: str, at: int, latency: int) -> Decision:
    found = verdict.outcome
    scored = verdict.score is not None
    return Decision(
        item.payment.id,
        found.action,
        found.status,
        found.status_reason,
        verdict.reasons,
        verdict.score,
        float(verdict.probability) if scored else None,
        model if scored else "",
        verdict.rules,
        statement,
        at,
        latency,
    )


def time_of(entry: Entry) -> int:
    """Read a statement's time from its first bytes: keys are sorted, so it comes first."""
    data = entry.bytes
    return int(data[6 : data.index(b",", 6)])
