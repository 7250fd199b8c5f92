"""Witnesses: a party that remembers the last head it saw of every other journal and cosigns only what follows.

The rules (C2SP tlog-witness, ``add-checkpoint``):

- The caller says which size it thinks the witness has seen; another answer is a conflict, and the witness tells
  the size (the HTTP service answers 409).
- A new head needs a consistency proof from the one that is remembered, or nothing is cosigned. Equal sizes with
  different roots are a fork, and the evidence comes as a file.
- The new state is on the disk *before* the cosignature leaves: a crash between the two only means that the
  caller asks again.
- A witness that lost its state must not go on under its key: it could cosign a second history. Opening with a
  missing state file refuses; the way out is a new witness key (``tallystick card rotate --role witness``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tallystick.errors import (
    DamagedError,
    EncodingError,
    ForkError,
    NoteError,
    NotFoundError,
    ProofError,
    RollbackError,
    WitnessConflictError,
)  # fmt: skip
from tallystick.proof._anchors import AnchorClaim, anchor_note_text
from tallystick.proof._cards import Card, log_key_at, verify_cards
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint, verify_checkpoint
from tallystick.proof._encoding import check_format, decode_base64, encode_base64, format_json, parse_json
from tallystick.proof._files import Files, OsFiles, read_whole, write_atomically
from tallystick.proof._forks import fork_of_checkpoints, fork_of_growth
from tallystick.proof._merkle import EMPTY_ROOT, root_before, verify_consistency
from tallystick.proof._notes import NoteSignature, cosign_note, format_note
from tallystick.proof._parties import Clock, Party, system_clock

__all__ = ["Witness", "add_cosignatures"]

STATE_SIZE_LIMIT = 64 * 1024 * 1024  # bytes
_FORMAT = "tallystick/witness"


class Witness:
    """One party's witness over one state file; safe for threads.

    Args:
        party: holds the witness key.
        path: the state file.
        clock: microseconds.
        files: file operations.
    """

    def __init__(
        self, party: Party, path: Path | str, *, clock: Clock = system_clock, files: Files | None = None
    ) -> None:
        self._party, self._path, self._clock = party, Path(path), clock
        self._files = files or OsFiles()
        self._lock = threading.Lock()
        self._heads = self._read()

    @classmethod
    def create(
        cls, party: Party, path: Path | str, *, clock: Clock = system_clock, files: Files | None = None
    ) -> Witness:
        """Start the state file of a witness key that has never cosigned.

        Raises:
            RollbackError: there is a state file already.
        """
        store = files or OsFiles()
        if store.exists(Path(path)):
            raise RollbackError("a witness state exists here already")
        _write(store, Path(path), party, {})
        return cls(party, path, clock=clock, files=files)

    def _read(self) -> dict[str, Checkpoint]:
        try:
            data = read_whole(self._files, self._path, limit=STATE_SIZE_LIMIT)
            document = check_format(parse_json(data.removesuffix(b"\n")), _FORMAT)
            if document["key"] != encode_base64(self._party.card.keys["witness"]):
                raise RollbackError("the witness state belongs to another witness key")
            return {head["origin"]: _head(head) for head in document["heads"]}
        except NotFoundError as error:
            raise RollbackError(
                "the state of this witness key is gone: going on could cosign a second history",
                hint="retire the key: `tallystick card rotate --role witness`, and publish the new card",
            ) from error
        except (AttributeError, EncodingError, KeyError, NoteError, TypeError) as error:
            raise DamagedError(
                "the witness state is damaged", hint="retire the key as if it were lost"
            ) from error

    @property
    def name(self) -> str:
        """Key name of the cosignatures."""
        return self._party.card.witness_name

    def size(self, origin: str) -> int:
        """The size that this witness has seen of a journal, 0 for a new one."""
        head = self._heads.get(origin)
        return head.size if head else 0

    def head(self, origin: str) -> Checkpoint | None:
        """The last head that this witness has seen of a journal (its note is not kept)."""
        return self._heads.get(origin)

    def cosign(
        self, note: bytes, *, cards: Sequence[Card], old_size: int, proof: Sequence[bytes]
    ) -> NoteSignature:
        """Check that a checkpoint follows the remembered one, remember it, and cosign it.

        Args:
            note: the checkpoint, signed by its log.
            cards: all cards of the journal's party.
            old_size: the size that the caller believes this witness has seen, 0 for a new journal.
            proof: RFC 9162 consistency proof from that size; empty from size 0 or at an equal size.

        Returns:
            The cosignature, to be added to the note by ``add_cosignatures``.

        Raises:
            CardError: the cards do not verify, or are of another journal.
            NoteError: not signed by the journal's key.
            WitnessConflictError: another size is remembered; ``size`` tells which.
            ProofError: the proof does not lead from what is remembered to this head.
            ForkError: another root at the size that is remembered, or a proof that leads from another root there.
            LockedError: another process of this party cosigns at this moment.
            StorageError: the state could not be written; nothing was signed.
        """
        checkpoint = parse_checkpoint(note)
        if verify_cards(cards).origin != checkpoint.origin:
            raise WitnessConflictError("the cards are of another journal", size=0)
        verify_checkpoint(checkpoint, log_key_at(cards, checkpoint.size))
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise ProofError("the root of size 0 must be the empty tree's")
        with self._lock, closing(self._files.lock(self._path.with_name(f"{self._path.name}.lock"))):
            # Another process of this party may have cosigned since this one looked.
            self._heads = self._read()
            seen = self._heads.get(checkpoint.origin)
            self._check(seen, checkpoint, cards, old_size, proof)
            heads = {**self._heads, checkpoint.origin: checkpoint}
            # State first: a cosignature that left without it could be followed by one of another history.
            _write(self._files, self._path, self._party, heads)
            self._heads = heads
            time_s = self._clock() // 1_000_000
            return cosign_note(checkpoint.text, self.name, self._party.signer("witness"), time_s=time_s)

    def _check(
        self,
        seen: Checkpoint | None,
        checkpoint: Checkpoint,
        cards: Sequence[Card],
        old_size: int,
        proof: Sequence[bytes],
    ) -> None:
        size = seen.size if seen else 0
        if old_size != size:
            raise WitnessConflictError(
                f"this witness has seen size {size}, got a proof from {old_size}", size=size
            )
        if seen is None or seen.size == 0:
            if proof:
                raise ProofError("a proof from the empty tree must be empty")
            return
        if checkpoint.size < seen.size:
            raise WitnessConflictError(
                f"this witness has seen size {size}, got the older {checkpoint.size}", size=size
            )
        if checkpoint.size == seen.size and checkpoint.root != seen.root:
            # The remembered note carries the log's signature, so the pair convicts it.
            raise ForkError("two roots at one size", evidence=fork_of_checkpoints(seen, checkpoint, cards))
        try:
            verify_consistency(
                old_size=seen.size,
                new_size=checkpoint.size,
                old_root=seen.root,
                new_root=checkpoint.root,
                path=proof,
            )
        except ProofError as error:
            root = root_before(
                old_size=seen.size, new_size=checkpoint.size, new_root=checkpoint.root, path=proof
            )
            if root is not None and root != seen.root:
                # The proof leads to the new head from another root than was signed at that size: that convicts it.
                evidence = fork_of_growth(seen, checkpoint, cards, root=root, proof=proof)
                raise ForkError("the new head does not contain the one before", evidence=evidence) from error
            # A wrong proof convicts nobody: the caller may have sent the wrong one (C2SP tlog-witness: 422).
            raise ProofError(
                f"the proof does not lead from size {seen.size}, which this witness has seen, to the new head",
                hint="send the journal's own consistency proof; if it has none, its history was changed",
            ) from error

    def attest_anchor(self, claim: AnchorClaim, origin: str) -> NoteSignature:
        """Cosign that an anchor stands on the chain, after this party read it on its own node.

        The caller owns that reading; this only signs. Source of the text: ``anchor_note_text``.
        """
        time_s = self._clock() // 1_000_000
        return cosign_note(
            anchor_note_text(claim, origin), self.name, self._party.signer("witness"), time_s=time_s
        )


def _head(document: Any) -> Checkpoint:
    checkpoint = parse_checkpoint(document["note"].encode())
    if checkpoint.head != (document["origin"], document["size"], decode_base64(document["root"])):
        raise EncodingError("a remembered head must fit its note")
    return checkpoint


def _write(files: Files, path: Path, party: Party, heads: dict[str, Checkpoint]) -> None:
    document = {
        "heads": [
            {
                "note": head.note.decode(),
                "origin": origin,
                "root": encode_base64(head.root),
                "size": head.size,
            }
            for origin, head in sorted(heads.items())
        ],
        "key": encode_base64(party.card.keys["witness"]),
        "type": _FORMAT,
        "v": 1,
    }
    write_atomically(files, path, format_json(document) + b"\n", mode=0o600)


def add_cosignatures(checkpoint: Checkpoint, cosignatures: Sequence[NoteSignature]) -> Checkpoint:
    """Put cosignature lines under a checkpoint, each signer's key once; a newer one replaces an older one."""
    note = checkpoint.parsed()
    fresh = {(line.name, line.key_id) for line in cosignatures}
    kept = [line for line in note.signatures if (line.name, line.key_id) not in fresh]
    data = format_note(note.text, [*kept, *cosignatures])
    return Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root, data)
