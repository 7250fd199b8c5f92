"""Parties: one organisation's keys, in memory and in an encrypted file.

A key file is canonical JSON: public header, then AES-256-GCM over the secrets, the header being authenticated
with them. The key comes from the passphrase by scrypt (RFC 7914) with N = 2^17, r = 8, p = 1: 128 MiB and
about 0.4 s a guess, the parameters that OWASP recommends.

What to do when a key is lost or stolen: docs/keys.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tallystick.errors import CardError, EncodingError, KeyFileError, NotFoundError
from tallystick.proof._cards import Card, format_card, parse_card, verify_cards
from tallystick.proof._encoding import check_format, decode_base64, encode_base64, format_json, parse_json
from tallystick.proof._files import Files, OsFiles, read_whole, write_atomically
from tallystick.proof._keys import (
    ROLES,
    Ed25519Signer,
    PublicRole,
    Randomness,
    Role,
    Secret,
    Signer,
    format_did_key,
    new_secret,
    public_key_of,
)  # fmt: skip

__all__ = ["Clock", "Party", "system_clock"]

Clock = Callable[[], int]
"""Microseconds since the epoch, UTC."""

SCRYPT_N: Final = 2**17
SCRYPT_N_LIMIT: Final = 2**20  # a hostile key file must not ask for more than 1 GiB
KEY_FILE_LIMIT: Final = 1024 * 1024  # bytes
_FORMAT = "tallystick/keys"
_SECRETS: tuple[Role, ...] = (*ROLES, "storage")


def system_clock() -> int:
    """The machine's clock in microseconds since the epoch."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation with its keys; ``repr`` shows only what is public."""

    cards: tuple[Card, ...]
    _secrets: dict[Role, Secret] = field(repr=False)

    @classmethod
    def create(cls, name: str, *, journal: str = "main", randomness: Randomness = os.urandom) -> Party:
        """Make a new party: fresh keys and its first card.

        Args:
            name: legal name, 1 to 100 characters.
            journal: name of its only journal, lower-case letters, digits and hyphens.
            randomness: source of key bytes; replace it in tests only.

        Raises:
            CardError: the name or the journal's name is out of bounds.

        Example:
            >>> Party.create("Clinic North").id.startswith("did:key:z6Mk")
            True
        """
        secrets: dict[Role, Secret] = {role: new_secret(role, randomness) for role in _SECRETS}
        keys: dict[PublicRole, bytes] = {role: public_key_of(role, secrets[role]) for role in ROLES}
        card = format_card(
            party=format_did_key("ed25519", keys["card"]),
            number=1,
            name=name,
            journal=journal,
            keys=keys,
            since=0,
            before="",
            revoked=(),
            signers=[Ed25519Signer(secrets["card"])],
        )
        return cls((card,), secrets)

    @property
    def card(self) -> Card:
        """The newest card."""
        return self.cards[-1]

    @property
    def id(self) -> str:
        """did:key of the genesis key."""
        return self.card.party

    @property
    def name(self) -> str:
        """Legal name."""
        return self.card.name

    @property
    def origin(self) -> str:
        """Origin of the party's journal."""
        return self.card.origin

    def signer(self, role: Role) -> Signer:
        """The signer of an Ed25519 role: author, card, log or witness.

        Raises:
            KeyFileError: a role that does not sign with Ed25519.
        """
        if role not in ("author", "card", "log", "witness"):
            raise KeyFileError(f"expected a signing role, got {role}")
        return Ed25519Signer(self._secrets[role])

    def secret(self, role: Role) -> Secret:
        """The secret of a role, for what cannot go through a signer (seal, chain, storage)."""
        return self._secrets[role]

    def rotate(
        self,
        roles: Collection[PublicRole],
        *,
        size: int,
        name: str | None = None,
        compromised: bool = False,
        randomness: Randomness = os.urandom,
    ) -> Party:
        """Replace keys by a new card, signed by the present card key.

        Args:
            roles: roles that get a fresh key; may be empty when only the name changes.
            size: journal size from which on the new log key signs.
            name: a new legal name.
            compromised: list the replaced keys as revoked.
            randomness: source of key bytes.

        Returns:
            The party with the new card; the old object is unchanged.

        Raises:
            CardError: a role that cards do not hold, or a size below the last card's.
        """
        unknown = set(roles) - set(ROLES)
        if unknown:
            raise CardError(f"expected roles {', '.join(ROLES)}, got {', '.join(sorted(unknown))}")
        fresh: dict[Role, Secret] = {role: new_secret(role, randomness) for role in roles}
        secrets: dict[Role, Secret] = {**self._secrets, **fresh}
        old = [self.card.keys[role] for role in roles] if compromised else []
        signers: list[Signer] = [self.signer("card")]
        if "card" in roles:
            signers.append(Ed25519Signer(secrets["card"]))
        card = format_card(
            party=self.id,
            number=self.card.number + 1,
            name=name or self.name,
            journal=self.card.journal,
            keys={role: public_key_of(role, secrets[role]) for role in ROLES},
            since=size,
            before=self.card.hash,
            revoked=[*self.card.revoked, *old],
            signers=signers,
        )
        verify_cards([*self.cards, card])
        return Party((*self.cards, card), secrets)

    def save(
        self, path: Path | str, passphrase: str, *, files: Files | None = None, n: int = SCRYPT_N
    ) -> None:
        """Write the encrypted key file, atomically and with mode 0600.

        Args:
            path: where; an existing file is replaced as a whole.
            passphrase: not empty; the file is only as strong as this.
            files: file operations.
            n: scrypt's cost; lower it in tests only.

        Raises:
            KeyFileError: an empty passphrase.
            StorageError: the file could not be written; an old one is untouched.
        """
        if not passphrase:
            raise KeyFileError(
                "the passphrase must not be empty", hint="set TALLYSTICK_PASSPHRASE or type one"
            )
        salt, nonce = os.urandom(16), os.urandom(12)
        header = {
            "cipher": {"name": "AES-256-GCM", "nonce": encode_base64(nonce)},
            "kdf": {"n": n, "name": "scrypt", "p": 1, "r": 8, "salt": encode_base64(salt)},
            "party": self.id,
            "type": _FORMAT,
            "v": 1,
        }
        inside = {
            "cards": [card.bytes.decode() for card in self.cards],
            "secrets": {role: encode_base64(secret.reveal()) for role, secret in self._secrets.items()},
        }
        sealed = AESGCM(_derive(passphrase, salt, n)).encrypt(nonce, format_json(inside), format_json(header))
        document = {**header, "sealed": encode_base64(sealed)}
        write_atomically(files or OsFiles(), Path(path), format_json(document) + b"\n", mode=0o600)

    @classmethod
    def load(cls, path: Path | str, passphrase: str) -> Party:
        """Read an encrypted key file.

        Raises:
            NotFoundError: no such file.
            KeyFileError: wrong passphrase, damaged, or not a key file.
            UnknownFormatError: a later version.
        """
        try:
            data = read_whole(OsFiles(), Path(path), limit=KEY_FILE_LIMIT)
        except NotFoundError as error:
            raise NotFoundError(
                "there is no key file here", hint="run `tallystick init DIR --name NAME`"
            ) from error
        try:
            document = check_format(parse_json(data.rstrip(b"\n"), limit=KEY_FILE_LIMIT), _FORMAT)
            inside = _open(document, passphrase)
            cards = tuple(parse_card(text.encode()) for text in inside["cards"])
            secrets: dict[Role, Secret] = {
                role: Secret(decode_base64(inside["secrets"][role])) for role in _SECRETS
            }
            verify_cards(cards)
            fits = all(public_key_of(role, secrets[role]) == cards[-1].keys[role] for role in ROLES)
        except (EncodingError, CardError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise KeyFileError("the key file is damaged", hint="restore it from your backup") from error
        if not fits or len(secrets["storage"].reveal()) != 32:
            raise KeyFileError(
                "the key file's secrets do not fit its card", hint="restore it from your backup"
            )
        return cls(cards, secrets)


def _derive(passphrase: str, salt: bytes, n: int) -> bytes:
    try:
        secret = passphrase.encode()
    except UnicodeEncodeError:  # not chained: its text would show the passphrase
        raise KeyFileError("the passphrase must be valid Unicode") from None
    try:
        return Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(secret)
    except MemoryError as error:
        raise KeyFileError(
            f"this machine lacks the {n // 1024} MiB of memory that the key file asks for"
        ) from error


def _open(document: dict[str, Any], passphrase: str) -> Any:
    kdf, cipher = document["kdf"], document["cipher"]
    known = (kdf["name"], kdf["r"], kdf["p"], cipher["name"]) == ("scrypt", 8, 1, "AES-256-GCM")
    if not known or type(kdf["n"]) is not int or not 2 <= kdf["n"] <= SCRYPT_N_LIMIT:
        raise KeyFileError("expected scrypt with r = 8, p = 1 and AES-256-GCM, got other parameters")
    header = {key: value for key, value in document.items() if key != "sealed"}
    key = _derive(passphrase, decode_base64(kdf["salt"]), kdf["n"])
    try:
        plain = AESGCM(key).decrypt(
            decode_base64(cipher["nonce"]), decode_base64(document["sealed"]), format_json(header)
        )
    except InvalidTag as error:
        raise KeyFileError(
            "the passphrase does not open this key file", hint="set TALLYSTICK_PASSPHRASE to the right one"
        ) from error
    return parse_json(plain)
