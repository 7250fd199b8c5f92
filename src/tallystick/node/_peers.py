"""Other parties that a node knows: their cards, as files beside the keys.

A peer is imported once, by hand, with its fingerprint compared over another way (the telephone). Later cards of
the same party must continue the chain that is known: a shorter or a different chain is refused, because the
first is a rollback and the second is two parties under one name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tallystick.errors import CardError, EncodingError, NotFoundError, StorageError
from tallystick.proof import (
    Card,
    check_format,
    fingerprint,
    format_json,
    parse_card,
    parse_json,
    verify_cards,
)

from ._workspace import write_small

__all__ = ["CardFile", "Peers", "format_card_file", "parse_card_file"]

CARD_FILE_LIMIT = 1024 * 1024  # bytes
_FORMAT = "tallystick/cards"


@dataclass(frozen=True, slots=True)
class CardFile:
    """All cards of one party, verified as a chain."""

    cards: tuple[Card, ...]

    @property
    def id(self) -> str:
        """The party's id."""
        return self.cards[0].party

    @property
    def name(self) -> str:
        """The name on the newest card; a claim until somebody compared the fingerprint."""
        return self.cards[-1].name

    @property
    def origin(self) -> str:
        """Origin of the party's journal."""
        return self.cards[-1].origin

    @property
    def fingerprint(self) -> str:
        """What two people read out to each other."""
        return fingerprint(self.id)


def format_card_file(cards: tuple[Card, ...]) -> bytes:
    """Write a party's cards as one file."""
    notes = [card.bytes.decode() for card in cards]
    return format_json({"cards": notes, "type": _FORMAT, "v": 1}) + b"\n"


def parse_card_file(data: bytes) -> CardFile:
    """Read and verify a party's cards.

    Raises:
        CardError: malformed, or the chain does not verify.
        UnknownFormatError: a later version.
    """
    try:
        document = check_format(parse_json(data.removesuffix(b"\n"), limit=CARD_FILE_LIMIT), _FORMAT)
    except EncodingError as error:
        raise CardError(
            f"not a card file: {error.message}", hint="make one with `tallystick card show -o FILE`"
        ) from error
    notes = document.get("cards")
    if set(document) != {"cards", "type", "v"} or not isinstance(notes, list):
        raise CardError("a card file must have exactly the fields of version 1")
    if not all(isinstance(note, str) for note in notes):
        raise CardError("a card must be text")
    cards = tuple(parse_card(note.encode()) for note in notes)
    verify_cards(cards)
    return CardFile(cards)


class Peers:
    """The imported cards of a workspace.

    Args:
        directory: one file per party; made when it is first written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, CardFile] = {}
        for path in sorted(directory.glob("*.card.json")) if directory.is_dir() else []:
            try:
                peer = parse_card_file(path.read_bytes())
            except OSError as error:
                raise StorageError(f"the card {path.name} could not be read: {error.strerror}") from error
            self._known[peer.id] = peer

    def __iter__(self) -> Iterator[CardFile]:
        return iter(sorted(self._known.values(), key=lambda peer: (peer.name, peer.id)))

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, party: str) -> bool:
        return party in self._known

    def get(self, who: str) -> CardFile:
        """Find a peer by id or by name.

        Raises:
            NotFoundError: nobody, or two of that name.
        """
        found = [peer for peer in self if who in (peer.id, peer.name, peer.origin)]
        if len(found) != 1:
            raise NotFoundError(
                f"expected one known party for this name, got {len(found)}",
                hint="known: "
                + (", ".join(peer.name for peer in self) or "nobody; run `tallystick card import FILE`"),
            )
        return found[0]

    def add(self, peer: CardFile) -> bool:
        """Keep a party's cards.

        Returns:
            Whether anything was new.

        Raises:
            CardError: it does not continue the cards that are known.
        """
        known = self._known.get(peer.id)
        if known is not None:
            if known.cards == peer.cards[: len(known.cards)]:
                if len(known.cards) == len(peer.cards):
                    return False
            elif peer.cards == known.cards[: len(peer.cards)]:
                raise CardError(
                    f"card {len(known.cards)} of {known.name} is known, got the older card {len(peer.cards)}",
                    hint="ask that party for its newest cards",
                )
            else:
                raise CardError(
                    f"these cards contradict the ones known of {known.name}",
                    hint="keep both files: two chains of cards from one party are evidence against it",
                )
        name = peer.id.rpartition(":")[2]
        write_small(self._directory / f"{name}.card.json", format_card_file(peer.cards))
        self._known[peer.id] = peer
        return True
