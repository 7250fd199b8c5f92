"""Algebra and statistics of payees' tokens: what must hold for every payee, every share and every blinding."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.apps.fraud.sharing import format_token_proof, parse_token_proof
from tallystick.apps.fraud.sharing._group import (
    add,
    draw_scalar,
    hash_to_group,
    hash_to_scalar,
    invert,
    multiply,
    multiply_base,
    plus_product,
    subtract,
)
from tallystick.apps.fraud.sharing._requests import format_answers, parse_answers
from tallystick.apps.fraud.sharing._sorted_tree import SortedTree
from tallystick.apps.fraud.sharing._tokens import (
    blind,
    evaluate,
    finish,
    normalise_payee,
    prove_possession,
    verify_evaluation,
    verify_possession,
)
from tallystick.apps.fraud.sharing._words import DAY_US, Word, entry_at
from tallystick.errors import EncodingError, TallystickError, VerificationError
from tallystick.proof import root_of

payees = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
scalars = st.integers(0, 2**64).map(lambda seed: hash_to_scalar(b"a share", seed.to_bytes(9, "big")))
epochs = st.binary(min_size=32, max_size=32)
FEW = settings(max_examples=40, deadline=None)


def token_of(payee: str, keys: list[bytes], epoch: bytes) -> bytes:
    item = blind(payee, epoch=epoch, randomness=os.urandom)
    return finish(item, [multiply(key, item.point) for key in keys], epoch=epoch)


@FEW
@given(payee=payees, keys=st.lists(scalars, min_size=2, max_size=5), epoch=epochs)
def test_every_asker_makes_the_same_token(payee: str, keys: list[bytes], epoch: bytes) -> None:
    assert token_of(payee, keys, epoch) == token_of(payee, keys[::-1], epoch)


@FEW
@given(payee=payees, other=payees, keys=st.lists(scalars, min_size=2, max_size=3), epoch=epochs)
def test_different_payees_or_epochs_or_shares_make_different_tokens(
    payee: str, other: str, keys: list[bytes], epoch: bytes
) -> None:
    token = token_of(payee, keys, epoch)
    assert token != token_of(payee, keys, hashlib.sha256(epoch).digest())
    assert token != token_of(payee, keys[1:], epoch)
    assert (token == token_of(other, keys, epoch)) == (normalise_payee(payee) == normalise_payee(other))


@FEW
@given(message=st.binary(max_size=80), a=scalars, b=scalars)
def test_blinding_and_unblinding_cancel_and_products_commute(message: bytes, a: bytes, b: bytes) -> None:
    point = hash_to_group(message, b"a test")
    assert multiply(invert(a), multiply(a, point)) == point
    assert multiply(a, multiply(b, point)) == multiply(b, multiply(a, point))
    assert subtract(add([multiply(a, point), point]), point) == multiply(a, point)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 6), wrong=st.integers(0, 5), key=scalars, other=scalars, epoch=epochs)
def test_one_answer_by_another_share_is_always_detected(
    count: int, wrong: int, key: bytes, other: bytes, epoch: bytes
) -> None:
    points = [blind(f"p{n}", epoch=epoch, randomness=os.urandom).point for n in range(count)]
    answers, proof = evaluate(key, points, context=epoch, randomness=os.urandom)
    verify_evaluation(multiply_base(key), points, answers, proof, context=epoch)
    place = wrong % count
    if key == other:
        return
    answers[place] = multiply(other, points[place])
    with pytest.raises(VerificationError):
        verify_evaluation(multiply_base(key), points, answers, proof, context=epoch)


@settings(max_examples=60, deadline=None)
@given(bit=st.integers(0, 64 * 8 - 1), key=scalars)
def test_a_proof_with_one_bit_turned_does_not_hold(bit: int, key: bytes) -> None:
    epoch = bytes(32)
    points = [blind("p", epoch=epoch, randomness=os.urandom).point]
    answers, proof = evaluate(key, points, context=epoch, randomness=os.urandom)
    owned = prove_possession(key, context=epoch, randomness=os.urandom)
    turned, turned_owned = bytearray(proof), bytearray(owned)
    turned[bit // 8] ^= 1 << bit % 8
    turned_owned[bit // 8] ^= 1 << bit % 8
    with pytest.raises((VerificationError, EncodingError)):
        verify_evaluation(multiply_base(key), points, answers, bytes(turned), context=epoch)
    with pytest.raises((VerificationError, EncodingError)):
        verify_possession(multiply_base(key), bytes(turned_owned), context=epoch)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=0, max_size=40))
def test_a_stranger_s_bytes_are_a_point_or_an_encoding_error(data: bytes) -> None:
    try:
        product = multiply(b"\x07" + bytes(31), data)
    except EncodingError:
        return
    assert len(product) == 32


def test_blinded_points_of_one_payee_look_like_those_of_many() -> None:
    """Unlinkability: bits of blinded points of one payee are balanced and all different.

    Each of the 253 lower bits is a fair coin over 1,024 points: its count lies within 6 standard deviations (16 each) of
    512, so that a false alarm over all bits has a chance below 10^-6.
    """
    epoch, count = bytes(32), 1024
    same = [blind("one payee", epoch=epoch, randomness=os.urandom).point for _ in range(count)]
    assert len(set(same)) == count
    spread = 6 * (count**0.5) / 2
    for bit in range(253):
        ones = sum(point[bit // 8] >> bit % 8 & 1 for point in same)
        assert abs(ones - count / 2) < spread, bit


def test_what_a_member_sees_fits_every_payee_alike() -> None:
    """For any two payees there are factors that give the very same blinded point, so it tells neither from the other.

    The points of real payees have logarithms that nobody knows; stand-ins with known ones show that the factor exists.
    """
    one, other, factor = (draw_scalar(os.urandom) for _ in range(3))
    seen = multiply(factor, multiply_base(one))
    explained = plus_product(bytes(32), factor, plus_product(bytes(32), one, invert(other)))
    assert multiply(explained, multiply_base(other)) == seen


def test_shares_that_cancel_out_make_no_token() -> None:
    key = hash_to_scalar(b"a share")
    with pytest.raises(EncodingError):
        token_of("p", [key, plus_product(bytes(32), key, b"\x01" + bytes(31), minus=True)], bytes(32))


entries = st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=40)


@settings(max_examples=100, deadline=None)
@given(keys=entries, asked=st.binary(min_size=32, max_size=32))
def test_every_token_is_proved_to_be_in_a_tree_or_not(keys: list[bytes], asked: bytes) -> None:
    tree = SortedTree([key + b"entry" for key in keys])
    for key in [*keys, asked]:
        proof = parse_token_proof(format_token_proof(tree.prove(key)))
        assert proof == tree.prove(key)
        assert (proof.verify(key, root=tree.root) is not None) == (key in keys)
    if keys:
        with pytest.raises(VerificationError):
            tree.prove(asked).verify(asked, root=root_of([]))


verbs = st.sampled_from(["reported", "disputed", "withdrawn", "removed"])
words = st.lists(
    st.tuples(verbs, st.sampled_from("ABC"), st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=25
)


@settings(max_examples=300, deadline=None)
@given(said=words, at=st.integers(0, 45), seed=st.randoms(use_true_random=False))
def test_an_entry_needs_two_standing_customers_and_not_the_order_of_arrival(said, at: int, seed) -> None:  # type: ignore[no-untyped-def]
    made = [
        Word(
            time * DAY_US,
            f"{number:064x}",
            verb,
            bank,
            b"t" * 32,
            bytes([tag]) if verb != "disputed" else b"",
        )
        for number, (verb, bank, tag, time) in enumerate(said)
    ]
    shuffled = list(made)
    seed.shuffle(shuffled)
    found = entry_at(sorted(made), at * DAY_US, days=30)
    assert found == entry_at(sorted(shuffled), at * DAY_US, days=30)
    reporters = {
        (w.bank, w.reporter)
        for w in made
        if w.verb == "reported" and at * DAY_US - 30 * DAY_US < w.at <= at * DAY_US
    }
    if found is not None:
        assert 2 <= found.reports <= len(reporters)
        assert found.since <= at * DAY_US
    elif all(word.verb == "reported" for word in made):
        assert len(reporters) < 2


@settings(max_examples=300, deadline=None)
@given(
    points=st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    proof=st.binary(min_size=64, max_size=64),
    place=st.integers(0, 10_000),
    byte=st.integers(0, 255),
)
def test_answers_come_back_as_written_and_no_other_spelling_is_read(
    points: list[bytes], proof: bytes, place: int, byte: int
) -> None:
    data = format_answers(points, proof)
    assert parse_answers(data) == (points, proof)
    changed = bytearray(data)
    changed[place % len(data)] = byte
    try:
        read = parse_answers(bytes(changed))
    except TallystickError:
        return
    assert format_answers(*read) == bytes(changed)


@settings(max_examples=300, deadline=None)
@given(
    keys=entries,
    asked=st.binary(min_size=32, max_size=32),
    place=st.integers(0, 10_000),
    byte=st.integers(0, 255),
)
def test_a_changed_proof_of_a_token_is_refused_or_proves_the_same(
    keys: list[bytes], asked: bytes, place: int, byte: int
) -> None:
    tree = SortedTree([key + b"entry" for key in keys])
    data = bytearray(format_token_proof(tree.prove(asked)))
    data[place % len(data)] = byte
    try:
        proof = parse_token_proof(bytes(data))
        assert format_token_proof(proof) == bytes(data)
        found = proof.verify(asked, root=tree.root)
    except TallystickError:
        return
    assert (found is not None) == (asked in keys)
