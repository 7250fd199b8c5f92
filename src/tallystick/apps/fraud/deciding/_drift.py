"""Drift: whether payments still look like those that the model was made for.

The population stability index of one feature compares shares in ten bins, whose edges are the deciles of the
reference: ``sum((now - then) * ln(now / then))``. Rules of thumb: below 0.1 nothing, above 0.25 a person should look.
Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006), chapter 9.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tallystick.errors import ConfigurationError, NotFoundError, StorageError, UnknownFormatError
from tallystick.proof import OsFiles, write_atomically

from ._reference import SCORE, Reference, count_bins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Drift"]

BLOCK: Final = 1_024  # decisions that are folded in together
BLOCKS: Final = 10  # of them that make up "now"
FLOOR: Final = 1e-4  # least share of a bin, so that an empty one gives a number
BREACH: Final = 0.25


class Drift:
    """Watches the champion's inputs and scores; one thread feeds it, and no decision waits for what it computes.

    Args:
        model: the champion's hash.
        names: its inputs, in order.
        reference: what payments looked like when the model was made; the first `learn_from` decisions when None.
        learn_from: decisions that make up a reference of one's own.
        learned: is called once with it.
        breach: index from which a person should look.
        on_breach: called once with name and index when one rises above `breach`; again after it was below.

    Raises:
        ConfigurationError: the reference is of other inputs, or of another model.
    """

    def __init__(
        self,
        model: str,
        names: Sequence[str],
        *,
        reference: Reference | None = None,
        learn_from: int = BLOCKS * BLOCK,
        learned: Callable[[Reference], None] = lambda _reference: None,
        breach: float = BREACH,
        on_breach: Callable[[str, float], None] = lambda _name, _index: None,
    ) -> None:
        self.names = (*names, SCORE)
        if reference is not None and (reference.model, reference.names) != (model, self.names):
            raise ConfigurationError(
                "the reference for drift is of another model",
                hint="train again, or leave the key `reference` out",
            )
        self._model, self._reference, self._learned = model, reference, learned
        self._breach, self._on_breach, self._learn_from = breach, on_breach, learn_from
        self._blocks: deque[NDArray[np.int64]] = deque(maxlen=BLOCKS)
        self._waiting: list[tuple[NDArray[np.int16], NDArray[np.int64]]] = []
        self._count = 0
        self._found: dict[str, float] = {}
        self._breached: set[str] = set()
        self._work: threading.Thread | None = None

    @classmethod
    def kept(cls, model: str, names: Sequence[str], path: Path | None) -> Self:
        """Make one whose reference, once learned, is kept in a file, so that a restart does not learn another.

        Args:
            model: the champion's hash.
            names: its inputs, in order.
            path: the file; a reference of another model there is replaced. Kept nowhere when None.
        """
        if path is None:
            return cls(model, names)
        try:
            found: Reference | None = Reference.read(path)
        except (ConfigurationError, NotFoundError, StorageError, UnknownFormatError):
            found = None
        if found is not None and (found.model, found.names) != (model, (*names, SCORE)):
            found = None

        def keep(reference: Reference) -> None:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(OsFiles(), path, reference.format())
            except (OSError, StorageError):  # a restart learns another: the next one may be kept
                return

        return cls(model, names, reference=found, learned=keep)

    @property
    def ready(self) -> bool:
        """Whether there is a reference."""
        self.settle()
        return self._reference is not None

    def indexes(self) -> Mapping[str, float]:
        """Return name -> index as of the last block; empty before there is one."""
        self.settle()
        return dict(self._found)

    def see(self, inputs: NDArray[np.int16], scores: NDArray[np.int64]) -> None:
        """Take a batch up; what is costly happens once in `BLOCK` decisions, in a thread of its own."""
        self._waiting.append((inputs, scores))
        self._count += len(inputs)
        if self._count < (self._learn_from if self._reference is None else BLOCK):
            return
        self.settle()  # one after another, in order
        batches, self._waiting, self._count = self._waiting, [], 0
        self._work = threading.Thread(target=self._take, args=(batches,), name="payments-drift", daemon=True)
        self._work.start()

    def settle(self) -> None:
        """Return when all that was seen is counted; from any thread."""
        work = self._work
        if work is not None:
            work.join()

    def _take(self, batches: Sequence[tuple[NDArray[np.int16], NDArray[np.int64]]]) -> None:
        import numpy as np

        inputs, scores = map(np.concatenate, zip(*batches, strict=True))
        if self._reference is None:
            self._reference = Reference.of(self._model, self.names[:-1], inputs, scores)
            self._learned(self._reference)
        else:
            rows = np.concatenate([inputs.astype(np.int64), scores.reshape(-1, 1)], axis=1)
            self._fold(self._reference, count_bins(self._reference.edges, rows))

    def _fold(self, reference: Reference, block: NDArray[np.int64]) -> None:
        import numpy as np

        self._blocks.append(block)
        now, then = _shares(np.sum(self._blocks, axis=0)), _shares(reference.counts)
        indexes = ((now - then) * np.log(now / then)).sum(axis=1)
        self._found = dict(zip(self.names, indexes.tolist(), strict=True))
        over = {name for name, index in self._found.items() if index >= self._breach}
        fresh, self._breached = sorted(over - self._breached), over
        for name in fresh:
            self._on_breach(name, self._found[name])


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    import numpy as np

    shares: NDArray[np.float64] = np.maximum(counts / counts.sum(axis=1, keepdims=True), FLOOR)
    return shares
