"""Anchor notes: witnesses who say that they read an anchor on their own node of the chain.

With enough of them a receipt's anchor is proved offline, without asking any endpoint. What a witness signs is the text
of `anchor_note_text`; here it is compared with the witness's own chain first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tallystick.errors import (
    ChainMismatchError,
    ChainUnreachableError,
    NoteError,
    ReceiptError,
    VerificationError,
)
from tallystick.proof import (
    AnchorClaim,
    NoteSignature,
    Receipt,
    Witness,
    anchor_note_text,
    format_note,
    journal_id,
    parse_note,
)

from ._peers import Peers
from ._settings import ChainSettings
from ._witnessing import cosigned_by

if TYPE_CHECKING:
    from tallystick.chain import Chain

__all__ = ["ANCHOR_NOTE", "attest", "attest_claim", "merge_note"]

ANCHOR_NOTE = b"tallystick/anchor/v1\n"  # how an anchor note begins; a checkpoint never does


def attest(
    witness: Witness, receipt: Receipt, settings: ChainSettings, *, chain: Chain | None = None
) -> bytes:
    """Read a receipt's anchor on one's own node, and sign that it stands there.

    Args:
        witness: signs.
        receipt: carries the claim.
        settings: this party's own chain and contract.
        chain: an open chain to share.

    Returns:
        The anchor note with this witness's line.

    Raises:
        ReceiptError: the receipt carries no anchor.
        ChainMismatchError: it claims another chain or contract than this party uses.
        ChainUnreachableError: one's own node does not answer, or has not come to that block yet.
        VerificationError: the chain does not have this anchor.
    """
    claim, origin = receipt.anchor, receipt.checkpoint.origin
    if claim is None:
        raise ReceiptError("the receipt carries no anchor to attest")
    line = attest_claim(witness, claim, origin, settings, chain=chain)
    return format_note(anchor_note_text(claim, origin), [line])


def attest_claim(
    witness: Witness,
    claim: AnchorClaim,
    origin: str,
    settings: ChainSettings,
    *,
    chain: Chain | None = None,
) -> NoteSignature:
    """Read an anchor on one's own node, and sign that it stands there; see `attest`.

    Args:
        witness: signs.
        claim: the anchor; its proof and its note are not looked at.
        origin: of the journal.
        settings: this party's own chain and contract.
        chain: an open chain to share.
    """
    from tallystick.chain import Anchors, connect

    # One's own node alone: what the others' say is theirs to sign.
    reached = connect(settings.profile.own()) if chain is None else chain
    try:
        own = (reached.chain_id, reached.genesis, settings.anchors)
        if own != (claim.chain_id, claim.genesis, claim.contract):
            raise ChainMismatchError("the anchor is of another chain or contract than this workspace uses")
        if reached.head().number < claim.block:
            raise ChainUnreachableError(
                f"this party's own node has not come to block {claim.block} yet", hint="ask again in a while"
            )
        # In that very block: a journal may anchor one size again in a later epoch.
        found = Anchors(reached.web3, settings.anchors).anchored_at(
            journal_id(origin), claim.size, start=claim.block, stop=claim.block
        )
        seen = None if found is None else (found.root, found.block, reached.block(found.block).hash)
    finally:
        if chain is None:
            reached.close()
    if seen != (claim.root, claim.block, claim.block_hash):
        raise VerificationError("this party's own node does not have this anchor")
    return witness.attest_anchor(claim, origin)


def merge_note(
    note: bytes, claims: Sequence[AnchorClaim], origin: str, peers: Peers
) -> tuple[list[AnchorClaim], dict[str, int]]:
    """Put the lines of an anchor note to the anchor that it speaks of.

    Returns:
        The anchors with their notes; party id -> POSIX second of the known parties whose line stands there.

    Raises:
        NoteError: malformed, or it speaks of no anchor of this journal.
        VerificationError: a line of a known party is false.
    """
    parsed = parse_note(note)
    given = cosigned_by(parsed, peers)
    merged = list(claims)
    for place, claim in enumerate(merged):
        if anchor_note_text(claim, origin) == parsed.text:
            kept = parse_note(claim.note.encode()).signatures if claim.note else ()
            fresh = [line for line in parsed.signatures if line not in kept]
            text = format_note(parsed.text, [*kept, *fresh]).decode()
            merged[place] = replace(claim, note=text)
            return merged, given
    raise NoteError("the note speaks of no anchor of this journal")
