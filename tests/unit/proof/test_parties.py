"""Parties and their key files: nobody else reads them, no failure loses them."""

from __future__ import annotations

import errno
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.proofs import NORTH, fixed_randomness, make_party

from tallystick.errors import CardError, KeyFileError, NotFoundError, StorageError, UnknownFormatError
from tallystick.proof import (
    OsFiles,
    Party,
    decode_base64,
    encode_base64,
    format_json,
    parse_did_key,
    verify_cards,
)
from tallystick.proof._parties import _derive
from tallystick.testing._files import FaultyFiles

WORD = "correct horse battery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "keys.json"
    NORTH.save(target, WORD, n=2)
    return target


def test_a_new_party_is_named_by_its_card_key_and_its_card_verifies() -> None:
    party = Party.create("Clinic North")
    assert parse_did_key(party.id) == ("ed25519", party.card.keys["card"])
    assert party.origin == f"{party.id}/main"
    assert verify_cards(party.cards) == party.card
    assert Party.create("Clinic North").id != party.id
    assert len(set(party.card.keys.values())) == 6


@pytest.mark.parametrize(
    "name",
    [
        "",
        " x",
        "x ",
        "x" * 101,
        "a\nb",
        "a\x00",
        "a\u202eb",
        "a\u200bb",
        "e\u0301",
        "\ud800",
        "\ufeffa",
        "a\u2028b",
        "a\u2029b",
    ],
)
def test_a_name_that_could_mislead_is_refused(name: str) -> None:
    with pytest.raises(CardError):
        Party.create(name)


@pytest.mark.parametrize(
    "name", ["x", "x" * 100, "Klinik \u00c4rzte & S\u00f6hne", "\u75c5\u9662", "Bank A, N.A."]
)
def test_plain_names_of_any_script_are_accepted(name: str) -> None:
    assert Party.create(name).name == name


@pytest.mark.parametrize("journal", ["", "Main", "a/b", "-a", "a-", "a" * 65, "a b", "\u00e4"])
def test_a_journal_has_a_plain_name(journal: str) -> None:
    with pytest.raises(CardError):
        Party.create("Clinic", journal=journal)


def test_a_signer_is_given_for_signing_roles_only() -> None:
    for role in ("author", "card", "log", "witness"):
        assert NORTH.signer(role).public_key == NORTH.card.keys[role]  # type: ignore[arg-type,index]
    for role in ("seal", "chain", "storage", "nobody"):
        with pytest.raises(KeyFileError):
            NORTH.signer(role)  # type: ignore[arg-type]


def test_rotating_replaces_only_the_keys_that_are_named() -> None:
    newer = NORTH.rotate(["log", "seal"], size=9, name="North")
    changed = {role for role in NORTH.card.keys if NORTH.card.keys[role] != newer.card.keys[role]}
    assert changed == {"log", "seal"}
    assert (newer.id, newer.name, newer.card.since, newer.card.number) == (NORTH.id, "North", 9, 2)
    assert newer.card.revoked == ()
    assert len(NORTH.cards) == 1
    assert newer.secret("storage") == NORTH.secret("storage")


def test_rotating_the_card_key_needs_both_keys_and_keeps_the_id() -> None:
    newer = NORTH.rotate(["card"], size=0).rotate(["card"], size=0)
    assert newer.id == NORTH.id
    assert verify_cards(newer.cards).number == 3


def test_a_compromised_rotation_lists_the_old_keys_for_ever() -> None:
    newer = NORTH.rotate(["log"], size=9, compromised=True).rotate([], size=9)
    assert newer.card.revoked == (NORTH.card.keys["log"],)


def test_a_rotation_of_unknown_roles_or_to_an_earlier_size_is_refused() -> None:
    with pytest.raises(CardError):
        NORTH.rotate(["storage"], size=0)  # type: ignore[list-item]
    with pytest.raises(CardError):
        NORTH.rotate([], size=9).rotate([], size=8)
    with pytest.raises(CardError):
        NORTH.rotate([], size=-1)


# The key file -------------------------------------------------------------------------------------------------


def test_a_key_file_gives_the_party_back(path: Path) -> None:
    assert Party.load(path, WORD) == NORTH
    newer = NORTH.rotate(["log", "card"], size=4, randomness=fixed_randomness("r"))
    newer.save(path, WORD, n=2)
    assert Party.load(path, WORD) == newer


def test_only_the_owner_reads_a_key_file_whatever_stood_there(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    NORTH.save(path, WORD, n=2)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_file_shows_the_party_and_nothing_secret(path: Path) -> None:
    text = path.read_text()
    assert json.loads(text)["party"] == NORTH.id
    for role in ("author", "card", "chain", "log", "seal", "storage", "witness"):
        value = NORTH.secret(role).reveal()  # type: ignore[arg-type]
        assert value.hex() not in text
        assert encode_base64(value) not in text
    assert WORD not in text


def test_two_saves_share_neither_salt_nor_nonce(path: Path) -> None:
    first = json.loads(path.read_text())
    NORTH.save(path, WORD, n=2)
    second = json.loads(path.read_text())
    assert first["kdf"]["salt"] != second["kdf"]["salt"]
    assert first["cipher"]["nonce"] != second["cipher"]["nonce"]


@pytest.mark.parametrize("word", ["", "wrong", WORD + " ", WORD.upper(), "\udcff"])
def test_a_wrong_passphrase_opens_nothing_and_is_not_shown(path: Path, word: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        Party.load(path, word)
    text = "".join(traceback.format_exception(caught.value))
    assert not word or repr(word) not in text


@pytest.mark.parametrize("word", ["", "\udcff"])
def test_an_unusable_passphrase_protects_nothing(path: Path, word: str) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyFileError):
        NORTH.save(path, word, n=2)
    assert path.read_bytes() == before


@pytest.mark.parametrize("operation", ["open", "write", "sync", "rename"])
def test_a_failing_disk_leaves_the_old_file_whole_and_nothing_beside_it(path: Path, operation: str) -> None:
    before = path.read_bytes()
    failing = FaultyFiles(OsFiles(), lambda asked, _name: errno.ENOSPC if asked == operation else 0)
    with pytest.raises(StorageError):
        make_party("Other").save(path, WORD, files=failing, n=2)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_every_flipped_byte_of_a_key_file_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises((KeyFileError, UnknownFormatError)):
            Party.load(path, WORD)


@pytest.mark.parametrize(
    "kdf",
    [
        {"n": 2**21}, {"n": 2**52}, {"n": 1}, {"n": 0}, {"n": -2}, {"n": 3}, {"n": "2"}, {"n": True}, {"r": 2**20}, {"p": 2**20},
        {"name": "none"}, {"salt": "x"}, {"salt": 1},
    ],
)  # fmt: skip
def test_hostile_parameters_are_refused_before_any_work(path: Path, kdf: dict[str, Any]) -> None:
    document = json.loads(path.read_text())
    path.write_bytes(format_json({**document, "kdf": {**document["kdf"], **kdf}}))
    with pytest.raises(KeyFileError):
        Party.load(path, WORD)


@pytest.mark.parametrize(
    "document", [[], {}, 5, {"type": "tallystick/keys"}, {"type": "tallystick/card", "v": 1}]
)
def test_other_documents_are_no_key_files(path: Path, document: Any) -> None:
    path.write_bytes(format_json(document))
    with pytest.raises((KeyFileError, UnknownFormatError)):
        Party.load(path, WORD)


def test_a_later_version_says_to_upgrade(path: Path) -> None:
    path.write_bytes(format_json({**json.loads(path.read_text()), "v": 2}))
    with pytest.raises(UnknownFormatError) as caught:
        Party.load(path, WORD)
    assert "upgrade" in caught.value.hint


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Party.load(tmp_path / "none", WORD)
    assert "init" in caught.value.hint


def resealed(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what is sealed inside, as only somebody with the passphrase can."""
    document = json.loads(path.read_text())
    header = {key: value for key, value in document.items() if key != "sealed"}
    inside = {
        "cards": [card.bytes.decode() for card in NORTH.cards],
        "secrets": {
            role: encode_base64(NORTH.secret(role).reveal())  # type: ignore[arg-type]
            for role in ("author", "card", "chain", "log", "seal", "storage", "witness")
        },
    }
    key = _derive(WORD, decode_base64(header["kdf"]["salt"]), 2)
    nonce = decode_base64(header["cipher"]["nonce"])
    sealed = AESGCM(key).encrypt(nonce, format_json(change(inside)), format_json(header))
    path.write_bytes(format_json({**header, "sealed": encode_base64(sealed)}))


def test_what_is_sealed_must_fit_the_cards(path: Path) -> None:
    resealed(path, lambda inside: inside)
    assert Party.load(path, WORD) == NORTH
    secrets = {
        role: encode_base64(b"\x01" * 32)
        for role in ("author", "card", "log", "seal", "chain", "witness", "storage")
    }
    changes: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
        lambda inside: {**inside, "secrets": {**inside["secrets"], "log": secrets["log"]}},
        lambda inside: {**inside, "secrets": {**inside["secrets"], "log": encode_base64(b"\x01" * 31)}},
        lambda inside: {**inside, "secrets": {**inside["secrets"], "chain": encode_base64(bytes(32))}},
        lambda inside: {**inside, "secrets": {**inside["secrets"], "storage": encode_base64(b"x")}},
        lambda inside: {**inside, "secrets": {}},
        lambda inside: {**inside, "cards": []},
        lambda inside: {**inside, "cards": ["x"]},
        lambda inside: {**inside, "cards": [5]},
        lambda inside: {},
    ]
    for change in changes:
        resealed(path, change)
        with pytest.raises(KeyFileError):
            Party.load(path, WORD)
