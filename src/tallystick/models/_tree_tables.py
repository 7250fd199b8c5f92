"""Many rows' exact parts at once: everything that a piece of a tree can say is worked out beforehand.

1. A tree is cut into groups of neighbouring leaves. A leaf's parts depend on the comparisons along its path alone, so
   a group's parts depend on at most 8 comparisons: its leaves' common ancestors and the small tree beneath them. For
   depth 4 the groups are the two halves of a tree; for depth 8 they are pairs of leaves.
2. For every group and every pattern of its comparisons (at most 256) the parts are worked out once, by the same
   quadrature that explains a single row, and added up by input. Some patterns no row can show; they are never asked.
3. A row is then compared with all thresholds, its pattern numbers an entry of every group's table, and the entries
   are added by feature.

The sums differ from a single row's by float64's rounding alone, because the order of addition differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tallystick.models._tree_explaining import TreeParts, parts_of_met, paths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PATTERN_BITS: Final = 8  # comparisons of a group; a pattern is one byte
MAX_ENTRIES: Final = 1 << 22  # of a model's tables, all heads together: 32 MiB
ROWS_AT_ONCE: Final = 128  # what is being added stays within a few MiB


@dataclass(frozen=True, slots=True)
class PartTables:
    """One head's trees, prepared for explaining many rows.

    Args:
        inputs: which input each comparison reads, shape (comparisons,); each (input, threshold) stands once.
        thresholds: int16, shape (comparisons, 1).
        places: which comparison a group's place asks, shape (places, groups).
        groups: whose pattern a table reads, shape (tables,).
        table: float64, 2^places entries for each table, one after the other.
        starts: where each table begins, shape (tables, 1).
        features: the features that have tables.
        firsts: the first table of each of them.
    """

    inputs: NDArray[np.intp]
    thresholds: NDArray[np.int16]
    places: NDArray[np.intp]
    groups: NDArray[np.intp]
    table: NDArray[np.float64]
    starts: NDArray[np.intp]
    features: NDArray[np.intp]
    firsts: NDArray[np.intp]

    def explain(self, inputs: NDArray[np.int16], count: int) -> NDArray[np.float64]:
        """Return every feature's part of (score - expected score), float64, shape (rows, count).

        Args:
            inputs: int16, shape (rows, width).
            count: how many features the model has.
        """
        import numpy as np

        parts = np.zeros((len(inputs), count))
        if len(self.features):
            for first in range(0, len(inputs), ROWS_AT_ONCE):
                rows = slice(first, first + ROWS_AT_ONCE)
                parts[rows, self.features] = self._sums(inputs[rows]).T
        return parts

    def _sums(self, inputs: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return the parts of the features that have tables, shape (features, rows)."""
        import numpy as np

        columns = np.ascontiguousarray(inputs.T)
        bits = (columns[self.inputs] > self.thresholds).view(np.uint8)
        pattern = bits[self.places[-1]]
        for place in self.places[-2::-1]:
            pattern += pattern  # the first place is the lowest bit
            pattern += bits[place]
        entries = np.take(self.table, pattern[self.groups] + self.starts)
        return np.asarray(np.add.reduceat(entries, self.firsts, axis=0), dtype=np.float64)


def tables_of(trees: TreeParts, owners: NDArray[np.intp], *, allowed: int) -> PartTables | None:
    """Work out the tables of one head's trees.

    Args:
        trees: the head's trees.
        owners: which feature each input belongs to, shape (width,).
        allowed: how many entries the tables may have; None is returned where they would need more.
    """
    import numpy as np

    features, thresholds = trees.features, trees.thresholds
    nodes = _group_nodes(trees.depth)
    patterns = 1 << len(nodes)
    if len(features) * nodes.size * patterns > allowed:
        return None
    parts = _worked_out(trees, nodes.shape)
    told = np.flatnonzero(parts.any(axis=0))  # the places that ask something that counts
    group, place = np.divmod(told, len(nodes))
    tree, part = np.divmod(group, nodes.shape[1])
    owner = owners[features[tree, nodes[place, part]]]
    order = np.argsort(owner, kind="stable")
    named, firsts = np.unique(owner[order], return_index=True)
    # One key per (input, threshold), so that no two nodes compare the same twice.
    keys = (features.astype(np.int32) << 16) | (thresholds.astype(np.int32) + 2**15)
    pairs, asked = np.unique(keys, return_inverse=True)
    asked = asked.reshape(keys.shape)
    return PartTables(
        (pairs >> 16).astype(np.intp),
        ((pairs & 0xFFFF) - 2**15).astype(np.int16)[:, None],
        np.ascontiguousarray(asked[:, nodes].transpose(1, 0, 2).reshape(len(nodes), -1)),
        group[order],
        np.ascontiguousarray(parts[:, told[order]].T).reshape(-1),
        np.arange(len(told), dtype=np.intp)[:, None] * patterns,
        named,
        firsts,
    )


def _levels(depth: int) -> int:
    """Return how many levels of nodes a group has beneath its common ancestors."""
    return max(own for own in range(1, depth + 1) if depth - own + (1 << own) - 1 <= PATTERN_BITS)


def _group_nodes(depth: int) -> NDArray[np.intp]:
    """Return which node of a tree stands at a place of a group, shape (places, groups of a tree)."""
    import numpy as np

    above = depth - _levels(depth)
    group = np.arange(1 << above)
    rows = [(1 << level) - 1 + (group >> (above - level)) for level in range(above)]
    for level in range(above, depth):
        within = 1 << (level - above)
        rows += [(1 << level) - 1 + group * within + node for node in range(within)]
    return np.stack(rows)


def _worked_out(trees: TreeParts, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the part of every place of every group, for every pattern.

    Args:
        trees: one head's.
        shape: places, groups of a tree.

    Returns:
        float64, shape (patterns, groups of all trees * places).
    """
    import numpy as np

    places, groups = shape
    depth, leaves = trees.depth, 1 << trees.depth
    nodes, _ = paths(depth)
    sought = _group_nodes(depth)[:, np.arange(leaves) * groups // leaves]
    # Which place of its group each step of a leaf's path is, shape (depth, leaves).
    place = (sought[:, :, None] == nodes[None, :, :]).argmax(axis=0).T
    parts = np.zeros((1 << places, len(trees.features) * groups * places))
    first = 0
    for block in trees.blocks():
        tree, leaf = np.divmod(block.leaves, leaves)
        asked = place[:, leaf]
        cells = ((first + tree) * groups + leaf * groups // leaves) * places + asked
        for pattern in range(1 << places):
            met = ((pattern >> asked) & 1 == 1) == block.rights
            parts[pattern] += np.bincount(
                cells.reshape(-1), parts_of_met(block, met, depth).reshape(-1), minlength=parts.shape[1]
            )
        first += block.trees
    return parts
