"""The journal: a party's append-only record, durable before it is acknowledged.

Rules:

- what `append` returned stands on the disk, covered by a signed checkpoint that stands there too;
- threads that append at the same time share one pair of syncs: the first one that gets its turn commits for all;
- times strictly increase; a clock that went back further than a bound stops appending;
- a failed write or sync stops this object for good: nothing more is signed, what was acknowledged stays readable;
- every read hashes its entry and its path again, up to the signed root.

    with Journal.open("clinic-north", party=clinic) as journal:
        entry = journal.append("document.recorded", {"title": "protocol"}, payload=pdf)
        receipt = journal.receipt(entry.id)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tallystick.errors import (
    ConfigurationError,
    DisclosureError,
    NoteError,
    NotFoundError,
    RollbackError,
    StatementError,
    StorageError,
)
from tallystick.proof._anchors import AnchorClaim
from tallystick.proof._cards import Card, log_key_at
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint
from tallystick.proof._commitments import open_fields
from tallystick.proof._cosigned import Cosigned
from tallystick.proof._drafts import (
    Draft,
    check_drafts,
    check_ready,
    commit_many,
    format_drafts,
    give_times,
    time_of,
)
from tallystick.proof._encoding import encode_base64, encode_base64url
from tallystick.proof._files import Files, OsFiles
from tallystick.proof._keys import Randomness
from tallystick.proof._kinds import STANDARD_KINDS, Kinds
from tallystick.proof._parties import Clock, Party, system_clock
from tallystick.proof._payloads import Payload, Payloads
from tallystick.proof._receipts import Receipt
from tallystick.proof._recovery import Progress, Recovery, recover, take_up_for_reading, verify_store
from tallystick.proof._remembered import HeadFile, check_absent, check_remembered
from tallystick.proof._segments import SEGMENT_SIZE
from tallystick.proof._statements import PayloadRef, Statement, parse_statement
from tallystick.proof._store import Store, create_store

__all__ = ["Entry", "Journal"]

COMMIT_LIMIT = 16_384  # entries that one pair of syncs makes durable


@dataclass(frozen=True, slots=True)
class Entry:
    """A statement with its place in the journal and its id."""

    index: int
    id: str
    statement: Statement


@dataclass(slots=True)
class _Batch:
    """What one caller waits for."""

    entries: Sequence[bytes]
    sealed: Sequence[tuple[bytes, bytes]] = ()
    first: int = -1
    leaves: list[bytes] = field(default_factory=list)
    done: bool = False


class Journal:
    """A party's journal; made by `open` (to write) or `read`, closed by ``with`` or `close`."""

    def __init__(
        self,
        store: Store,
        *,
        party: Party | None,
        clock: Clock,
        kinds: Kinds,
        randomness: Randomness,
        cards: Sequence[Card],
    ) -> None:
        self._store = store
        self._party = party
        self._clock = clock
        self._kinds = kinds
        self._randomness = randomness
        self._cards = tuple(cards)
        self._ordering = threading.Lock()  # guards the times and the queue
        self._committing = threading.Lock()  # guards the store's writing side
        self._queue: list[_Batch] = []
        self._last_at = 0
        self._failure: BaseException | None = None
        self._payloads: Payloads | None = None
        self._head_file: HeadFile | None = None
        self._cosigned = Cosigned(store.files, store.directory / "cosigned")
        self._signer = party.signer("log") if party else None
        self.recovery: Recovery | None = None
        """What opening had to do; None when opened for reading."""

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        party: Party,
        clock: Clock = system_clock,
        kinds: Kinds = STANDARD_KINDS,
        files: Files | None = None,
        randomness: Randomness = os.urandom,
        remembered: Iterable[Checkpoint] = (),
        head_file: Path | str | None = None,
        segment_size: int = SEGMENT_SIZE,
    ) -> Journal:
        """Open a party's journal for writing; make it when there is none.

        Args:
            path: the journal's directory.
            party: its log key signs.
            clock: microseconds since the epoch.
            kinds: the kinds that may be appended.
            files: file operations.
            randomness: source of nonces.
            remembered: heads that witnesses or anchors have seen, verified by the caller.
            head_file: a file outside the directory that remembers the last head.
            segment_size: bytes after which a segment is full.

        Raises:
            ConfigurationError: this is another party's journal.
            DamagedError: an entry or checkpoint is damaged; it is named.
            LockedError: another process writes here.
            RollbackError: the journal stands below a remembered head.
            StorageError: the disk failed.
            UnknownFormatError: a later version wrote it.
        """
        files, directory = files or OsFiles(), Path(path)
        kept = HeadFile(files, Path(head_file)) if head_file is not None else None
        known = [*remembered, *filter(None, [kept.read() if kept else None])]
        if not files.exists(directory / "journal.json"):
            check_absent(known)
            signer = party.signer("log")
            create_store(
                files, directory, party.origin, lambda n, root: sign_checkpoint(party.origin, n, root, signer)
            )
        store = Store(files, directory, write=True, segment_size=segment_size)
        try:
            journal = cls(
                store, party=party, clock=clock, kinds=kinds, randomness=randomness, cards=party.cards
            )
            journal._head_file = kept
            journal._recover(known)
        except BaseException:
            store.close()
            raise
        return journal

    @classmethod
    def read(
        cls,
        path: Path | str,
        *,
        party: Party | None = None,
        cards: Sequence[Card] = (),
        files: Files | None = None,
        remembered: Iterable[Checkpoint] = (),
    ) -> Journal:
        """Open a journal for reading, also while another process writes to it.

        What is seen ends at the last checkpoint that was durable when this was opened, or at the last `refresh`.

        Args:
            path: the journal's directory.
            party: its owner, when payloads are to be opened.
            cards: the owner's verified cards; without them (or a party) the head's signature is not checked.
            files: file operations.
            remembered: heads that the journal must not stand below.

        Raises:
            NotFoundError: no journal there.
            DamagedError: head or stored hashes are damaged.
            RollbackError: the journal stands below a remembered head.
        """
        store = Store(files or OsFiles(), Path(path), write=False)
        try:
            journal = cls(
                store,
                party=party,
                clock=system_clock,
                kinds=STANDARD_KINDS,
                randomness=os.urandom,
                cards=cards or (party.cards if party else ()),
            )
            journal._signer = None
            take_up_for_reading(store, journal._check_head)
            check_remembered(store, remembered)
        except BaseException:
            store.close()
            raise
        return journal

    def _recover(self, known: Sequence[Checkpoint]) -> None:
        store, party = self._store, self._party
        assert party is not None
        if store.origin != party.origin:
            raise ConfigurationError(
                "this is another party's journal: origins differ", hint="one party has one journal, for ever"
            )
        self.recovery = recover(store, self._check_head)
        check_remembered(store, known)
        if store.head.size < party.card.since:
            raise RollbackError(
                f"the party's card is of size {party.card.since}, the journal has only {store.head.size} entries"
            )
        if store.head.size:
            self._last_at = time_of(store.read(store.head.size - 1)[0])
        if not _signed_by(store.head, party.signer("log").public_key):
            # The log key was rotated at this very size: the new key takes over the head.
            store.sign_head(self._sign)
        self._remember()

    def _check_head(self, head: Checkpoint) -> None:
        """Check that a head is this journal's; a rotation at its size leaves it signed by the key before."""
        if head.origin != self._store.origin:
            raise NoteError("the checkpoint must be of this journal, got another origin")
        if not self._cards:
            return
        before = [card for card in self._cards if card.since < head.size] or list(self._cards[:1])
        keys = {log_key_at(self._cards, head.size), before[-1].keys["log"]}
        keys |= {card.keys["log"] for card in self._cards if card.since == head.size}
        if not any(_signed_by(head, key) for key in keys):
            raise NoteError(
                "the last checkpoint is not signed by the journal's key", hint="is this the right key file?"
            )

    @property
    def origin(self) -> str:
        """The journal's origin, ``<party id>/<name>``."""
        return self._store.origin

    @property
    def size(self) -> int:
        """Number of durable entries."""
        return self._store.head.size

    @property
    def directory(self) -> Path:
        """Where the journal stands."""
        return self._store.directory

    def checkpoint(self) -> Checkpoint:
        """The last signed head; it is on the disk."""
        return self._store.head

    def root(self, size: int | None = None) -> bytes:
        """The root at a size, proved against the signed head.

        Raises:
            NotFoundError: the journal is shorter.
        """
        head = self._store.head
        return head.root if size is None else self._store.root(size)

    def append(
        self,
        kind: str,
        body: dict[str, Any],
        *,
        links: dict[str, list[str]] | None = None,
        payload: bytes | None = None,
        fields: Mapping[str, Any] | None = None,
        media: str = "application/octet-stream",
        subject: str = "",
    ) -> Entry:
        """Append one statement; it is durable when this returns. See `Draft` and `append_many`."""
        draft = Draft(kind, body, links, payload, fields, media, subject)
        return self.append_many([draft])[0]

    def append_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Append statements, all or none of them; they are durable when this returns.

        Returns:
            The entries, in the drafts' order and next to each other.

        Raises:
            StatementError: a draft cannot be a statement; nothing was written.
            ClockError: the clock went back; nothing was written.
            StorageError: the disk failed: nothing more can be appended through this object, and whether these entries
                are there shows when the journal is opened again.
        """
        if not drafts:
            return []
        check_drafts(drafts, self._kinds)
        with self._ordering:
            self._refuse()
            times = give_times(drafts, now=self._clock(), last=self._last_at)
            refs, sealed = self._commit_payloads(drafts)
            statements = format_drafts(drafts, times=times, refs=refs, origin=self._store.origin)
            batch = _Batch([statement.bytes for statement in statements], sealed)
            self._queue.append(batch)
            self._last_at = times[-1]
        self._wait(batch)
        ids = [leaf.hex() for leaf in batch.leaves]
        return list(map(Entry, range(batch.first, batch.first + len(ids)), ids, statements))

    def append_ready(self, entries: Sequence[bytes]) -> int:
        """Append statements that are formatted already; size, beginning and times are checked, nothing else.

        Args:
            entries: bytes of `format_statement` with this journal's origin; the caller answers for that.

        Returns:
            Index of the first one.

        Raises:
            StatementError: too large, or times do not increase; nothing was written.
            ClockError: the clock went back; nothing was written.
            StorageError: see `append_many`.
        """
        if not entries:
            return self.size
        with self._ordering:
            self._refuse()
            self._last_at = check_ready(entries, now=self._clock(), last=self._last_at)
            batch = _Batch(entries)
            self._queue.append(batch)
        self._wait(batch)
        return batch.first

    def _commit_payloads(
        self, drafts: Sequence[Draft]
    ) -> tuple[list[PayloadRef | None], list[tuple[bytes, bytes]]]:
        loose = {draft.subject for draft in drafts if not draft.keep}
        keys = {subject: self._payload_store()._key(subject) for subject in loose}
        refs: list[PayloadRef | None] = [None] * len(drafts)
        if loose:
            refs = commit_many(drafts, keys, self._randomness(16 * len(drafts)))
        sealed = []
        for at, draft in enumerate(drafts):
            content = draft.payload if draft.fields is None else draft.fields
            if content is not None and draft.keep:
                refs[at], kept = self._payload_store().commit(Payload(content, draft.media, draft.subject))
                sealed.append(kept)
        return refs, sealed

    def _payload_store(self) -> Payloads:
        if self._payloads is None:
            if self._party is None:
                raise DisclosureError("payloads can be opened with the party's keys only")
            files, directory = self._store.files, self._store.directory / "payloads"
            writing = self._signer is not None
            if not files.exists(directory):
                if not writing:
                    raise DisclosureError("this journal keeps no payloads")
                files.make_directory(directory)
                files.sync_directory(directory.parent)
            self._payloads = Payloads(
                directory,
                self._party.secret("storage"),
                write=writing,
                files=files,
                randomness=self._randomness,
            )
        return self._payloads

    def _refuse(self) -> None:
        if self._signer is None:
            raise StorageError("the journal is open for reading only", hint="open it with its party's keys")
        if self._failure is not None:
            hint = self._failure.hint if isinstance(self._failure, StorageError) else ""
            raise StorageError(
                f"the journal has stopped: {self._failure}",
                hint=hint or "close it, look at the disk, then open it again",
            ) from self._failure

    def _wait(self, batch: _Batch) -> None:
        """Return when a batch is durable: by this thread's own commit, or by that of one before it."""
        with self._committing:
            if batch.done:
                return
            self._refuse()
            with self._ordering:
                batches, self._queue = self._queue, []
            try:
                self._commit(batches)
            except BaseException as error:
                # Nobody knows what reached the disk: a second attempt could acknowledge what is not there.
                self._failure = error
                raise

    def _commit(self, batches: Sequence[_Batch]) -> None:
        sealed = [one for batch in batches for one in batch.sealed]
        if sealed:
            # Payloads before the statements that commit to them: a statement must never outlive its payload's write.
            self._payload_store().keep(sealed)
        first = self._store.head.size
        entries = (
            batches[0].entries if len(batches) == 1 else [one for batch in batches for one in batch.entries]
        )
        leaves: list[bytes] = []
        for start in range(0, len(entries), COMMIT_LIMIT):
            leaves += self._store.commit(entries[start : start + COMMIT_LIMIT], self._sign)
        self._remember()
        start = 0
        for batch in batches:
            stop = start + len(batch.entries)
            batch.first, batch.leaves, batch.done = first + start, leaves[start:stop], True
            start = stop

    def _sign(self, size: int, root: bytes) -> Checkpoint:
        assert self._signer is not None
        return sign_checkpoint(self._store.origin, size, root, self._signer)

    def _remember(self) -> None:
        if self._head_file is not None:
            self._head_file.write(self._store.head)

    def refresh(self) -> Checkpoint:
        """See what another process has made durable since; the head may only have grown.

        Raises:
            RollbackError: it shrank or forked.
        """
        if self._signer is None:
            before = self._store.head
            take_up_for_reading(self._store, self._check_head)
            check_remembered(self._store, [before])
        return self._store.head

    def index(self, id_or_index: str | int) -> int:
        """Find a statement's place.

        Raises:
            NotFoundError: no such statement here.
        """
        size = self._store.head.size
        if isinstance(id_or_index, int):
            if not 0 <= id_or_index < size:
                raise NotFoundError(f"expected a statement below {size}, got {id_or_index}")
            return id_or_index
        try:
            leaf = bytes.fromhex(id_or_index)
        except ValueError:
            leaf = b""
        found = self._store.hashes.find(leaf, size=size) if len(leaf) == 32 else None
        if found is None:
            raise NotFoundError("there is no such statement in this journal")
        return found

    def statement(self, id_or_index: str | int) -> Statement:
        """Read a statement; its entry and path are hashed again.

        Raises:
            NotFoundError: no such statement here.
            DamagedError: it is not what was signed.
        """
        return parse_statement(self._store.read(self.index(id_or_index))[0])

    def entry(self, id_or_index: str | int) -> Entry:
        """Read a statement with its place and id; see `statement`."""
        index = self.index(id_or_index)
        statement = parse_statement(self._store.read(index)[0])
        return Entry(index, statement.id, statement)

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """Walk over entries; each part is hashed again up to the signed root before it is given out.

        Raises:
            DamagedError: an entry is not what was signed.
        """
        store = self._store
        stop = store.head.size if stop is None else min(stop, store.head.size)
        start = max(0, start)
        if start >= stop:
            return
        tree = store.hashes.tree(start)
        for first, entries, _ in store.segments.passes(start, stop):
            leaves = [sha256(b"\x00" + entry).digest() for entry in entries]
            tree.extend(leaves)
            if tree.root() != store.root(tree.size):
                # Which one it is shows when each is read by its own path.
                entries = [store.read(first + at)[0] for at in range(len(entries))]
            for at, entry in enumerate(entries):
                yield Entry(first + at, leaves[at].hex(), parse_statement(entry))

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Make the inclusion path of an entry; checked against the signed root before it is given out.

        Raises:
            NotFoundError: the index is not below the size, or the journal is shorter.
            DamagedError: what is stored does not lead to the root.
        """
        return self._store.read(index, size=size)[1]

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Make the consistency path between two sizes; checked before it is given out.

        Raises:
            NotFoundError: the journal is shorter.
            ProofError: ``old`` is above ``new``.
            DamagedError: what is stored does not lead to the root.
        """
        return self._store.consistency(old, self.size if new is None else new)

    def payload(self, id_or_index: str | int) -> bytes | dict[str, Any]:
        """Open a kept payload: bytes, or the record of fields.

        Raises:
            DisclosureError: there is none, it is not kept here, or it was erased.
        """
        content: bytes | dict[str, Any] = self._open_payload(self.statement(id_or_index))[0]
        return content

    def erase(self, subject: str) -> bool:
        """Destroy a subject's key: her payloads and salts become unknowable. True when there was one."""
        with self._committing, self._ordering:
            self._refuse()
            return self._payload_store().erase(subject)

    def _open_payload(self, statement: Statement) -> tuple[Any, bytes]:
        if statement.payload is None:
            raise DisclosureError("the statement has no payload")
        return self._payload_store().read(statement.payload)

    def receipt(
        self,
        id_or_index: str | int,
        *,
        checkpoint: Checkpoint | None = None,
        cards: Mapping[str, tuple[Card, ...]] | None = None,
        anchor: AnchorClaim | None = None,
        disclose: Sequence[str] | None = None,
    ) -> Receipt:
        """Make a receipt, covered by the best witnessed checkpoint or else by the last one.

        Args:
            id_or_index: the statement.
            checkpoint: the signed checkpoint to use instead.
            cards: cards of the witnesses, by party id; the journal's own are added.
            anchor: what is to be said of an anchor.
            disclose: None keeps the payload closed; paths of fields to open; an empty list opens all.

        Raises:
            NotFoundError: no such statement here.
            DisclosureError: the payload or a field is not there.
        """
        index = self.index(id_or_index)
        if checkpoint is None:
            checkpoint = self._cosigned.best(index) or self._store.head
        elif checkpoint.root != self._store.root(checkpoint.size):
            raise RollbackError("the checkpoint has another root than this journal at its size")
        entry, path = self._store.read(index, size=checkpoint.size)
        statement = parse_statement(entry)
        opening = None if disclose is None else self._opening(statement, disclose)
        own = {self._cards[0].party: self._cards} if self._cards else {}
        return Receipt(statement, index, tuple(path), checkpoint, {**(cards or {}), **own}, anchor, opening)

    def _opening(self, statement: Statement, paths: Sequence[str]) -> dict[str, Any]:
        content, salt = self._open_payload(statement)
        if isinstance(content, bytes):
            if paths:
                raise DisclosureError("the payload is of form bytes: it can be opened as a whole only")
            return {"payload": encode_base64(content), "salt": encode_base64url(salt)}
        return open_fields(content, salt, paths or list(content))

    def add_cosignatures(self, note: bytes) -> Checkpoint:
        """Keep what witnesses signed below one of this journal's checkpoints.

        Returns:
            The checkpoint with all lines that are known for its size.

        Raises:
            NoteError: malformed, not this journal's, or not signed by it.
            RollbackError: it has another size or root than this journal ever had.
        """
        checkpoint = parse_checkpoint(note)
        self._check_head(checkpoint)
        with self._committing:
            self._refuse()
            check_remembered(self._store, [checkpoint])
            return self._cosigned.add(checkpoint)

    def cosigned(self, index: int = 0) -> bytes | None:
        """The witnessed checkpoint with the most lines that covers an entry, or None."""
        best = self._cosigned.best(index)
        return best.note if best else None

    def verify(self, progress: Progress | None = None) -> None:
        """Hash everything again and compare it with all that is stored and signed.

        Args:
            progress: called with the entries done and the entries in all.

        Raises:
            DamagedError: names the first entry, hash, place or checkpoint that is wrong.
        """
        verify_store(self._store, progress)

    def close(self) -> None:
        """Close the journal and give its lock back; a second time does nothing."""
        with self._committing, self._ordering:
            if self._signer is not None and self._failure is None:
                self._failure = StatementError("it was closed")
            if self._head_file is not None:
                self._head_file.close()
                self._head_file = None
            if self._payloads is not None:
                self._payloads.close()
                self._payloads = None
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _signed_by(head: Checkpoint, key: bytes) -> bool:
    try:
        verify_checkpoint(head, key)
    except NoteError:
        return False
    return True
