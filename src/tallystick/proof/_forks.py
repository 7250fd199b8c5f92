"""Forks: evidence that one journal has two histories, in one file that anybody can check.

Evidence is two signed checkpoints of equal size with different roots, or two receipts that put different
statements at one index. Both halves carry the log's own signatures, so only the log's keys can have made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.errors import CardError, EncodingError, ForkError, NoteError, ReceiptError, VerificationError
from tallystick.proof._cards import Card, fingerprint, log_key_at, parse_card, verify_cards
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint, verify_checkpoint
from tallystick.proof._encoding import check_format, decode_base64, encode_base64, format_json, parse_json
from tallystick.proof._receipts import Receipt, format_receipt, parse_receipt
from tallystick.proof._verification import verify

__all__ = ["FORK_FORMAT", "compare_receipts", "explain_fork", "fork_of_checkpoints", "fork_of_receipts"]

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


def explain_fork(data: bytes) -> str:
    """Check an evidence file and say in one sentence what it proves.

    Raises:
        VerificationError: it proves nothing.
        ReceiptError: malformed.
    """
    try:
        document = check_format(parse_json(data.removesuffix(b"\n"), limit=FORK_SIZE_LIMIT), FORK_FORMAT)
        return _explain_receipts(document) if "receipts" in document else _explain_checkpoints(document)
    except (EncodingError, NoteError, CardError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ReceiptError("malformed evidence of a fork") from error


def _explain_receipts(document: dict[str, Any]) -> str:
    first, second = (parse_receipt(decode_base64(text)) for text in document["receipts"])
    for receipt in (first, second):
        verify(receipt)
    try:
        compare_receipts(first, second)
    except ForkError:
        return _sentence(first.statement.party, f"two statements at {first.index:,} or two roots at one size")
    raise VerificationError("the two receipts can stand in one history")


def _explain_checkpoints(document: dict[str, Any]) -> str:
    cards = [parse_card(text.encode()) for text in document["cards"]]
    last = verify_cards(cards)
    first, second = (parse_checkpoint(text.encode()) for text in document["checkpoints"])
    for checkpoint in (first, second):
        verify_checkpoint(checkpoint, log_key_at(cards, checkpoint.size))
    if first.origin != second.origin or first.origin != last.origin:
        raise VerificationError("the two checkpoints are of different journals")
    if first.size != second.size or first.root == second.root:
        raise VerificationError("the two checkpoints can stand in one history")
    return _sentence(last.party, f"two roots at size {first.size:,}")


def _sentence(party: str, what: str) -> str:
    return (
        f"the holder of the keys of {party} (fingerprint {fingerprint(party)}) signed two histories: {what}"
    )
