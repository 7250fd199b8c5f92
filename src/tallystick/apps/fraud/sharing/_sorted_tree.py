"""A Merkle tree over sorted entries: what is in it can be proved, and what is not.

Leaves and nodes are hashed as RFC 9162, 2.1.1 says; entries stand in the order of their keys, each key once. That a key
is not there is shown by the two neighbours between which it would stand, or by the first or last entry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tallystick.errors import EncodingError, ProofError, VerificationError
from tallystick.proof import (
    check_format,
    decode_base64url,
    encode_base64url,
    format_json,
    leaf_hash,
    node_hash,
    parse_json,
    root_of,
    verify_inclusion,
)

__all__ = ["KEY_SIZE", "Place", "SortedTree", "TokenProof", "format_token_proof", "parse_token_proof"]

KEY_SIZE: Final = 32  # bytes
MAX_ENTRY: Final = 256  # bytes
_FORMAT: Final = "tallystick/token-proof"
_LIMIT: Final = 32 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Place:
    """One entry with its inclusion path."""

    index: int
    entry: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TokenProof:
    """That a key is in a tree, or that it is not.

    Args:
        size: entries of the tree.
        places: the entry itself; or its neighbours, of which one is missing at either end; none in an empty tree.
    """

    size: int
    places: tuple[Place, ...]

    def verify(self, key: bytes, *, root: bytes) -> bytes | None:
        """Check it.

        Args:
            key: which one.
            root: of the tree, 32 bytes.

        Returns:
            The entry, or None: the key is not in the tree.

        Raises:
            VerificationError: it does not hold for this root, or proves nothing about this key.
        """
        try:
            if self.size == 0 and not self.places and root == root_of([]):
                return None
            for place in self.places:
                verify_inclusion(
                    leaf_hash(place.entry), index=place.index, size=self.size, path=place.path, root=root
                )
        except ProofError as error:
            raise VerificationError(error.message) from error
        keys = [place.entry[:KEY_SIZE] for place in self.places]
        if len(self.places) == 1 and keys[0] == key:
            return self.places[0].entry
        if not self._absent(keys, key):
            raise VerificationError("the proof says nothing about this token")
        return None

    def _absent(self, keys: Sequence[bytes], key: bytes) -> bool:
        if len(keys) == 2:
            return self.places[0].index + 1 == self.places[1].index and keys[0] < key < keys[1]
        if len(keys) == 1 and self.places[0].index == 0 and key < keys[0]:
            return True
        return len(keys) == 1 and self.places[0].index == self.size - 1 and key > keys[0]


class SortedTree:
    """Entries that begin with their key, sorted.

    Args:
        entries: in any order; each key once.
    """

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = tuple(sorted(entries))
        self._keys = [entry[:KEY_SIZE] for entry in self.entries]
        if len(set(self._keys)) != len(self._keys):
            raise EncodingError("each token must stand in the list once")
        self._levels = [[leaf_hash(entry) for entry in self.entries]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            level = [node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
            # An odd last subtree moves up unchanged, which equals RFC 9162's split at the largest power of two.
            self._levels.append(level + below[len(below) & ~1 :])

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return self._levels[-1][0] if self.entries else root_of([])

    def prove(self, key: bytes) -> TokenProof:
        """Prove that a key is there, or that it is not."""
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            return TokenProof(len(self.entries), (self._place(at),))
        beside = [place for place in (at - 1, at) if 0 <= place < len(self.entries)]
        return TokenProof(len(self.entries), tuple(map(self._place, beside)))

    def _place(self, index: int) -> Place:
        path, at = list[bytes](), index
        for level in self._levels[:-1]:
            if at ^ 1 < len(level):
                path.append(level[at ^ 1])
            at >>= 1
        return Place(index, self.entries[index], tuple(path))


def format_token_proof(proof: TokenProof) -> bytes:
    """Write a proof as canonical JSON."""
    places: list[dict[str, Any]] = [
        {
            "entry": encode_base64url(place.entry),
            "index": place.index,
            "path": [encode_base64url(digest) for digest in place.path],
        }
        for place in proof.places
    ]
    return format_json({"places": places, "size": proof.size, "type": _FORMAT, "v": 1})


def parse_token_proof(data: bytes) -> TokenProof:
    """Read a proof; accepts exactly what `format_token_proof` makes.

    Raises:
        EncodingError: malformed.
        UnknownFormatError: a later version.
    """
    document = check_format(parse_json(data, limit=_LIMIT), _FORMAT)
    try:
        if set(document) != {"places", "size", "type", "v"} or type(document["size"]) is not int:
            raise EncodingError("a token's proof must have exactly the fields of version 1")
        if document["size"] < 0 or len(document["places"]) > 2:
            raise EncodingError("a token's proof must have a size and at most two places")
        return TokenProof(document["size"], tuple(map(_parsed_place, document["places"])))
    except (KeyError, TypeError) as error:
        raise EncodingError("a token's proof is malformed") from error


def _parsed_place(place: Any) -> Place:
    if set(place) != {"entry", "index", "path"} or type(place["index"]) is not int or place["index"] < 0:
        raise EncodingError("a place must have entry, index and path")
    entry = decode_base64url(place["entry"])
    if not KEY_SIZE <= len(entry) <= MAX_ENTRY or len(place["path"]) > 64:
        raise EncodingError(f"an entry must have {KEY_SIZE} to {MAX_ENTRY} bytes, a path at most 64 hashes")
    path = tuple(decode_base64url(digest, size=32) for digest in place["path"])
    return Place(place["index"], entry, path)
