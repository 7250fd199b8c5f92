"""When a snapshot is taken, and who writes it: the state is held fast on the deciding worker, the rest happens apart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tallystick.errors import StorageError

from ._batches import Admission
from ._restoring import Records, State
from ._snapshots import Snapshot, Snapshots

__all__ = ["Keeping"]


class Keeping:
    """Writes snapshots of one engine's state; the deciding worker calls it.

    Args:
        snapshots: where they go; nothing is written when None.
        state: whose they are.
        journal: what they cover.
        admission: guards the memory of decided payments.
        every: changes after which one is due; 0 for none before the end.
        flush: returns when nothing is on its way to the journal.
    """

    def __init__(
        self,
        snapshots: Snapshots | None,
        state: State,
        journal: Records,
        admission: Admission,
        *,
        every: int,
        flush: Callable[[], None],
    ) -> None:
        self._snapshots, self._state, self._journal, self._admission = snapshots, state, journal, admission
        self._every, self._flush = every, flush
        self._since = 0
        self._writing: threading.Thread | None = None

    def count(self, changes: int) -> None:
        """Count changes of the state."""
        self._since += changes

    def keep_when_due(self) -> None:
        """Take a snapshot when one is due; the state must hold nothing that is not handed to the journal."""
        if self._snapshots is None or not self._every or self._since < self._every:
            return
        if self._writing is not None and self._writing.is_alive():
            return
        self._flush()
        self._since = 0
        captured = self._capture()
        self._writing = threading.Thread(
            target=self._write, args=(captured,), name="payments-snapshot", daemon=True
        )
        self._writing.start()

    def close(self, *, whole: bool) -> None:
        """Wait for what is being written; write a last snapshot when state and journal are one.

        Args:
            whole: nothing failed, and nothing is on its way.
        """
        if self._writing is not None:
            self._writing.join()
        if self._snapshots is not None and whole and self._since:
            self._write(self._capture())
            self._since = 0

    def discard(self) -> int:
        """Delete all snapshots; returns how many there were."""
        return 0 if self._snapshots is None else self._snapshots.discard()

    def _capture(self) -> Callable[[], Snapshot]:
        """Hold the state fast; only when nothing is on its way, so that it is that of the journal's size."""
        position = self._journal.size
        root = self._journal.root(position)
        features: Any = self._state.features
        # A copy is quick, writing it down is not: that can wait for the other thread.
        held = features.copy() if hasattr(features, "copy") else None
        written = b"" if held is not None else features.format_state()
        with self._admission.lock:
            remembered = self._state.remembered.copy()

        def formatted() -> Snapshot:
            state = written if held is None else held.format_state()
            return Snapshot(position, root, state, remembered.format_state())

        return formatted

    def _write(self, captured: Callable[[], Snapshot]) -> None:
        assert self._snapshots is not None
        try:
            snapshot = captured()
            self._snapshots.write(snapshot)
            self._state.snapshot = snapshot.position
        except (OSError, StorageError):
            # The journal holds everything: without a snapshot a restart takes longer, no more.
            return
