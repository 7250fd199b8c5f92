"""What payments looked like when a model was made: of each of its inputs, and of its scores, counts in ten bins.

    {"version": 1, "model": "9f2c…", "columns": [{"name": "amount", "edges": [9 numbers], "counts": [10 numbers]}, …]}

Whole numbers only, of many payments together: no payment can be read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from tallystick.errors import ConfigurationError, NotFoundError, UnknownFormatError
from tallystick.proof import OsFiles, read_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BINS", "SCORE", "Reference", "count_bins"]

SCORE: Final = "score"
BINS: Final = 10
MAX_BYTES: Final = 4 * 1024 * 1024
_MAX: Final = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Reference:
    """What payments looked like.

    Args:
        model: hash of the model whose inputs they are.
        names: its inputs in order, then ``score``.
        edges: upper edges of the bins but the last, int64, shape (columns, 9).
        counts: payments in each bin, int64, shape (columns, 10).
    """

    model: str
    names: tuple[str, ...]
    edges: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls, model: str, names: Sequence[str], inputs: NDArray[np.int16], scores: NDArray[np.int64]
    ) -> Reference:
        """Learn it from payments; the edges are their deciles.

        Args:
            model: the model's hash.
            names: of the inputs.
            inputs: int16, shape (payments, inputs).
            scores: int64, shape (payments,).

        Raises:
            ConfigurationError: fewer payments than bins, or other columns than names.
        """
        import numpy as np

        if len(inputs) < BINS or inputs.shape != (len(scores), len(names)):
            raise ConfigurationError(
                f"a reference must have {BINS} payments or more, and a name for every input"
            )
        rows = np.concatenate([inputs.astype(np.int64), scores.reshape(-1, 1)], axis=1)
        steps = np.arange(1, BINS) / BINS
        edges = np.quantile(rows, steps, axis=0, method="inverted_cdf").astype(np.int64).T
        return cls(model, (*names, SCORE), edges, count_bins(edges, rows))

    def format(self) -> bytes:
        """Return it as JSON."""
        columns = [
            {"name": name, "edges": edges, "counts": counts}
            for name, edges, counts in zip(self.names, self.edges.tolist(), self.counts.tolist(), strict=True)
        ]
        return orjson.dumps({"version": 1, "model": self.model, "columns": columns})

    @classmethod
    def parse(cls, data: bytes) -> Reference:
        """Read one.

        Raises:
            ConfigurationError: it is none.
            UnknownFormatError: written by a later version.
        """
        import numpy as np

        try:
            said = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise _damaged() from None
        if not isinstance(said, dict) or type(said.get("version")) is not int:
            raise _damaged()
        if said["version"] != 1:
            raise UnknownFormatError("the reference for drift was written by a later version")
        columns = said.get("columns")
        if type(said.get("model")) is not str or not isinstance(columns, list) or not columns:
            raise _damaged()
        if not all(_is_column(one) for one in columns):
            raise _damaged()
        return cls(
            said["model"],
            tuple(one["name"] for one in columns),
            np.array([one["edges"] for one in columns], dtype=np.int64),
            np.array([one["counts"] for one in columns], dtype=np.int64),
        )

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read one from a file; raises as `parse`.

        Raises:
            NotFoundError: there is no such file.
            StorageError: it could not be read.
        """
        files = OsFiles()
        if not files.exists(path):
            raise NotFoundError(
                f"the reference for drift is missing: {path.name}",
                hint="`tallystick fraud train` writes it beside the model; without the key `reference` it is learned",
            )
        return cls.parse(read_whole(files, path, limit=MAX_BYTES))


def count_bins(edges: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count each column's values by bin.

    Args:
        edges: int64, shape (columns, 9).
        rows: int64, shape (rows, columns).

    Returns:
        int64, shape (columns, 10).
    """
    import numpy as np

    counts = np.empty((rows.shape[1], BINS), dtype=np.int64)
    for column in range(rows.shape[1]):
        places = np.searchsorted(edges[column], rows[:, column], side="left")
        counts[column] = np.bincount(places, minlength=BINS)
    return counts


def _is_column(said: Any) -> bool:
    if not isinstance(said, dict) or type(said.get("name")) is not str:
        return False
    edges, counts = said.get("edges"), said.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list):
        return False
    if len(edges) != BINS - 1 or len(counts) != BINS or edges != sorted(edges, key=_number):
        return False
    if not all(type(one) is int and -_MAX <= one <= _MAX for one in edges):
        return False
    return all(type(one) is int and 0 <= one <= 2**48 for one in counts) and sum(counts) > 0


def _number(one: object) -> int:
    return one if type(one) is int else 0


def _damaged() -> ConfigurationError:
    return ConfigurationError(
        "this is no reference for drift", hint="`tallystick fraud train` writes one beside the model"
    )
