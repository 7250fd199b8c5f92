"""Fields of somebody else's file, each with its bounds: what does not fit is refused before anything is built of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.errors import ModelFileError
from tallystick.models._float_trees import LEAF, MAX_NODES, FloatTree
from tallystick.models._thresholds import FAR
from tallystick.models._trees import MAX_TREES

MAX_COUNT: Final = 2**40
MAX_COLUMNS: Final = 65_536
MALFORMED: Final = (
    AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError
)  # fmt: skip


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ModelFileError(f"{what} must be an object")
    return value


def sequence(value: Any, what: str, most: int) -> Sequence[Any]:
    """Return a JSON list of at most so many."""
    if not isinstance(value, list) or len(value) > most:
        raise ModelFileError(f"{what} must be a list of at most {most:,}")
    return value


def whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number, which may stand as text."""
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise ModelFileError(f"{what} must be a whole number from {low} to {high}")
    return value


def real(value: Any, what: str) -> float:
    """Return a finite number, which may stand as text."""
    if isinstance(value, str) and len(value) < 64 and "_" not in value:
        try:
            value = float(value)
        except ValueError:
            value = None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ModelFileError(f"{what} must be a finite number")
    return float(value)


def check_tree(tree: FloatTree, width: int) -> FloatTree:
    """Hold one tree to its bounds: every node but the root has one parent, every number is finite.

    Args:
        tree: as it was read.
        width: how many features there are.

    Raises:
        ModelFileError: it is no tree, or a number is out of its bounds.
    """
    count = len(tree.feature)
    columns = (tree.threshold, tree.left, tree.right, tree.value, tree.count, tree.missing_left)
    if not 1 <= count <= MAX_NODES or any(len(column) != count for column in columns):
        raise ModelFileError(f"a tree must have 1 to {MAX_NODES} nodes, and each of them every field")
    children = []
    for node, place in enumerate(tree.feature):
        if place == LEAF:
            real(tree.value[node], "a leaf")
            continue
        whole(place, "a split's feature", 0, width - 1)
        threshold = tree.threshold[node]
        if not (math.isfinite(threshold) and threshold >= -FAR):
            raise ModelFileError("a threshold must be a finite number")
        children += [tree.left[node], tree.right[node]]
    if any(not 0 <= child < count for child in children):
        raise ModelFileError(f"a child must be a node from 0 to {count - 1}")
    # Every node once, never the root: together with the reach below, this leaves no room for a cycle.
    if sorted(children) != list(range(1, count)) or _reached(tree) != count:
        raise ModelFileError("a tree's nodes must each have one parent, and the root none")
    for number in tree.count:
        whole(number, "a count of rows", 0, MAX_COUNT)
    return tree


def _reached(tree: FloatTree) -> int:
    reached, open_nodes = 0, [0]
    while open_nodes and reached <= len(tree.feature):
        node = open_nodes.pop()
        reached += 1
        if tree.feature[node] != LEAF:
            open_nodes += [tree.left[node], tree.right[node]]
    return reached


def by_head(
    trees: Sequence[FloatTree], heads: Sequence[int], count: int
) -> tuple[tuple[FloatTree, ...], ...]:
    """Sort trees by the score they add to.

    Raises:
        ModelFileError: no trees, too many, or a score without one.
    """
    if not 1 <= len(trees) <= MAX_TREES or len(heads) != len(trees):
        raise ModelFileError(f"a model must have 1 to {MAX_TREES:,} trees, got {len(trees):,}")
    sorted_trees: list[list[FloatTree]] = [[] for _ in range(count)]
    for tree, head in zip(trees, heads, strict=True):
        sorted_trees[whole(head, "a tree's class", 0, count - 1)].append(tree)
    if not all(sorted_trees):
        raise ModelFileError("every class must have a tree")
    return tuple(map(tuple, sorted_trees))
