"""Account names of a Cosmos chain."""

from __future__ import annotations

import os

import pytest

from tallystick.errors import EncodingError
from tallystick.network._bech32 import format_bech32, parse_bech32

# A development account of Cosmos EVM in both forms, as its own tests name it.
HEX, NAME = "c6fe5d33615a1c52c08018c47e8bc53646a0e101", "cosmos1cml96vmptgw99syqrrz8az79xer2pcgp95srxm"


def test_the_published_account_is_written_and_read() -> None:
    assert format_bech32("cosmos", bytes.fromhex(HEX)) == NAME
    assert parse_bech32(NAME) == ("cosmos", bytes.fromhex(HEX))


def test_what_was_written_is_read_back() -> None:
    for _ in range(50):
        data = os.urandom(20)
        assert parse_bech32(format_bech32("cosmosvaloper", data)) == ("cosmosvaloper", data)


@pytest.mark.parametrize(
    "text",
    [NAME.upper(), NAME[:-1], NAME[:-1] + "q", NAME.replace("cosmos", "osmo"), NAME + "q", "", "cosmos1"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        parse_bech32(text)


def test_every_single_wrong_letter_is_noticed() -> None:
    for place in range(7, len(NAME)):
        wrong = NAME[:place] + ("q" if NAME[place] != "q" else "p") + NAME[place + 1 :]
        with pytest.raises(EncodingError):
            parse_bech32(wrong)
