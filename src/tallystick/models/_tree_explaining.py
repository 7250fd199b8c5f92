"""Exact parts of an ensemble's score: Shapley values of the trees as they are, weighed by the training rows.

- The players are the inputs. A coalition's value follows the row at the nodes that ask its members, and goes both
  ways at all others, in proportion to the training rows that went there (path-dependent TreeSHAP).
- For one leaf the game is a product over the inputs on its path: ``met`` (0 or 1) for a member of the coalition,
  the share of training rows (``share``) for another. Nodes that ask the same input count as one player, with the
  product of their shares, and met only when all are.
- The Shapley value of a product is an integral over [0, 1] of a polynomial of degree depth - 1 (Owen 1972, the
  multilinear extension), which Gauss-Legendre quadrature with depth / 2 points gives exactly. No 2^n sum is needed.
- A node that no row can leave to the right (threshold 32767) sends all rows left; so do the nodes that fill a tree
  up. Where no training row reached a node, each side counts one half.

Source: Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9 (the game); Owen 1972, doi:10.1287/mnsc.18.5.64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from tallystick.models._features import INT16_HIGH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_PLACES: Final = 1 << 18  # leaves times depth that are worked on at once: some 30 MiB
KEPT_PLACES: Final = 1 << 20  # what is kept prepared between rows; larger models are prepared anew for each


@dataclass(frozen=True, slots=True)
class Block:
    """The leaves of some trees of one head that can be reached and count for something.

    Args:
        trees: how many.
        leaves: which leaf of these trees each is, tree by tree.
        inputs: which input each step of a leaf's path asks, shape (depth, leaves).
        thresholds: int16, what it is compared with.
        rights: whether the path goes right there.
        shares: of the training rows, that go the path's way; 1 at steps that repeat an input.
        repeats: places (in the flattened steps) that ask an input again.
        firsts: for each repeat, the place that asked first.
        rest: share * (1 - t) for each point t, shape (points, depth, leaves).
        starts: weight of the point * leaf, shape (points, leaves).
    """

    trees: int
    leaves: NDArray[np.intp]
    inputs: NDArray[np.intp]
    thresholds: NDArray[np.int16]
    rights: NDArray[np.bool_]
    shares: NDArray[np.float64]
    repeats: NDArray[np.intp]
    firsts: NDArray[np.intp]
    rest: NDArray[np.float64]
    starts: NDArray[np.float64]


class TreeParts:
    """The trees of one head, prepared for explaining.

    Args:
        features: uint8, shape (trees, 2^depth - 1).
        thresholds: int16, the same shape.
        leaves: int16, shape (trees, 2^depth).
        counts: uint32, the same shape: training rows.
    """

    def __init__(
        self,
        features: NDArray[np.uint8],
        thresholds: NDArray[np.int16],
        leaves: NDArray[np.int16],
        counts: NDArray[np.uint32],
    ) -> None:
        self._arrays = (features, thresholds, leaves, counts)
        self.features, self.thresholds = features, thresholds
        self.depth = leaves.shape[1].bit_length() - 1
        self._step = max(1, BLOCK_PLACES // (leaves.shape[1] * self.depth))
        self._kept = tuple(self._prepared()) if leaves.size * self.depth <= KEPT_PLACES else None

    def explain(self, inputs: Sequence[int]) -> NDArray[np.float64]:
        """Return every input's part of (score - expected score), float64, shape (inputs,).

        Args:
            inputs: int16 values, as many as the model reads.
        """
        import numpy as np

        row, parts = np.array(inputs, dtype=np.int16), np.zeros(len(inputs))
        for block in self.blocks():
            parts += _explain(block, row, self.depth)
        return parts

    def blocks(self) -> Iterable[Block]:
        """The trees' leaves, prepared: kept, or made anew for a model too large for that."""
        return self._kept or self._prepared()

    @cached_property
    def expected(self) -> float:
        """The trees' sum, averaged over the training rows as the shares have it."""
        import numpy as np

        total = 0.0
        _, thresholds, leaves, counts = self._arrays
        for first in range(0, len(leaves), self._step):
            part = slice(first, first + self._step)
            weights = _shares(thresholds[part], counts[part]).prod(axis=2)
            total += float(np.vdot(weights, leaves[part].astype(np.float64)))
        return total

    def _prepared(self) -> Iterator[Block]:
        for first in range(0, len(self._arrays[0]), self._step):
            yield _block(*(array[first : first + self._step] for array in self._arrays))


@lru_cache(maxsize=8)
def _points(depth: int) -> tuple[Any, Any]:
    """Return points and weights on [0, 1] that integrate polynomials of degree depth - 1 exactly."""
    import numpy as np

    at, weights = np.polynomial.legendre.leggauss((depth + 1) // 2)
    return (at + 1) / 2, weights / 2


def paths(depth: int) -> tuple[Any, Any]:
    """Return node and turn of every step of every leaf's path, shape (leaves, depth) each."""
    import numpy as np

    leaf, level = np.arange(1 << depth)[:, None], np.arange(depth)[None, :]
    return (1 << level) - 1 + (leaf >> (depth - level)), (leaf >> (depth - level - 1)) & 1 == 1


def _shares(thresholds: Any, counts: Any) -> Any:
    """Return which share of a node's training rows goes the path's way, shape (trees, leaves, depth)."""
    import numpy as np

    depth = counts.shape[1].bit_length() - 1
    nodes, rights = paths(depth)
    reached, levels = counts.astype(np.float64), []
    for _ in range(depth):
        pairs = reached.reshape(len(counts), -1, 2)
        reached = pairs.sum(axis=2)
        levels.append(np.where(reached > 0, pairs[:, :, 0] / np.maximum(reached, 1), 0.5))
    lefts = np.concatenate(levels[::-1], axis=1)
    lefts = np.where(thresholds == INT16_HIGH, 1.0, lefts)[:, nodes]
    return np.where(rights, 1 - lefts, lefts)


def _block(features: Any, thresholds: Any, leaves: Any, counts: Any) -> Block:
    import numpy as np

    depth = leaves.shape[1].bit_length() - 1
    nodes, rights = paths(depth)
    cuts = thresholds[:, nodes]
    kept = (leaves != 0) & ~((cuts == INT16_HIGH) & rights).any(axis=2)

    def steps(values: Any) -> Any:
        return np.ascontiguousarray(np.broadcast_to(values, cuts.shape)[kept].T)

    inputs, shares = steps(features[:, nodes]).astype(np.intp), steps(_shares(thresholds, counts))
    first = (inputs[None, :, :] == inputs[:, None, :]).argmax(axis=1)  # of the steps that ask the same
    step, leaf = np.nonzero(first != np.arange(depth)[:, None])
    np.multiply.at(shares, (first[step, leaf], leaf), shares[step, leaf])
    shares[step, leaf] = 1.0
    points, weights = _points(depth)
    return Block(
        len(features),
        np.flatnonzero(kept),
        inputs,
        steps(cuts),
        steps(rights),
        shares,
        step * shares.shape[1] + leaf,
        first[step, leaf] * shares.shape[1] + leaf,
        shares * (1 - points)[:, None, None],
        weights[:, None] * leaves[kept],
    )


def _explain(block: Block, row: NDArray[np.int16], depth: int) -> NDArray[np.float64]:
    import numpy as np

    parts = parts_of_met(block, (row[block.inputs] > block.thresholds) == block.rights, depth)
    summed: NDArray[Any] = np.bincount(block.inputs.reshape(-1), parts.reshape(-1), minlength=len(row))
    return summed


def parts_of_met(block: Block, met: NDArray[np.bool_], depth: int) -> NDArray[np.float64]:
    """Return what every step of every leaf's path adds to its input's part, shape (depth, leaves).

    Args:
        block: the leaves.
        met: whether the row goes the path's way at a step, the same shape; overwritten.
        depth: of the trees.
    """
    import numpy as np

    flat = met.reshape(-1)
    flat[block.firsts[~flat[block.repeats]]] = False
    flat[block.repeats] = True
    ones = met.astype(np.float64)
    factors = block.rest + ones * _points(depth)[0][:, None, None]
    # The product of all factors but a step's own: of those before it, times of those after it.
    others = np.empty_like(factors)
    others[:, 0] = block.starts
    for step in range(1, depth):
        np.multiply(others[:, step - 1], factors[:, step - 1], out=others[:, step])
    after = factors[:, depth - 1]
    for step in range(depth - 2, -1, -1):
        others[:, step] *= after
        after = after * factors[:, step]
    return np.asarray(others.sum(axis=0) * (ones - block.shares), dtype=np.float64)
