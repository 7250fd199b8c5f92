"""Cards: a chain from a party's name to its present keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.proofs import EAST, NORTH, fixed_randomness, make_party

from tallystick.errors import CardError, UnknownFormatError
from tallystick.proof import (
    NoteSignature,
    Party,
    encode_base64url,
    fingerprint,
    format_json,
    format_note,
    parse_card,
    parse_note,
    sign_note,
    verify_cards,
)
from tallystick.proof._cards import cosigner_keys, log_key_at

DOCUMENT = json.loads(parse_note(NORTH.card.bytes).text.split("\n")[1])


def card_of(document: Any, *signers: Party, header: str = "tallystick/card/v1") -> bytes:
    text = f"{header}\n{format_json(document).decode()}\n"
    lines = [sign_note(text, NORTH.id, party.signer("card")) for party in signers or (NORTH,)]
    return format_note(text, lines)


def rotated(*roles: Any, party: Party = NORTH, size: int = 5, seed: str = "r", **options: Any) -> Party:
    return party.rotate(list(roles), size=size, randomness=fixed_randomness(seed), **options)


def test_a_card_is_read_back() -> None:
    assert parse_card(NORTH.card.bytes) == NORTH.card
    assert parse_card(card_of(DOCUMENT)) == NORTH.card


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0}, {"number": 65}, {"number": "1"}, {"number": True}, {"since": -1}, {"since": None}, {"before": "ab"},
        {"before": "0" * 64}, {"before": None}, {"name": ""}, {"name": 5}, {"journal": "A"}, {"journal": None}, {"keys": []},
        {"keys": {}}, {"keys": {**DOCUMENT["keys"], "more": "x"}}, {"revoked": ["b", "a"]}, {"revoked": ["AA", "AA"]},
        {"revoked": "x"}, {"revoked": [None]}, {"revoked": [{}]}, {"revoked": [1, "a"]}, {"party": "me"}, {"party": None}, {"more": 1},
        {"keys": {**DOCUMENT["keys"], "log": DOCUMENT["keys"]["witness"]}},
        {"keys": {**DOCUMENT["keys"], "log": encode_base64url((1).to_bytes(32, "little"))}},
        {"keys": {**DOCUMENT["keys"], "log": 5}}, {"keys": {**DOCUMENT["keys"], "chain": DOCUMENT["keys"]["log"]}},
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_card_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CardError):
        parse_card(card_of({**DOCUMENT, **change}))


def test_a_later_version_of_a_card_is_refused_as_such() -> None:
    with pytest.raises(UnknownFormatError):
        parse_card(card_of(DOCUMENT, header="tallystick/card/v2"))
    with pytest.raises(CardError):
        parse_card(card_of(DOCUMENT, header="tallystick/cart/v1"))


def test_a_card_above_its_size_is_refused() -> None:
    filler = [encode_base64url(bytes([number]) * 200) for number in range(40)]
    with pytest.raises(CardError):
        parse_card(card_of({**DOCUMENT, "revoked": sorted(filler)}))


def test_a_chain_of_rotations_verifies() -> None:
    last = rotated("card", "log", party=rotated("log"), size=9, seed="s")
    assert verify_cards(last.cards) == last.card
    assert len(last.cards) == 3


def test_a_first_card_must_be_signed_by_the_key_that_names_the_party() -> None:
    for data in (
        card_of(DOCUMENT, EAST),
        format_note(parse_note(NORTH.card.bytes).text, [NoteSignature(NORTH.id, b"\x00" * 4, b"x")]),
        card_of({**DOCUMENT, "party": EAST.id}),
        card_of(
            {**DOCUMENT, "keys": {**DOCUMENT["keys"], "card": encode_base64url(EAST.card.keys["card"])}}, EAST
        ),
    ):
        with pytest.raises(CardError):
            verify_cards([parse_card(data)])


def test_an_edited_card_does_not_verify() -> None:
    text = NORTH.card.bytes.replace(b"Clinic North", b"Clinic Nerth")
    with pytest.raises(CardError):
        verify_cards([parse_card(text)])


def test_no_cards_and_too_many_are_refused() -> None:
    for cards in ([], [NORTH.card] * 65):
        with pytest.raises(CardError):
            verify_cards(cards)


def second_card(signers: tuple[Party, ...], **changes: Any) -> Any:
    return parse_card(card_of({**DOCUMENT, "number": 2, "before": NORTH.card.hash, **changes}, *signers))


def test_a_next_card_must_follow_the_one_before() -> None:
    assert verify_cards([NORTH.card, second_card((NORTH,))]).number == 2
    for card in (
        second_card((NORTH,), number=3),
        second_card((NORTH,), before="0" * 64),
        second_card((EAST,)),
        second_card((NORTH,), journal="other"),
        second_card((NORTH,), keys={**DOCUMENT["keys"], "card": encode_base64url(EAST.card.keys["card"])}),
    ):
        with pytest.raises(CardError):
            verify_cards([NORTH.card, card])


def test_a_new_card_key_signs_too() -> None:
    keys = {**DOCUMENT["keys"], "card": encode_base64url(EAST.card.keys["card"])}
    assert verify_cards([NORTH.card, second_card((NORTH, EAST), keys=keys)])
    with pytest.raises(CardError):
        verify_cards([NORTH.card, second_card((EAST,), keys=keys)])


def test_a_key_never_changes_its_role() -> None:
    swapped = {**DOCUMENT["keys"], "log": DOCUMENT["keys"]["author"], "author": DOCUMENT["keys"]["log"]}
    with pytest.raises(CardError):
        verify_cards([NORTH.card, second_card((NORTH,), keys=swapped)])


def test_the_size_of_a_log_key_never_falls() -> None:
    newer = rotated("log", size=5)
    with pytest.raises(CardError):
        newer.rotate([], size=4)


def test_the_log_key_of_a_size_is_that_of_the_last_card_that_has_begun() -> None:
    newer = rotated("log", party=rotated("log", size=5), size=9, seed="s")
    old, middle, new = (card.keys["log"] for card in newer.cards)
    assert [log_key_at(newer.cards, size) for size in (0, 4, 5, 8, 9, 100)] == [
        old,
        old,
        middle,
        middle,
        new,
        new,
    ]
    with pytest.raises(CardError):
        log_key_at(newer.cards[1:], 4)


def test_all_witness_keys_count_but_revoked_ones() -> None:
    newer = rotated("witness")
    assert {key.public_key for key in cosigner_keys(newer.cards)} == {
        card.keys["witness"] for card in newer.cards
    }
    burnt = rotated("witness", compromised=True)
    assert [key.public_key for key in cosigner_keys(burnt.cards)] == [burnt.card.keys["witness"]]
    # A later card cannot take a revocation back.
    forgetful = burnt.rotate([], size=5)
    assert [key.public_key for key in cosigner_keys(forgetful.cards)] == [burnt.card.keys["witness"]]


def test_a_fingerprint_is_short_enough_to_read_out_and_differs() -> None:
    assert len(fingerprint(NORTH.id).split()) == 8
    assert fingerprint(NORTH.id) != fingerprint(make_party(NORTH.name, seed="fake").id)
