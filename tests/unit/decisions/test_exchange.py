"""Signers show each other their answers; what is malformed is passed over, what is remembered is found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.decisions import (
    Exchange,
    ExchangeDirectory,
    Followed,
    Revealed,
    SharedExchange,
    format_revealed,
    parse_revealed,
)
from tallystick.errors import ChainMismatchError, DamagedError, EncodingError, ModelInputError

REQUEST = "ab" * 32
SIGNER, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
REVEALED = st.builds(
    Revealed,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(-(2**255), 2**255 - 1),
    st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    st.binary(min_size=65, max_size=65),
)


def revealed(output: int = 5, *, request: str = REQUEST, signer: str = SIGNER) -> Revealed:
    return Revealed(request, output, signer, bytes(65))


@given(REVEALED)
def test_what_is_written_is_read_again(written: Revealed) -> None:
    assert parse_revealed(format_revealed(written)) == written


@given(REVEALED, st.data())
def test_a_changed_byte_is_another_answer_or_none(written: Revealed, data: st.DataObject) -> None:
    good = format_revealed(written)
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    try:
        found = parse_revealed(changed)
    except EncodingError:
        return
    assert found != written
    assert format_revealed(found) == changed


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"{}",
        b" " * 2_000,
        format_revealed(revealed()).replace(b'"v":1', b'"v":2'),
        format_revealed(revealed()).replace(b'"v":1', b'"v":true'),
        format_revealed(revealed(5)).replace(b'"5"', b'"05"'),
        format_revealed(revealed(5)).replace(b'"5"', b'"' + str(2**255).encode() + b'"'),
        format_revealed(revealed(5)).replace(b'"5"', b'"-0"'),
        format_revealed(revealed(5)).replace(SIGNER.encode(), SIGNER.upper().encode()),
    ],
)
def test_what_is_no_revealed_answer_is_refused(bad: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_revealed(bad)


def test_a_revealed_answer_outside_its_bounds_cannot_be_made() -> None:
    with pytest.raises(ModelInputError):
        revealed(2**255)
    with pytest.raises(ModelInputError):
        Revealed(REQUEST, 1, SIGNER, b"short")


@pytest.fixture(params=["shared", "directory"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> Exchange:
    return SharedExchange() if request.param == "shared" else ExchangeDirectory(tmp_path / "shown")


def test_what_was_shown_is_seen_by_request(exchange: Exchange) -> None:
    exchange.show(revealed())
    exchange.show(revealed())
    exchange.show(revealed(6, signer=OTHER))
    exchange.show(revealed(7, request="cd" * 32))
    assert sorted(one.output for one in exchange.shown(REQUEST)) == [5, 6]
    assert exchange.shown("ef" * 32) == []


def test_rubbish_in_the_directory_is_passed_over(tmp_path: Path) -> None:
    exchange = ExchangeDirectory(tmp_path / "shown")
    exchange.show(revealed())
    for name, data in {
        "x": b"{}",
        "y": b"\xff" * 9_000,
        "z": format_revealed(revealed(request="cd" * 32)),
    }.items():
        (tmp_path / "shown" / f"{REQUEST}.{name}.json").write_bytes(data)
    assert exchange.shown(REQUEST) == [revealed()]


def test_a_block_is_remembered_and_never_goes_back(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "followed", chain=1, contract="0x1")
    assert followed.block == 0
    followed.remember(7)
    followed.remember(5)
    assert Followed(tmp_path / "followed", chain=1, contract="0x1").block == 7


def test_following_begins_where_it_was_told_and_goes_on_where_it_was(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "followed", chain=1, contract="0x1", start=100)
    assert followed.block == 100
    followed.remember(120)
    assert Followed(tmp_path / "followed", chain=1, contract="0x1", start=100).block == 120


def test_what_was_remembered_of_another_chain_or_contract_is_refused(tmp_path: Path) -> None:
    Followed(tmp_path / "followed", chain=1, contract="0x1").remember(7)
    for chain, contract in ((2, "0x1"), (1, "0x2")):
        with pytest.raises(ChainMismatchError):
            Followed(tmp_path / "followed", chain=chain, contract=contract)


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"block":-1}', b'{"block":1}'])
def test_a_damaged_memory_is_said_to_be_damaged(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "followed").write_bytes(bad)
    with pytest.raises(DamagedError):
        Followed(tmp_path / "followed", chain=1, contract="0x1")
