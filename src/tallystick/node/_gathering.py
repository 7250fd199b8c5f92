"""Gathering what other members sign, as the settings say: lines under heads, and under anchors' notes.

- A head that must be cosigned before it is anchored waits until enough have; meanwhile nothing is lost: the statements
  are durable, the newest head is asked for each time, and a head that had enough before is anchored all the same.
- An anchor's note is asked for after the anchor, newest first, until enough members have read it on their own nodes.
- What is gathered beside the process that writes is handed over as files in ``given/``; whoever writes next takes them
  in. Each is checked again there, so nothing comes in that way which `witness add` would not take.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tallystick.errors import EvidenceError, LockedError, QuorumError, RollbackError
from tallystick.proof import AnchorClaim, parse_checkpoint, parse_note

from ._attesting import ANCHOR_NOTE
from ._remote_witnesses import (
    Attested,
    WitnessAnswer,
    Witnessed,
    ask_attestations,
    ask_witnesses,
    find_witnesses,
)
from ._watching import Witnessing
from ._witnessing import cosigned_by
from ._workspace import read_small, write_small

__all__ = [
    "Backlog",
    "Gathered",
    "backlog",
    "gather",
    "gather_beside",
    "gather_notes",
    "head_to_anchor",
    "take_given",
]

Keep = Callable[[bytes], object]

NOTES_AT_ONCE: Final = 16  # anchors that one round asks for
_PATIENCE: Final = 2.5  # of one answer's time: a witness may be asked twice


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one round brought.

    Args:
        head: the newest head with its lines; None when it had enough before, or nobody was to be asked.
        notes: the anchors that were asked for, by size.
        absent: url -> why nobody could be asked there.
        waiting: statements above the last head that had enough lines; 0 when nothing waits.
        has_writer: another process writes here; what was gathered waits for it in ``given/``.
    """

    head: Witnessed | None = None
    notes: Mapping[int, Attested] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    waiting: int = 0
    has_writer: bool = False

    @property
    def missing(self) -> dict[str, str]:
        """Who gave no line, and why: name or url -> words."""
        answers: list[WitnessAnswer] = [*(self.head.answers if self.head else ())]
        answers += [answer for attested in self.notes.values() for answer in attested.answers]
        return {**self.absent, **{answer.name: answer.why for answer in answers if not answer.gave}}


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for other members.

    Args:
        statements: above the last head that has as many cosignatures as are wanted, or is anchored.
        anchors: that bear fewer lines than are wanted; of the newest ones.
        given: notes that wait for the process that writes.
    """

    statements: int
    anchors: int
    given: int


def backlog(node: Witnessing) -> Backlog:
    """Say what waits for other members, without asking anybody."""
    wanted, size = _wanted(node), node.journal.size
    statements = size - _enough_up_to(node, wanted) if wanted and size and _lines(node, size) < wanted else 0
    anchors = len(_unattested(node)) if node.settings.witnesses.urls else 0
    return Backlog(statements, anchors, len(list(node.workspace.given.glob("*.note"))))


def gather(node: Witnessing, *, keep: Keep | None = None) -> Gathered:
    """Ask the members that the settings name for what is missing: one round, for the newest head and for anchors.

    Args:
        node: whose head and anchors.
        keep: takes each note with new lines; it is kept in the node's own journal when None.

    Raises:
        ConfigurationError: an address in the settings is none.
    """
    return gather_notes(node, gather_head(node, keep=keep), keep=keep)


def gather_head(node: Witnessing, *, keep: Keep | None = None) -> Gathered:
    """Ask for lines under the newest head; see `gather`."""
    settings, head, wanted = node.settings.witnesses, node.journal.checkpoint(), _wanted(node)
    if not settings.urls or not head.size or _lines(node, head.size) >= wanted:
        return Gathered()
    witnesses, absent = find_witnesses(node.peers, settings.urls, timeout_s=settings.timeout_seconds)
    told = ask_witnesses(node, witnesses, need=wanted, timeout_s=_PATIENCE * settings.timeout_seconds)
    if told.given:
        (keep or (lambda note: take_note(node, note)))(told.checkpoint.note)
    lines = len(cosigned_by(told.checkpoint.parsed(), node.peers))
    waiting = 0 if lines >= wanted else told.checkpoint.size - _enough_up_to(node, wanted)
    return Gathered(told, {}, absent, waiting)


def gather_notes(node: Witnessing, before: Gathered, *, keep: Keep | None = None) -> Gathered:
    """Ask for lines under the notes of own anchors; see `gather`. What came before is kept in the answer."""
    settings, claims = node.settings.witnesses, _unattested(node)
    if not settings.urls or not claims:
        return before
    asked, absent = find_witnesses(node.peers, settings.urls, timeout_s=settings.timeout_seconds)
    notes: dict[int, Attested] = {}
    for claim in claims:
        if not asked:
            break
        told = ask_attestations(
            node, claim, asked, need=settings.wanted, timeout_s=_PATIENCE * settings.timeout_seconds
        )
        if told.note:
            (keep or (lambda note: take_note(node, note)))(told.note)
        notes[claim.size] = told
        for answer in told.answers:
            if not answer.gave:
                # Whoever is down is not waited for again and again.
                asked.pop(answer.party, None)
    return replace(before, notes=notes, absent={**before.absent, **absent})


def _wanted(node: Witnessing) -> int:
    """How many lines a head should bear."""
    return max(node.settings.witnesses.wanted, node.settings.anchor.cosigned)


def _unattested(node: Witnessing) -> list[AnchorClaim]:
    """Own anchors on the present chain that bear too few known parties' lines, newest first."""
    chain, wanted = node.settings.chain, node.settings.witnesses.wanted
    if chain is None or chain.profile.path is not None:
        return []  # one operator runs an embedded chain: nobody has a node of its own there
    claims = node.claims[::-1]
    # Contracts of two chains may have one address: what stands where the newest anchor stands is of the present chain.
    place = [(claim.chain_id, claim.genesis, claim.contract) for claim in claims]
    found = []
    for claim, here in zip(claims, place, strict=True):
        given = cosigned_by(parse_note(claim.note.encode()), node.peers) if claim.note else {}
        if here == place[0] and claim.contract == chain.anchors and len(given) < wanted:
            found.append(claim)
    return found[:NOTES_AT_ONCE]


def _lines(node: Witnessing, size: int) -> int:
    """How many known parties cosigned the head of this size."""
    note = node.journal.cosigned(size - 1)
    if note is None or parse_checkpoint(note).size != size:
        return 0
    return len(cosigned_by(parse_note(note), node.peers))


def _enough_up_to(node: Witnessing, need: int) -> int:
    """Size of a head that so many known parties cosigned, the best above the last anchor; that anchor's without one."""
    anchored = max((claim.size for claim in node.claims), default=0)
    note = node.journal.cosigned(anchored)
    if note is None or len(cosigned_by(parse_note(note), node.peers)) < need:
        return anchored
    return parse_checkpoint(note).size


def head_to_anchor(node: Witnessing, *, ask: bool = True) -> tuple[int, Gathered, QuorumError | None]:
    """Say which head may be anchored, after asking those that the settings name.

    Returns:
        Its size, 0 for none; what was asked; and why the newest head has to wait, None when it has not.
    """
    need = node.settings.anchor.cosigned
    gathered = gather_head(node) if ask else Gathered()
    size = node.journal.size if gathered.head is None else gathered.head.checkpoint.size
    if not need or not size or _lines(node, size) >= need:
        return size, gathered, None
    anchored = max((claim.size for claim in node.claims), default=0)
    if anchored >= size:
        return 0, gathered, None
    ready = _enough_up_to(node, need)
    given = _lines(node, size)
    shown = "; ".join(f"{who}: {why}" for who, why in gathered.missing.items())
    error = QuorumError(
        f"the head of size {size} has {given} of the {need} cosignatures that it needs before it is anchored"
        + (f" ({shown})" if shown else ""),
        hint="it waits and nothing is lost: ask again with `tallystick anchor`, or see `tallystick node ask`",
    )
    return (ready if ready > anchored else 0), gathered, error


# -- beside the process that writes ------------------------------------------------------------------------


def take_note(node: Witnessing, note: bytes) -> None:
    """Keep a cosigned head or an anchor's note of one's own."""
    if note.startswith(ANCHOR_NOTE):
        node.add_anchor_note(note)
    else:
        node.add_cosignatures(note)


def hand_over(node: Witnessing, note: bytes) -> None:
    """Leave a note for the process that writes."""
    name = hashlib.sha256(note).hexdigest()[:32]
    write_small(node.workspace.given / f"{name}.note", note)


def take_given(node: Witnessing) -> int:
    """Take in what was gathered beside the process that writes; how many notes.

    A note is removed after its lines are durable: a crash in between takes it in twice, which changes nothing.
    """
    count = 0
    for path in sorted(node.workspace.given.glob("*.note")):
        note = read_small(path)
        if note is None:
            continue
        try:
            take_note(node, note)
            count += 1
        except (EvidenceError, RollbackError):
            pass  # of nobody known any more, or of no head of this journal: it is worth nothing
        path.unlink(missing_ok=True)
    return count


def gather_beside(
    reader: Witnessing, writing: Callable[[], Witnessing], *, is_stopping: Callable[[], bool] = lambda: False
) -> Gathered:
    """One round by a node that is open for reading; what comes is kept at once, or left for the process that writes.

    Args:
        reader: open for reading.
        writing: opens the same workspace to write; it may be locked.
        is_stopping: what comes after that is not kept: it is asked for again.
    """
    notes: list[bytes] = []
    found = gather(reader, keep=notes.append)
    if not notes or is_stopping():
        return found
    for note in notes:
        hand_over(reader, note)
    try:
        # Whoever opens it to write takes in what was handed over.
        writing().journal.close()
    except LockedError:
        return replace(found, has_writer=True)
    reader.reload()
    return found
