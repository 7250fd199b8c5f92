"""A site of a federated run: it holds its rows and lets only masked sums out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import DataError, MissingExtraError
from tallystick.learning._pairs import PairMasks
from tallystick.learning._scaling import totals
from tallystick.learning._vectors import format_vector, masked
from tallystick.models import FRACTION_BITS, ONE, Column, Feature, Table, parse_parameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

Randomness = Callable[[int], bytes]
LARGEST_LANE: Final = 2.0**50  # of a site's plain update: 4,096 such sites still fit into 64 bits


@dataclass(frozen=True, slots=True)
class Settings:
    """How a site trains within a round.

    Args:
        local_steps: full gradient steps per round, >= 1.
        penalty: weight of half the squared weights beside the mean log loss, >= 0; spares the intercept.
    """

    local_steps: int = 5
    penalty: float = 0.01

    def __post_init__(self) -> None:
        if self.local_steps < 1 or not 0 <= self.penalty < 1000:
            raise DataError("local steps must be >= 1 and the penalty 0 to 1000")


class Site:
    """One party's rows, behind a wall that only masked vectors pass.

    The masks come from X25519 between every two sites, with a fresh key per run; the info of every mask binds
    run, round and the pair. What this does not do yet, and the full protocol adds: signed round keys, a second
    mask and one agreed survivor set when a site drops out, noise and clipping for privacy, and consent checked
    per record. Until then a site that stops halfway stops the run, and the sum itself may tell something.

    Args:
        name: unique among the sites of a run.
        table: this site's rows; at least one.
        randomness: where the key for the masks comes from.

    Raises:
        DataError: no rows, or no name.
    """

    def __init__(self, name: str, table: Table, *, randomness: Randomness = os.urandom) -> None:
        if not name or not len(table):
            raise DataError("a site must have a name and at least one row")
        self.name = name
        self._table = table
        self._pairs = PairMasks(name, randomness)
        self._inputs: Real | None = None

    def __repr__(self) -> str:
        return f"Site({self.name!r})"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The agreed schema of the rows; not the rows."""
        return self._table.columns

    @property
    def rows(self) -> int:
        """How many rows there are; show it to others as a bucket only."""
        return len(self._table)

    @property
    def public_key(self) -> bytes:
        """The X25519 key that peers agree masks with."""
        return self._pairs.public_key

    def meet(self, peers: Mapping[str, bytes], *, run: bytes) -> None:
        """Agree on a secret with every other site of the run.

        Args:
            peers: public keys by name; one's own may be among them.
            run: what identifies the run to all sites.

        Raises:
            DataError: a peer's key gives no secret (a point of small order), or this site has met peers before:
                the same masks over other numbers would tell the difference.
        """
        self._pairs.meet(peers, run=run)

    def totals(self, number: int) -> bytes:
        """Return the masked sums that scaling needs (see `scaling_of`)."""
        return masked(totals(self._table), self._pairs.streams(number))

    def scale(self, features: Sequence[Feature]) -> None:
        """Quantise the rows with the cohort's quantiser.

        Raises:
            MissingExtraError: numpy is not installed.
        """
        np = _numpy()
        parts = [feature.inputs_many(self._table.column(feature.name)) for feature in features]
        self._inputs = np.concatenate(parts, axis=1).astype(np.float64) / ONE

    def update(self, number: int, parameters: bytes, *, settings: Settings, rate: float) -> bytes:
        """Train from the given parameters and return the masked, row-weighted change.

        Lanes: rows times the change of every parameter (2^-24), then rows, then the summed log loss (2^-24)
        of the given parameters.

        Raises:
            DataError: the rows are not scaled yet, or training has diverged.
        """
        np = _numpy()
        if self._inputs is None:
            raise DataError("a site must be scaled before it trains")
        start = np.array(parse_parameters(parameters), dtype=np.float64) / 2**FRACTION_BITS
        design = np.column_stack([self._inputs, np.ones(self.rows)])
        targets = np.array(self._table.targets, dtype=np.float64)
        if len(start) != design.shape[1]:
            raise DataError(f"parameters must be {design.shape[1]}, got {len(start)}")
        loss = float(np.logaddexp(0, (1 - 2 * targets) * (design @ start)).sum())
        change = _trained(design, targets, start, settings, rate) - start
        lanes = np.append(change * self.rows, loss) * 2**FRACTION_BITS
        if not np.isfinite(lanes).all() or np.abs(lanes).max() > LARGEST_LANE:
            raise DataError("training has diverged", hint="use a larger penalty, or look for extreme values")
        whole = [int(value) for value in np.rint(lanes)]
        return masked(format_vector([*whole[:-1], self.rows, whole[-1]], lane=8), self._pairs.streams(number))


def _trained(design: Real, targets: Real, start: Real, settings: Settings, rate: float) -> Real:
    """Take full gradient steps on the mean log loss with its penalty."""
    np = _numpy()
    parameters: Real = start.copy()
    spared = np.append(np.full(len(start) - 1, settings.penalty), 0.0)
    for _ in range(settings.local_steps):
        probability = 0.5 * (1 + np.tanh(0.5 * (design @ parameters)))
        gradient = design.T @ (probability - targets) / len(targets) + spared * parameters
        parameters = parameters - rate * gradient
    return parameters


def _numpy() -> Any:
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise MissingExtraError("learning needs numpy", hint="pip install 'tallystick[ai]'") from error
    return np
