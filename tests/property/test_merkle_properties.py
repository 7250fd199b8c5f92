"""Merkle proofs against the recursive definitions of RFC 9162, over random sizes and tampering."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import ProofError
from tallystick.proof._merkle import (
    consistency_path,
    inclusion_path,
    range_root,
    root_of,
    verify_consistency,
    verify_inclusion,
)

MOST = 200
LEAVES = [hashlib.sha256(b"\x00%d" % number).digest() for number in range(MOST)]


def split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def mth(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path_of(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 9162, 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path_of(m, leaves[:k]), mth(leaves[k:])]
    return [*path_of(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 9162, 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def node(level: int, index: int) -> bytes:
    part = LEAVES[index << level : (index + 1) << level]
    assert len(part) == 1 << level, "only complete subtrees are read"
    return mth(part)


sizes = st.integers(1, MOST)


@given(sizes)
def test_roots_follow_the_definition(size: int) -> None:
    assert root_of(LEAVES[:size]) == range_root(0, size, node=node) == mth(LEAVES[:size])


@given(sizes, st.data())
def test_inclusion_paths_follow_the_definition_and_hold(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size=size, node=node)
    assert path == path_of(index, LEAVES[:size])
    verify_inclusion(LEAVES[index], index=index, size=size, path=path, root=mth(LEAVES[:size]))


@given(sizes, st.data())
def test_consistency_paths_follow_the_definition_and_hold(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    path = consistency_path(old, new, node=node)
    assert path == subproof(old, LEAVES[:new], True)
    roots = {"old_root": mth(LEAVES[:old]), "new_root": mth(LEAVES[:new])}
    verify_consistency(old_size=old, new_size=new, path=path, **roots)


@given(sizes, st.data())
def test_a_changed_inclusion_proof_never_holds(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size=size, node=node)
    root = mth(LEAVES[:size])
    other_index = data.draw(st.integers(-1, MOST + 1))
    other_path = data.draw(
        st.sampled_from([path, path[::-1], path[1:], path[:-1], [*path, root], flipped(path)])
    )
    if (other_index, other_path) == (index, path):
        return
    with pytest.raises(ProofError):
        verify_inclusion(LEAVES[index], index=other_index, size=size, path=other_path, root=root)


@given(sizes, st.data())
def test_a_changed_consistency_proof_never_holds(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    path = consistency_path(old, new, node=node)
    roots = {"old_root": mth(LEAVES[:old]), "new_root": mth(LEAVES[:new])}
    other_old = data.draw(st.integers(-1, MOST + 1))
    other_path = data.draw(st.sampled_from([path, path[1:], path[:-1], [*path, LEAVES[0]], flipped(path)]))
    if (other_old, other_path) == (old, path):
        return
    with pytest.raises(ProofError):
        verify_consistency(old_size=other_old, new_size=new, path=other_path, **roots)


def flipped(path: list[bytes]) -> list[bytes]:
    if not path:
        return [bytes(32)]
    return [*path[:-1], bytes([path[-1][0] ^ 1]) + path[-1][1:]]
