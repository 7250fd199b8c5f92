"""Asking other members' witnesses for their lines: k of n, and whoever gives none is named.

A witness that is down, slow, behind or wrong costs its own line and nobody else's: all are asked at the same time, and
each answer has its own bound. What counts is a line that verifies by the key on that member's card.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tallystick.errors import NoteError, NotFoundError, TallystickError, WitnessConflictError
from tallystick.proof import (
    COSIGNATURE,
    Checkpoint,
    NoteKey,
    NoteSignature,
    add_cosignatures,
    parse_checkpoint,
    parse_cosignatures,
    verify_note,
)

from ._evidence import Evidence
from ._peers import CardFile, format_card_file
from ._remote import RemoteNode

__all__ = ["WitnessAnswer", "Witnessed", "ask_witnesses"]

_PATIENCE: Final = 2.5  # of a witness's own timeout: it may be asked twice


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """What one witness did.

    Args:
        party: id.
        name: as on its card.
        time_s: POSIX second of its cosignature; 0 for none.
        why: what kept it from cosigning; empty when it did.
        seconds: until it had answered.
    """

    party: str
    name: str
    time_s: int
    why: str
    seconds: float

    @property
    def gave(self) -> bool:
        """Whether it cosigned."""
        return not self.why


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A head with the lines that were given.

    Args:
        checkpoint: the head, with its lines.
        answers: one of every witness, by name.
        need: how many were wanted.
    """

    checkpoint: Checkpoint
    answers: tuple[WitnessAnswer, ...]
    need: int

    @property
    def given(self) -> int:
        """How many cosigned."""
        return sum(answer.gave for answer in self.answers)

    @property
    def is_enough(self) -> bool:
        """Whether as many cosigned as were wanted."""
        return self.given >= self.need


def ask_witnesses(
    node: Evidence,
    witnesses: Mapping[str, RemoteNode],
    *,
    need: int = 0,
    timeout_s: float = 25.0,
    timer: Callable[[], float] = time.monotonic,
) -> Witnessed:
    """Ask members to cosign the newest head, all at once.

    Args:
        node: whose head; what comes back is kept in its journal, when it is open to write.
        witnesses: party id -> where its node listens; each must be a known party.
        need: how many lines are wanted; all are waited for, at most `timeout_s`.
        timeout_s: after which whoever has not answered is called slow.
        timer: seconds, never going back.

    Returns:
        The head with its lines, and who gave none and why.

    Raises:
        NotFoundError: a witness whose card was not imported.
    """
    head = node.journal.checkpoint()
    known = node.journal.cosigned()
    start = parse_checkpoint(known).size if known else 0
    peers = {party: node.peers.get(party) for party in witnesses}
    began = timer()
    found: dict[str, tuple[NoteSignature | None, WitnessAnswer]] = {}

    def ask(party: str) -> None:
        peer, line, time_s, why = peers[party], None, 0, ""
        try:
            line, time_s = _ask_one(node, head, peer, witnesses[party], start)
        except TallystickError as error:
            why = error.message
        found[party] = line, WitnessAnswer(party, peer.name, time_s, why, timer() - began)

    threads = [threading.Thread(target=ask, args=(party,), daemon=True) for party in witnesses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, timeout_s - (timer() - began)))
    told = dict(found)  # whoever answers later is not waited for
    for party, peer in peers.items():
        if party not in told:
            late = f"no answer in {timeout_s:g} s"
            told[party] = None, WitnessAnswer(party, peer.name, 0, late, timer() - began)
    lines = [line for line, _ in told.values() if line is not None]
    cosigned = add_cosignatures(head, lines) if lines else head
    answers = sorted((answer for _, answer in told.values()), key=lambda one: (one.name, one.party))
    return Witnessed(cosigned, tuple(answers), need)


def _ask_one(
    node: Evidence, head: Checkpoint, peer: CardFile, remote: RemoteNode, start: int
) -> tuple[NoteSignature, int]:
    """Ask one witness; where it has seen another size, once more from there."""
    if len(node.party.cards) > 1:
        remote.send_card(format_card_file(node.party.cards))  # it may know only those before a rotation
    try:
        data = remote.add_checkpoint(head, start, node.journal.consistency(start, head.size) if start else [])
    except WitnessConflictError as conflict:
        seen = conflict.size
        if seen > head.size:
            raise NoteError(
                f"the witness has seen size {seen}, above this journal's {head.size}: was a backup restored?"
            ) from conflict
        if seen == start:
            raise NoteError(f"the witness has seen another head of size {seen}") from conflict
        proof = node.journal.consistency(seen, head.size) if 0 < seen < head.size else []
        data = remote.add_checkpoint(head, seen, proof)
    note = parse_cosignatures(head, data)
    card = peer.cards[-1]
    key = NoteKey(card.witness_name, card.keys["witness"], COSIGNATURE)
    times = verify_note(note, [key])
    for line in note.signatures:
        if (line.name, line.key_id) == (key.name, key.key_id) and times:
            return line, min(times.values())
    raise NotFoundError("the witness's answer bears no line of the key on its card")
