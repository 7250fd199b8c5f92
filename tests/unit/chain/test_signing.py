"""Digests are signed so that a contract finds the account; what is no signature is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.chain import Account, recover_signer
from tallystick.errors import VerificationError
from tallystick.proof import verify_typed_data

ACCOUNT = Account(b"\x07" * 32)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@given(st.binary(min_size=32, max_size=32))
def test_whose_signature_it_is_can_be_told_and_it_is_the_same_each_time(digest: bytes) -> None:
    signature = ACCOUNT.sign_digest(digest)
    assert recover_signer(digest, signature) == ACCOUNT.address
    assert ACCOUNT.sign_digest(digest) == signature


def test_a_signature_is_the_one_that_a_verifier_without_a_chain_accepts() -> None:
    from coincurve import PrivateKey

    key = PrivateKey(b"\x07" * 32).public_key.format()
    verify_typed_data(key, ACCOUNT.sign_digest(b"d" * 32), b"d" * 32)


def test_a_signature_of_other_bytes_is_somebody_elses() -> None:
    signature = ACCOUNT.sign_digest(b"d" * 32)
    assert recover_signer(b"e" * 32, signature) != ACCOUNT.address
    other = signature[:64] + bytes([55 - signature[64]])  # the other parity
    assert recover_signer(b"d" * 32, other) != ACCOUNT.address


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: good[:64],
        lambda good: good[:64] + b"\x00",
        lambda good: bytes(32) + good[32:],
        lambda good: good[:32] + bytes(32) + good[64:],
        lambda good: good[:32] + (ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big") + good[64:],
        lambda good: b"\xff" * 32 + good[32:],
    ],
)
def test_what_is_no_signature_is_refused(spoil: object) -> None:
    with pytest.raises(VerificationError):
        recover_signer(b"d" * 32, spoil(ACCOUNT.sign_digest(b"d" * 32)))  # type: ignore[operator]
