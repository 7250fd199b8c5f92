"""Which keys may have signed a journal's own head, and signing the next one."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.errors import NoteError
from tallystick.proof._cards import Card, log_key_at
from tallystick.proof._checkpoints import Checkpoint, sign_checkpoint, verify_checkpoint
from tallystick.proof._parties import Party
from tallystick.proof._store import Sign


def check_own_head(head: Checkpoint, origin: str, cards: Sequence[Card]) -> None:
    """Check that a head is a journal's own.

    Args:
        head: as it was read.
        origin: the journal's origin.
        cards: the owner's verified cards; without any, signatures are not looked at.

    Raises:
        NoteError: another journal's head, or not signed by a key that was valid at its size.
    """
    if head.origin != origin:
        raise NoteError("the checkpoint must be of this journal, got another origin")
    if not cards:
        return
    # A rotation at exactly this size may have come after the head was signed: then the key before stands under it.
    keys = {log_key_at(cards, head.size), log_key_at(cards, max(0, head.size - 1))}
    keys |= {card.keys["log"] for card in cards if card.since == head.size}
    if not any(is_signed_by(head, key) for key in keys):
        raise NoteError(
            "the checkpoint is not signed by the journal's key", hint="is this the right key file?"
        )


def is_signed_by(head: Checkpoint, log_key: bytes) -> bool:
    """Tell whether a log key signed a head."""
    try:
        verify_checkpoint(head, log_key)
    except NoteError:
        return False
    return True


def signing(party: Party) -> Sign:
    """Sign heads of a party's journal with its present log key."""
    signer, origin = party.signer("log"), party.origin
    return lambda size, root: sign_checkpoint(origin, size, root, signer)
