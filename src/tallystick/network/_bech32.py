"""Account names of a Cosmos chain: bech32 over the same 20 bytes that an EVM shows as 0x and 40 digits.

Source: BIP-173, "Base32 address format for native v0-16 witness outputs" (checksum and alphabet; no witness version).
"""

from __future__ import annotations

import re

from tallystick.errors import EncodingError

__all__ = ["format_bech32", "parse_bech32"]

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_plain = re.compile(r"([a-z]{1,20})1([qpzry9x8gf2tvdw0s3jn54khce6mua7l]{38})").fullmatch


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATOR):
            if top >> place & 1:
                check ^= generator
    return check


def _expanded(prefix: str) -> list[int]:
    return [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]


def format_bech32(prefix: str, data: bytes) -> str:
    """Write 20 bytes as an account name.

    Args:
        prefix: lower-case letters, for example ``cosmos``.
        data: 20 bytes.
    """
    number = int.from_bytes(data, "big")
    words = [number >> shift & 31 for shift in range(155, -1, -5)]
    check = _polymod([*_expanded(prefix), *words, 0, 0, 0, 0, 0, 0]) ^ 1
    words += [check >> 5 * (5 - place) & 31 for place in range(6)]
    return f"{prefix}1" + "".join(_ALPHABET[word] for word in words)


def parse_bech32(text: str) -> tuple[str, bytes]:
    """Read an account name of 20 bytes; accepts exactly what `format_bech32` makes.

    Returns:
        Prefix and 20 bytes.

    Raises:
        EncodingError: another form, another length, or a wrong checksum.
    """
    found = _plain(text)
    if found is None:
        raise EncodingError("an account must be bech32 of 20 bytes in lower case")
    prefix, rest = found.groups()
    words = [_ALPHABET.index(letter) for letter in rest]
    if _polymod([*_expanded(prefix), *words]) != 1:
        raise EncodingError("an account's checksum is wrong", hint="was a character mistyped?")
    number = 0
    for word in words[:32]:
        number = number << 5 | word
    return prefix, number.to_bytes(20, "big")
