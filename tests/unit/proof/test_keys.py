"""Keys: weak ones are refused, names are exact, secrets do not show themselves."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.proofs import NORTH, make_party

from tallystick.errors import CardError, KeyFileError, VerificationError
from tallystick.proof import (
    Ed25519Signer,
    Party,
    Secret,
    format_did_key,
    new_secret,
    parse_did_key,
    public_key_of,
)
from tallystick.proof._keys import _SMALL_ORDER_Y, ROLES, check_public_key, verify_signature

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int]


def add(p: Point, q: Point) -> Point:
    """The twisted Edwards addition law of RFC 8032 section 5.1.4, in affine coordinates."""
    k = D * p[0] * q[0] * p[1] * q[1] % P
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + k, -1, P) % P
    return x, (p[1] * q[1] + p[0] * q[0]) * pow(1 - k, -1, P) % P


def times(count: int, p: Point) -> Point:
    result: Point = (0, 1)
    for bit in bin(count)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, p)
    return result


def roots(square: int) -> set[int]:
    """Both square roots modulo P, if there are any."""
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square % P:
        x = x * ROOT_OF_MINUS_ONE % P
    return {x, (P - x) % P} if x * x % P == square % P else set()


def points_at(y: int) -> set[Point]:
    return {(x, y) for x in roots((y * y - 1) * pow(D * y * y + 1, -1, P) % P)}


def test_the_refused_y_coordinates_are_exactly_those_of_the_points_whose_order_divides_eight() -> None:
    refused = {point for y in _SMALL_ORDER_Y for point in points_at(y)}
    # The curve's group is cyclic of order 8 times a prime (RFC 8032 section 5.1), so it has exactly eight such points.
    assert len(refused) == 8
    assert all(times(8, point) == (0, 1) for point in refused)
    generator = next(point for point in refused if times(4, point) != (0, 1))
    assert {times(count, generator) for count in range(8)} == refused


def encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def test_every_small_order_key_and_every_other_spelling_of_it_is_refused() -> None:
    spellings = set()
    for y in _SMALL_ORDER_Y:
        for same in (y, y + P):
            if same < 2**255:
                spellings |= {(same | sign << 255).to_bytes(32, "little") for sign in (0, 1)}
    assert len(spellings) >= 14
    for key in spellings:
        for role in ("author", "card", "log", "witness"):
            with pytest.raises(CardError):
                check_public_key(role, key)  # type: ignore[arg-type]
        with pytest.raises(CardError):
            parse_did_key(format_did_key("ed25519", key))


def test_why_the_identity_is_refused_it_signs_anything_with_anyones_library() -> None:
    identity = encoded((0, 1))
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"any message at all")


def test_an_encoding_at_or_above_the_prime_is_refused_even_of_a_good_point() -> None:
    good = next(y for y in range(2, 19) if y not in _SMALL_ORDER_Y and points_at(y))
    check_public_key("log", good.to_bytes(32, "little"))
    with pytest.raises(CardError):
        check_public_key("log", (good + P).to_bytes(32, "little"))


def test_a_point_off_the_curve_is_refused() -> None:
    off = next(y for y in range(2, 100) if not points_at(y))
    with pytest.raises(CardError):
        check_public_key("log", off.to_bytes(32, "little"))


@pytest.mark.parametrize("role", ROLES)
def test_fresh_keys_are_accepted_and_other_lengths_are_not(role: Any) -> None:
    key = public_key_of(role, new_secret(role))
    check_public_key(role, key)
    for wrong in (b"", key[:-1], key + b"\x00"):
        with pytest.raises(CardError):
            check_public_key(role, wrong)


@pytest.mark.parametrize("number", [0, 1, P - 1, P, P + 1])
def test_small_order_seal_keys_are_refused(number: int) -> None:
    with pytest.raises(CardError):
        check_public_key("seal", number.to_bytes(32, "little"))


def test_a_chain_secret_out_of_range_is_drawn_again() -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    draws = iter([bytes(32), order.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 32])
    assert new_secret("chain", lambda _size: next(draws)) == Secret(b"\x01" * 32)
    assert new_secret("log", lambda size: bytes(size)) == Secret(bytes(32))


def test_signatures_verify_only_over_their_message_and_key() -> None:
    signer = Ed25519Signer(Secret(b"\x01" * 32))
    signature = signer.sign(b"message")
    verify_signature(signer.public_key, signature, b"message")
    other = Ed25519Signer(Secret(b"\x02" * 32)).public_key
    for key, forged, message in (
        (signer.public_key, signature, b"Message"), (other, signature, b"message"), (signer.public_key, signature[:-1], b"message"),
        (signer.public_key, bytes(64), b"message"), (b"", signature, b"message"),
    ):  # fmt: skip
        with pytest.raises(VerificationError):
            verify_signature(key, forged, message)


def test_a_signature_with_a_larger_s_is_another_spelling_and_refused() -> None:
    signer = Ed25519Signer(Secret(b"\x01" * 32))
    signature = signer.sign(b"message")
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(VerificationError):
        verify_signature(signer.public_key, signature[:32] + s.to_bytes(32, "little"), b"message")


@pytest.mark.parametrize(
    "text",
    ["", "did:key:", "did:key:z", "did:web:example.com", "did:key:z6Mk0", "did:key:zIl", "did:key:u6Mk", "z6Mk", "did:key:z" + "1" * 80],
)  # fmt: skip
def test_other_names_than_did_keys_are_refused(text: str) -> None:
    with pytest.raises(CardError):
        parse_did_key(text)


def test_a_did_key_with_leading_ones_or_another_alphabet_is_refused() -> None:
    text = NORTH.id
    for other in (
        text.replace("did:key:z", "did:key:z1"),
        text[:-1] + "0",
        text + "1",
        text.upper(),
        text[:-1],
    ):
        with pytest.raises(CardError):
            parse_did_key(other)


# Secrets ------------------------------------------------------------------------------------------------------

VALUE = b"\xfasecret-secret-secret-secret-\x01\x02"
SHOWN = (b"secret-secret", VALUE.hex().encode(), repr(VALUE).encode())


def clean(text: str) -> bool:
    return not any(part in text.encode() for part in SHOWN) and "secret-secret" not in text


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret(VALUE)
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>20}",
        repr([secret]),
        repr({"a": secret}),
    ):
        assert clean(text)
    assert secret.reveal() == VALUE


def test_a_secret_is_neither_pickled_copied_nor_hashed() -> None:
    for work in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises(TypeError) as caught:
            work(Secret(VALUE))  # type: ignore[operator]
        assert clean(str(caught.value))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(Secret(VALUE), protocol)


def test_secrets_compare_by_value_and_with_nothing_else() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE[:-1])
    assert Secret(VALUE) != VALUE


def secret_texts(party: Party) -> list[str]:
    roles = ("author", "card", "chain", "log", "seal", "storage", "witness")
    values = [party.secret(role).reveal() for role in roles]  # type: ignore[arg-type]
    return [text for value in values for text in (value.hex(), repr(value)[2:-1])]


def test_a_party_and_its_signers_show_only_what_is_public() -> None:
    party = make_party("Quiet")
    shown = " ".join(
        [
            repr(party),
            str(party),
            *(repr(party.signer(role)) for role in ("card", "log", "witness", "author")),
        ]
    )  # type: ignore[arg-type]
    assert not [text for text in secret_texts(party) if text in shown]
    for signer in (party, party.signer("log")):
        with pytest.raises(TypeError):
            pickle.dumps(signer)
    with pytest.raises(TypeError):
        dataclasses.asdict(party)


def test_an_error_of_a_party_carries_no_secret_in_its_traceback() -> None:
    party = make_party("Quiet")
    with pytest.raises(KeyFileError) as caught:
        party.signer("storage")
    text = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in secret_texts(party) if secret in text]
