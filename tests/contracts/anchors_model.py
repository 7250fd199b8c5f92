"""What ``Anchors`` shall do, in plain Python, with the consistency check in another shape.

The contract walks RFC 9162, section 2.1.4.2; this model takes a proof apart by section 2.1.4.1, top down, and
rebuilds both roots from it. Agreement of the two is worth more than twice the same loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from reference_tree import split


def roots_of_proof(old: int, new: int, old_root: bytes, proof: list[bytes]) -> tuple[bytes, bytes] | None:
    """Rebuild the old and the new root from a consistency proof; None when its length cannot be."""
    rest = list(proof)

    def rebuild(old: int, new: int, whole: bool) -> tuple[bytes, bytes] | None:
        """Both roots of one subtree; proofs list what lies deepest first, so take from the end."""
        if old == new:
            if whole:
                return old_root, old_root
            if not rest:
                return None
            node = rest.pop()
            return node, node
        middle = split(new)
        if not rest:
            return None
        sibling = rest.pop()
        if old <= middle:
            inner = rebuild(old, middle, whole)
            return inner and (inner[0], sha256(b"\x01" + inner[1] + sibling).digest())
        inner = rebuild(old - middle, new - middle, False)
        return inner and (
            sha256(b"\x01" + sibling + inner[0]).digest(),
            sha256(b"\x01" + sibling + inner[1]).digest(),
        )

    found = rebuild(old, new, True)
    return None if rest else found


@dataclass
class JournalModel:
    """One journal's epochs: sizes, roots and blocks in the order of anchoring."""

    epochs: list[list[tuple[int, bytes, int]]] = field(default_factory=lambda: [[]])

    def accepts(self, size: int, root: bytes, proof: list[bytes]) -> bool:
        current = self.epochs[-1]
        if not any(root):
            return False
        if not current:
            return size > 0 and not proof
        old, old_root, _ = current[-1]
        if size <= old or not proof:
            return False
        return roots_of_proof(old, size, old_root, proof) == (old_root, root)

    def anchor(self, size: int, root: bytes, block: int) -> None:
        self.epochs[-1].append((size, root, block))
