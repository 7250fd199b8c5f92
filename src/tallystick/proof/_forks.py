"""Forks: evidence that one journal has two histories, in one file that anybody can check.

Evidence is one of three:

- two signed checkpoints of equal size with different roots;
- two signed checkpoints of different sizes, and a proof of the root that the larger tree had at the smaller size,
  which is another one than the smaller checkpoint signed;
- two receipts that put different statements at one index, or show two roots at one size.

Both halves carry the log's own signatures, so only the log's keys can have made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.errors import (
    CardError,
    EncodingError,
    ForkError,
    NoteError,
    ProofError,
    ReceiptError,
    VerificationError,
)
from tallystick.proof._cards import Card, fingerprint, log_key_at, parse_card, verify_cards
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint, verify_checkpoint
from tallystick.proof._encoding import check_format, decode_base64, encode_base64, format_json, parse_json
from tallystick.proof._merkle import verify_consistency
from tallystick.proof._receipts import Receipt, format_receipt, parse_receipt
from tallystick.proof._verification import verify

__all__ = [
    "FORK_FORMAT",
    "Fork",
    "compare_receipts",
    "explain_fork",
    "fork_of_checkpoints",
    "fork_of_growth",
    "fork_of_receipts",
    "read_fork",
]

FORK_FORMAT = "tallystick/fork"
FORK_SIZE_LIMIT = 32 * 1024 * 1024  # bytes


def fork_of_checkpoints(first: Checkpoint, second: Checkpoint, cards: Sequence[Card]) -> bytes:
    """Write evidence from two checkpoints of equal size with different roots.

    Args:
        first: one signed checkpoint.
        second: the other.
        cards: the journal's party's cards.

    Returns:
        The evidence file.
    """
    document = {
        "cards": [card.bytes.decode() for card in cards],
        "checkpoints": [first.note.decode(), second.note.decode()],
        "type": FORK_FORMAT,
        "v": 1,
    }
    return format_json(document)


def fork_of_growth(
    first: Checkpoint, second: Checkpoint, cards: Sequence[Card], *, root: bytes, proof: Sequence[bytes]
) -> bytes:
    """Write evidence from two checkpoints of different sizes that cannot stand in one history.

    Args:
        first: the smaller checkpoint.
        second: the larger one.
        cards: the journal's party's cards.
        root: what the larger tree had at the smaller size: another root than `first` signed.
        proof: RFC 9162 consistency proof from that root to `second`.

    Returns:
        The evidence file.
    """
    document = {
        "cards": [card.bytes.decode() for card in cards],
        "checkpoints": [first.note.decode(), second.note.decode()],
        "consistency": [encode_base64(node) for node in proof],
        "root": encode_base64(root),
        "type": FORK_FORMAT,
        "v": 1,
    }
    return format_json(document)


def fork_of_receipts(first: Receipt, second: Receipt) -> bytes:
    """Write evidence from two receipts that disagree."""
    receipts = [encode_base64(format_receipt(receipt.without_opening())) for receipt in (first, second)]
    return format_json({"receipts": receipts, "type": FORK_FORMAT, "v": 1})


def compare_receipts(first: Receipt, second: Receipt) -> None:
    """Refuse two receipts that cannot stand in one history.

    Args:
        first: a receipt that verifies.
        second: another one.

    Raises:
        ForkError: of one journal, but with two roots at one size or two statements at one index;
            ``evidence`` holds the file to keep.
    """
    if first.statement.origin != second.statement.origin:
        return
    heads = first.checkpoint, second.checkpoint
    split = heads[0].size == heads[1].size and heads[0].root != heads[1].root
    if split or (first.index == second.index and first.statement.bytes != second.statement.bytes):
        what = "two roots at one size" if split else "two statements at one index"
        raise ForkError(f"this journal shows {what}", evidence=fork_of_receipts(first, second))


@dataclass(frozen=True, slots=True)
class Fork:
    """What a file of evidence proves; every word of it was checked.

    Args:
        party: id of the party whose keys signed both halves.
        name: as that party's own card in the evidence calls it.
        origin: of the journal.
        what: what cannot stand in one history, in a few words.
        halves: the two halves, in words.
    """

    party: str
    name: str
    origin: str
    what: str
    halves: tuple[str, str]

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return (
            f"the holder of the keys of {self.party} (fingerprint {fingerprint(self.party)}) signed two histories: "
            f"{self.what}"
        )


def explain_fork(data: bytes) -> str:
    """Check an evidence file and say in one sentence what it proves; see `read_fork`."""
    return read_fork(data).sentence


def read_fork(data: bytes) -> Fork:
    """Check an evidence file and say what it proves.

    Raises:
        VerificationError: it proves nothing.
        ReceiptError: malformed.
    """
    try:
        document = check_format(parse_json(data.removesuffix(b"\n"), limit=FORK_SIZE_LIMIT), FORK_FORMAT)
        return _read_receipts(document) if "receipts" in document else _read_checkpoints(document)
    except (EncodingError, NoteError, CardError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ReceiptError("malformed evidence of a fork") from error


def _read_receipts(document: dict[str, Any]) -> Fork:
    first, second = (parse_receipt(decode_base64(text)) for text in document["receipts"])
    for receipt in (first, second):
        verify(receipt)
    try:
        compare_receipts(first, second)
    except ForkError:
        what = f"two statements at {first.index:,} or two roots at one size"
        card = first.cards[first.statement.party][-1]
        halves = (
            f"statement {receipt.statement.id} at {receipt.index:,}, under {_head(receipt.checkpoint)}"
            for receipt in (first, second)
        )
        return Fork(
            first.statement.party, card.name, first.checkpoint.origin, what, (next(halves), next(halves))
        )
    raise VerificationError("the two receipts can stand in one history")


def _read_checkpoints(document: dict[str, Any]) -> Fork:
    cards = [parse_card(text.encode()) for text in document["cards"]]
    last = verify_cards(cards)
    first, second = (parse_checkpoint(text.encode()) for text in document["checkpoints"])
    for checkpoint in (first, second):
        verify_checkpoint(checkpoint, log_key_at(cards, checkpoint.size))
    if first.origin != second.origin or first.origin != last.origin:
        raise VerificationError("the two checkpoints are of different journals")
    halves = _head(first), _head(second)
    if "consistency" in document:
        root = _grown_from(document, first, second)
        what = f"the tree of size {second.size:,} does not contain the one of size {first.size:,}"
        halves = halves[0], f"{halves[1]}, whose root at size {first.size:,} is {_short(root)}"
    else:
        if first.size != second.size or first.root == second.root:
            raise VerificationError("the two checkpoints can stand in one history")
        what = f"two roots at size {first.size:,}"
    return Fork(last.party, last.name, last.origin, what, halves)


def _grown_from(document: dict[str, Any], first: Checkpoint, second: Checkpoint) -> bytes:
    """Check that the larger tree had another root at the smaller size than was signed; that root."""
    root = decode_base64(document["root"])
    if not 0 < first.size < second.size or root == first.root:
        raise VerificationError("the two checkpoints can stand in one history")
    try:
        verify_consistency(
            old_size=first.size,
            new_size=second.size,
            old_root=root,
            new_root=second.root,
            path=[decode_base64(node) for node in document["consistency"]],
        )
    except ProofError as error:
        raise VerificationError("the proof does not show what the larger tree grew from") from error
    return root


def _head(checkpoint: Checkpoint) -> str:
    return f"the head of size {checkpoint.size:,} with root {_short(checkpoint.root)}"


def _short(root: bytes) -> str:
    return f"{root.hex()[:16]}…"
