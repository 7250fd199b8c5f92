"""What a party hands out about its journal: asks to witnesses, receipts, bundles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tallystick.errors import ConfigurationError, DisposedError, NotFoundError
from tallystick.proof import (
    AnchorClaim,
    Card,
    Entry,
    Journal,
    Party,
    Receipt,
    format_bundle,
    format_did_key,
    parse_checkpoint,
    parse_note,
)

from ._anchoring import with_proof
from ._peers import CardFile, Peers, parse_card_file
from ._witnessing import WitnessAsk, cosigned_by

__all__ = ["Evidence"]


class Evidence:
    """The side of a node that faces others: its journal as evidence, and what others said about it.

    Args:
        party: the keys.
        journal: the party's journal.
        peers: imported cards.
        claims: own heads that stand on the chain, ascending by size.
    """

    def __init__(self, party: Party, journal: Journal, peers: Peers, claims: Sequence[AnchorClaim]) -> None:
        self.party, self.journal, self.peers = party, journal, peers
        self._claims = list(claims)

    @property
    def name(self) -> str:
        """Legal name of the party."""
        return self.party.name

    @property
    def id(self) -> str:
        """did:key of the party."""
        return self.party.id

    @property
    def origin(self) -> str:
        """Origin of the journal."""
        return self.party.origin

    @property
    def claims(self) -> list[AnchorClaim]:
        """Own heads that stand on the chain, ascending by size."""
        return list(self._claims)

    def log(
        self, *, kind: str = "", since: int = 0, until: int | None = None, last: int = 0
    ) -> Iterator[Entry]:
        """Walk over the journal's entries.

        Args:
            kind: only this kind; ``noun.`` takes all verbs of a noun.
            since: microseconds, claimed times from here on.
            until: microseconds, claimed times before this.
            last: only the last so many of these; 0 for all.
        """
        kinds = (kind,) if kind else None
        start = self.first_at(since) if since > 0 else 0
        stop = self.journal.size if until is None else self.first_at(until)
        if not last:
            return self.journal.entries(start, stop, kinds=kinds)
        begin = max(start, stop - last)
        found = list(self.journal.entries(begin, stop, kinds=kinds))
        while len(found) < last and begin > start:
            begin = max(start, stop - 4 * (stop - begin))
            found = list(self.journal.entries(begin, stop, kinds=kinds))
        return iter(found[-last:])

    def first_at(self, time: int) -> int:
        """Find the first entry of a claimed time or later; times increase, so by halves.

        Args:
            time: microseconds.

        Returns:
            Its place, or that of disposed entries right before it; the journal's size when there is none.
        """
        low, high = 0, self.journal.size
        while low < high:
            middle = (low + high) // 2
            try:
                entry = self.journal.entry(middle)
            except DisposedError:
                # The last entry is never disposed of, so there is one to be read behind it.
                entry = next(self.journal.entries(middle))
            low, high = (entry.index + 1, high) if entry.statement.at < time else (low, middle)
        return low

    def find(self, text: str) -> Entry:
        """Find a statement by its index, its id, or an unambiguous beginning of its id (six digits or more).

        Raises:
            NotFoundError: none, or several.
        """
        if text.isdigit() and len(text) < 16 and (len(text) < 6 or int(text) < self.journal.size):
            return self.journal.entry(int(text))
        if len(text) == 64:
            return self.journal.entry(text.lower())
        found = self.journal.indexes(text) if len(text) >= 6 else []
        if len(found) != 1:
            raise NotFoundError(
                f"expected one statement {text}…, got {len(found)}",
                hint="see `tallystick log`; give more digits",
            )
        return self.journal.entry(found[0])

    def party_of_author(self, key: str) -> str | None:
        """Say whose author key (did:key) this is, by the newest cards known; None for a stranger's."""
        newest = [self.party.cards[-1], *(peer.cards[-1] for peer in self.peers)]
        return next(
            (card.party for card in newest if format_did_key("ed25519", card.keys["author"]) == key), None
        )

    def import_card(self, data: bytes) -> CardFile:
        """Keep another party's cards; its fingerprint should be compared over another way.

        Raises:
            CardError: they do not verify, contradict what is known, or are one's own.
        """
        peer = parse_card_file(data)
        if peer.id == self.id:
            raise ConfigurationError("this is the workspace's own card")
        self.peers.add(peer)
        return peer

    def ask_witness(self, *, seen: Iterable[int] = ()) -> WitnessAsk:
        """Make what a witness needs to cosign the newest head.

        Args:
            seen: sizes that witnesses may have seen, beside those that they cosigned before.
        """
        head = self.journal.checkpoint()
        known = {claim.size for claim in self._claims} | set(seen)
        note = self.journal.cosigned()
        if note is not None:
            known.add(parse_checkpoint(note).size)
        sizes = sorted(size for size in known if 0 < size < head.size)[-64:]
        return WitnessAsk(
            head, self.party.cards, {size: tuple(self.journal.consistency(size)) for size in sizes}
        )

    def add_cosignatures(self, note: bytes) -> dict[str, int]:
        """Keep cosignatures that others gave to an own head.

        Returns:
            Party id -> POSIX second, for the known parties whose line stands there.

        Raises:
            VerificationError: a line is false, or none is of a known party.
            NoteError: not a checkpoint of this journal.
        """
        given = cosigned_by(parse_note(note), self.peers)
        self.journal.add_cosignatures(note)
        return given

    def receipt(self, id_or_index: str | int, *, disclose: Sequence[str] | None = None) -> Receipt:
        """Make a receipt under the best witnessed head, with its anchor and the witnesses' cards.

        Args:
            id_or_index: the statement.
            disclose: None keeps the payload closed; paths of fields to open; an empty list opens all.

        Raises:
            NotFoundError: no such statement.
            DisclosureError: no payload, no such field, or it was erased.
        """
        index = self.journal.index(id_or_index)
        note = self.journal.cosigned(index)
        head = self.journal.checkpoint() if note is None else parse_checkpoint(note)
        known = cosigned_by(head.parsed(), self.peers)
        cards: dict[str, tuple[Card, ...]] = {peer.id: peer.cards for peer in self.peers if peer.id in known}
        anchor = with_proof(self._claims, self.journal, index=index, size=head.size)
        return self.journal.receipt(index, checkpoint=head, cards=cards, anchor=anchor, disclose=disclose)

    def bundle(
        self,
        wanted: Iterable[str | int],
        *,
        attachments: Mapping[str, bytes] | None = None,
        disclose: Callable[[Entry], Sequence[str] | None] = lambda _entry: None,
    ) -> bytes:
        """Make a bundle of receipts.

        Args:
            wanted: the statements.
            attachments: files that re-execution needs.
            disclose: what to open of each statement; nothing by default.
        """
        entries = (self.journal.entry(item) for item in wanted)
        receipts = [self.receipt(entry.index, disclose=disclose(entry)) for entry in entries]
        return format_bundle(receipts, attachments)
