"""Drift: whether payments still look like those that the model was made for.

The population stability index of one feature compares shares in ten bins, whose edges are the deciles of the
reference: ``sum((now - then) * ln(now / then))``. Rules of thumb: below 0.1 nothing, above 0.25 a person should look.
Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006), chapter 9.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tallystick.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SCORE", "Drift"]

SCORE: Final = "score"
BINS: Final = 10
BLOCK: Final = 1_024  # decisions that are folded in together
BLOCKS: Final = 10  # of them that make up "now"
FLOOR: Final = 1e-4  # least share of a bin, so that an empty one gives a number
BREACH: Final = 0.25


class Drift:
    """Watches the champion's inputs and scores; one thread feeds it.

    Args:
        names: the inputs, in order.
        reference: inputs and scores of the rows that the model was made with, int16 (rows, inputs) and int64 (rows,);
            the first `learn_from` decisions when None.
        learn_from: decisions that make up a reference of one's own.
        breach: index from which a person should look.
        on_breach: called once with name and index when one rises above `breach`; again after it was below.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        reference: tuple[NDArray[np.int16], NDArray[np.int64]] | None = None,
        learn_from: int = BLOCKS * BLOCK,
        breach: float = BREACH,
        on_breach: Callable[[str, float], None] = lambda _name, _index: None,
    ) -> None:
        self.names = (*names, SCORE)
        self._breach, self._on_breach, self._learn_from = breach, on_breach, learn_from
        self._edges: NDArray[np.float64] | None = None
        self._then: NDArray[np.float64] | None = None
        self._blocks: deque[NDArray[np.int64]] = deque(maxlen=BLOCKS)
        self._waiting: list[tuple[NDArray[np.int16], NDArray[np.int64]]] = []
        self._count = 0
        self._found: dict[str, float] = {}
        self._breached: set[str] = set()
        if reference is not None:
            if len(reference[0]) < BINS:
                raise ConfigurationError(f"a reference must have at least {BINS} rows")
            self._learn(_joined(*reference))

    @property
    def ready(self) -> bool:
        """Whether there is a reference."""
        return self._edges is not None

    def indexes(self) -> Mapping[str, float]:
        """Return name -> index as of the last block; empty before there is one."""
        return dict(self._found)

    def see(self, inputs: NDArray[np.int16], scores: NDArray[np.int64]) -> None:
        """Take a batch up; what is costly happens once in `BLOCK` decisions."""
        self._waiting.append((inputs, scores))
        self._count += len(inputs)
        if self._count < (BLOCK if self.ready else self._learn_from):
            return
        import numpy as np

        rows = _joined(*map(np.concatenate, zip(*self._waiting, strict=True)))
        self._waiting, self._count = [], 0
        if not self.ready:
            self._learn(rows)
        else:
            self._fold(rows)

    def _learn(self, rows: NDArray[np.float64]) -> None:
        import numpy as np

        steps = np.arange(1, BINS) / BINS
        self._edges = np.quantile(rows, steps, axis=0, method="inverted_cdf")
        counts = self._counts(rows)
        self._then = np.maximum(counts / counts.sum(axis=1, keepdims=True), FLOOR)

    def _fold(self, rows: NDArray[np.float64]) -> None:
        import numpy as np

        assert self._then is not None
        self._blocks.append(self._counts(rows))
        counts = np.sum(self._blocks, axis=0)
        now = np.maximum(counts / counts.sum(axis=1, keepdims=True), FLOOR)
        indexes = ((now - self._then) * np.log(now / self._then)).sum(axis=1)
        self._found = dict(zip(self.names, indexes.tolist(), strict=True))
        over = {name for name, index in self._found.items() if index >= self._breach}
        fresh, self._breached = sorted(over - self._breached), over
        for name in fresh:
            self._on_breach(name, self._found[name])

    def _counts(self, rows: NDArray[np.float64]) -> NDArray[np.int64]:
        """Count each column's values by bin; int64, shape (columns, bins)."""
        import numpy as np

        assert self._edges is not None
        counts = np.empty((rows.shape[1], BINS), dtype=np.int64)
        for column in range(rows.shape[1]):
            places = np.searchsorted(self._edges[:, column], rows[:, column], side="left")
            counts[column] = np.bincount(places, minlength=BINS)
        return counts


def _joined(inputs: NDArray[np.int16], scores: NDArray[np.int64]) -> NDArray[np.float64]:
    import numpy as np

    return np.concatenate([inputs.astype(np.float64), scores.reshape(-1, 1).astype(np.float64)], axis=1)
