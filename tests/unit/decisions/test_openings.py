"""Openings open what was committed to, and nothing else is ever kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import heart, row

from tallystick.decisions import Opening, Openings, format_opening, make_opening, parse_opening
from tallystick.errors import DamagedError, EncodingError, ModelInputError, VerificationError
from tallystick.models import input_commitment, pack_inputs

REQUEST = "ab" * 32
OPENINGS = st.builds(
    Opening,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.binary(min_size=32, max_size=32),
    st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=16).map(tuple),
)


def opening(age: int = 70) -> Opening:
    return make_opening(heart(), row(age), lambda size: b"s" * size).of(REQUEST)


def test_an_opening_is_the_packed_input_behind_a_salt() -> None:
    words = pack_inputs(heart().quantiser.inputs(row(70)))
    assert opening().words == words
    assert opening().commitment == input_commitment(b"s" * 32, words)
    opening().check(opening().commitment)


@pytest.mark.parametrize("version", [b"true", b"2", b'"1"'])
def test_an_opening_of_another_version_is_refused(version: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_opening(format_opening(opening()).replace(b'"v":1', b'"v":' + version))


def test_an_opening_of_another_input_or_salt_is_refused() -> None:
    with pytest.raises(VerificationError):
        opening(71).check(opening().commitment)
    with pytest.raises(VerificationError):
        Opening(REQUEST, b"t" * 32, opening().words).check(opening().commitment)


def test_an_opening_shows_neither_salt_nor_words_by_accident() -> None:
    assert "115" not in repr(opening())
    assert str(opening().words[0]) not in repr(opening())


@given(OPENINGS)
def test_what_is_written_is_read_again(written: Opening) -> None:
    assert parse_opening(format_opening(written)) == written


@given(OPENINGS, st.data())
def test_a_changed_byte_is_another_opening_or_none(written: Opening, data: st.DataObject) -> None:
    good = format_opening(written)
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    try:
        found = parse_opening(changed)
    except EncodingError:
        return
    assert found != written
    assert format_opening(found) == changed


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"{}",
        b" " * 5_000,
        format_opening(opening()).replace(b'"v":1', b'"v":2'),
        format_opening(opening()).replace(b"tallystick/opening", b"tallystick/closing"),
        format_opening(opening()).replace(b'"words":["', b'"words":["0'),
        format_opening(opening()).replace(REQUEST.encode(), REQUEST.upper().encode()),
    ],
)
def test_what_is_no_opening_is_refused(bad: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_opening(bad)


@pytest.mark.parametrize(
    ("request_id", "salt", "words"),
    [
        ("xy", b"s" * 32, (1,)),
        (REQUEST, b"s", (1,)),
        (REQUEST, b"s" * 32, ()),
        (REQUEST, b"s" * 32, (2**256,)),
    ],
)
def test_an_opening_outside_its_bounds_cannot_be_made(
    request_id: str, salt: bytes, words: tuple[int, ...]
) -> None:
    with pytest.raises(ModelInputError):
        Opening(request_id, salt, words)


def test_an_opening_without_a_request_is_not_written() -> None:
    with pytest.raises(ModelInputError):
        format_opening(opening().of(""))


def test_a_kept_opening_is_found_again_by_its_owner_only(tmp_path: Path) -> None:
    kept = Openings(tmp_path / "openings")
    kept.take(opening(), opening().commitment)
    again = Openings(tmp_path / "openings")
    assert again.fetch(REQUEST) == opening()
    assert again.fetch("cd" * 32) is None
    assert list(again) == [REQUEST]
    (file,) = (tmp_path / "openings").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again.drop(REQUEST)
    again.drop(REQUEST)
    assert again.fetch(REQUEST) is None


def test_a_wrong_opening_is_not_kept(tmp_path: Path) -> None:
    kept = Openings(tmp_path / "openings")
    with pytest.raises(VerificationError):
        kept.take(opening(71), opening().commitment)
    assert list(kept) == []


def test_a_request_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ModelInputError):
        Openings(tmp_path / "openings").fetch("../" + "a" * 61)


def test_a_damaged_or_swapped_file_is_not_taken_for_an_opening(tmp_path: Path) -> None:
    kept = Openings(tmp_path / "openings")
    kept.take(opening(), opening().commitment)
    (file,) = (tmp_path / "openings").iterdir()
    file.rename(file.with_name("cd" * 32 + ".json"))
    with pytest.raises(DamagedError):
        kept.fetch("cd" * 32)
    file.write_bytes(b"{}")
    with pytest.raises(DamagedError):
        kept.fetch(REQUEST)
