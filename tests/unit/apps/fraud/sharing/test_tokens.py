from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from tallystick.apps.fraud.sharing._group import expand, hash_to_group, multiply, multiply_base
from tallystick.apps.fraud.sharing._tokens import (
    Blinded,
    blind,
    evaluate,
    finish,
    normalise_payee,
    prove_possession,
    verify_evaluation,
    verify_possession,
)
from tallystick.errors import EncodingError, VerificationError

EPOCH = hashlib.sha256(b"an epoch").digest()
# Made once by this code with `counting` as randomness: a change of any step of the protocol shows here.
TOKEN = "f544f45d7bd04a76fed4c3e78c041971ae0e1a2a18fb8d275992ff49b737d202"
POINT = "75df0506d8d4dd362290ea9a331acf00b1479bea093a8edd0ad959de22e953fc"
PROOF = "f1ff6630e2e2618998b01b0460cc0164c686aadd9f20446d7d93e0d4ac222502c3008ae6a36a12fa4e8833b789440ffcdcbcf32e36e84b32083bd7e493ced008"
ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"


def counting():  # type: ignore[no-untyped-def]
    """Randomness that anybody can make again."""
    count = 0

    def draw(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(b"test %d" % count).digest(size)

    return draw


def shares(count: int = 3) -> list[bytes]:
    from tallystick.apps.fraud.sharing._group import draw_scalar

    draw = counting()
    return [draw_scalar(draw) for _ in range(count)]


def token_of(payee: str, keys: list[bytes], *, epoch: bytes = EPOCH, draw=None) -> bytes:  # type: ignore[no-untyped-def]
    draw = draw or counting()
    item = blind(payee, epoch=epoch, randomness=draw)
    answers = [evaluate(key, [item.point], context=epoch, randomness=draw)[0][0] for key in keys]
    return finish(item, answers, epoch=epoch)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", "6b9a7312411d92f921c6f68ca0b6380730a1a4d982c507211a90964c394179ba"),
        (b"abc", "0da749f12fbe5483eb066a5f595055679b976e93abe9be6f0f6318bce7aca8dc"),
    ],
)
def test_expanding_gives_the_vectors_of_rfc_9380_appendix_k3(message: bytes, expected: str) -> None:
    assert expand(message, b"QUUX-V01-CS02-with-expander-SHA512-256", 32).hex() == expected


def test_expanding_to_two_blocks_begins_anew_for_another_size() -> None:
    assert len(expand(b"m", b"d", 100)) == 100
    assert expand(b"m", b"d", 100)[:64] != expand(b"m", b"d", 64)


def test_the_protocol_gives_its_vectors() -> None:
    draw, keys = counting(), shares()
    item = blind("DE89 3704 0044 0532 0130 00", epoch=EPOCH, randomness=draw)
    made = [evaluate(key, [item.point], context=EPOCH, randomness=draw) for key in keys]
    assert item.point.hex() == POINT
    assert made[0][1].hex() == PROOF
    assert finish(item, [answers[0] for answers, _ in made], epoch=EPOCH).hex() == TOKEN


def test_a_payee_has_one_token_however_it_was_blinded() -> None:
    keys = shares()
    import os

    assert token_of("merchant 7", keys, draw=os.urandom) == token_of("merchant 7", keys, draw=os.urandom)
    assert token_of("merchant 7", keys) != token_of("merchant 8", keys)


def test_an_iban_is_one_payee_in_every_spelling_and_other_ids_are_taken_as_they_are() -> None:
    assert normalise_payee("de89 3704 0044 0532 0130 00") == b"DE89370400440532013000"
    assert normalise_payee("shop a1") != normalise_payee("SHOP A1")


def test_another_epoch_gives_another_token_under_the_same_key() -> None:
    keys = shares()
    assert token_of("m", keys) != token_of("m", keys, epoch=hashlib.sha256(b"another").digest())


def test_a_missing_share_gives_another_token() -> None:
    keys = shares()
    assert token_of("m", keys) != token_of("m", keys[:2])


def test_answers_by_the_committed_share_verify_and_all_others_do_not() -> None:
    draw, (key, other, _) = counting(), shares()
    points = [blind(f"p{n}", epoch=EPOCH, randomness=draw).point for n in range(5)]
    answers, proof = evaluate(key, points, context=EPOCH, randomness=draw)
    commitment = multiply_base(key)
    verify_evaluation(commitment, points, answers, proof, context=EPOCH)
    for changed in (
        [*answers[:4], multiply(other, points[4])],
        [answers[1], answers[0], *answers[2:]],
        answers[:4],
    ):
        with pytest.raises(VerificationError):
            verify_evaluation(commitment, points, changed, proof, context=EPOCH)
    with pytest.raises(VerificationError):
        verify_evaluation(multiply_base(other), points, answers, proof, context=EPOCH)
    with pytest.raises(VerificationError):
        verify_evaluation(commitment, points, answers, proof, context=bytes(32))


def test_two_wrong_answers_that_cancel_out_do_not_verify() -> None:
    # Without random factors over all points, +D on one answer and -D on the other would pass.
    from tallystick.apps.fraud.sharing._group import add, subtract

    draw, key = counting(), shares()[0]
    points = [blind(f"p{n}", epoch=EPOCH, randomness=draw).point for n in range(2)]
    answers, proof = evaluate(key, points, context=EPOCH, randomness=draw)
    shift = hash_to_group(b"shift", b"test")
    moved = [add([answers[0], shift]), subtract(answers[1], shift)]
    with pytest.raises(VerificationError):
        verify_evaluation(multiply_base(key), points, moved, proof, context=EPOCH)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(bytes(32), id="order 4"),
        pytest.param(b"\x01" + bytes(31), id="identity"),
        pytest.param((2**255 - 20).to_bytes(32, "little"), id="order 2"),
        pytest.param(bytes.fromhex(ORDER_8), id="order 8"),
        pytest.param((2**255 - 18).to_bytes(32, "little"), id="identity, not canonical"),
        pytest.param((2**255 - 1).to_bytes(32, "little"), id="not canonical"),
        pytest.param(b"\x02" + bytes(31), id="not on the curve"),
        pytest.param(b"short", id="short"),
    ],
)
def test_a_point_outside_the_group_is_refused(point: bytes) -> None:
    with pytest.raises(EncodingError):
        evaluate(shares()[0], [point], context=EPOCH, randomness=counting())


def test_a_point_of_the_curve_with_a_small_part_is_refused() -> None:
    import nacl.bindings as sodium

    mixed = sodium.crypto_core_ed25519_add(multiply_base(shares()[0]), bytes.fromhex(ORDER_8))
    with pytest.raises(EncodingError):
        multiply(shares()[1], mixed)


@pytest.mark.parametrize("count", [0, 65])
def test_a_request_of_no_points_or_too_many_is_refused(count: int) -> None:
    with pytest.raises(EncodingError, match="1 to 64 points"):
        evaluate(shares()[0], [multiply_base(shares()[1])] * count, context=EPOCH, randomness=counting())


def test_a_proof_has_one_spelling() -> None:
    draw, key = counting(), shares()[0]
    points = [blind("p", epoch=EPOCH, randomness=draw).point]
    answers, proof = evaluate(key, points, context=EPOCH, randomness=draw)
    order = 2**252 + 27742317777372353535851937790883648493
    response = int.from_bytes(proof[32:], "little")
    other = proof[:32] + (response + order).to_bytes(32, "little")
    with pytest.raises(EncodingError, match="reduced"):
        verify_evaluation(multiply_base(key), points, answers, other, context=EPOCH)


def test_who_does_not_know_a_share_cannot_prove_its_commitment() -> None:
    # The last to choose may try K = kG - the others' sum, so that all shares together are its own k.
    from tallystick.apps.fraud.sharing._group import add, subtract

    keys, context = shares(), bytes(32)
    own = prove_possession(keys[0], context=context, randomness=counting())
    verify_possession(multiply_base(keys[0]), own, context=context)
    rogue = subtract(multiply_base(keys[0]), add([multiply_base(keys[1]), multiply_base(keys[2])]))
    with pytest.raises(VerificationError):
        verify_possession(rogue, own, context=context)
    with pytest.raises(VerificationError):
        verify_possession(multiply_base(keys[0]), own, context=b"\x01" * 32)


def test_a_blinded_payee_does_not_show_itself() -> None:
    assert "merchant" not in repr(Blinded(b"merchant", bytes(32), bytes(32)))


def test_without_pynacl_an_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["nacl"] = None
from tallystick.apps.fraud.sharing import normalise_payee
from tallystick.apps.fraud.sharing._tokens import blind
from tallystick.errors import MissingExtraError
try:
    blind("p", epoch=bytes(32), randomness=lambda size: bytes(size))
except MissingExtraError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'tallystick[fraud]'"
