"""How an engine's state comes back: from a snapshot if one fits, and from the journal for what came since.

The journal alone is the truth. A decision's sealed payload holds its payment, and the order of decisions is the order
in which payments were taken; so taking them again in that order gives the same windows, and the same memory of what
was decided. Labels and withheld decisions come back by their statements likewise.

What was erased or disposed of cannot be read: which payments it decided, nobody can say any more. So payments of its time
are refused from then on, as forgotten ones are, instead of being decided a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tallystick.apps.fraud.features import FeatureSource
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import (
    ConfigurationError,
    DisclosureError,
    DisposedError,
    NotFoundError,
    TallystickError,
)
from tallystick.proof import Entry

from ._placing import Times, placed, placed_label
from ._remembered import Remembered, payment_key
from ._sealed import DECISION_KINDS, payment_of
from ._snapshots import Snapshot, Snapshots

__all__ = ["Records", "State", "restore"]

LABEL_KIND: Final = "label.reported"
WITHHELD_KIND: Final = "decision.withheld"
RULES_KIND: Final = "rules.stated"
DISPOSED_KIND: Final = "retention.disposed"
_KINDS: Final = (*DECISION_KINDS, LABEL_KIND, WITHHELD_KIND)
_CHUNK: Final = 512  # payments that are taken together


class Records(Protocol):
    """A journal to read."""

    @property
    def size(self) -> int: ...
    def root(self, size: int | None = None) -> bytes: ...
    def entries(
        self, start: int = 0, stop: int | None = None, *, kinds: Collection[str] | None = None
    ) -> Iterator[Entry]: ...
    def entry(self, id_or_index: str | int) -> Entry: ...
    def index(self, id_or_index: str | int) -> int: ...
    def payload(self, entry: str | int | Entry) -> bytes | dict[str, Any]: ...


@dataclass
class State:
    """What an engine knows beside its models and rules.

    Args:
        features: the windows.
        remembered: decided payments.
        withheld: keys of payments whose decision was never given out.
        labels: key -> what its last label said, and that label's statement.
        restored: in words, how it came to be.
        snapshot: what the last snapshot covers.
    """

    features: FeatureSource
    remembered: Remembered
    withheld: set[bytes] = field(default_factory=set)
    labels: dict[bytes, tuple[bool, str]] = field(default_factory=dict)
    restored: str = ""
    snapshot: int = 0


def restore(
    journal: Records,
    features: FeatureSource,
    *,
    remember: int,
    snapshots: Snapshots | None = None,
    ahead_s: int = 300,
    times: Times = "named",
) -> State:
    """Bring the state back.

    Args:
        journal: the bank's own.
        features: as they stand before the first decision of this journal; replaced when a snapshot holds them.
        remember: see `Remembered`.
        snapshots: where snapshots are; the journal alone when None.
        ahead_s: seconds that a payment's time may have lain ahead of its statement's.
        times: see `EngineSettings`; as the decisions were made with.

    Raises:
        DamagedError: a statement of the journal is not what was signed.
    """
    found, thrown = (None, 0) if snapshots is None else snapshots.newest(lambda one: _fits(one, journal))
    state = State(features, Remembered(remember))
    if found is not None:
        try:
            made = parse_features(features)(found.features)
            if not has_terms_of(made, features):
                raise ConfigurationError("this snapshot's windows are of other terms")
            state = State(made, Remembered.parse_state(found.remembered, remember), snapshot=found.position)
        except (TallystickError, ValueError, IndexError, KeyError) as _damaged:
            found, thrown = None, thrown + 1
    reading = _Reading(journal, state, ahead_us=ahead_s * 1_000_000, times=times)
    # Labels and withheld decisions are few: they are read from the beginning, the windows from the snapshot on.
    reading.rare(0, state.snapshot)
    reading.all_since(state.snapshot)
    source = f"a snapshot of {state.snapshot} entries" if found else "the journal"
    lost = f"; {thrown} snapshots were thrown away" if thrown else ""
    unread = f"; {reading.unread} payloads could not be opened" if reading.unread else ""
    gone = f"; decisions before entry {reading.gone} were disposed of" if reading.gone else ""
    state.restored = f"from {source}, {reading.taken} payments taken again{lost}{unread}{gone}"
    return state


def parse_features(features: FeatureSource) -> Callable[[bytes], FeatureSource]:
    """Return what reads a state of such features.

    Raises:
        NotFoundError: these keep their state elsewhere.
    """
    parse: Callable[[bytes], FeatureSource] | None = getattr(features, "parse_state", None)
    if parse is None:
        raise NotFoundError("these features keep their state elsewhere")
    return parse


def keeps_state(features: FeatureSource) -> bool:
    """Say whether features keep their state in this process, so that it has to be brought back."""
    return hasattr(features, "format_state")


def has_terms_of(made: FeatureSource, wanted: FeatureSource) -> bool:
    """Say whether windows that were kept count by the terms and limits that are wanted now."""
    return all(getattr(made, name, None) == getattr(wanted, name, None) for name in ("terms", "limits"))


def is_ours(entry: Entry) -> bool:
    """Say whether a decision was made by an engine: those link the rules that they were made by."""
    said = entry.statement
    return said.kind in DECISION_KINDS and "rules" in said.links


def _fits(snapshot: Snapshot, journal: Records) -> bool:
    return 0 < snapshot.position <= journal.size and journal.root(snapshot.position) == snapshot.root


class _Reading:
    """One pass over the journal."""

    def __init__(self, journal: Records, state: State, *, ahead_us: int, times: Times) -> None:
        self._journal, self._state, self._ahead_us, self._times = journal, state, ahead_us, times
        self._waiting: list[Payment] = []
        self._shared = not keeps_state(state.features)
        self.taken = self.unread = self.gone = 0

    def rare(self, start: int, stop: int) -> None:
        """Read labels and withheld decisions that a snapshot covers: who was told what."""
        for entry in self._journal.entries(start, stop, kinds=(LABEL_KIND, WITHHELD_KIND)):
            if entry.statement.kind == LABEL_KIND:
                self._label(entry, learn=False)
            else:
                self._withheld(entry)

    def all_since(self, start: int) -> None:
        """Take again what came since."""
        self._disposed(start)
        for entry in self._journal.entries(start, self._journal.size, kinds=_KINDS):
            kind = entry.statement.kind
            if kind == LABEL_KIND:
                self._take()
                self._label(entry, learn=not self._shared)
            elif kind == WITHHELD_KIND:
                self._withheld(entry)
            elif is_ours(entry):
                self._decision(entry)
        self._take()

    def _decision(self, entry: Entry) -> None:
        sealed = self._sealed(entry)
        if sealed is None:
            self._forget(entry)
            return
        payment = payment_of(sealed)
        self._state.remembered.add(payment_key(payment.id), entry.index, payment.at)
        self._waiting.append(placed(payment, sealed.get("received_at"), self._times))
        if len(self._waiting) >= _CHUNK:
            self._take()

    def _take(self) -> None:
        if self._waiting and not self._shared:
            self._state.features.take(self._waiting)
        self.taken += len(self._waiting)
        self._waiting = []

    def _label(self, entry: Entry, *, learn: bool) -> None:
        sealed = self._sealed(entry)
        if sealed is None:
            return
        key, fraud = payment_key(sealed["payment"]), sealed["fraud"]
        self._state.labels[key] = (fraud, entry.id)
        decisions = entry.statement.links.get("decision", [])
        decided = self._decided(decisions[0]) if learn and decisions else None
        if decided is not None:
            label = Label(payment_of(decided), fraud, sealed["known_at"])
            self._state.features.learn([placed_label(label, decided, self._times)])

    def _withheld(self, entry: Entry) -> None:
        for decision in entry.statement.links.get("decision", ()):
            sealed = self._decided(decision)
            if sealed is not None:
                self._state.withheld.add(payment_key(sealed["payment"]["id"]))

    def _disposed(self, start: int) -> None:
        """Forget what was disposed of behind the snapshot; what the snapshot remembers is found, and cannot be read."""
        said = [entry.statement.body for entry in self._journal.entries(kinds=(DISPOSED_KIND,))]
        stop = 1 + max((body["last"] for body in said), default=-1)
        if stop > start:
            self.gone = stop
            # The entry behind it is there: the last segment is never disposed of, and its time is after all of these.
            self._forget(self._journal.entry(stop))

    def _forget(self, entry: Entry) -> None:
        """Refuse every payment that may have been decided by an entry, or before it, and is not remembered."""
        self._state.remembered.forget(entry.statement.at + self._ahead_us)

    def _decided(self, decision: str) -> dict[str, Any] | None:
        try:
            entry = self._journal.entry(decision)
        except DisposedError:
            return None
        return self._sealed(entry)

    def _sealed(self, entry: Entry) -> dict[str, Any] | None:
        try:
            content = self._journal.payload(entry)
        except DisclosureError:
            # Erased: what she paid counts no more, and nothing of it can be said again.
            self.unread += 1
            return None
        return content if isinstance(content, dict) else None
