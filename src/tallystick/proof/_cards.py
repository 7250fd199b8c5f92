"""Cards: who a party is and which keys it uses, as a chain that starts at its name.

A party's id is the did:key of its first card key and never changes. A card is a signed note whose text is
two lines, ``tallystick/card/v1`` and one canonical JSON object. The rules:

- Card 1 is signed by the genesis key; every later card by the card key of the one before. A card that
  brings a new card key is signed by that one too.
- ``before`` is the SHA-256 of the card before, so a chain cannot be re-ordered or thinned.
- One journal per party, for ever: a second origin is another party.
- One key, one role; a key is never used again in another role or party card.
- A log key signs checkpoints of size >= ``since`` until the next card's ``since``.
- ``revoked`` lists public keys that may be in wrong hands: what they signed stands only where somebody else
  saw it before (verification decides).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.errors import CardError, EncodingError, NoteError, StatementError, UnknownFormatError
from tallystick.proof._encoding import decode_base64url, encode_base64url, format_json, parse_json
from tallystick.proof._keys import ROLES, PublicRole, Signer, check_public_key, format_did_key, parse_did_key
from tallystick.proof._notes import COSIGNATURE, NoteKey, format_note, parse_note, sign_note, verify_note

__all__ = ["Card", "cosigner_keys", "fingerprint", "format_card", "log_key_at", "parse_card", "verify_cards"]

CARD_CHAIN_LIMIT = 64  # cards of one party
CARD_SIZE_LIMIT = 8 * 1024  # bytes
NAME_LIMIT = 100  # characters
_HEADER = "tallystick/card/v1"
_FIELDS = {"before", "journal", "keys", "name", "number", "party", "revoked", "since"}
_journal_name = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?").fullmatch
_hash = re.compile(r"[0-9a-f]{64}").fullmatch


@dataclass(frozen=True, slots=True)
class Card:
    """One card of a party, as parsed; trusted only as part of a chain that ``verify_cards`` accepted."""

    party: str
    number: int
    name: str
    journal: str
    keys: dict[PublicRole, bytes]
    since: int
    before: str
    revoked: tuple[bytes, ...]
    bytes: bytes

    def __hash__(self) -> int:
        return hash(self.bytes)

    @property
    def id(self) -> str:
        """The party's id, a did:key."""
        return self.party

    @property
    def origin(self) -> str:
        """The party's only journal origin."""
        return f"{self.party}/{self.journal}"

    @property
    def hash(self) -> str:
        """SHA-256 of the card's bytes, hex."""
        return hashlib.sha256(self.bytes).hexdigest()

    @property
    def witness_name(self) -> str:
        """The key name of this party's cosignatures."""
        return f"{self.party}/witness"


def fingerprint(party: str) -> str:
    """Sixteen bytes of SHA-256 of a party's id, in groups that two people can read out to each other."""
    digest = hashlib.sha256(party.encode()).hexdigest()[:32]
    return " ".join(digest[i : i + 4] for i in range(0, 32, 4))


def format_card(
    *,
    party: str,
    number: int,
    name: str,
    journal: str,
    keys: dict[PublicRole, bytes],
    since: int,
    before: str,
    revoked: Sequence[bytes],
    signers: Sequence[Signer],
) -> Card:
    """Write and sign a card.

    Args:
        party: the party's id.
        number: 1 for the first card.
        name: legal name, shown to people.
        journal: name of the party's only journal.
        keys: one public key per role.
        since: smallest journal size that this card's log key signs.
        before: hash of the card before, empty for the first.
        revoked: public keys in wrong hands.
        signers: the card key before (the genesis key for card 1), and a new card key if there is one.

    Raises:
        CardError: a field is out of bounds.
    """
    document = {
        "before": before,
        "journal": journal,
        "keys": {role: encode_base64url(key) for role, key in keys.items()},
        "name": name,
        "number": number,
        "party": party,
        "revoked": sorted(encode_base64url(key) for key in revoked),
        "since": since,
    }
    try:
        text = f"{_HEADER}\n{format_json(document).decode()}\n"
    except StatementError as error:
        raise CardError(f"a card's field is outside the profile: {error.message}") from error
    return parse_card(format_note(text, [sign_note(text, party, signer) for signer in signers]))


def parse_card(data: bytes) -> Card:
    """Read one card; its signatures are checked by ``verify_cards``.

    Raises:
        CardError: malformed, out of bounds, or a weak key.
        UnknownFormatError: a later version.
    """
    if len(data) > CARD_SIZE_LIMIT:
        raise CardError(f"a card must have at most {CARD_SIZE_LIMIT} bytes, got {len(data)}")
    try:
        lines = parse_note(data).text.split("\n")
        if lines[0].startswith("tallystick/card/") and lines[0] != _HEADER:
            raise UnknownFormatError("expected version 1 of tallystick/card, got another one")
        if len(lines) != 3 or lines[0] != _HEADER or lines[2]:
            raise CardError("a card must be two lines and its signatures")
        return _card(parse_json(lines[1].encode()), data)
    except (EncodingError, NoteError) as error:
        raise CardError(f"malformed card: {error.message}") from error


def _card(document: Any, data: bytes) -> Card:
    if not isinstance(document, dict) or set(document) != _FIELDS or not isinstance(document["keys"], dict):
        raise CardError("a card must have exactly the fields of version 1")
    number, since = document["number"], document["since"]
    if type(number) is not int or not 1 <= number <= CARD_CHAIN_LIMIT or type(since) is not int or since < 0:
        raise CardError("a card's number and size must be counts")
    before, name, journal, revoked = (document[key] for key in ("before", "name", "journal", "revoked"))
    if not isinstance(before, str) or (number == 1) != (before == "") or (before and not _hash(before)):
        raise CardError("a card must name the hash of the card before, the first card none")
    _check_name(name)
    if not isinstance(journal, str) or not _journal_name(journal):
        raise CardError("a journal's name must be lower-case letters, digits and inner hyphens, at most 64")
    if set(document["keys"]) != set(ROLES) or not isinstance(revoked, list):
        raise CardError("a card must have exactly one key per role")
    keys = {role: _key(role, document["keys"][role]) for role in ROLES}
    if len(set(keys.values())) != len(keys):
        raise CardError("one key must have one role, got a key twice")
    if not all(type(key) is str for key in revoked) or revoked != sorted(set(revoked)):
        raise CardError("revoked keys must be sorted and unique")
    curve, _ = parse_did_key(document["party"])
    if curve != "ed25519":
        raise CardError("a party's id must be an Ed25519 did:key")
    return Card(
        document["party"], number, name, journal, keys, since, before,
        tuple(decode_base64url(key) for key in revoked), data,
    )  # fmt: skip


def _key(role: PublicRole, text: str) -> bytes:
    key = decode_base64url(text, size=33 if role == "chain" else 32)
    check_public_key(role, key)
    return key


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_LIMIT or name != name.strip():
        raise CardError(f"a name must have 1 to {NAME_LIMIT} characters and no outer spaces")
    # Control and format characters and line ends could turn or hide a name on a screen (Unicode TR 36).
    kinds = {unicodedata.category(character) for character in name}
    if any(kind[0] == "C" or kind in ("Zl", "Zp") for kind in kinds):
        raise CardError("a name must hold no control or invisible characters")
    if unicodedata.normalize("NFC", name) != name:
        raise CardError("a name must be in Unicode form NFC")


def verify_cards(cards: Sequence[Card]) -> Card:
    """Verify a party's chain of cards from its genesis key on.

    Args:
        cards: all cards, the first first.

    Returns:
        The last card.

    Raises:
        CardError: a gap, a changed id or journal, a key with two roles, or a signature that is missing or false.
    """
    if not cards or len(cards) > CARD_CHAIN_LIMIT:
        raise CardError(f"a party must show 1 to {CARD_CHAIN_LIMIT} cards, got {len(cards)}")
    first = cards[0]
    if format_did_key("ed25519", first.keys["card"]) != first.party:
        raise CardError("the first card's key must be the party's id")
    signer, roles = first.keys["card"], dict[bytes, PublicRole]()
    for position, card in enumerate(cards):
        if card.number != position + 1 or (card.party, card.journal) != (first.party, first.journal):
            raise CardError(f"expected card {position + 1} of the same party and journal")
        if position and (card.before != cards[position - 1].hash or card.since < cards[position - 1].since):
            raise CardError(f"card {card.number} does not follow card {position}")
        for role, key in card.keys.items():
            if roles.setdefault(key, role) != role:
                raise CardError("one key must have one role, got a key in two")
        _verify_signed(card, {signer, card.keys["card"]})
        signer = card.keys["card"]
    return cards[-1]


def _verify_signed(card: Card, keys: set[bytes]) -> None:
    wanted = {NoteKey(card.party, key) for key in keys}
    try:
        signed = verify_note(parse_note(card.bytes), wanted)
    except NoteError as error:
        raise CardError(f"card {card.number} carries a false signature") from error
    if set(signed) != wanted:
        raise CardError(f"card {card.number} must be signed by the card key before and by its own")


def log_key_at(cards: Sequence[Card], size: int) -> bytes:
    """The log key that may sign a checkpoint of this size; the chain is verified already.

    Raises:
        CardError: the first card begins at a larger size.
    """
    valid = [card for card in cards if card.since <= size]
    if not valid:
        raise CardError(f"no card names a log key for size {size}")
    return valid[-1].keys["log"]


def cosigner_keys(cards: Sequence[Card]) -> list[NoteKey]:
    """Witness keys of a verified chain whose cosignatures count; revoked ones do not."""
    revoked = {key for card in cards for key in card.revoked}
    keys = {card.keys["witness"] for card in cards} - revoked
    return [NoteKey(cards[0].witness_name, key, COSIGNATURE) for key in sorted(keys)]
