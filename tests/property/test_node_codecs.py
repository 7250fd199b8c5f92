"""The small files that nodes exchange: read exactly as written, anything else refused with an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.node import WitnessAsk, format_ask, format_card_file, parse_ask, parse_card_file
from tallystick.proof import Checkpoint, Party, encode_base64, format_json, format_note, parse_json, sign_note


@cache
def party() -> Party:
    return Party.create("Clinic").rotate(["log"], size=3)


def head(size: int, root: bytes) -> Checkpoint:
    origin = party().origin
    text = f"{origin}\n{size}\n{encode_base64(root)}\n"
    return Checkpoint(origin, size, root, format_note(text, [sign_note(text, origin, party().signer("log"))]))


digests = st.binary(min_size=32, max_size=32)
asks = st.builds(
    lambda size, root, proofs: WitnessAsk(
        head(size, root), party().cards, {old: path for old, path in proofs.items() if old < size}
    ),
    st.integers(1, 10**6),
    digests,
    st.dictionaries(st.integers(1, 10**6), st.lists(digests, max_size=5).map(tuple), max_size=4),
)


@given(asks)
def test_an_ask_survives_being_written_and_read(ask: WitnessAsk) -> None:
    again = parse_ask(format_ask(ask))
    assert (again.checkpoint, again.cards, dict(again.proofs)) == (
        ask.checkpoint,
        ask.cards,
        dict(ask.proofs),
    )


def test_a_card_file_survives_being_written_and_read() -> None:
    assert parse_card_file(format_card_file(party().cards)).cards == party().cards


def example(codec: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    if codec == "ask":
        ask = WitnessAsk(head(9, bytes(32)), party().cards, {3: (bytes(32),), 7: ()})
        return format_ask(ask), lambda data: format_ask(parse_ask(data))
    return format_card_file(party().cards), lambda data: format_card_file(parse_card_file(data).cards)


@pytest.mark.parametrize("codec", ["ask", "card"])
@given(data=st.data())
def test_nothing_else_is_read_as_one(codec: str, data: st.DataObject) -> None:
    good, again = example(codec)
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + data.draw(st.binary(max_size=3)) + good[place + data.draw(st.integers(0, 3)) :]
    try:
        written = again(changed)
    except TallystickError:
        return
    assert written.rstrip(b"\n") == changed.rstrip(b"\n")


@pytest.mark.parametrize(
    "change", [{"more": 1}, {"proofs": {"07": []}}, {"proofs": {"-1": []}}, {"proofs": {"x": []}}]
)
def test_an_ask_has_one_spelling(change: dict[str, object]) -> None:
    good, _ = example("ask")
    with pytest.raises(TallystickError):
        parse_ask(format_json({**parse_json(good.rstrip(b"\n")), **change}))
