"""Anchors: a journal's head that stands on a chain, as a receipt carries it and as others attest it.

A claim is only the issuer's word. What earns ``proved`` is either readings of the verifier's own endpoints, or
an anchor note that enough witnesses of the verifier's policy cosigned after they read their own nodes. The
note's text (cosigned with type 0x04; its second line is no decimal, so it is never a checkpoint):

    tallystick/anchor/v1
    chain 4221
    genesis 0x…
    contract 0x…
    block 8814 0x…
    journal <origin>
    size 41208
    root <base64>
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.errors import EncodingError, ReceiptError
from tallystick.proof._checkpoints import TREE_SIZE_LIMIT
from tallystick.proof._encoding import JSON_INTEGER_LIMIT, decode_base64, encode_base64

__all__ = [
    "ANCHOR_NOTE_LIMIT",
    "AnchorClaim",
    "AnchorReading",
    "ReadAnchor",
    "anchor_note_text",
    "format_anchor",
    "parse_anchor",
    "parse_anchor_note_text",
]

ANCHOR_NOTE_LIMIT = 4096  # bytes of a text that asks to be attested

PATH_LIMIT = 128  # hashes of a consistency proof

_hash = re.compile(r"0x[0-9a-f]{64}").fullmatch
_address = re.compile(r"0x[0-9a-f]{40}").fullmatch
_note = re.compile(
    r"tallystick/anchor/v1\nchain (0|[1-9][0-9]{0,15})\ngenesis (0x[0-9a-f]{64})\ncontract (0x[0-9a-f]{40})\n"
    r"block (0|[1-9][0-9]{0,15}) (0x[0-9a-f]{64})\njournal ([^\n]{1,1024})\nsize ([1-9][0-9]{0,15})\n"
    r"root ([A-Za-z0-9+/]{43}=)\n"
).fullmatch
_FIELDS = {"block", "block_hash", "chain_id", "consistency", "contract", "genesis", "root", "size"}


@dataclass(frozen=True, slots=True)
class AnchorClaim:
    """What a receipt says of its anchor.

    Args:
        chain_id: EIP-155 chain id.
        genesis: hash of block 0, ``0x`` and 64 hex digits.
        contract: address of the Anchors contract, lower case.
        block: number of the block that holds the anchor.
        block_hash: its hash.
        size: anchored tree size.
        root: anchored root, 32 bytes.
        consistency: RFC 9162 proof between the receipt's checkpoint and this head, whichever is smaller first.
        note: anchor note with cosignatures, or empty.
    """

    chain_id: int
    genesis: str
    contract: str
    block: int
    block_hash: str
    size: int
    root: bytes
    consistency: tuple[bytes, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class AnchorReading:
    """What one endpoint of the verifier says about a journal's head at a size.

    Args:
        endpoint: name or url of the endpoint.
        chain_id: the chain it serves.
        genesis: hash of its block 0.
        root: the root anchored at that size, None when there is none.
        block: the block that anchored it, 0 when there is none.
        block_hash: that block's hash.
        time: that block's POSIX time, seconds.
    """

    endpoint: str
    chain_id: int
    genesis: str
    root: bytes | None
    block: int
    block_hash: str
    time: int


ReadAnchor = Callable[[AnchorClaim, bytes], Sequence[AnchorReading]]
"""Asks the verifier's endpoints for a claim and a journal id (SHA-256 of the origin, 32 bytes).

Endpoints that do not answer are left out; the surface reports them.
"""


def anchor_note_text(claim: AnchorClaim, origin: str) -> str:
    """The text that witnesses cosign when they have seen an anchor on their own node."""
    return (
        f"tallystick/anchor/v1\nchain {claim.chain_id}\ngenesis {claim.genesis}\ncontract {claim.contract}\n"
        f"block {claim.block} {claim.block_hash}\njournal {origin}\nsize {claim.size}\n"
        f"root {encode_base64(claim.root)}\n"
    )


def parse_anchor_note_text(text: str) -> tuple[AnchorClaim, str]:
    """Read what a witness is asked to attest; accepts exactly what ``anchor_note_text`` makes.

    Returns:
        The claim, without a proof, and the journal's origin; nothing in them is trusted.

    Raises:
        EncodingError: it is none.
    """
    found = _note(text) if len(text) <= ANCHOR_NOTE_LIMIT else None
    if found is None:
        raise EncodingError("expected the text of an anchor note: chain, block, journal, size, root")
    chain_id, genesis, contract, block, block_hash, origin, size, root = found.groups()
    numbers = int(chain_id), int(block), int(size)
    if max(numbers) > JSON_INTEGER_LIMIT:
        raise EncodingError(f"a number of an anchor note must be at most {JSON_INTEGER_LIMIT}")
    claim = AnchorClaim(
        numbers[0], genesis, contract, numbers[1], block_hash, numbers[2], decode_base64(root), ()
    )
    return claim, origin


def format_anchor(claim: AnchorClaim) -> dict[str, Any]:
    """The claim as it stands in a receipt."""
    document: dict[str, Any] = {
        "block": claim.block,
        "block_hash": claim.block_hash,
        "chain_id": claim.chain_id,
        "consistency": [encode_base64(digest) for digest in claim.consistency],
        "contract": claim.contract,
        "genesis": claim.genesis,
        "root": encode_base64(claim.root),
        "size": claim.size,
    }
    if claim.note:
        document["note"] = claim.note
    return document


def parse_anchor(document: Any) -> AnchorClaim:
    """Read a claim; accepts exactly what ``format_anchor`` makes.

    Raises:
        ReceiptError: malformed or out of bounds.
    """
    if not isinstance(document, dict) or set(document) - {"note"} != _FIELDS:
        raise ReceiptError("an anchor must have exactly the fields of version 1")
    numbers = [document[key] for key in ("block", "chain_id", "size")]
    hashes = [document[key] for key in ("block_hash", "genesis")]
    if not all(type(number) is int and 0 <= number <= JSON_INTEGER_LIMIT for number in numbers):
        raise ReceiptError("an anchor's block, chain and size must be counts")
    if not all(type(text) is str and _hash(text) for text in hashes):
        raise ReceiptError("an anchor's hashes must be 0x and 64 hex digits")
    if type(document["contract"]) is not str or not _address(document["contract"]):
        raise ReceiptError("an anchor's contract must be a lower-case address")
    path, note = document["consistency"], document.get("note", "")
    if (
        not isinstance(path, list)
        or len(path) > PATH_LIMIT
        or type(note) is not str
        or ("note" in document and not note)
    ):
        raise ReceiptError("an anchor's proof must be a list, its note text")
    try:
        root, consistency = decode_base64(document["root"]), tuple(decode_base64(item) for item in path)
    except EncodingError as error:
        raise ReceiptError("an anchor's root and proof must be strict base64") from error
    if not 0 < document["size"] < TREE_SIZE_LIMIT or any(
        len(digest) != 32 for digest in (root, *consistency)
    ):
        raise ReceiptError("an anchor's size must be positive and its hashes 32 bytes")
    return AnchorClaim(
        document["chain_id"], document["genesis"], document["contract"], document["block"],
        document["block_hash"], document["size"], root, consistency, note,
    )  # fmt: skip
