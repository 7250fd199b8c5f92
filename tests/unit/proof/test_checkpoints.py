"""Checkpoints (C2SP tlog-checkpoint), without extension lines."""

from __future__ import annotations

import pytest
from tests.proofs import EAST, NORTH, STRANGER

from tallystick.errors import NoteError
from tallystick.proof import format_note, parse_checkpoint, sign_note, verify_checkpoint
from tallystick.proof._checkpoints import parse_tree_size, sign_checkpoint

ROOT = "11" * 32
HEAD = sign_checkpoint(NORTH.origin, 7, bytes.fromhex(ROOT), NORTH.signer("log"))
B64 = "ERERERERERERERERERERERERERERERERERERERERERE="


def signed(text: str) -> bytes:
    return format_note(text, [sign_note(text, NORTH.origin, NORTH.signer("log"))])


def test_a_checkpoint_is_read_back_and_its_signature_verifies() -> None:
    found = parse_checkpoint(HEAD.note)
    assert found == HEAD
    assert found.head == (NORTH.origin, 7, bytes.fromhex(ROOT))
    assert found.text == f"{NORTH.origin}\n7\n{B64}\n"
    verify_checkpoint(found, NORTH.card.keys["log"])


def test_another_key_has_not_signed_it() -> None:
    for key in (EAST.card.keys["log"], NORTH.card.keys["witness"]):
        with pytest.raises(NoteError):
            verify_checkpoint(HEAD, key)


def test_a_signature_under_another_name_does_not_count() -> None:
    for name in ("other", NORTH.id, NORTH.card.witness_name):
        note = format_note(HEAD.text, [sign_note(HEAD.text, name, NORTH.signer("log"))])
        with pytest.raises(NoteError):
            verify_checkpoint(parse_checkpoint(note), NORTH.card.keys["log"])


def test_a_strangers_line_beside_it_changes_nothing() -> None:
    other = sign_note(HEAD.text, "other", STRANGER.signer("log"))
    verify_checkpoint(
        parse_checkpoint(format_note(HEAD.text, [other, *HEAD.parsed().signatures])), NORTH.card.keys["log"]
    )


@pytest.mark.parametrize(
    "text",
    [
        f"\n7\n{B64}\n", f"o\n7\n{B64}\nextension\n", f"o\n7\n{B64}\n\n", "o\n7\n", f"o\n-7\n{B64}\n", f"o\n07\n{B64}\n",
        f"o\n+7\n{B64}\n", f"o\n7 \n{B64}\n", f"o\n\n{B64}\n", f"o\n7\n{B64[:-4]}\n", f"o\n7\n{B64[:-2]}F=\n", f"o\n7\n{B64}x\n",
        f"o\n{2**62}\n{B64}\n", f"o\n{10**30}\n{B64}\n", f"o\n\u0667\n{B64}\n", f"o\n7\n\n{B64}\n", "o\n7\n\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(signed(text))


def test_a_tree_size_is_a_plain_decimal() -> None:
    assert [parse_tree_size(text) for text in ("0", "7", str(2**62 - 1))] == [0, 7, 2**62 - 1]
    for text in ("", "00", "-1", "1_0", "1.0", "0x1", " 1", "1\n", str(2**62), "9" * 400, "²"):
        with pytest.raises(NoteError):
            parse_tree_size(text)
