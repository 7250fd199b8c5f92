"""Export of a journal's hash tiles by the C2SP tlog-tiles layout: what anybody may see, and nothing more.

    checkpoint                      the newest signed head, with its cosignatures
    tile/<level>/<number>[.p/<w>]   256 hashes of a level, fewer in a partial tile

Entry bundles are not exported: statements go only to those who may read them, one receipt at a time.
"""

from __future__ import annotations

from pathlib import Path

from tallystick.proof import Journal, root_of

from ._workspace import write_small

__all__ = ["export_tiles"]

TILE_WIDTH = 256  # hashes, tile height 8


def export_tiles(journal: Journal, directory: Path) -> int:
    """Write all hash tiles and the checkpoint; how many files.

    Every entry is hashed again on the way, so a damaged journal exports nothing beyond the damage.
    """
    # The head first: entries that are appended meanwhile belong to the next export.
    head = journal.checkpoint()
    hashes = [bytes.fromhex(entry.id) for entry in journal.entries(0, head.size)]
    level = files = 0
    while hashes:
        for number in range(0, len(hashes), TILE_WIDTH):
            tile = hashes[number : number + TILE_WIDTH]
            write_small(directory / tile_path(level, number // TILE_WIDTH, len(tile)), b"".join(tile))
            files += 1
        whole = len(hashes) // TILE_WIDTH
        # These are nodes already: a tree over them hashes no leaf.
        hashes = [root_of(hashes[at * TILE_WIDTH : (at + 1) * TILE_WIDTH]) for at in range(whole)]
        level += 1
    # The checkpoint last: whoever follows it finds every tile that it needs.
    write_small(directory / "checkpoint", head.note)
    return files + 1


def tile_path(level: int, number: int, width: int) -> str:
    """Where a tile stands (C2SP tlog-tiles: three digits a directory, all but the last with an x)."""
    digits = f"{number:0{-(-max(1, len(str(number))) // 3) * 3}}"
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{path}" + ("" if width == TILE_WIDTH else f".p/{width}")
