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
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tallystick.errors import (
    ConfigurationError,
    DisclosureError,
    RollbackError,
    StorageError,
)
from tallystick.proof._anchors import AnchorClaim
from tallystick.proof._appending import Appending
from tallystick.proof._cards import Card
from tallystick.proof._checkpoints import Checkpoint, parse_checkpoint
from tallystick.proof._cosigned import Cosigned
from tallystick.proof._disposal import Disposed, dispose, finish_disposal
from tallystick.proof._drafts import ClockBounds, Draft, time_of
from tallystick.proof._entries import Entry
from tallystick.proof._files import Files, OsFiles
from tallystick.proof._keys import Randomness
from tallystick.proof._kinds import STANDARD_KINDS, Kinds
from tallystick.proof._own_heads import check_own_head, is_signed_by, signing
from tallystick.proof._parties import Clock, Party, system_clock
from tallystick.proof._payloads import Payloads, open_payloads
from tallystick.proof._reading import Reading
from tallystick.proof._receipts import Receipt, make_opening
from tallystick.proof._recovery import (
    Progress,
    Recovery,
    recover,
    take_up_for_reading,
)
from tallystick.proof._remembered import HeadFile, check_absent, check_remembered
from tallystick.proof._segments import SEGMENT_SIZE
from tallystick.proof._statements import Statement, parse_statement
from tallystick.proof._store import Sign, Store, create_store

__all__ = ["Draft", "Entry", "Journal"]


class Journal(Reading):
    """A party's journal; made by `open` (to write) or `read`, closed by ``with`` or `close`."""

    def __init__(self, store: Store, *, party: Party | None, cards: Sequence[Card]) -> None:
        super().__init__(store)
        self._party = party
        self._cards = tuple(cards)
        self._cosigned = Cosigned(store.files, store.directory / "cosigned")
        self._payloads: Payloads | None = None
        self._opening_payloads = threading.Lock()
        self._disposing = threading.Lock()
        self._head_file: HeadFile | None = None
        self._appending: Appending | None = None
        self._randomness: Randomness = os.urandom
        self.recovery: Recovery | None = None
        """What opening had to do; None when opened for reading."""

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        party: Party,
        clock: Clock = system_clock,
        bounds: ClockBounds = ClockBounds(),  # noqa: B008 - frozen
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
            bounds: how far the clock is believed.
            kinds: the kinds that may be appended.
            files: file operations.
            randomness: source of keys and nonces.
            remembered: heads that witnesses or anchors have seen, verified by the caller.
            head_file: a file outside the directory that remembers the last head.
            segment_size: bytes after which a segment is full.

        Raises:
            ConfigurationError: this is another party's journal, or the directory holds something else.
            DamagedError: an entry or checkpoint is damaged; it is named.
            LockedError: another process writes here.
            NoteError: the last checkpoint is not signed by this party's key.
            RollbackError: the journal stands below a remembered head.
            StorageError: the disk failed.
            UnknownFormatError: a later version wrote it.
        """
        files, directory = files or OsFiles(), Path(path)
        sign = signing(party)
        head_memory = HeadFile(files, Path(head_file)) if head_file is not None else None
        try:
            own = head_memory.read() if head_memory else None
            known = [*remembered, *([own] if own else [])]
            if not files.exists(directory / "journal.json"):
                check_absent(known)
                create_store(files, directory, party.origin, sign)
            store = Store(files, directory, write=True, segment_size=segment_size)
        except BaseException:
            if head_memory:
                head_memory.close()
            raise
        journal = cls(store, party=party, cards=party.cards)
        journal._head_file, journal._randomness = head_memory, randomness
        try:
            journal._recover(party, known, sign)
        except BaseException:
            journal.close()
            raise
        journal._appending = Appending(
            store,
            sign=sign,
            clock=clock,
            bounds=bounds,
            kinds=kinds,
            randomness=randomness,
            payloads=journal._payload_store,
            last_at=time_of(store.read(store.head.size - 1)[0]) if store.head.size else 0,
            committed=journal._remember,
        )
        try:
            finish_disposal(store, alone=journal._appending.alone, payloads=journal._dispose_payloads)
        except BaseException:
            journal.close()
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
            NoteError: the head is not signed by the owner's key.
            RollbackError: the journal stands below a remembered head.
        """
        store = Store(files or OsFiles(), Path(path), write=False)
        journal = cls(store, party=party, cards=cards or (party.cards if party else ()))
        try:
            take_up_for_reading(store, journal._check_head)
            check_remembered(store, remembered)
        except BaseException:
            store.close()
            raise
        return journal

    def _recover(self, party: Party, known: Sequence[Checkpoint], sign: Sign) -> None:
        store = self._store
        if store.origin != party.origin:
            raise ConfigurationError(
                "this is another party's journal: origins differ", hint="one party has one journal, for ever"
            )
        self.recovery = recover(store, self._check_head)
        check_remembered(store, known)
        if store.head.size + 1 < party.card.since:
            raise RollbackError(
                f"the party's card was made at size {party.card.since}, the journal has only {store.head.size} entries",
                hint="this looks like a restored backup: fetch the newer journal",
            )
        if store.head.size >= party.card.since and not is_signed_by(store.head, party.card.keys["log"]):
            # The log key was rotated at this very size: the new key takes the head over.
            store.sign_head(sign)
        self._remember(store.head)

    def _check_head(self, head: Checkpoint) -> None:
        check_own_head(head, self._store.origin, self._cards)

    def _remember(self, head: Checkpoint) -> None:
        if self._head_file is not None:
            self._head_file.write(head)

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
        return self.append_many([Draft(kind, body, links, payload, fields, media, subject)])[0]

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
        return self._writing().append(drafts)

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
        return self._writing().append_ready(entries)

    def _writing(self) -> Appending:
        if self._appending is None:
            raise StorageError("the journal is open for reading only", hint="open it with its party's keys")
        return self._appending

    def refresh(self) -> Checkpoint:
        """See what another process has made durable since; the head may only have grown.

        Raises:
            RollbackError: it shrank or forked.
        """
        if self._appending is None:
            before = self._store.head
            with self._opening_payloads:
                payloads, self._payloads = self._payloads, None
            if payloads is not None:
                payloads.close()
            take_up_for_reading(self._store, self._check_head)
            check_remembered(self._store, [before])
        return self._store.head

    def payload(self, entry: str | int | Entry) -> bytes | dict[str, Any]:
        """Open a kept payload: bytes, or the record of fields.

        Args:
            entry: id or index; or an entry that this journal gave out, which is not read and proved a second time.

        Raises:
            DisclosureError: there is none, it is not kept here, or it was erased.
        """
        entry = entry if isinstance(entry, Entry) else self.entry(entry)
        content: bytes | dict[str, Any] = self._open_payload(entry.statement, entry.index)[0]
        return content

    def erase(self, subject: str) -> bool:
        """Destroy a subject's key: her payloads and salts become unknowable. True when there was one."""
        return self._writing().alone(lambda: self._payload_store().erase(subject))

    def _payload_store(self) -> Payloads:
        # One object for all threads: two would both append at what each believes to be the end.
        with self._opening_payloads:
            if self._payloads is None:
                write, randomness = self._appending is not None, self._randomness
                self._payloads = open_payloads(self._store, self._party, write=write, randomness=randomness)
            return self._payloads

    def _open_payload(self, statement: Statement, index: int) -> tuple[Any, bytes]:
        if statement.payload is None:
            raise DisclosureError("the statement has no payload")
        return self._payload_store().read(statement.payload, index)

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
            RollbackError: the checkpoint is not one of this journal's.
        """
        index = self.index(id_or_index)
        if checkpoint is None:
            checkpoint = self._cosigned.best(index) or self._store.head
        else:
            check_remembered(self._store, [checkpoint])
        entry, path = self._store.read(index, size=checkpoint.size)
        statement = parse_statement(entry)
        opening = None
        if disclose is not None:
            opening = make_opening(*self._open_payload(statement, index), disclose)
        own = {self._cards[0].party: self._cards} if self._cards else {}
        return Receipt(statement, index, tuple(path), checkpoint, {**(cards or {}), **own}, anchor, opening)

    def add_cosignatures(self, note: bytes) -> Checkpoint:
        """Keep what witnesses signed below one of this journal's checkpoints.

        Returns:
            The checkpoint with all lines that are known for its size.

        Raises:
            NoteError: malformed, or not signed by this journal.
            RollbackError: it has another size or root than this journal ever had.
        """
        checkpoint = parse_checkpoint(note)
        self._check_head(checkpoint)
        check_remembered(self._store, [checkpoint])
        return self._writing().alone(lambda: self._cosigned.add(checkpoint))

    def cosigned(self, index: int = 0) -> bytes | None:
        """The witnessed checkpoint with the most lines that covers an entry, or None."""
        best = self._cosigned.best(index)
        return best.note if best else None

    def dispose(
        self,
        before: int,
        *,
        keep: Collection[str] = (),
        also: Collection[int] = (),
        progress: Progress | None = None,
    ) -> Disposed:
        """Dispose of all closed segments that lie wholly below an index, for ever.

        ``retention.disposed`` is stated, and durable, before anything goes. Hashes of all levels stay: inclusion and
        consistency are proved as before, receipts in people's hands verify. What a crash leaves half done, the next
        opening ends. Nobody is asked here whether it may be done: a node asks for legal holds.

        Args:
            before: entries from here on stay.
            keep: kinds whose entries stay readable, with their payloads; ``noun.`` for all verbs of a noun. Statements
                of retention always stay.
            also: places of further entries that stay readable.
            progress: called with the segments done and the segments in all.

        Raises:
            DamagedError: an entry is not what was signed; nothing was disposed of.
            StorageError: the disk failed.
        """
        writing = self._writing()
        with self._disposing:
            return dispose(
                self._store,
                before,
                keep=keep,
                also=frozenset(also),
                state=self.append,
                alone=writing.alone,
                payloads=self._dispose_payloads,
                progress=progress,
            )

    def _dispose_payloads(self, first: int, stop: int, keep: Collection[int]) -> int:
        if not self._store.files.exists(self._store.directory / "payloads"):
            return 0
        return self._payload_store().dispose(first, stop, keep)

    def close(self) -> None:
        """Close the journal and give its lock back; a second time does nothing."""
        if self._appending is not None:
            self._appending.stop("it was closed", self._close)
        else:
            self._close()

    def _close(self) -> None:
        head_file, self._head_file = self._head_file, None
        payloads, self._payloads = self._payloads, None
        try:
            if head_file is not None:
                head_file.close()
        finally:
            if payloads is not None:
                payloads.close()
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
