"""Asks to a witness and paths of tiles: what is written is read back, and nothing else is read."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.proof import (
    Ed25519Signer,
    Secret,
    format_add_checkpoint,
    format_note,
    parse_add_checkpoint,
    parse_entry_bundle,
    parse_tile_path,
    sign_note,
    tile_path,
)


def note(size: int) -> bytes:
    text = f"did:key:zTest/main\n{size}\n{'A' * 43}=\n"
    return format_note(text, [sign_note(text, "did:key:zTest/main", Ed25519Signer(Secret(bytes(range(32)))))])


@given(st.integers(0, 2**62 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.data())
def test_an_ask_reads_back_as_it_was_written(size: int, proof: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(0, size))
    ask = parse_add_checkpoint(format_add_checkpoint(old, proof, note(size)))
    assert (ask.old_size, ask.proof, ask.checkpoint.note) == (old, tuple(proof), note(size))


@given(st.binary(max_size=300), st.integers(0, 400))
@example(b"\n", 0)
def test_what_is_read_as_an_ask_has_one_spelling(noise: bytes, place: int) -> None:
    whole = format_add_checkpoint(3, [bytes(32)], note(5))
    changed = whole[:place] + noise + whole[place:]
    try:
        ask = parse_add_checkpoint(changed)
    except TallystickError:
        return
    assert format_add_checkpoint(ask.old_size, ask.proof, ask.checkpoint.note) == changed


@given(st.one_of(st.integers(0, 7), st.just("entries")), st.integers(0, 10**15), st.integers(1, 256))
def test_a_tiles_path_reads_back(level: int | str, index: int, width: int) -> None:
    assert parse_tile_path(tile_path(level, index, width)) == (level, index, width)


@given(st.from_regex(r"tile/(entries|[0-9])/[x0-9/]{1,12}(\.p/[0-9]{1,3})?", fullmatch=True))
def test_a_tiles_path_has_one_spelling(path: str) -> None:
    try:
        found = parse_tile_path(path)
    except TallystickError:
        return
    assert tile_path(*found) == path


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256), st.binary(max_size=3))
def test_a_bundle_is_cut_into_its_entries_and_into_nothing_else(entries: list[bytes], rest: bytes) -> None:
    data = b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
    assert parse_entry_bundle(data, len(entries)) == entries
    for false, width in ((data + rest, len(entries)), (data[:-1], len(entries)), (data, len(entries) + 1)):
        if false != data or width != len(entries):
            try:
                parse_entry_bundle(false, width)
            except TallystickError:
                continue
            raise AssertionError("a bundle that is none was read")
