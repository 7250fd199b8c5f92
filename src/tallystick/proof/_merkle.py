"""The Merkle tree of RFC 9162, section 2.1: hashes, proofs and their checks.

Rules:

- a leaf is ``SHA-256(0x00 || entry)``, a node ``SHA-256(0x01 || left || right)``, the empty tree ``SHA-256("")`` (2.1.1);
- a proof has exactly the length that index and sizes demand; a longer or shorter one is refused before any hashing;
- every hash is 32 bytes, an index lies below its size, sizes are never negative;
- two trees of equal size are consistent only by equal roots and an empty path (2.1.4.2);
- RFC 9162 gives consistency proofs for ``0 < old size`` only. Every tree extends the empty one, so such a "proof" says
  nothing: it is refused unless the caller asks for it with ``allow_empty`` (a witness's first sight of a log).

Proofs are made from *complete* subtrees: ``node(level, index)`` is the hash over the ``2**level`` leaves from
``index * 2**level`` on. All that a tree of n leaves needs are the levels' first ``n >> level`` hashes.

    path = inclusion_path(index, size=size, node=node)
    verify_inclusion(leaf, index=index, size=size, path=path, root=root)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from tallystick.errors import ProofError

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256(b"").digest()

Node = Callable[[int, int], bytes]
"""``node(level, index)``: the hash of one complete subtree."""


def leaf_hash(data: bytes) -> bytes:
    """Hash an entry as a leaf (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees as their parent (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


# Copying a hash that has taken its prefix is quicker than making one and joining prefix and data, by a tenth.
_copy_leaf = sha256(b"\x00").copy
_copy_node = sha256(b"\x01").copy


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Hash many entries as leaves."""
    hashes: list[bytes] = []
    for entry in entries:
        leaf = _copy_leaf()
        leaf.update(entry)
        hashes.append(leaf.digest())
    return hashes


def pair_hashes(hashes: Sequence[bytes]) -> list[bytes]:
    """Hash neighbours: one level's hashes to the next level's; an odd last one is left out."""
    nodes: list[bytes] = []
    for left, right in zip(hashes[0::2], hashes[1::2], strict=False):
        node = _copy_node()
        node.update(left + right)
        nodes.append(node.digest())
    return nodes


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Compute the root over leaf hashes held in memory.

    Source: RFC 9162, 2.1.1; an odd last subtree moves up unchanged, which equals the split at the largest power of two.
    """
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        pairs = pair_hashes(level)
        if len(level) % 2:
            pairs.append(level[-1])
        level = pairs
    return level[0]


def root_from_inclusion(leaf: bytes, *, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Compute the root that a leaf hash and its inclusion path lead to.

    Args:
        leaf: the entry's leaf hash, 32 bytes.
        index: the entry's place, from 0.
        size: the tree's size; must be above the index.
        path: sibling hashes from the leaf upwards.

    Raises:
        ProofError: index, size, or the path's length or hashes cannot be.

    Source: RFC 9162, 2.1.3.2; the path is split where the leaf's way leaves the tree's right border.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"index must be >= 0 and below the tree size {size}, got {index}")
    last = size - 1
    inner = (index ^ last).bit_length()
    border = (index >> inner).bit_count()
    if len(path) != inner + border:
        raise ProofError(f"inclusion path must hold {inner + border} hashes, got {len(path)}")
    _check_hash(leaf, "leaf hash")
    for hash_ in path:
        if len(hash_) != HASH_SIZE:
            raise _bad_hash("path hash", hash_)
    result = leaf
    for sibling in path[:inner]:
        if index & 1:
            result = sha256(b"\x01" + sibling + result).digest()
        else:
            result = sha256(b"\x01" + result + sibling).digest()
        index >>= 1
    for sibling in path[inner:]:
        result = sha256(b"\x01" + sibling + result).digest()
    return result


def verify_inclusion(leaf: bytes, *, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf hash stands at ``index`` in the tree of ``size`` leaves with this root.

    Raises:
        ProofError: it does not, or the proof is malformed.
    """
    _check_hash(root, "root")
    if root_from_inclusion(leaf, index=index, size=size, path=path) != root:
        raise ProofError(f"inclusion proof of entry {index} does not lead to the root of size {size}")


def verify_consistency(
    *,
    old_size: int,
    new_size: int,
    old_root: bytes,
    new_root: bytes,
    path: Sequence[bytes],
    allow_empty: bool = False,
) -> None:
    """Check that the new tree only appended to the old one.

    Args:
        old_size: leaves of the old tree; 0 is refused unless ``allow_empty``.
        new_size: leaves of the new tree.
        old_root: root of the old tree; must be `EMPTY_ROOT` at size 0.
        new_root: root of the new tree.
        path: the consistency proof.
        allow_empty: accept an old tree without leaves (with an empty path); it proves nothing about the new one.

    Raises:
        ProofError: the trees are not consistent, or the proof is malformed.

    Source: RFC 9162, 2.1.4.2.
    """
    _check_sizes(old_size, new_size, allow_empty=allow_empty)
    _check_hash(old_root, "old root")
    _check_hash(new_root, "new root")
    for hash_ in path:
        _check_hash(hash_, "path hash")
    if old_size in (0, new_size):
        if path:
            raise ProofError(
                f"consistency path from {old_size} to {new_size} must be empty, got {len(path)} hashes"
            )
        _check_trivial(old_size, new_size, old_root, new_root)
        return
    # Clause 1: a complete old tree is itself the first node of the path.
    nodes = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    if len(nodes) != _consistency_length(old_size, new_size):
        raise ProofError(
            f"consistency path from {old_size} to {new_size} has a wrong length: {len(path)} hashes"
        )
    if _roots_from_consistency(old_size, new_size, nodes) != (old_root, new_root):
        raise ProofError(f"the tree of size {new_size} does not extend the tree of size {old_size}")


def root_before(*, old_size: int, new_size: int, new_root: bytes, path: Sequence[bytes]) -> bytes | None:
    """Read out of a consistency proof which root the tree had at the old size, whatever somebody says that it was.

    Args:
        old_size: leaves of the old tree; of a power of two the proof does not carry that root.
        new_size: leaves of the new tree, more than the old one's.
        new_root: root of the new tree.
        path: a consistency proof.

    Returns:
        The root; None when the proof does not carry it, or does not lead to the new root.

    Source: RFC 9162, 2.1.4.2.
    """
    if not 0 < old_size < new_size or old_size & (old_size - 1) == 0:
        return None
    if len(path) != _consistency_length(old_size, new_size) or any(len(hash_) != HASH_SIZE for hash_ in path):
        return None
    old, new = _roots_from_consistency(old_size, new_size, list(path))
    return old if new == new_root else None


def inclusion_path(
    index: int, *, size: int, node: Node, part: Callable[[int, int], bytes] | None = None
) -> list[bytes]:
    """Make the inclusion path of one leaf from complete subtrees, in O(log size) reads.

    Args:
        index: the leaf's place.
        size: the tree's size.
        node: reads the hash of a complete subtree.
        part: computes `range_root` of the tree's last, incomplete part; give one that remembers to save its reads.

    Raises:
        ProofError: the index is not below the size.

    Source: RFC 9162, 2.1.3.1.
    """
    if not 0 <= index < size:
        raise ProofError(f"index must be >= 0 and below the tree size {size}, got {index}")
    inner = (index ^ (size - 1)).bit_length()
    path = [node(level, (index >> level) ^ 1) for level in range(inner - 1)]
    if inner:
        # The uppermost inner sibling is the only one that may hold the tree's last, incomplete part.
        level, sibling = inner - 1, (index >> (inner - 1)) ^ 1
        if (sibling + 1) << level <= size:
            path.append(node(level, sibling))
        else:
            start = sibling << level
            path.append(part(start, size) if part else range_root(start, size, node=node))
    border = range(inner, size.bit_length())
    path.extend(node(level, (index >> level) ^ 1) for level in border if (index >> level) & 1)
    return path


def consistency_path(old_size: int, new_size: int, *, node: Node) -> list[bytes]:
    """Make the consistency proof between two sizes from complete subtrees, in O(log size) reads.

    From size 0, or between equal sizes, the path is empty.

    Raises:
        ProofError: a size is negative, or the old one is above the new one.

    Source: RFC 9162, 2.1.4.1.
    """
    _check_sizes(old_size, new_size, allow_empty=True)
    if old_size in (0, new_size):
        return []
    # The old tree's last complete subtree: everything below it is the same in both trees.
    level = (old_size & -old_size).bit_length() - 1
    index = (old_size >> level) - 1
    path = [] if old_size & (old_size - 1) == 0 else [node(level, index)]
    last = (new_size - 1) >> level
    while last:
        if index & 1:
            path.append(node(level, index - 1))
        elif index < last:
            start = (index + 1) << level
            stop = (index + 2) << level
            path.append(
                node(level, index + 1) if stop <= new_size else range_root(start, new_size, node=node)
            )
        level, index, last = level + 1, index >> 1, last >> 1
    return path


def range_root(start: int, stop: int, *, node: Node) -> bytes:
    """Compute the root over the leaves ``start`` to ``stop``, where ``start`` begins a subtree at least as wide.

    ``range_root(0, size)`` is the tree's root.
    """
    if start == stop:
        return EMPTY_ROOT
    hashes = [node(level, index) for level, index in _complete_parts(start, stop)]
    result = hashes.pop()
    while hashes:
        result = sha256(b"\x01" + hashes.pop() + result).digest()
    return result


def _complete_parts(start: int, stop: int) -> list[tuple[int, int]]:
    """Cut a range into its complete subtrees, widest first."""
    parts = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        parts.append((level, start >> level))
        start += 1 << level
    return parts


def _check_hash(hash_: bytes, name: str) -> None:
    if len(hash_) != HASH_SIZE:
        raise _bad_hash(name, hash_)


def _bad_hash(name: str, hash_: bytes) -> ProofError:
    return ProofError(f"{name} must be {HASH_SIZE} bytes, got {len(hash_)}")


def _check_sizes(old_size: int, new_size: int, *, allow_empty: bool) -> None:
    least = 0 if allow_empty else 1
    if not least <= old_size <= new_size <= MAX_SIZE:
        raise ProofError(f"sizes must be {least} <= old <= new, got {old_size} and {new_size}")


def _check_trivial(old_size: int, new_size: int, old_root: bytes, new_root: bytes) -> None:
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise ProofError("the root of size 0 must be the empty tree's")
    if old_size == new_size and old_root != new_root:
        raise ProofError(f"two trees of size {new_size} have different roots")


def _consistency_length(old_size: int, new_size: int) -> int:
    """Count the nodes that the check walks, the first one included."""
    level = (old_size & -old_size).bit_length() - 1
    first, last = (old_size - 1) >> level, (new_size - 1) >> level
    inner = (first ^ last).bit_length()
    return 1 + inner + (first >> inner).bit_count()


def _roots_from_consistency(old_size: int, new_size: int, nodes: Sequence[bytes]) -> tuple[bytes, bytes]:
    # Clauses 2 to 4: start above the old tree's last complete subtree; clause 6 walks both roots upwards at once.
    first, last = old_size - 1, new_size - 1
    while first & 1:
        first >>= 1
        last >>= 1
    old = new = nodes[0]
    for hash_ in nodes[1:]:
        if first & 1 or first == last:
            old = sha256(b"\x01" + hash_ + old).digest()
            new = sha256(b"\x01" + hash_ + new).digest()
            while first and not first & 1:
                first >>= 1
                last >>= 1
        else:
            new = sha256(b"\x01" + new + hash_).digest()
        first >>= 1
        last >>= 1
    return old, new
