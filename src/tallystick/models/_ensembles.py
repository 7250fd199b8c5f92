"""Trees of other libraries, grown on raw numbers, and the integer model they become.

Every tree's leaves are moved so that they lie around zero, and what was moved stands in the base: so int16 holds them
finer. The score is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tallystick.errors import ModelInputError
from tallystick.models._examples import Fitted
from tallystick.models._fidelity import Fidelity, compare
from tallystick.models._float_trees import LEAF, FloatTree, assemble_trees, logits_of
from tallystick.models._integer import MAX_LABELS, YES_OR_NO, IntegerModel
from tallystick.models._thresholds import Grid, lay_grid
from tallystick.models._trees import MAX_INPUTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ensemble:
    """Trees as a library grew them.

    Args:
        heads: the trees of each score; one head for two classes.
        bases: what each score starts from, as a logit.
        names: the features.
        single: whether numbers are compared as 32-bit floats.
        notes: what was guessed.
        softmax: whether the classes share one distribution.
    """

    heads: tuple[tuple[FloatTree, ...], ...]
    bases: tuple[float, ...]
    names: tuple[str, ...]
    single: bool = False
    notes: tuple[str, ...] = ()
    softmax: bool = False

    def logits(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the trees say of raw rows, shape (rows, heads); NaN is a gap."""
        import numpy as np

        return logits_of(self.heads, self.bases, rows.astype(np.float32) if self.single else rows)


@dataclass(frozen=True)
class Naming:
    """What a converted model and its parts are called; what is empty is guessed.

    Args:
        name: of the model.
        target: what a yes means.
        labels: of the classes, in order.
        names: of the features, in order.
    """

    name: str = "model"
    target: str = ""
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def fields(self, heads: int, classes: Sequence[object] = ()) -> dict[str, Any]:
        """Return labels, name, target and threshold of a model.

        Args:
            heads: how many scores it has.
            classes: what its library calls the classes.

        Raises:
            ModelInputError: labels that do not fit the heads.
        """
        wanted = 2 if heads == 1 else heads
        found = tuple(str(one) for one in classes)
        plain = found in ((), ("0", "1"), ("False", "True")) and wanted == 2
        labels = (
            self.labels
            or (YES_OR_NO if plain else found)
            or tuple(f"class {number}" for number in range(wanted))
        )
        if len(labels) != wanted or not 2 <= wanted <= MAX_LABELS:
            raise ModelInputError(f"expected {wanted} labels, 2 to {MAX_LABELS}, got {len(labels)}")
        target = self.target or (labels[1] if wanted == 2 else "class")
        return {"labels": labels, "name": self.name, "target": target, "threshold": 0}

    def features(self, count: int, known: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the features' names: those given, those that the library knows, or x0, x1, ...

        Raises:
            ModelInputError: another number of names, or a name twice.
        """
        names = self.names or tuple(str(one) for one in known) or tuple(f"x{place}" for place in range(count))
        if len(names) != count or len(set(names)) != count or not all(names):
            raise ModelInputError(f"expected {count} names, each once, got {len(names)}")
        return names


def raw_rows(rows: Any, width: int, *, gaps: bool = False) -> Any:
    """Check rows of raw features and return them as float64, shape (rows, width); None stays None.

    Raises:
        ModelInputError: another shape, no numbers, infinity, or NaN where `gaps` is not set.
    """
    if rows is None:
        return None
    import numpy as np

    try:
        found = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelInputError("rows must be numbers: turn categories into numbers as for training") from error
    if found.ndim != 2 or found.shape[1] != width or not len(found):
        raise ModelInputError(f"expected rows of shape (rows, {width}), got {found.shape}")
    if np.isinf(found).any() or (not gaps and np.isnan(found).any()):
        raise ModelInputError("expected rows of finite numbers, got NaN or infinity")
    return found


def convert_trees(
    grown: Ensemble, rows: Any, naming: Naming, *, classes: Sequence[object] = (), logits: Any = None
) -> Fitted:
    """Make an integer model of trees, and compare both.

    Args:
        grown: the trees.
        rows: float64 of shape (rows, features) to compare over, NaN for a gap; or None.
        naming: what things are called.
        classes: what the library calls the classes.
        logits: what the library itself says of the rows, shape (rows, heads); computed from the trees when None.

    Raises:
        ModelInputError: trees that are too deep, too many features, or rows that do not fit.
    """
    if len(grown.names) > MAX_INPUTS:
        raise ModelInputError(f"trees must have at most {MAX_INPUTS} features, got {len(grown.names)}")
    rows = raw_rows(rows, len(grown.names), gaps=True)
    if len(grown.heads) == 2:
        grown = _one_score(grown)
        logits = None if logits is None else logits[:, 1:] - logits[:, :1]
    grid = lay_grid(
        [tree for trees in grown.heads for tree in trees], grown.names, single=grown.single, rows=rows
    )
    heads, bases = _centred(grown)
    model: IntegerModel = assemble_trees(
        heads, bases, cut=grid.cut, quantiser=grid.quantiser, **naming.fields(len(heads), classes)
    )
    fidelity = Fidelity(0, 0, 0.0)
    if rows is not None:
        said = grown.logits(rows) if logits is None else logits
        fidelity = compare(model, grid.inputs(rows), said)
    return Fitted(model, fidelity, (*grown.notes, *_notes(grown, grid, rows is not None)))


def _one_score(grown: Ensemble) -> Ensemble:
    """Make one score of two: how much the second class has more than the first."""
    first, second = grown.heads
    taken = tuple(replace(tree, value=tuple(-value for value in tree.value)) for tree in first)
    return replace(grown, heads=((*second, *taken),), bases=(grown.bases[1] - grown.bases[0],), softmax=False)


def _centred(grown: Ensemble) -> tuple[list[list[FloatTree]], list[float]]:
    heads, bases = [], []
    for trees, base in zip(grown.heads, grown.bases, strict=True):
        moved = []
        for tree in trees:
            leaves = [v for v, place in zip(tree.value, tree.feature, strict=True) if place == LEAF]
            middle = (min(leaves) + max(leaves)) / 2
            moved.append(replace(tree, value=tuple(value - middle for value in tree.value)))
            base += middle
        heads.append(moved)
        bases.append(base)
    return heads, bases


def _notes(grown: Ensemble, grid: Grid, compared: bool) -> list[str]:
    notes = []
    if grown.softmax:
        notes.append(SOFTMAX_NOTE)
    if grid.unclear:
        told = ", ".join(grid.unclear[:5]) + (", ..." if len(grid.unclear) > 5 else "")
        notes.append(
            f"the trees send a gap of {told} different ways at different splits: "
            "do not score rows with gaps there"
        )
    if grid.merged:
        notes.append(
            f"{grid.merged:,} thresholds fall together with another one, for int16 holds no finer steps"
        )
    if not compared:
        notes.append(NOTHING_COMPARED)
    return notes


SOFTMAX_NOTE = (
    "the classes share one distribution: the largest score decides as before, but a single class's probability is "
    "not the library's"
)
NOTHING_COMPARED = "no rows were given, so nothing was compared: give held-out rows for a fidelity report"
