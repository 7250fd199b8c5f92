"""Asking other members' witnesses for their lines: k of n, and whoever gives none is named.

A witness that is down, slow, behind or wrong costs its own line and nobody else's: all are asked at the same time, and
each answer has its own bound. What counts is a line that verifies by the key on that member's card.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.errors import (
    ChainUnreachableError,
    NoteError,
    NotFoundError,
    TallystickError,
    WitnessConflictError,
)
from tallystick.proof import (
    COSIGNATURE,
    AnchorClaim,
    Checkpoint,
    Note,
    NoteKey,
    NoteSignature,
    add_cosignatures,
    anchor_note_text,
    format_note,
    parse_checkpoint,
    parse_cosignatures,
    parse_note,
    verify_note,
)

from ._evidence import Evidence
from ._peers import CardFile, Peers, format_card_file
from ._remote import RemoteNode
from ._witnessing import cosigned_by

__all__ = [
    "Attested",
    "WitnessAnswer",
    "Witnessed",
    "ask_attestations",
    "ask_witnesses",
    "find_witnesses",
]

_AGAIN_S: Final = 0.5  # until a witness whose node of the chain is behind is asked again


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

    def ask(peer: CardFile) -> tuple[NoteSignature, int]:
        return _ask_one(node, head, peer, witnesses[peer.id], start)

    told = _ask_all(node.peers, witnesses, ask, timeout_s=timeout_s, timer=timer)
    lines = [line for line, _ in told if line is not None]
    cosigned = add_cosignatures(head, lines) if lines else head
    return Witnessed(cosigned, tuple(answer for _, answer in told), need)


def _ask_all(
    peers: Peers,
    witnesses: Mapping[str, RemoteNode],
    ask: Callable[[CardFile], tuple[NoteSignature, int]],
    *,
    timeout_s: float,
    timer: Callable[[], float],
    said: Mapping[str, str] = {},
) -> list[tuple[NoteSignature | None, WitnessAnswer]]:
    """Ask all at once; whoever has not answered in time is called slow, or what it said last is told (party -> words)."""
    known = {party: peers.get(party) for party in witnesses}
    began = timer()
    found: dict[str, tuple[NoteSignature | None, WitnessAnswer]] = {}

    def run(peer: CardFile) -> None:
        line, time_s, why = None, 0, ""
        try:
            line, time_s = ask(peer)
        except TallystickError as error:
            why = error.message
        found[peer.id] = line, WitnessAnswer(peer.id, peer.name, time_s, why, timer() - began)

    threads = [threading.Thread(target=run, args=(peer,), daemon=True) for peer in known.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, timeout_s - (timer() - began)))
    told = dict(found)  # whoever answers later is not waited for
    for party, peer in known.items():
        if party not in told:
            late = said.get(party) or f"no answer in {timeout_s:g} s"
            told[party] = None, WitnessAnswer(party, peer.name, 0, late, timer() - began)
    return sorted(told.values(), key=lambda one: (one[1].name, one[1].party))


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
        try:
            data = remote.add_checkpoint(head, seen, proof)
        except WitnessConflictError as again:
            raise NoteError(f"the witness has seen another head of size {again.size}") from again
    return _line_of(peer, parse_cosignatures(head, data))


def _line_of(peer: CardFile, note: Note) -> tuple[NoteSignature, int]:
    """Find the witness's own line in what it answered.

    Raises:
        NoteError: its line is false.
        NotFoundError: there is none.
    """
    card = peer.cards[-1]
    key = NoteKey(card.witness_name, card.keys["witness"], COSIGNATURE)
    times = verify_note(note, [key])
    for line in note.signatures:
        if (line.name, line.key_id) == (key.name, key.key_id) and times:
            return line, min(times.values())
    raise NotFoundError("the witness's answer bears no line of the key on its card")


@dataclass(frozen=True, slots=True)
class Attested:
    """An anchor with the lines of those who read it on their own nodes of the chain.

    Args:
        note: the anchor's note with the lines that came now; empty when none came.
        answers: one of every witness that was asked, by name.
        had: how many known parties' lines stood there before.
        need: how many were wanted.
    """

    note: bytes
    answers: tuple[WitnessAnswer, ...]
    had: int
    need: int

    @property
    def given(self) -> int:
        """How many lines there are, with those from before."""
        return self.had + sum(answer.gave for answer in self.answers)

    @property
    def is_enough(self) -> bool:
        """Whether as many attested as were wanted."""
        return self.given >= self.need


def ask_attestations(
    node: Evidence,
    claim: AnchorClaim,
    witnesses: Mapping[str, RemoteNode],
    *,
    need: int = 0,
    timeout_s: float = 25.0,
    timer: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Attested:
    """Ask members to read an own anchor on their own nodes of the chain, all at once.

    A member whose node has not come to that block yet is asked again until the time is over.

    Args:
        node: whose anchor.
        claim: the anchor; members whose line it bears already are not asked.
        witnesses: party id -> where its node listens; each must be a known party.
        need: how many lines are wanted; all are waited for, at most `timeout_s`.
        timeout_s: after which whoever has not answered is called slow.
        timer: seconds, never going back.
        sleep: waits so many seconds.

    Returns:
        The note to be kept by `add_anchor_note`, and who gave no line and why.

    Raises:
        NotFoundError: a witness whose card was not imported.
        VerificationError: a line that stands there is false.
    """
    text, until = anchor_note_text(claim, node.origin), timer() + timeout_s
    signed = cosigned_by(parse_note(claim.note.encode()), node.peers) if claim.note else {}
    said: dict[str, str] = {}

    def ask(peer: CardFile) -> tuple[NoteSignature, int]:
        while True:
            try:
                data = witnesses[peer.id].attest_anchor(claim, node.origin)
                break
            except ChainUnreachableError as error:
                said[peer.id] = error.message
                if timer() + _AGAIN_S >= until:
                    raise
                sleep(_AGAIN_S)
        return _line_of(peer, parse_note(text.encode() + b"\n" + data))

    missing = {party: remote for party, remote in witnesses.items() if party not in signed}
    told = _ask_all(node.peers, missing, ask, timeout_s=timeout_s, timer=timer, said=said)
    lines = [line for line, _ in told if line is not None]
    note = format_note(text, lines) if lines else b""
    return Attested(note, tuple(answer for _, answer in told), len(signed), need)


def find_witnesses(
    peers: Peers, urls: Sequence[str], *, timeout_s: float = 10.0
) -> tuple[dict[str, RemoteNode], dict[str, str]]:
    """Find out who listens at these addresses, all at once.

    Returns:
        Party id -> its node, of known parties; url -> why it is nobody who can be asked.

    Raises:
        ConfigurationError: no such URL.
    """
    found: dict[str, str] = {}
    absent: dict[str, str] = {}
    remotes = {url: RemoteNode(url, timeout_s=timeout_s) for url in urls}

    def look(url: str) -> None:
        try:
            party = remotes[url].card().id
        except TallystickError as error:
            absent[url] = error.message
            return
        if party in peers:
            found[url] = party
        else:
            absent[url] = "nobody whose card was imported: `tallystick card import FILE`"

    threads = [threading.Thread(target=look, args=(url,), daemon=True) for url in remotes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # In the order of the urls: of two addresses of one party the first is asked.
    known: dict[str, RemoteNode] = {}
    for url in remotes:
        if url in found:
            known.setdefault(found[url], remotes[url])
    return known, absent
