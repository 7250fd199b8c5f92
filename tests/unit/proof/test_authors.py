"""What somebody else signed, carried as it was signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.proofs import EAST, NORTH, fixed_randomness

from tallystick.errors import StatementError, VerificationError
from tallystick.proof import (
    Journal,
    Receipt,
    decode_base64url,
    encode_base64url,
    format_did_key,
    sign_as_author,
    verify,
    verify_author,
)
from tallystick.testing import ForgetfulFiles

CONTENT = b"I consent\n\nto research"
PART = sign_as_author(
    CONTENT,
    signer=NORTH.signer("author"),
    network="pilot",
    origin=EAST.origin,
    randomness=fixed_randomness("author"),
)


def test_the_author_and_the_content_come_back() -> None:
    key, content = verify_author(PART, network="pilot", origin=EAST.origin)
    assert (key, content) == (format_did_key("ed25519", NORTH.card.keys["author"]), CONTENT)


def test_it_means_nothing_on_another_network_or_in_another_journal() -> None:
    for network, origin in (
        ("live", EAST.origin),
        ("pilot", NORTH.origin),
        ("", EAST.origin),
        ("pilot\n", EAST.origin),
    ):
        with pytest.raises(VerificationError):
            verify_author(PART, network=network, origin=origin)


def test_network_and_origin_are_one_line_each() -> None:
    for network, origin in (("a\nb", EAST.origin), ("pilot", f"{EAST.origin}\nx"), ("\u2028", "o")):
        with pytest.raises(StatementError):
            sign_as_author(CONTENT, signer=NORTH.signer("author"), network=network, origin=origin)


def test_two_signatures_over_one_content_differ_by_their_nonce() -> None:
    parts = [
        sign_as_author(CONTENT, signer=NORTH.signer("author"), network="pilot", origin=EAST.origin)
        for _ in range(2)
    ]
    assert parts[0]["signed"] != parts[1]["signed"]


def resigned(signed: bytes) -> dict[str, str]:
    signer = NORTH.signer("author")
    return {**PART, "signed": encode_base64url(signed), "signature": encode_base64url(signer.sign(signed))}


SIGNED = decode_base64url(PART["signed"])


@pytest.mark.parametrize(
    "part",
    [
        None, 5, [], "x", {}, {**PART, "more": 1}, {**PART, "key": None}, {**PART, "key": "did:key:z6Mk"}, {**PART, "signed": 5},
        {**PART, "signed": PART["signed"] + "="}, {**PART, "signature": PART["signature"][:-2]}, list(PART),
        {**PART, "key": format_did_key("ed25519", EAST.card.keys["author"])},
        {**PART, "key": format_did_key("secp256k1", NORTH.card.keys["chain"])},
        {**PART, "signed": encode_base64url(SIGNED.replace(b"consent", b"object!"))}, resigned(b"I consent"), resigned(CONTENT),
        resigned(SIGNED.replace(b"/v1", b"/v2")), resigned(SIGNED.replace(b"\n\n", b"\nmore\n\n", 1)), resigned(b""),
    ],
    ids=lambda part: repr(part)[:30],
)  # fmt: skip
def test_a_false_or_malformed_part_is_refused(part: Any) -> None:
    with pytest.raises(VerificationError):
        verify_author(part, network="pilot", origin=EAST.origin)


@pytest.mark.parametrize("nonce", [b"", b"AA", b"A" * 21 + b"B", b"\xff" * 22, b"A" * 400])
def test_a_nonce_is_sixteen_bytes_of_base64url(nonce: bytes) -> None:
    lines = SIGNED.split(b"\n")
    with pytest.raises(VerificationError):
        verify_author(
            resigned(b"\n".join([*lines[:3], nonce, *lines[4:]])), network="pilot", origin=EAST.origin
        )


def stated(author: dict[str, str]) -> Receipt:
    """A receipt of a journal of EAST whose one statement carries an author's part."""
    with Journal.open(Path("/journal"), party=EAST, files=ForgetfulFiles()) as journal:
        entry = journal.append("document.recorded", {"author": author, "title": "consent"})
        return journal.receipt(entry.id)


def test_verification_says_which_key_signed_the_words_that_a_statement_carries() -> None:
    report = verify(stated(PART))
    assert report.standing("author") == "proved"
    assert "did:key" in next(line.text for line in report.lines if line.topic == "author")


def test_words_that_were_signed_for_another_journal_or_not_at_all_are_false() -> None:
    elsewhere = sign_as_author(b"x", signer=NORTH.signer("author"), network="pilot", origin=NORTH.origin)
    for author in (elsewhere, {**PART, "signature": elsewhere["signature"]}):
        with pytest.raises(VerificationError):
            verify(stated(author))
