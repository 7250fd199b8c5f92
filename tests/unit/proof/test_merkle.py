"""Merkle hashes and proofs: known answers and everything that must be refused."""

from __future__ import annotations

import hashlib

import pytest

from tallystick.errors import ProofError
from tallystick.proof._merkle import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    range_root,
    root_from_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The reference entries and roots of the certificate-transparency test data (github.com/google/certificate-transparency).
ENTRIES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
H = b"\x11" * 32


def node(level: int, index: int) -> bytes:
    return root_of(LEAVES[index << level : (index + 1) << level])


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT == root_of([]) == range_root(0, 0, node=node)


def test_roots_equal_the_reference_vectors() -> None:
    assert [root_of(LEAVES[:size]).hex() for size in range(1, 9)] == ROOTS
    assert [range_root(0, size, node=node).hex() for size in range(1, 9)] == ROOTS


def test_a_node_hashes_left_before_right() -> None:
    assert node_hash(LEAVES[0], LEAVES[1]).hex() == ROOTS[1]
    assert node_hash(LEAVES[1], LEAVES[0]).hex() != ROOTS[1]


def test_every_inclusion_proof_of_the_vectors_holds() -> None:
    for size in range(1, 9):
        root = bytes.fromhex(ROOTS[size - 1])
        for index in range(size):
            path = inclusion_path(index, size=size, node=node)
            verify_inclusion(LEAVES[index], index=index, size=size, path=path, root=root)
            assert root_from_inclusion(LEAVES[index], index=index, size=size, path=path) == root


def test_every_consistency_proof_of_the_vectors_holds() -> None:
    for new in range(1, 9):
        for old in range(1, new + 1):
            path = consistency_path(old, new, node=node)
            roots = {"old_root": root_of(LEAVES[:old]), "new_root": root_of(LEAVES[:new])}
            verify_consistency(old_size=old, new_size=new, path=path, **roots)


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, 0), (1, 1), (8, 8), (9, 8), (-1, 8), (0, -1), (-1, -1), (0, 2**63), (2**64, 2**65)],
)
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    for path in ([], [H], [H] * 3):
        with pytest.raises(ProofError, match="index must be"):
            verify_inclusion(H, index=index, size=size, path=path, root=H)
    if not 0 <= index < size:
        with pytest.raises(ProofError, match="index must be"):
            inclusion_path(index, size=size, node=node)


def test_an_inclusion_path_of_wrong_length_is_refused() -> None:
    root, path = root_of(LEAVES), inclusion_path(3, size=8, node=node)
    for wrong in (path[:-1], [*path, H], [], path[1:], [*path, root]):
        with pytest.raises(ProofError, match="must hold 3 hashes"):
            verify_inclusion(LEAVES[3], index=3, size=8, path=wrong, root=root)


@pytest.mark.parametrize("wrong", [b"", b"\x11" * 31, b"\x11" * 33])
def test_hashes_that_are_not_32_bytes_are_refused(wrong: bytes) -> None:
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(wrong, index=0, size=1, path=[], root=wrong)
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(H, index=0, size=2, path=[wrong], root=H)
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(H, index=0, size=1, path=[], root=wrong)
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(old_size=1, new_size=1, old_root=wrong, new_root=wrong, path=[])
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(old_size=1, new_size=2, old_root=H, new_root=wrong, path=[H])
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(old_size=1, new_size=2, old_root=H, new_root=H, path=[wrong])


def test_a_wrong_leaf_index_or_root_is_refused() -> None:
    root, path = root_of(LEAVES), inclusion_path(2, size=8, node=node)
    verify_inclusion(LEAVES[2], index=2, size=8, path=path, root=root)
    for leaf, index, claimed in ((LEAVES[3], 2, root), (LEAVES[2], 3, root), (LEAVES[2], 2, H)):
        with pytest.raises(ProofError, match="does not lead"):
            verify_inclusion(leaf, index=index, size=8, path=path, root=claimed)


def test_equal_sizes_with_different_roots_are_refused() -> None:
    verify_consistency(old_size=5, new_size=5, old_root=H, new_root=H, path=[])
    with pytest.raises(ProofError, match="different roots"):
        verify_consistency(old_size=5, new_size=5, old_root=H, new_root=LEAVES[0], path=[])


def test_equal_sizes_with_a_path_are_refused() -> None:
    with pytest.raises(ProofError, match="must be empty"):
        verify_consistency(old_size=5, new_size=5, old_root=H, new_root=H, path=[H])


@pytest.mark.parametrize(("old", "new"), [(-1, 5), (6, 5), (-5, -3), (5, -1), (1, 2**63)])
def test_sizes_that_cannot_be_are_refused(old: int, new: int) -> None:
    for path in ([], [H]):
        with pytest.raises(ProofError, match="sizes must be"):
            verify_consistency(
                old_size=old, new_size=new, old_root=H, new_root=H, path=path, allow_empty=True
            )


def test_size_zero_is_refused_unless_asked_for() -> None:
    with pytest.raises(ProofError, match="sizes must be"):
        verify_consistency(old_size=0, new_size=3, old_root=EMPTY_ROOT, new_root=H, path=[])
    verify_consistency(old_size=0, new_size=3, old_root=EMPTY_ROOT, new_root=H, path=[], allow_empty=True)
    with pytest.raises(ProofError, match="must be empty"):
        verify_consistency(
            old_size=0, new_size=3, old_root=EMPTY_ROOT, new_root=H, path=[H], allow_empty=True
        )
    with pytest.raises(ProofError, match="empty tree"):
        verify_consistency(old_size=0, new_size=3, old_root=H, new_root=H, path=[], allow_empty=True)
    with pytest.raises(ProofError, match="different roots"):
        verify_consistency(old_size=0, new_size=0, old_root=EMPTY_ROOT, new_root=H, path=[], allow_empty=True)


def test_a_consistency_path_of_wrong_length_is_refused() -> None:
    for old, new in ((3, 7), (4, 8), (6, 8), (1, 2)):
        path = consistency_path(old, new, node=node)
        roots = {"old_root": root_of(LEAVES[:old]), "new_root": root_of(LEAVES[:new])}
        for wrong in (path[:-1], [*path, H], []):
            with pytest.raises(ProofError, match="wrong length"):
                verify_consistency(old_size=old, new_size=new, path=wrong, **roots)


def test_another_history_is_not_consistent() -> None:
    other = [*LEAVES[:2], H, *LEAVES[3:]]
    path = consistency_path(3, 8, node=node)
    roots = {"old_root": root_of(LEAVES[:3]), "new_root": root_of(LEAVES)}
    verify_consistency(old_size=3, new_size=8, path=path, **roots)
    with pytest.raises(ProofError, match="does not extend"):
        verify_consistency(
            old_size=3, new_size=8, path=path, old_root=root_of(other[:3]), new_root=roots["new_root"]
        )
    with pytest.raises(ProofError, match="does not extend"):
        verify_consistency(
            old_size=3, new_size=8, path=path, old_root=roots["old_root"], new_root=root_of(other)
        )
