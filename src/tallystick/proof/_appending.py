"""Appending to a journal from many threads: order, group commit, and when to stop.

A caller's batch gets its times and bytes under one lock, in which it also enters the queue: order in the queue is the
order of times. Then the caller waits for its turn at a second lock. Whoever gets its turn first commits everything that
is queued, with one sync for the entries and one for the checkpoint; those who come after find their batch done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tallystick.errors import StorageError
from tallystick.proof._checkpoints import Checkpoint
from tallystick.proof._drafts import (
    ClockBounds,
    Committed,
    Draft,
    check_drafts,
    check_ready,
    commit_many,
    format_drafts,
    give_times,
)
from tallystick.proof._entries import Entry
from tallystick.proof._keys import Randomness
from tallystick.proof._kinds import Kinds
from tallystick.proof._parties import Clock
from tallystick.proof._payloads import Payloads
from tallystick.proof._store import Sign, Store

COMMIT_LIMIT = 16_384  # entries that one pair of syncs makes durable

Result = TypeVar("Result")


@dataclass(slots=True)
class _Batch:
    """What one caller waits for."""

    entries: Sequence[bytes]
    sealed: Sequence[tuple[int, bytes]] = ()  # place in the batch, and what is stored
    salted: bool = False  # whether subjects' keys were used, which may be new
    first: int = -1
    leaves: list[bytes] = field(default_factory=list)
    done: bool = False


class Appending:
    """The writing side of one open journal.

    Args:
        store: brought to its head.
        sign: signs a size and a root.
        clock: microseconds since the epoch.
        bounds: how far the clock is believed.
        kinds: the kinds that may be appended.
        randomness: source of nonces.
        payloads: gives the store of payloads; it is not made before it is needed.
        last_at: time of the last statement.
        committed: called with every new head before anybody is told of it.
    """

    def __init__(
        self,
        store: Store,
        *,
        sign: Sign,
        clock: Clock,
        bounds: ClockBounds,
        kinds: Kinds,
        randomness: Randomness,
        payloads: Callable[[], Payloads],
        last_at: int,
        committed: Callable[[Checkpoint], None],
    ) -> None:
        self._store = store
        self._sign = sign
        self._clock = clock
        self._bounds = bounds
        self._kinds = kinds
        self._randomness = randomness
        self._payloads = payloads
        self._last_at = last_at
        self._committed = committed
        self._ordering = (
            threading.Lock()
        )  # guards times, queue and subject keys; taken inside `_committing` or alone
        self._committing = threading.Lock()  # guards the store's writing side
        self._queue: list[_Batch] = []
        self._failure: BaseException | None = None

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Append drafts, all or none; see `Journal.append_many`."""
        if not drafts:
            return []
        check_drafts(drafts, self._kinds)
        with self._ordering:
            self.refuse()
            times = give_times(drafts, now=self._clock(), last=self._last_at, bounds=self._bounds)
            committed = self._stopping(lambda: self._commit_payloads(drafts))
            refs, origin = committed.refs, self._store.origin
            entries = format_drafts(drafts, times=times, refs=refs, origin=origin)
            batch = _Batch(entries, committed.sealed, any(refs))
            self._queue.append(batch)
            self._last_at = times[-1]
        self._wait(batch)
        return list(map(Entry, range(batch.first, batch.first + len(drafts)), batch.entries, batch.leaves))

    def append_ready(self, entries: Sequence[bytes]) -> int:
        """Append formatted statements; see `Journal.append_ready`."""
        if not entries:
            return self._store.head.size
        with self._ordering:
            self.refuse()
            self._last_at = check_ready(entries, now=self._clock(), last=self._last_at, bounds=self._bounds)
            batch = _Batch(entries)
            self._queue.append(batch)
        self._wait(batch)
        return batch.first

    def alone(self, action: Callable[[], Result]) -> Result:
        """Run something that must not meet a commit."""
        with self._committing, self._ordering:
            self.refuse()
            return self._stopping(action)

    def _stopping(self, action: Callable[[], Result]) -> Result:
        """Run something that writes; when the disk fails under it, everything stops."""
        try:
            return action()
        except StorageError as error:
            self._failure = error
            raise

    def stop(self, reason: str, action: Callable[[], object]) -> None:
        """Refuse every later append, and run something when no commit runs any more."""
        with self._committing, self._ordering:
            if self._failure is None:
                self._failure = StorageError(reason)
            action()

    def refuse(self) -> None:
        """Refuse when this has stopped.

        Raises:
            StorageError: says why, and what to do.
        """
        if self._failure is not None:
            hint = self._failure.hint if isinstance(self._failure, StorageError) else ""
            raise StorageError(
                f"the journal has stopped: {self._failure}",
                hint=hint or "close it, look at the disk, then open it again",
            ) from self._failure

    def _commit_payloads(self, drafts: Sequence[Draft]) -> Committed:
        subjects = {
            draft.subject for draft in drafts if draft.payload is not None or draft.fields is not None
        }
        if not subjects:
            return Committed([None] * len(drafts), [])
        store = self._payloads()
        keys = {subject: store.subject(subject) for subject in subjects}
        return commit_many(drafts, keys, self._randomness(16 * len(drafts)))

    def _wait(self, batch: _Batch) -> None:
        """Return when a batch is durable: by this thread's own commit, or by that of one before it."""
        with self._committing:
            if batch.done:
                return
            self.refuse()
            with self._ordering:
                batches, self._queue = self._queue, []
            try:
                self._commit(batches)
            except BaseException as error:
                # Nobody knows what reached the disk: a second attempt could acknowledge what is not there.
                self._failure = error
                raise

    def _commit(self, batches: Sequence[_Batch]) -> None:
        first = self._store.head.size
        entries = (
            batches[0].entries if len(batches) == 1 else [one for batch in batches for one in batch.entries]
        )
        sealed, place = list[tuple[int, bytes]](), first
        for batch in batches:
            sealed += [(place + at, content) for at, content in batch.sealed]
            place += len(batch.entries)
        salted = any(batch.salted for batch in batches)
        leaves: list[bytes] = []
        for start in range(0, len(entries), COMMIT_LIMIT):
            part = entries[start : start + COMMIT_LIMIT]
            if salted:
                self._keep(sealed, first + start, first + start + len(part))
            leaves += self._store.commit(part, self._sign)
            if salted:
                self._payloads().committed(self._store.head.size)
        self._committed(self._store.head)
        start = 0
        for batch in batches:
            stop = start + len(batch.entries)
            batch.first, batch.leaves, batch.done = first + start, leaves[start:stop], True
            start = stop

    def _keep(self, sealed: Sequence[tuple[int, bytes]], first: int, stop: int) -> None:
        """Make payloads durable before the statements that commit to them: none outlives its payload's write."""
        part = [one for one in sealed if first <= one[0] < stop]
        self._payloads().keep(part, first=first, stop=stop, segment=self._store.segments.upcoming(first))
