"""Heads go to the chain behind a live shadow; a chain that is slow or dead holds no observation up."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Final, Protocol, Self

from tallystick.errors import TallystickError

__all__ = ["LiveAnchors"]

LOOK_S: Final = 1.0
WAIT_S: Final = 30.0
SLOWEST_S: Final = 60.0  # between two attempts at a chain that does not answer


class Anchorer(Protocol):
    """Whose heads they are; a `Node` is one."""

    def anchor_due(self) -> bool: ...
    def anchor(self, *, timeout_s: float) -> Any: ...


class LiveAnchors:
    """Anchors, while its block runs, whenever the workspace's settings say that it is due.

    Args:
        node: open for writing, with a chain.
        look_s: seconds between two looks.
    """

    def __init__(self, node: Anchorer, *, look_s: float = LOOK_S) -> None:
        self._node, self._look_s = node, look_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="shadow-anchors", daemon=True)
        self.error = ""
        """Code of what the last attempt failed with; empty when it did not."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(timeout=WAIT_S)

    def _keep(self) -> None:
        wait_s = self._look_s
        while not self._stopping.wait(wait_s):
            try:
                # What is on its way to the chain stands in the outbox: a crash here sends it again, never twice.
                if self._node.anchor_due():
                    self._node.anchor(timeout_s=WAIT_S)
                self.error, wait_s = "", self._look_s
            except TallystickError as error:
                self.error, wait_s = error.code, min(SLOWEST_S, wait_s * 2)
