"""Signed notes and verifier keys (C2SP signed-note, tlog-cosignature)."""

from __future__ import annotations

import pytest
from tests.proofs import EAST, NORTH, SOUTH

from tallystick.errors import NoteError, TallystickError
from tallystick.proof import (
    COSIGNATURE,
    NoteKey,
    NoteSignature,
    cosign_note,
    format_note,
    parse_note,
    sign_note,
    verify_note,
)

TEXT = "one\n\ntwo\n"
LOG = NoteKey("log", NORTH.card.keys["log"])
WITNESS = NoteKey("witness", EAST.card.keys["witness"], COSIGNATURE)
SIGNED = sign_note(TEXT, "log", NORTH.signer("log"))
COSIGNED = cosign_note(TEXT, "witness", EAST.signer("witness"), time_s=12)
NOTE = format_note(TEXT, [SIGNED, COSIGNED])


def test_a_note_is_read_back_and_its_known_keys_are_named_with_their_times() -> None:
    note = parse_note(NOTE)
    assert note.text == TEXT
    assert verify_note(note, [LOG, WITNESS]) == {LOG: 0, WITNESS: 12}


def test_unknown_keys_are_ignored() -> None:
    note = parse_note(NOTE)
    assert verify_note(note, []) == {}
    assert verify_note(note, [NoteKey("log", SOUTH.card.keys["log"]), NoteKey("other", LOG.public_key)]) == {}


def test_the_type_is_part_of_a_keys_identity() -> None:
    assert (
        verify_note(
            parse_note(NOTE),
            [NoteKey("log", LOG.public_key, COSIGNATURE), NoteKey("witness", WITNESS.public_key)],
        )
        == {}
    )


def test_a_known_key_with_a_false_signature_makes_the_note_false() -> None:
    for forged in (
        NoteSignature("log", SIGNED.key_id, bytes(64)),
        NoteSignature("log", SIGNED.key_id, SIGNED.signature[:-1]),
        NoteSignature("log", SIGNED.key_id, SIGNED.signature + b"\x00"),
        NoteSignature("witness", COSIGNED.key_id, SIGNED.signature),
        NoteSignature("witness", COSIGNED.key_id, bytes(8) + COSIGNED.signature[8:]),
        NoteSignature("witness", COSIGNED.key_id, b"\xff" * 8 + COSIGNED.signature[8:]),
        NoteSignature("witness", COSIGNED.key_id, b"\x01"),
    ):
        with pytest.raises(NoteError):
            verify_note(parse_note(format_note(TEXT, [forged])), [LOG, WITNESS])


def test_a_changed_text_makes_the_note_false() -> None:
    with pytest.raises(NoteError):
        verify_note(parse_note(format_note("one\n", [SIGNED])), [LOG])


def test_a_known_key_signs_once() -> None:
    with pytest.raises(NoteError):
        verify_note(parse_note(format_note(TEXT, [SIGNED, SIGNED])), [LOG])
    assert verify_note(parse_note(format_note(TEXT, [SIGNED, SIGNED])), [WITNESS]) == {}


def test_the_last_blank_line_separates_text_and_signatures() -> None:
    assert parse_note(NOTE).text.count("\n\n") == 1
    forged = format_note(TEXT + "\n\u2014 log AAAAAAA=\n", [SIGNED])
    with pytest.raises(NoteError):
        verify_note(parse_note(forged), [LOG])


LINE = SIGNED.line


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"\n\n", b"text\n", b"text\n\n", f"text\n{LINE}\n".encode(), f"text\n\n{LINE}".encode(),
        f"text\n\n{LINE}\n\n".encode(), f"\n\n{LINE}\n".encode(), f"text\n\n {LINE}\n".encode(),
        f"text\n\n{LINE} \n".encode(), f"te\x01xt\n\n{LINE}\n".encode(), f"te\rxt\n\n{LINE}\n".encode(),
        f"te\txt\n\n{LINE}\n".encode(), b"\xff\n\n" + LINE.encode() + b"\n", f"text\n\n- log {LINE[6:]}\n".encode(),
        "text\n\n\u2014  AAAAAAA=\n".encode(), "text\n\n\u2014 log AAAA\n".encode(), "text\n\n\u2014 log AAAAAAB=\n".encode(),
        "text\n\n\u2014 a+b AAAAAAA=\n".encode(), "text\n\n\u2014 a\u00a0b AAAAAAA=\n".encode(), b"x" * 65537,
        ("text\n\n" + "\u2014 log AAAAAAA=\n" * 65).encode(),
    ],
    ids=lambda data: repr(data[:24]),
)  # fmt: skip
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(NoteError):
        parse_note(data)


def test_sixty_four_signatures_are_read() -> None:
    assert len(parse_note(("text\n\n" + "\u2014 log AAAAAAA=\n" * 64).encode()).signatures) == 64


def test_a_verifier_key_is_read_back() -> None:
    for key in (LOG, WITNESS):
        assert NoteKey.parse(key.format()) == key


def test_a_verifier_key_with_another_id_name_type_or_length_is_refused() -> None:
    name, key_id, encoded = LOG.format().split("+", 2)
    for text in (
        "", "log", f"{name}+{key_id}", f"{name}+00000000+{encoded}", f"{name}+{key_id.upper()}x+{encoded}", f"+{key_id}+{encoded}",
        f"a b+{key_id}+{encoded}", f"{name}+{key_id}+{encoded[:-4]}", f"other+{key_id}+{encoded}", f"{name}+{key_id}+B{encoded[1:]}",
        f"{name}+{key_id}+{encoded}\n", WITNESS.format().replace("+B", "+C"),
    ):  # fmt: skip
        with pytest.raises(TallystickError):
            NoteKey.parse(text)


def test_a_weak_verifier_key_is_refused() -> None:
    weak = NoteKey("log", (1).to_bytes(32, "little"))
    with pytest.raises(TallystickError):
        NoteKey.parse(weak.format())
