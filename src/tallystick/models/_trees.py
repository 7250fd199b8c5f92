"""Gradient-boosted trees in integers: complete trees of one depth, a whole-number leaf each.

- Node i has the children 2i + 1 and 2i + 2; a row goes right when its input is greater than the node's threshold.
- score = base + sum of the reached leaves.
- A branch that ends early is padded with threshold 32767 (no input is greater, so the row goes left) and its leaf
  stands leftmost. `counts` says how many training rows reached each leaf: explanations need it, scores do not.

Up to depth 8; a contract executes trees up to depth 4.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from tallystick.errors import ModelFileError
from tallystick.models._features import INT16_HIGH
from tallystick.models._integer import (
    MAX_NUMBER,
    IntegerModel,
    check_head,
    check_range,
    has_numpy,
    need_numpy,
)
from tallystick.models._packing import Packed, pack_int16
from tallystick.models._table import Row
from tallystick.models._tree_explaining import TreeParts
from tallystick.models._tree_scoring import PreparedTrees, prepare, score
from tallystick.models._tree_tables import MAX_ENTRIES, PartTables, tables_of
from tallystick.proof import encode_base64

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TREES_CODE: Final = 2  # the family's number in packed scalars
MAX_DEPTH: Final = 8
CHAIN_DEPTH: Final = 4
MAX_TREES: Final = 20_000
MAX_INPUTS: Final = 256  # a feature number is one byte
NEVER: Final = INT16_HIGH  # the threshold that no input exceeds


class TreeArrays(NamedTuple):
    """All trees of a model, head by head.

    Args:
        features: uint8, shape (trees, 2^depth - 1): which input a node looks at.
        thresholds: int16, the same shape.
        leaves: int16, shape (trees, 2^depth).
        counts: uint32, the same shape: training rows that reached the leaf.
    """

    features: NDArray[np.uint8]
    thresholds: NDArray[np.int16]
    leaves: NDArray[np.int16]
    counts: NDArray[np.uint32]


@dataclass(frozen=True)
class TreeModel(IntegerModel):
    """One ensemble of trees; the first six arguments are `IntegerModel`'s.

    Args:
        depth: 1 to 8, of every tree.
        bases: one whole number per head, in the score's own unit.
        features: one byte per inner node, tree by tree, all trees of the first head first.
        thresholds: big-endian int16, likewise.
        leaves: big-endian int16 per leaf, likewise.
        counts: big-endian uint32 per leaf, likewise.

    Raises:
        ModelFileError: a value is out of its bounds, or a sum could overflow.
    """

    family: ClassVar[str] = "trees"

    depth: int
    bases: tuple[int, ...]
    features: bytes
    thresholds: bytes
    leaves: bytes
    counts: bytes

    @classmethod
    def of(cls, arrays: TreeArrays, **fields: Any) -> TreeModel:
        """Make a model of arrays.

        Args:
            arrays: see `TreeArrays`; values must fit the types named there.
            fields: the other arguments.
        """
        kinds = (">u1", ">i2", ">i2", ">u4")
        names = TreeArrays._fields
        packed = {
            name: array.astype(kind).tobytes()  # type: ignore[attr-defined]
            for name, array, kind in zip(names, arrays, kinds, strict=True)
        }
        return cls(**fields, **packed)

    @property
    def trees(self) -> int:
        """How many trees each head has."""
        return self._count // self.heads

    @property
    def _nodes(self) -> int:
        return self._leaves - 1

    @property
    def _leaves(self) -> int:
        return 1 << self.depth

    @property
    def _count(self) -> int:
        return len(self.features) // self._nodes

    @cached_property
    def arrays(self) -> TreeArrays:
        """The trees as numpy arrays, head by head; not to be changed."""
        import numpy as np

        def shaped(data: bytes, kind: str, to: Any) -> Any:
            made = np.frombuffer(data, dtype=kind).astype(to).reshape(self._count, -1)
            made.flags.writeable = False
            return made

        return TreeArrays(
            shaped(self.features, ">u1", np.uint8),
            shaped(self.thresholds, ">i2", np.int16),
            shaped(self.leaves, ">i2", np.int16),
            shaped(self.counts, ">u4", np.uint32),
        )

    def _check_parameters(self) -> None:
        check_range("depth", self.depth, 1, MAX_DEPTH)
        width, count = self.quantiser.width, self._count
        check_range("inputs of trees", width, 1, MAX_INPUTS)
        check_range("trees", count, 1, MAX_TREES)
        sizes = (len(self.features), len(self.thresholds), len(self.leaves), len(self.counts))
        nodes, leaves = count * self._nodes, count * self._leaves
        if sizes != (nodes, 2 * nodes, 2 * leaves, 4 * leaves) or count % self.heads:
            raise ModelFileError("the arrays of trees must be as long as depth and heads ask for")
        if max(self.features) >= width:
            raise ModelFileError(f"feature numbers must be below {width}, got {max(self.features)}")
        if len(self.bases) != self.heads:
            raise ModelFileError(f"bases must be {self.heads}, got {len(self.bases)}")
        for base in self.bases:
            check_range("base", base, -MAX_NUMBER, MAX_NUMBER)

    @property
    def largest_score(self) -> int:
        return max(map(abs, self.bases)) + self.trees * 2**15

    def _parameters(self) -> dict[str, Any]:
        return {
            "bases": list(self.bases),
            "counts": encode_base64(self.counts),
            "depth": self.depth,
            "features": encode_base64(self.features),
            "leaves": encode_base64(self.leaves),
            "thresholds": encode_base64(self.thresholds),
        }

    def _pack(self) -> Packed | None:
        if self.depth > CHAIN_DEPTH:
            return None
        scalars = (TREES_CODE, self.quantiser.width, self.heads, CHAIN_DEPTH, self.trees, *self.bases)
        return Packed(scalars, b"".join(self._packed_tree(tree) for tree in range(self._count)))

    def _packed_tree(self, tree: int) -> bytes:
        """Return one tree as a complete tree of depth 4: three words."""
        first, leaves = tree * self._nodes, 2**CHAIN_DEPTH
        features, thresholds = bytearray(leaves - 1), [NEVER] * (leaves - 1)
        features[: self._nodes] = self.features[first : first + self._nodes]
        thresholds[: self._nodes] = self._numbers[0][first : first + self._nodes]
        values, step = [0] * leaves, 2 ** (CHAIN_DEPTH - self.depth)
        # What is padded is never entered but on its left, so the other leaves stay 0.
        values[::step] = self._numbers[1][tree * self._leaves : (tree + 1) * self._leaves]
        return pack_int16(thresholds) + bytes(features) + bytes(17) + pack_int16(values)

    @cached_property
    def _numbers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Thresholds and leaves as plain integers."""
        return (
            struct.unpack(f">{len(self.thresholds) // 2}h", self.thresholds),
            struct.unpack(f">{len(self.leaves) // 2}h", self.leaves),
        )

    def _score(self, inputs: Sequence[int]) -> tuple[int, ...]:
        scores = list(self.bases)
        for tree in range(self._count):
            scores[tree // self.trees] += self._leaf(inputs, tree)
        return tuple(scores)

    def _leaf(self, inputs: Sequence[int], tree: int) -> int:
        thresholds, leaves = self._numbers
        first, node = tree * self._nodes, 0
        for _ in range(self.depth):
            place = first + node
            node = 2 * node + 1 + (inputs[self.features[place]] > thresholds[place])
        return leaves[tree * self._leaves + node - self._nodes]

    @cached_property
    def _prepared(self) -> PreparedTrees:
        features, thresholds, leaves, _ = self.arrays
        return prepare(features, thresholds, leaves, depth=self.depth, bases=self.bases)

    def _score_many(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        return score(self._prepared, inputs)

    @cached_property
    def _explaining(self) -> tuple[TreeParts, ...]:
        """Each head's trees, prepared for explaining."""
        heads = (slice(head * self.trees, (head + 1) * self.trees) for head in range(self.heads))
        features, thresholds, leaves, counts = self.arrays
        return tuple(TreeParts(features[h], thresholds[h], leaves[h], counts[h]) for h in heads)

    @property
    def explains(self) -> bool:
        return has_numpy()

    def base_score(self, head: int = 0) -> float:
        """Return the average training row's score as the leaves' counts have it, from which reasons count."""
        check_head(head, self.heads)
        return self.bases[head] + self._explaining[head].expected

    def contributions(self, row: Row, *, head: int = 0) -> Mapping[str, float]:
        """Return every feature's exact part of (score - base score): its inputs' Shapley values, summed.

        The players are the inputs, so a feature that fills several (a category, a gap flag) gets the sum of theirs.
        With `base_score` the parts add up to the score, up to float64's rounding.

        Raises:
            ModelInputError: there is no such head; see `Quantiser.inputs`.
            MissingExtraError: numpy is not installed.
        """
        check_head(head, self.heads)
        need_numpy("explaining trees")
        parts = self._parts(self.quantiser.inputs(row), head)
        return dict(zip(self.quantiser.names, parts, strict=True))

    def _parts(self, inputs: Sequence[int], head: int) -> list[float]:
        parts = self._explaining[head].explain(inputs).tolist()
        return [sum(parts[i] for i in self.quantiser.places(name)) for name in self.quantiser.names]

    @cached_property
    def _part_tables(self) -> tuple[PartTables | None, ...]:
        """Each head's parts, worked out beforehand; None where the tables would be too large to keep."""
        import numpy as np

        widths = [feature.width for feature in self.quantiser.features]
        owners = np.repeat(np.arange(len(widths)), widths)
        allowed = MAX_ENTRIES // self.heads
        return tuple(tables_of(trees, owners, allowed=allowed) for trees in self._explaining)

    def _parts_many(self, inputs: NDArray[np.int16], head: int) -> NDArray[np.float64]:
        tables = self._part_tables[head]
        if tables is None:
            return super()._parts_many(inputs, head)
        return tables.explain(inputs, len(self.quantiser.names))
