"""Witnessing between workspaces: what one party asks, and what the other one answers, as two small files.

A: ask     checkpoint, cards, and consistency proofs from the sizes that B may have seen
B: sign    checks all of it against what it remembers, remembers, and puts its cosignature under the checkpoint
A: add     checks the cosignature against B's card and keeps the cosigned checkpoint for its receipts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tallystick.errors import EncodingError, NoteError, ReceiptError, VerificationError, WitnessConflictError
from tallystick.proof import (
    COSIGNATURE,
    Card,
    Checkpoint,
    Note,
    NoteKey,
    Witness,
    add_cosignatures,
    check_format,
    decode_base64,
    encode_base64,
    format_json,
    parse_card,
    parse_checkpoint,
    parse_json,
    verify_note,
)

from ._peers import Peers

__all__ = ["WitnessAsk", "cosigned_by", "format_ask", "parse_ask", "sign_ask"]

ASK_LIMIT = 4 * 1024 * 1024  # bytes
PROOF_LIMIT = 64  # sizes that an ask carries proofs from
_FORMAT = "tallystick/witness-ask"


@dataclass(frozen=True, slots=True)
class WitnessAsk:
    """What a party hands to its witnesses.

    Args:
        checkpoint: the head to be cosigned.
        cards: all cards of the asking party.
        proofs: old size -> RFC 9162 consistency proof from it to the head.
    """

    checkpoint: Checkpoint
    cards: tuple[Card, ...]
    proofs: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)


def format_ask(ask: WitnessAsk) -> bytes:
    """Write an ask as a file."""
    document = {
        "cards": [card.bytes.decode() for card in ask.cards],
        "checkpoint": ask.checkpoint.note.decode(),
        "proofs": {str(size): [encode_base64(node) for node in path] for size, path in ask.proofs.items()},
        "type": _FORMAT,
        "v": 1,
    }
    return format_json(document) + b"\n"


def parse_ask(data: bytes) -> WitnessAsk:
    """Read an ask; nothing in it is trusted yet.

    Raises:
        ReceiptError: malformed.
        UnknownFormatError: a later version.
    """
    try:
        document = check_format(parse_json(data.removesuffix(b"\n"), limit=ASK_LIMIT), _FORMAT)
        proofs = {
            int(size): tuple(decode_base64(node) for node in path)
            for size, path in document["proofs"].items()
        }
        cards = tuple(parse_card(note.encode()) for note in document["cards"])
        ask = WitnessAsk(parse_checkpoint(document["checkpoint"].encode()), cards, proofs)
    except (EncodingError, NoteError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReceiptError("not a witness ask", hint="make one with `tallystick witness ask`") from error
    # One spelling only: sizes like "07", unknown fields and what else the steps above let pass.
    fits = len(proofs) <= PROOF_LIMIT and all(0 < size < ask.checkpoint.size for size in proofs)
    if not fits or format_ask(ask) != data.removesuffix(b"\n") + b"\n":
        raise ReceiptError("an ask must be exactly what is written by `tallystick witness ask`")
    return ask


def sign_ask(witness: Witness, ask: WitnessAsk) -> Checkpoint:
    """Cosign what follows from what this witness has seen.

    Returns:
        The checkpoint with this witness's line.

    Raises:
        WitnessConflictError: the ask carries no proof from the size that this witness has seen.
        ForkError: another root at a size that was seen; see its evidence.
        ProofError: the head does not follow what this witness has seen.
    """
    seen = witness.size(ask.checkpoint.origin)
    if seen in (0, ask.checkpoint.size):
        proof: Sequence[bytes] = ()
    elif seen in ask.proofs:
        proof = ask.proofs[seen]
    else:
        raise WitnessConflictError(
            f"this witness has seen size {seen}, and the ask carries no proof from there",
            size=seen,
            hint=f"ask for a new one: `tallystick witness ask --seen {seen}`",
        )
    line = witness.cosign(ask.checkpoint.note, cards=ask.cards, old_size=seen, proof=proof)
    return add_cosignatures(ask.checkpoint, [line])


def cosigned_by(note: Note, peers: Peers) -> dict[str, int]:
    """Say which known parties cosigned a checkpoint or an anchor note, and when (POSIX seconds).

    Raises:
        VerificationError: a line of a known witness key is false.
    """
    found: dict[str, int] = {}
    for peer in peers:
        keys = [NoteKey(card.witness_name, card.keys["witness"], COSIGNATURE) for card in peer.cards]
        try:
            signed = verify_note(note, keys)
        except NoteError as error:
            raise VerificationError(f"the cosignature of {peer.name} is false") from error
        if signed:
            found[peer.id] = min(signed.values())
    return found
