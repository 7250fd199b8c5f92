"""Snapshots of a live shadow, so that a start need not read the whole journal again.

They are the engine's own files (encrypted, bound to the journal's size and root), in a directory for each present scorer.
The journal alone is the truth: whatever does not fit or cannot be read is passed over, and costs a longer start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from tallystick.apps.fraud.deciding import Remembered, Snapshot, Snapshots, has_terms_of
from tallystick.apps.fraud.features import FeatureSource
from tallystick.errors import StorageError, TallystickError
from tallystick.proof import Party, Secret

from ._restoring import State
from ._stating import Reading, Recorder

__all__ = ["Bank", "LiveKeeping"]

_HEAD: Final = 8  # bytes of a length


class Journal(Reading, Protocol):
    """A journal to read, and to bind snapshots to."""

    def root(self, size: int | None = None) -> bytes: ...


class Bank(Recorder, Protocol):
    """Where observations are stated; a `Node` open for writing is one."""

    @property
    def journal(self) -> Journal: ...
    @property
    def party(self) -> Party: ...


class LiveKeeping:
    """Reads and writes the snapshots of one present scorer; the worker that states calls it.

    Args:
        directory: where the snapshots of all scorers stand.
        storage: the party's storage secret.
        scorer: hash of the present scorer.
        journal: what they cover.
        every: statements after which one is due.
    """

    def __init__(
        self, directory: Path, storage: Secret, *, scorer: str, journal: Journal, every: int
    ) -> None:
        self._snapshots = Snapshots(directory / scorer[:16], storage)
        self._journal, self._every = journal, every
        self._since = 0
        self._writing: threading.Thread | None = None

    def newest(self, features: FeatureSource, *, remember: int) -> tuple[State, int] | None:
        """Return the newest state that fits, and how many entries it covers; None when there is none.

        Args:
            features: windows of the terms that are wanted; a snapshot of others is passed over.
            remember: see `Remembered`.
        """
        parse = getattr(features, "parse_state", None)
        found, _thrown = self._snapshots.newest(self._fits)
        if parse is None or found is None:
            return None
        try:
            made = parse(found.features)
            if not has_terms_of(made, features):
                return None
            size = int.from_bytes(found.remembered[:_HEAD], "big")
            payments = Remembered.parse_state(found.remembered[_HEAD : _HEAD + size], remember)
            labels = Remembered.parse_state(found.remembered[_HEAD + size :], remember)
        except (TallystickError, ValueError, IndexError, KeyError):
            return None
        return State(made, payments, labels), found.position

    def owe(self, changes: int) -> None:
        """Count what had to be read from the journal: the next start should not have to."""
        self._since += changes

    def count(self, changes: int, state: State) -> None:
        """Count what was stated, and write a snapshot when one is due; state and journal must be one."""
        self._since += changes
        if self._since < self._every or (self._writing is not None and self._writing.is_alive()):
            return
        captured = self._capture(state)
        self._since = 0
        if captured is not None:
            self._writing = threading.Thread(
                target=self._write, args=(captured,), name="shadow-snapshot", daemon=True
            )
            self._writing.start()

    def close(self, state: State, *, whole: bool) -> None:
        """Wait for what is being written, and write a last one when state and journal are one.

        Args:
            state: as it stands.
            whole: nothing failed.
        """
        if self._writing is not None:
            self._writing.join()
        captured = self._capture(state) if whole and self._since else None
        if captured is not None:
            self._write(captured)

    def _fits(self, snapshot: Snapshot) -> bool:
        return (
            0 < snapshot.position <= self._journal.size
            and self._journal.root(snapshot.position) == snapshot.root
        )

    def _capture(self, state: State) -> Callable[[], Snapshot] | None:
        """Hold the state fast; a copy is quick, writing it down is not and can wait for the other thread."""
        features: Any = state.features
        if not hasattr(features, "format_state"):
            return None
        position = self._journal.size
        try:
            root = self._journal.root(position)
        except TallystickError:
            return None
        held = features.copy() if hasattr(features, "copy") else None
        written = b"" if held is not None else features.format_state()
        payments, labels = state.payments.format_state(), state.labels.format_state()
        remembered = len(payments).to_bytes(_HEAD, "big") + payments + labels
        return lambda: Snapshot(position, root, written if held is None else held.format_state(), remembered)

    def _write(self, captured: Callable[[], Snapshot]) -> None:
        try:
            self._snapshots.write(captured())
        except (OSError, StorageError):
            # The journal holds everything: without a snapshot a start takes longer, no more.
            return
