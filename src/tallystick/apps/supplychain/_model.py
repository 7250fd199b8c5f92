"""The model of the cold chain: fifty trees of depth 4 on SIMULATED lots, and how good they are on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import DefectError
from tallystick.models import Column, Gate, Table, fit_trees

from ._readings import COLUMNS, FEATURES
from ._simulator import LABEL, SIMULATED, Lot, make_lots

if TYPE_CHECKING:
    from tallystick.models import IntegerModel

__all__ = ["GATE", "NAME", "Learned", "learn", "table_of"]

NAME: Final = "coldchain"
LOTS: Final = 1_200
JUDGED_BY: Final = 400  # further lots
TREES: Final = 50
DEPTH: Final = 4
# A spoiled lot that is released costs more than a good one that waits for a review: quarantine from this chance on.
CAUTION: Final = 0.3
GATE: Final = Gate.of({"auroc": "0.9", "calibration_error": "0.1"})


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned.

    Args:
        model: fifty trees.
        table: the rows it was trained on, and those that it was compared on.
        others: further lots, to judge it by.
        threshold: the least score that is quarantined.
        fidelity: how its decisions compare with those of real numbers, as plain data.
    """

    model: IntegerModel
    table: Table
    others: Table
    threshold: int
    fidelity: dict[str, Any]

    @property
    def trained_on(self) -> int:
        """How many rows the trees were grown on; the rest of the table showed what whole numbers cost."""
        return len(self.table) - int(self.fidelity["rows"])


def table_of(lots: Sequence[Lot]) -> Table:
    """Turn simulated lots into a table to learn from."""
    rows = [lot.trip.row() for lot in lots]
    return Table(
        name=NAME,
        columns=tuple(Column(name, "numeric", COLUMNS[name]) for name in FEATURES),
        rows=tuple(tuple(row[name] for name in FEATURES) for row in rows),
        sites=(SIMULATED,) * len(lots),
        targets=tuple(int(lot.is_spoiled) for lot in lots),
        target=LABEL,
        notes=(f"{SIMULATED}: made by this package, measured by nobody",),
    )


def learn(*, seed: int, lots: int = LOTS) -> Learned:
    """Simulate lots, and train on them.

    Args:
        seed: of the lots and of the training.
        lots: how many to train on.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    made = make_lots(lots + JUDGED_BY, seed=seed)
    table, others = table_of(made[:lots]), table_of(made[lots:])
    fitted = fit_trees(table, name=NAME, trees=TREES, depth=DEPTH, seed=seed)
    model, fidelity = fitted.model, fitted.fidelity
    if fidelity is None:
        raise DefectError("the trees were not compared with real numbers")
    # The least whole score whose probability is not below the bound.
    low, high = -model.largest_score, model.largest_score
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if model.probability(middle) < CAUTION else (low, middle)
    told = {
        "equal_decisions": fidelity.equal_decisions,
        "largest_logit_error": fidelity.largest_logit_error,
        "rows": fidelity.rows,
    }
    return Learned(model, table, others, low, told)
