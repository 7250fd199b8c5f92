"""Rounds of a node that serves: it asks the other members for their lines every so often, and ends when it is told to.

A round reads beside the process that writes. What comes is kept at once, or waits for that process in ``given/``; what
comes after the end is asked for again by whoever starts next. So nothing is lost wherever it is stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tallystick.errors import LockedError, QuorumError, TallystickError

from ._gathering import Gathered, gather_beside

if TYPE_CHECKING:
    from ._node import Node

__all__ = ["Rounds"]

STOP_S: Final = 5.0  # that a round on its way has; what it brings later is not kept
SLOWEST: Final = 8  # times the usual pause, after rounds that failed


class Rounds:
    """Asks by the settings of a workspace, in a thread of its own.

    Args:
        node: open for reading; the rounds read by one of their own.
        anchors: whether a head that is due, and has the cosignatures that it needs, is anchored too.
        told: is given each round's outcome, from the rounds' thread; it must not raise.
        every_s: seconds between rounds; as the settings say when None.
    """

    def __init__(
        self,
        node: Node,
        *,
        anchors: bool = False,
        told: Callable[[Gathered | TallystickError], object] = lambda _outcome: None,
        every_s: float | None = None,
    ) -> None:
        self._node, self._anchors, self._told = node, anchors, told
        self._every_s = float(node.settings.witnesses.every_seconds) if every_s is None else every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness-rounds", daemon=True)
        self.last: Gathered | None = None

    def start(self) -> None:
        """Begin; the first round is at once."""
        self._thread.start()

    def stop(self) -> None:
        """End: no new round, and what is on its way has a few seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            outcome: Gathered | TallystickError
            try:
                outcome = self.last = self._round()
                pause_s = self._every_s
            except TallystickError as error:
                outcome = error
                pause_s = min(max(2 * pause_s, self._every_s), SLOWEST * self._every_s)
            if not self._stopping.is_set():
                self._told(outcome)

    def _round(self) -> Gathered:
        reader = self._node.beside(read_only=True)
        try:
            found = gather_beside(
                reader, lambda: self._node.beside(read_only=False), is_stopping=self._stopping.is_set
            )
            has_chain = reader.settings.chain is not None and bool(reader.settings.chain.anchors)
            if not (self._anchors and has_chain) or found.has_writer or self._stopping.is_set():
                return found
            return self._anchored(reader, found)
        finally:
            reader.close()

    def _anchored(self, reader: Node, found: Gathered) -> Gathered:
        if not reader.anchor_due():
            return found
        try:
            # The witnesses were asked before, while nobody was kept from writing.
            with self._node.beside(read_only=False) as writer:
                writer.anchor(ask=False)
        except LockedError:
            return replace(found, has_writer=True)
        except QuorumError:
            return found  # it says how much waits, and for whom
        return found
