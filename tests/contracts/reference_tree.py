"""A Merkle tree written straight from the definitions of RFC 9162, section 2.1: slow and plain."""

from __future__ import annotations

from functools import cache
from hashlib import sha256


def split(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << ((size - 1).bit_length() - 1)


class Tree:
    """Leaves made from a seed; another seed from some place on makes a fork."""

    def __init__(self, seed: str = "tree", *, fork_at: int | None = None) -> None:
        self.seed, self.fork_at = seed, fork_at
        self._range = cache(self._compute_range)

    def leaf(self, index: int) -> bytes:
        forked = self.fork_at is not None and index >= self.fork_at
        return sha256(b"\x00" + f"{self.seed}{'-fork' if forked else ''} {index}".encode()).digest()

    def root(self, size: int) -> bytes:
        return self._range(0, size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Section 2.1.3.1: PATH(index, D[size])."""
        return self._path(index, 0, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Section 2.1.4.1: PROOF(old, D[new])."""
        return [] if old == new else self._subproof(old, 0, new, True)

    def _compute_range(self, start: int, stop: int) -> bytes:
        if stop - start == 1:
            return self.leaf(start)
        middle = start + split(stop - start)
        return sha256(b"\x01" + self._range(start, middle) + self._range(middle, stop)).digest()

    def _path(self, index: int, start: int, stop: int) -> list[bytes]:
        if stop - start == 1:
            return []
        middle = start + split(stop - start)
        if index < middle:
            return [*self._path(index, start, middle), self._range(middle, stop)]
        return [*self._path(index, middle, stop), self._range(start, middle)]

    def _subproof(self, old: int, start: int, stop: int, whole: bool) -> list[bytes]:
        if start + old == stop:
            return [] if whole else [self._range(start, stop)]
        middle = start + split(stop - start)
        if start + old <= middle:
            return [*self._subproof(old, start, middle, whole), self._range(middle, stop)]
        return [*self._subproof(start + old - middle, middle, stop, False), self._range(start, middle)]
