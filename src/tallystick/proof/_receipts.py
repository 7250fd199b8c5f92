"""Receipts: everything that an outsider needs for one statement, in one file.

A ``.receipt.json`` is canonical JSON: the statement's bytes (base64), a C2SP tlog-proof (index, inclusion path,
checkpoint with its cosignatures) verbatim, the cards of the parties that signed, and, when there is one, the
anchor and an opening of the payload. Nothing in it is trusted; ``verify`` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tallystick.errors import CardError, DisclosureError, EncodingError, NoteError, ReceiptError
from tallystick.proof._anchors import AnchorClaim, format_anchor, parse_anchor
from tallystick.proof._cards import CARD_CHAIN_LIMIT, Card, parse_card
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint, parse_tree_size
from tallystick.proof._commitments import open_fields
from tallystick.proof._encoding import (
    check_format,
    decode_base64,
    encode_base64,
    encode_base64url,
    format_json,
    parse_json,
)
from tallystick.proof._statements import Statement, parse_statement

__all__ = [
    "RECEIPT_SIZE_LIMIT",
    "Receipt",
    "format_receipt",
    "format_tlog_proof",
    "parse_receipt",
    "parse_tlog_proof",
]

RECEIPT_SIZE_LIMIT = 8 * 1024 * 1024  # bytes; an opening may carry its payload
PARTY_LIMIT = 64  # parties whose cards a receipt carries
PATH_LIMIT = 64  # hashes of an inclusion proof
_FORMAT = "tallystick/receipt"
_HEADER = "c2sp.org/tlog-proof@v1"
_FIELDS = {"cards", "proof", "statement", "type", "v"}

_parse_card = lru_cache(maxsize=256)(parse_card)
_parse_checkpoint = lru_cache(maxsize=64)(parse_checkpoint)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One statement with its proof.

    Args:
        statement: the statement.
        index: its position in the journal, from 0.
        path: RFC 9162 inclusion path, 32-byte hashes.
        checkpoint: the head that the path leads to, with all signature lines.
        cards: party id -> all its cards, for the journal's party and the witnesses.
        anchor: what is said of an anchor.
        opening: opened payload: ``{"salt", "payload"?}`` for form ``bytes``, see ``open_fields`` for ``fields``.
    """

    statement: Statement
    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    cards: Mapping[str, tuple[Card, ...]]
    anchor: AnchorClaim | None = None
    opening: Mapping[str, Any] | None = None

    def format(self) -> bytes:
        """The receipt as a file."""
        return format_receipt(self)

    def without_opening(self) -> Receipt:
        """The same receipt, with the payload closed again."""
        return replace(self, opening=None)


def format_tlog_proof(index: int, path: Sequence[bytes], checkpoint: bytes) -> str:
    """Write a C2SP tlog-proof without extra data."""
    lines = [_HEADER, f"index {index}", *(encode_base64(digest) for digest in path)]
    return "\n".join(lines) + "\n\n" + checkpoint.decode()


def parse_tlog_proof(text: str) -> tuple[int, tuple[bytes, ...], Checkpoint]:
    """Read a C2SP tlog-proof; extra data is refused, because nothing would authenticate it.

    Returns:
        Index, inclusion path and checkpoint.

    Raises:
        ReceiptError: malformed.
        NoteError: the checkpoint is malformed.
    """
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != _HEADER or len(lines) < 2 or not lines[1].startswith("index "):
        raise ReceiptError("a proof must be a tlog-proof: header, index, path, checkpoint")
    if len(lines) - 2 > PATH_LIMIT:
        raise ReceiptError(f"an inclusion path must have at most {PATH_LIMIT} hashes, got {len(lines) - 2}")
    try:
        index, path = parse_tree_size(lines[1][6:]), tuple(decode_base64(line) for line in lines[2:])
    except EncodingError as error:
        raise ReceiptError("an inclusion path must be strict base64") from error
    if any(len(digest) != 32 for digest in path):
        raise ReceiptError("an inclusion path must have hashes of 32 bytes")
    return index, path, _parse_checkpoint(checkpoint.encode())


def format_receipt(receipt: Receipt) -> bytes:
    """Write a receipt as canonical JSON; the inverse of ``parse_receipt``."""
    document: dict[str, Any] = {
        "cards": {party: [card.bytes.decode() for card in cards] for party, cards in receipt.cards.items()},
        "proof": format_tlog_proof(receipt.index, receipt.path, receipt.checkpoint.note),
        "statement": encode_base64(receipt.statement.bytes),
        "type": _FORMAT,
        "v": 1,
    }
    if receipt.anchor is not None:
        document["anchor"] = format_anchor(receipt.anchor)
    if receipt.opening is not None:
        document["opening"] = dict(receipt.opening)
    return format_json(document)


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt; accepts exactly what ``format_receipt`` makes (and one newline behind it).

    Raises:
        ReceiptError: malformed; the message says which part.
        UnknownFormatError: a later version.
    """
    try:
        document = check_format(parse_json(data.removesuffix(b"\n"), limit=RECEIPT_SIZE_LIMIT), _FORMAT)
        if set(document) - {"anchor", "opening"} != _FIELDS:
            raise ReceiptError("a receipt must have exactly the fields of version 1")
        if type(document["statement"]) is not str or type(document["proof"]) is not str:
            raise ReceiptError("a receipt's statement and proof must be text")
        index, path, checkpoint = parse_tlog_proof(document["proof"])
        anchor = parse_anchor(document["anchor"]) if "anchor" in document else None
        opening = document.get("opening")
        if "opening" in document and not isinstance(opening, dict):
            raise ReceiptError("an opening must be an object")
        statement = parse_statement(decode_base64(document["statement"]))
        return Receipt(statement, index, path, checkpoint, _cards(document["cards"]), anchor, opening)
    except (EncodingError, NoteError, CardError) as error:
        raise ReceiptError(f"malformed receipt: {error.message}") from error


def _cards(document: Any) -> dict[str, tuple[Card, ...]]:
    if not isinstance(document, dict) or len(document) > PARTY_LIMIT:
        raise ReceiptError(f"a receipt must carry cards of at most {PARTY_LIMIT} parties")
    cards: dict[str, tuple[Card, ...]] = {}
    for party, notes in document.items():
        if not isinstance(notes, list) or not 1 <= len(notes) <= CARD_CHAIN_LIMIT:
            raise ReceiptError("a party's cards must be a list")
        if not all(type(note) is str for note in notes):
            raise ReceiptError("a card must be text")
        cards[party] = tuple(_parse_card(note.encode()) for note in notes)
        if any(card.party != party for card in cards[party]):
            raise ReceiptError("a card must stand under its own party")
    return cards


def make_opening(content: bytes | Mapping[str, Any], salt: bytes, paths: Sequence[str]) -> dict[str, Any]:
    """Make what a receipt opens of a payload.

    Args:
        content: the whole payload, bytes or a record of fields.
        salt: its salt.
        paths: fields to open; none opens all, and a payload of bytes can only be opened as a whole.

    Raises:
        DisclosureError: there is no such field.
    """
    if not isinstance(content, bytes):
        return open_fields(content, salt, paths or list(content))
    if paths:
        raise DisclosureError("the payload is of form bytes: it can be opened as a whole only")
    return {"payload": encode_base64(content), "salt": encode_base64url(salt)}
