"""Trees as other libraries grow them, with real thresholds and leaves, and what they become as integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ModelFileError, ModelInputError
from tallystick.models._features import INT16_HIGH, INT16_LOW
from tallystick.models._trees import MAX_DEPTH, NEVER, TreeArrays, TreeModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAF: Final = -1
MAX_NODES: Final = 2 ** (MAX_DEPTH + 1)
MAX_UNIT_BITS: Final = 24


@dataclass(frozen=True)
class FloatTree:
    """One tree; node 0 is the root.

    Args:
        feature: which input a node looks at, -1 for a leaf.
        threshold: a row goes left when its input is at most this; or below it, where `below` is set.
        left, right: a node's children.
        value: a leaf's part of the logit.
        count: training rows that reached the node, 0 where nobody knows.
        below: whether a row that equals the threshold goes right, as XGBoost has it.
        missing_left: whether a row without the input goes left at a node; to the right everywhere when empty.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]
    count: tuple[int, ...]
    below: bool = False
    missing_left: tuple[bool, ...] = ()

    @classmethod
    def of_histogram(cls, nodes: Any) -> FloatTree:
        """Take a tree of scikit-learn's histogram boosting: its predictor's array of nodes."""
        if nodes["is_categorical"].any():
            raise ModelInputError("a split by categories does not fit into integer trees")
        feature = [
            LEAF if leaf else int(at) for leaf, at in zip(nodes["is_leaf"], nodes["feature_idx"], strict=True)
        ]
        return cls(
            tuple(feature),
            tuple(nodes["num_threshold"].tolist()),
            tuple(nodes["left"].tolist()),
            tuple(nodes["right"].tolist()),
            tuple(nodes["value"].tolist()),
            tuple(nodes["count"].tolist()),
            missing_left=tuple(nodes["missing_go_to_left"].astype(bool).tolist()),
        )

    @classmethod
    def of_lightgbm(cls, root: Mapping[str, Any]) -> FloatTree:
        """Take a tree of LightGBM's JSON dump: its `tree_structure`.

        Raises:
            ModelFileError: malformed, or larger than a tree of depth 8.
            ModelInputError: a split by categories.
        """
        grown = _Growing()
        grown.add_lightgbm(root)
        return grown.tree()

    @property
    def depth(self) -> int:
        """The longest way from the root to a leaf."""
        return self._depth(0, 0)

    def _depth(self, node: int, above: int) -> int:
        if above > MAX_DEPTH:
            raise ModelInputError(
                f"a tree must have at most depth {MAX_DEPTH}", hint="train it again with max_depth"
            )
        if self.feature[node] == LEAF:
            return above
        return max(self._depth(self.left[node], above + 1), self._depth(self.right[node], above + 1))

    def values(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Return the leaf that each row reaches, float64, shape (rows,); NaN is an input that is missing."""
        import numpy as np

        feature, threshold = np.array(self.feature), np.array(self.threshold)
        left, right, node = np.array(self.left), np.array(self.right), np.zeros(len(rows), dtype=np.int64)
        missing_left = np.array(self.missing_left or (False,) * len(feature))
        places = np.arange(len(rows))
        for _ in range(self.depth):
            inner = feature[node] != LEAF
            found = rows[places, np.maximum(feature[node], 0)]
            goes_left = found < threshold[node] if self.below else found <= threshold[node]
            goes_left = np.where(np.isnan(found), missing_left[node], goes_left)
            node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
        return np.array(self.value)[node]


class _Growing:
    """A tree that is read node by node from a foreign form."""

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []

    def add_lightgbm(self, node: Mapping[str, Any]) -> int:
        at = len(self.nodes)
        if at >= MAX_NODES:
            raise ModelFileError(f"a tree must have at most {MAX_NODES} nodes")
        if "leaf_value" in node:
            count = int(node.get("leaf_count", 0))
            self.nodes.append([LEAF, 0.0, 0, 0, float(node["leaf_value"]), count, False])
            return at
        if node.get("decision_type") != "<=":
            raise ModelInputError("a split by categories does not fit into integer trees")
        count, threshold = int(node.get("internal_count", 0)), float(node["threshold"])
        left = lightgbm_missing_left(
            threshold, str(node.get("missing_type", "None")), bool(node.get("default_left"))
        )
        own = [int(node["split_feature"]), threshold, 0, 0, 0.0, count, left]
        self.nodes.append(own)
        own[2] = self.add_lightgbm(node["left_child"])
        own[3] = self.add_lightgbm(node["right_child"])
        return at

    def tree(self) -> FloatTree:
        feature, threshold, left, right, value, count, missing = (
            tuple(c) for c in zip(*self.nodes, strict=True)
        )
        return FloatTree(feature, threshold, left, right, value, count, missing_left=missing)


def lightgbm_missing_left(threshold: float, kind: str, default_left: bool) -> bool:
    """Say which way LightGBM sends a missing value at a node.

    Args:
        threshold: the node's.
        kind: "None" (a gap counts as zero), "Zero" (a zero counts as a gap) or "NaN".
        default_left: where the node sends a gap.

    Raises:
        ModelInputError: zeros go another way than their threshold says.
    """
    if kind == "None":
        return threshold >= 0
    if kind == "Zero" and default_left != (threshold >= 0):
        raise ModelInputError(
            "zeros must go where their threshold says, got a model that takes them for gaps",
            hint="train it again with zero_as_missing=false",
        )
    if kind not in ("NaN", "Zero"):
        raise ModelFileError("the missing type of a split must be None, Zero or NaN")
    return default_left


Cut = Callable[[int, float, bool], int]
"""(input, threshold, below) -> the largest int16 input that goes left."""


def whole_cut(_place: int, threshold: float, below: bool) -> int:
    """Cut inputs that are whole numbers themselves: x <= t says x <= floor(t), and x < t says x <= ceil(t) - 1."""
    cut = math.ceil(threshold) - 1 if below else math.floor(threshold)
    return min(max(cut, INT16_LOW - 1), INT16_HIGH)


def logits_of(
    heads: Sequence[Sequence[FloatTree]], bases: Sequence[float], rows: NDArray[Any]
) -> NDArray[np.float64]:
    """Return what the real trees say, float64, shape (rows, heads)."""
    import numpy as np

    sums = [
        base + sum((tree.values(rows) for tree in trees), np.zeros(len(rows)))
        for trees, base in zip(heads, bases, strict=True)
    ]
    return np.stack(sums, axis=1)


def assemble_trees(
    heads: Sequence[Sequence[FloatTree]],
    bases: Sequence[float],
    *,
    depth: int = 0,
    cut: Cut = whole_cut,
    **fields: Any,
) -> TreeModel:
    """Make an integer model of real trees.

    Args:
        heads: the trees of each score; heads with fewer get trees that add nothing.
        bases: what each score starts from, as a logit.
        depth: of the model's trees; that of the deepest one when 0.
        cut: turns a threshold into an input.
        fields: name, target, quantiser, labels and threshold of the model.

    Raises:
        ModelInputError: a tree that is too deep, or no trees at all.
    """
    import numpy as np

    deepest = max((tree.depth for trees in heads for tree in trees), default=0)
    depth, count = max(depth, deepest, 1), max(map(len, heads), default=0)
    if not count:
        raise ModelInputError("a model must have at least one tree")
    rows = [row for trees in heads for row in _complete_all(trees, count, depth, cut)]
    features, cuts, values, counts = (np.array(column) for column in zip(*rows, strict=True))
    unit = _unit(np.abs(values).max())
    leaves = np.rint(values * unit).astype(np.int64)
    arrays = TreeArrays(
        features.astype(np.uint8),
        cuts.astype(np.int16),
        leaves.astype(np.int16),
        np.minimum(counts, 2**32 - 1).astype(np.uint32),
    )
    whole = tuple(round(base * unit) for base in bases)
    return TreeModel.of(arrays, unit=unit, depth=depth, bases=whole, **fields)


def _unit(largest: float) -> int:
    """Return the largest power of two at which a leaf fits into int16."""
    if not math.isfinite(largest) or largest > INT16_HIGH:
        raise ModelInputError("a leaf must be finite and below 32768")
    bits = MAX_UNIT_BITS
    while bits and round(largest * 2**bits) > INT16_HIGH:
        bits -= 1
    return 1 << bits


_Complete = tuple[list[int], list[int], list[float], list[int]]


def _complete_all(trees: Sequence[FloatTree], count: int, depth: int, cut: Cut) -> list[_Complete]:
    made = [_complete(tree, depth, cut) for tree in trees]
    nodes, leaves = 2**depth - 1, 2**depth
    empty: _Complete = ([0] * nodes, [NEVER] * nodes, [0.0] * leaves, [0] * leaves)
    return made + [empty] * (count - len(made))


def _complete(tree: FloatTree, depth: int, cut: Cut) -> _Complete:
    """Fill a tree up to its full depth; what is added is never entered but on its left."""
    nodes, ends = 2**depth - 1, 2**depth
    features, cuts, values, counts = [0] * nodes, [NEVER] * nodes, [0.0] * ends, [0] * ends

    def place(node: int, at: int, level: int) -> None:
        if tree.feature[node] == LEAF:
            first = (at + 1 - 2**level) << (depth - level)  # the leftmost leaf below this place
            values[first], counts[first] = tree.value[node], tree.count[node]
            return
        limit = cut(tree.feature[node], tree.threshold[node], tree.below)
        if limit < INT16_LOW:
            # No input goes left: the right branch stands here, and the row goes left to it.
            place(tree.right[node], at, level)
            return
        features[at], cuts[at] = tree.feature[node], limit
        place(tree.left[node], 2 * at + 1, level + 1)
        place(tree.right[node], 2 * at + 2, level + 1)

    place(0, 0, 0)
    return features, cuts, values, counts
