"""A log's tree as its readers see it: tiles that somebody hands over, believed only as far as they lead to the head.

- No IO: whoever makes a tree says how a tile of a path is fetched, from a server or from a directory.
- A tile's hashes count for nothing by themselves. What a tree gives out is a proof that the caller checks against two
  heads, or an entry that was hashed up to the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tallystick.errors import EncodingError, ProofError
from tallystick.proof._checkpoints import Checkpoint
from tallystick.proof._merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    consistency_path,
    inclusion_path,
    leaf_hash,
    range_root,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tallystick.proof._tiles import TILE_HEIGHT, TILE_WIDTH, tile_path

__all__ = ["TileTree", "parse_entry_bundle"]

KEPT_TILES = 4_096  # a tile has at most 8 KiB


class TileTree:
    """The tree under one head.

    Args:
        head: verified by the caller.
        fetch: returns the bytes of a tile by its path.
    """

    def __init__(self, head: Checkpoint, fetch: Callable[[str], bytes]) -> None:
        self.head, self._fetch = head, fetch
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree, as the tiles have it; it proves nothing by itself."""
        step = level % TILE_HEIGHT
        tile, place = divmod(index << step, TILE_WIDTH)
        return root_of(self._tile(level // TILE_HEIGHT, tile)[place : place + (1 << step)])

    def _tile(self, level: int, index: int) -> list[bytes]:
        found = self._tiles.get((level, index))
        if found is None:
            width = min(TILE_WIDTH, (self.head.size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
            if width <= 0:
                raise ProofError("the tree has no such node")
            data = self._fetch(tile_path(level, index, width))
            if len(data) != width * HASH_SIZE:
                raise EncodingError(f"a tile of {width} hashes must have {width * HASH_SIZE} bytes")
            found = [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]
            if len(self._tiles) >= KEPT_TILES:
                del self._tiles[next(iter(self._tiles))]
            self._tiles[level, index] = found
        return found

    def check(self) -> None:
        """Check that the tiles lead to the head.

        Raises:
            ProofError: they lead elsewhere.
            EncodingError: a tile is not one.
        """
        if range_root(0, self.head.size, node=self.node) != self.head.root:
            raise ProofError("the log's tiles do not lead to the head that it signed")

    def check_follows(self, old_size: int, old_root: bytes) -> list[bytes]:
        """Check that the head extends an earlier one; returns the proof.

        Raises:
            ProofError: it does not.
            EncodingError: a tile is not one.
        """
        if old_size == 0:
            # Everything extends the empty tree; RFC 9162 has no proof from there.
            if old_root != EMPTY_ROOT:
                raise ProofError("the root of size 0 must be the empty tree's")
            return []
        path = consistency_path(old_size, self.head.size, node=self.node)
        verify_consistency(
            old_size=old_size,
            new_size=self.head.size,
            old_root=old_root,
            new_root=self.head.root,
            path=path,
        )
        return path

    def root_at(self, size: int) -> tuple[bytes, list[bytes]]:
        """Return the root that this tree had at an earlier size, and the proof from there to its head.

        Args:
            size: 1 to the head's size less 1.

        Raises:
            ProofError: the tiles do not lead to the head.
            EncodingError: a tile is not one.
        """
        root = range_root(0, size, node=self.node)
        return root, self.check_follows(size, root)

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Give out entries; each one is hashed up to the head first.

        Raises:
            ProofError: an entry is not what the head stands for.
            EncodingError: a bundle is not one.
        """
        stop = min(stop, self.head.size)
        for number in range(start // TILE_WIDTH, -(-stop // TILE_WIDTH)):
            first = number * TILE_WIDTH
            width = min(TILE_WIDTH, self.head.size - first)
            bundle = parse_entry_bundle(self._fetch(tile_path("entries", number, width)), width)
            for index in range(max(start, first), min(stop, first + width)):
                entry = bundle[index - first]
                verify_inclusion(
                    leaf_hash(entry),
                    index=index,
                    size=self.head.size,
                    path=inclusion_path(index, size=self.head.size, node=self.node),
                    root=self.head.root,
                )
                yield entry


def parse_entry_bundle(data: bytes, width: int) -> list[bytes]:
    """Cut a bundle into its entries.

    Args:
        data: entries, each behind its length as a big-endian u16.
        width: how many there must be.

    Raises:
        EncodingError: there are more or fewer, or one is cut.
    """
    entries, at = list[bytes](), 0
    while at < len(data) and len(entries) < width:
        size = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + size]
        if at + 2 > len(data) or len(entry) != size:
            raise EncodingError("an entry of a bundle is cut")
        entries.append(entry)
        at += 2 + size
    if len(entries) != width or at != len(data):
        raise EncodingError(f"a bundle must have {width} entries, got another number")
    return entries
