"""Many rows through many trees at once, by comparing first and walking afterwards.

1. Every (input, threshold) pair that occurs is compared once, for a whole column of rows; one bit a row.
2. The walk is done on those bits, 8 rows a byte: a level's bits are folded by the levels above it
   (`low ^ (way & (low ^ high))`) until one bit a tree is left: which way the row goes there.
3. The ways of a few trees together (8 bits in all) number an entry of a table that holds the sum of their leaves.

No step multiplies or rounds, so the sums are those of the walk node by node. Work and memory are bounded by blocks
of trees and of rows, for 20,000 trees of depth 8 too. The idea of comparing per feature before looking at trees is
QuickScorer's (Lucchese et al. 2015, SIGIR, doi:10.1145/2766462.2767733); masks of leaves are replaced by bit planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_ROWS: Final = 4096
BLOCK_NODES: Final = 4096  # both blocks together bound one comparison to 16 MiB
FEW_ROWS: Final = 64
TABLE_BITS: Final = 8  # a table entry is numbered by one byte


@dataclass(frozen=True, slots=True)
class _Block:
    """Some trees of one head.

    Args:
        head: whose score they add to.
        columns: (input, first, last + 1) of the thresholds that this input is compared with.
        inputs: which input each threshold is compared with, shape (pairs,).
        thresholds: int16, shape (pairs, 1), sorted by input.
        places: which pair a node asks, shape (nodes, trees); the first trees of all groups stand first.
        table: int32, the sums of leaves of all groups, one after the other.
        starts: where each group's part of the table begins, shape (groups, 1).
        group: how many trees share a table.
    """

    head: int
    columns: tuple[tuple[int, int, int], ...]
    inputs: NDArray[np.intp]
    thresholds: NDArray[np.int16]
    places: NDArray[np.intp]
    table: NDArray[np.int32]
    starts: NDArray[np.intp]
    group: int


@dataclass(frozen=True, slots=True)
class PreparedTrees:
    """What `score` needs; made by `prepare`, once a model."""

    depth: int
    bases: NDArray[np.int64]
    blocks: tuple[_Block, ...]


def prepare(
    features: NDArray[np.uint8],
    thresholds: NDArray[np.int16],
    leaves: NDArray[np.int16],
    *,
    depth: int,
    bases: Sequence[int],
) -> PreparedTrees:
    """Sort complete trees for scoring.

    Args:
        features: shape (trees, 2^depth - 1), head by head.
        thresholds: the same shape.
        leaves: shape (trees, 2^depth).
        depth: 1 to 8.
        bases: one for each head.
    """
    import numpy as np

    heads, group = len(bases), TABLE_BITS // depth
    trees = len(features) // heads
    step = max(1, (BLOCK_NODES >> depth) // group) * group
    blocks = []
    for head in range(heads):
        stop = (head + 1) * trees
        for first in range(head * trees, stop, step):
            part = slice(first, min(first + step, stop))
            blocks.append(_block(head, features[part], thresholds[part], leaves[part], group=group))
    return PreparedTrees(depth, np.array(bases, dtype=np.int64), tuple(blocks))


def score(prepared: PreparedTrees, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return base + sum of reached leaves, int64, shape (rows, heads).

    Args:
        prepared: the trees.
        inputs: int16, shape (rows, width).
    """
    import numpy as np

    scores = np.empty((len(inputs), len(prepared.bases)), dtype=np.int64)
    scores[:] = prepared.bases
    for first in range(0, len(inputs), BLOCK_ROWS):
        rows = slice(first, first + BLOCK_ROWS)
        columns = np.ascontiguousarray(inputs[rows].T)
        for block in prepared.blocks:
            scores[rows, block.head] += _sums(block, columns, prepared.depth)
    return scores


def _block(
    head: int,
    features: NDArray[np.uint8],
    thresholds: NDArray[np.int16],
    leaves: NDArray[np.int16],
    *,
    group: int,
) -> _Block:
    import numpy as np

    # One key per (input, threshold), in the order of the input, then of the threshold.
    keys = (features.astype(np.int32) << 16) | (thresholds.astype(np.int32) + 2**15)
    pairs, place = np.unique(keys, return_inverse=True)
    asked, first = np.unique(pairs >> 16, return_index=True)
    last = [*first[1:].tolist(), len(pairs)]
    columns = tuple(zip(asked.tolist(), first.tolist(), last, strict=True))
    groups = -(-len(features) // group)
    # The last group is filled up with trees whose leaves are all 0: which way they go does not matter.
    places = np.zeros((groups * group, keys.shape[1]), dtype=np.intp)
    places[: len(features)] = place.reshape(keys.shape)
    filled = np.zeros((groups * group, leaves.shape[1]), dtype=np.int32)
    filled[: len(leaves)] = leaves
    members = filled.reshape(groups, group, -1)
    table = members[:, 0]
    for member in range(1, group):  # up to 8 leaves of 16 bits: far below 2^31
        table = (table[:, :, None] + members[:, member][:, None, :]).reshape(groups, -1)
    return _Block(
        head,
        columns,
        (pairs >> 16).astype(np.intp),
        ((pairs & 0xFFFF) - 2**15).astype(np.int16)[:, None],
        np.ascontiguousarray(places.reshape(groups, group, -1).transpose(2, 1, 0).reshape(keys.shape[1], -1)),
        np.ascontiguousarray(table.reshape(-1)),
        (np.arange(groups) * table.shape[1])[:, None].astype(np.intp),
        group,
    )


def _sums(block: _Block, columns: NDArray[np.int16], depth: int) -> NDArray[np.int64]:
    """Return the sum of the reached leaves, shape (rows,), for inputs of shape (width, rows)."""
    import numpy as np

    rows = columns.shape[1]
    if rows <= FEW_ROWS:
        # One call over a copied row for each threshold: fewer calls count more than the copies.
        bits = np.packbits(columns[block.inputs] > block.thresholds, axis=1)
    else:
        bits = np.empty((len(block.thresholds), -(-rows // 8)), dtype=np.uint8)
        for feature, first, last in block.columns:
            bits[first:last] = np.packbits(columns[feature] > block.thresholds[first:last], axis=1)
    ways = np.concatenate(_ways(bits, block.places, depth))
    # Shape (depth, place in the group, groups, rows), a 0 or 1 in each.
    turns: Any = np.unpackbits(ways, axis=2, count=rows).reshape(depth, block.group, -1, rows)
    entry = turns[0, 0].copy()
    for member in range(block.group):
        for level in range(depth):
            if member or level:
                entry += entry  # a shift by one bit; addition is what numpy does for 32 bytes at once
                entry += turns[level, member]
    return np.asarray(np.take(block.table, entry + block.starts).sum(axis=0, dtype=np.int64), dtype=np.int64)


def _ways(bits: NDArray[np.uint8], places: NDArray[np.intp], depth: int) -> list[NDArray[np.uint8]]:
    """Return for every level which way the rows go there, shape (1, trees, rows / 8) each; a set bit is right."""
    ways: list[NDArray[np.uint8]] = []
    for level in range(depth):
        first = (1 << level) - 1
        here = bits[places[first : 2 * first + 1]]
        for way in ways:  # from the root down: each halves the nodes that a row may stand at
            half = len(here) // 2
            left, right = here[:half], here[half:]
            right ^= left
            right &= way
            right ^= left
            here = right
        ways.append(here)
    return ways
