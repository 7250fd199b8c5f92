"""What a party shows of its journal to others, and what it does for theirs: the part behind the HTTP interface.

- Tiles of hashes and the checkpoint are anybody's. Entries and receipts are not: the interface asks for a key.
- A head is shown only when it is durable; a node that is open for reading beside its writer sees what is durable.
- Only parties whose card was imported are witnessed. The witness's state is on the disk before a line leaves, and a
  head that contradicts it is kept with the one before, as evidence that convicts its author.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tallystick.errors import EncodingError, ForkError, NotFoundError, OverloadedError
from tallystick.node import (
    CardFile,
    Gathered,
    Node,
    Peers,
    evidence_files,
    format_card_file,
    keep_evidence,
    parse_card_file,
)
from tallystick.proof import (
    Checkpoint,
    Receipt,
    Witness,
    anchor_note_text,
    format_cosignatures,
    format_note,
    parse_add_checkpoint,
    parse_anchor_note_text,
    parse_checkpoint,
    parse_tile_path,
    read_tile,
)

if TYPE_CHECKING:
    from tallystick.chain import Chain

__all__ = ["JournalService", "JournalStanding"]

ATTESTING_AT_ONCE: Final = 4  # anchors that are looked for on the chain


@dataclass(frozen=True, slots=True)
class JournalStanding:
    """How a node stands towards others.

    Args:
        statements: size of the journal's newest head.
        anchored: size of the last anchored head; 0 for none.
        witnessed: size of the best cosigned head; 0 for none.
        peers: parties that are known.
        forks: files of evidence that this node holds.
        waiting: statements above the last head that had as many cosignatures as are wanted, at the last round.
        missing: witnesses that gave no line in the last round.
    """

    statements: int
    anchored: int
    witnessed: int
    peers: int
    forks: int
    waiting: int = 0
    missing: int = 0


class JournalService:
    """One node towards other members; safe for threads.

    Args:
        node: open to write, or for reading beside the process that writes.
        witness: what cosigns; that of the node's workspace when None.
        chain: where anchors are looked for; opened for each by the node's settings, its own endpoint alone, when None.
        gathered: what the last round brought, when somebody asks the witnesses in rounds.
    """

    def __init__(
        self,
        node: Node,
        *,
        witness: Witness | None = None,
        chain: Chain | None = None,
        gathered: Callable[[], Gathered | None] | None = None,
    ) -> None:
        self.node, self._chain = node, chain
        self._gathered = gathered or (lambda: None)
        self._attesting = threading.BoundedSemaphore(ATTESTING_AT_ONCE)
        # The state file has its own lock between processes, so a node that only reads its journal may witness too.
        self.witness = witness or Witness(node.party, node.workspace.witness, clock=node.clock)
        # What another process appends is taken up by whoever asks next; meanwhile nobody else may read.
        self._lock = threading.RLock()
        self._peers = node.peers

    # -- the journal ---------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """Return the newest durable head, with the witnesses' lines when it has any."""
        with self._lock:
            head = self.node.journal.refresh()
            note = self.node.journal.cosigned()
        if note is not None:
            cosigned = parse_checkpoint(note)
            if cosigned.head == head.head:
                return cosigned
        return head

    def tile(self, path: str) -> bytes:
        """Return a tile by its path.

        Raises:
            EncodingError: no tile's path.
            NotFoundError: the journal is shorter.
            DisposedError: entries are asked for that were disposed of.
        """
        level, index, width = parse_tile_path(path)
        with self._lock:
            return read_tile(self.node.journal, level, index, width)

    def receipt(self, statement: str, *, disclose: Sequence[str] | None = None) -> Receipt:
        """Make a receipt; see `Evidence.receipt`."""
        with self._lock:
            self._refresh()
            return self.node.receipt(statement, disclose=disclose)

    def _refresh(self) -> Checkpoint:
        """See what the process that writes has kept since; the caller holds the lock."""
        if self.node.read_only:
            self.node.reload()
        return self.node.journal.refresh()

    def card(self) -> bytes:
        """Return the party's cards as a file."""
        return format_card_file(self.node.party.cards)

    # -- other members' journals ---------------------------------------------------------------------------

    def add_card(self, data: bytes) -> bool:
        """Keep newer cards of a party that is known; a stranger's are for people to compare.

        Returns:
            Whether anything was new.

        Raises:
            NotFoundError: a stranger's.
            CardError: they do not continue the cards that are known.
        """
        peer = parse_card_file(data)
        with self._lock:
            self._known(peer.origin)
            return self._peers.add(peer)

    def add_checkpoint(self, data: bytes) -> bytes:
        """Witness another member's head (C2SP tlog-witness).

        Returns:
            This party's signature line.

        Raises:
            EncodingError: the ask is none.
            NotFoundError: a party that is not known.
            CardError, NoteError: not signed by the journal's key.
            WitnessConflictError: another size was seen; ForkError: another root at that size.
            ProofError: the head does not follow what was seen.
        """
        ask = parse_add_checkpoint(data)
        cards = self._known(ask.checkpoint.origin).cards
        try:
            line = self.witness.cosign(
                ask.checkpoint.note, cards=cards, old_size=ask.old_size, proof=ask.proof
            )
        except ForkError as error:
            keep_evidence(self.node.workspace, ask.checkpoint, error.evidence)
            raise
        return format_cosignatures(ask.checkpoint, [line])

    def attest_anchor(self, data: bytes) -> bytes:
        """Look for another member's anchor on this party's own node of the chain, and sign that it stands there.

        Args:
            data: the text of an anchor note.

        Returns:
            This party's signature line.

        Raises:
            EncodingError: no such text.
            NotFoundError: a party that is not known, or this node has no chain.
            ChainMismatchError: another chain or contract.
            ChainUnreachableError: this party's own node does not answer, or has not come so far.
            OverloadedError: others ask the same at this moment.
            VerificationError: the anchor is not there.
        """
        try:
            claim, origin = parse_anchor_note_text(data.decode())
        except UnicodeDecodeError as error:
            raise EncodingError("an anchor note must be UTF-8") from error
        self._known(origin)
        settings = self.node.settings.chain
        if settings is None or not settings.anchors:
            raise NotFoundError("this node has no chain to read anchors on")
        # A chain that hangs must not keep the threads that tiles and heads are read by.
        if not self._attesting.acquire(blocking=False):
            raise OverloadedError("others ask for anchors at this moment")
        try:
            line = self.node.attest_claim(claim, origin, witness=self.witness, chain=self._chain)
        finally:
            self._attesting.release()
        text = anchor_note_text(claim, origin)
        return format_note(text, [line])[len(text.encode()) + 1 :]

    def _known(self, origin: str) -> CardFile:
        with self._lock:
            if not any(peer.origin == origin for peer in self._peers):
                self._peers = Peers(self.node.workspace.peers)  # somebody may have imported it meanwhile
            for peer in self._peers:
                if peer.origin == origin:
                    return peer
        raise NotFoundError(
            "this party is not known here", hint="its card is imported by hand: `tallystick card import`"
        )

    def seen(self, origin_sha256: str) -> bytes:
        """Return the head that this witness remembers of a journal, as its log signed it.

        Two members who compare what they were shown find a log that shows two histories.

        Raises:
            NotFoundError: nothing was seen of it.
        """
        for peer in self._peers:
            if hashlib.sha256(peer.origin.encode()).hexdigest() == origin_sha256:
                head = self.witness.head(peer.origin)
                if head is not None:
                    return head.note
        raise NotFoundError("this witness has seen no head of such a journal")

    def standing(self) -> JournalStanding:
        """Say how the node stands."""
        with self._lock:
            head = self._refresh()
            note = self.node.journal.cosigned()
            claims = self.node.claims
        gathered = self._gathered() or Gathered()
        return JournalStanding(
            waiting=gathered.waiting,
            missing=len(gathered.missing),
            statements=head.size,
            anchored=claims[-1].size if claims else 0,
            witnessed=parse_checkpoint(note).size if note else 0,
            peers=len(self._peers),
            forks=len(evidence_files(self.node.workspace)),
        )
