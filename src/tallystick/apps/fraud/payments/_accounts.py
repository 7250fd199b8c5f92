"""Accounts: the number of an account in a message, checked where it carries its own check digits."""

from __future__ import annotations

import re
from typing import Final

from tallystick.errors import PaymentError

__all__ = ["check_iban"]

_iban = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}").fullmatch
_digits: Final = {letter: str(value) for value, letter in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}


def check_iban(text: str) -> str:
    """Return an IBAN in electronic form, without blanks.

    Raises:
        PaymentError: not of an IBAN's shape, or its check digits are wrong (ISO 7064 MOD 97-10).
    """
    plain = text.replace(" ", "").upper()
    if not _iban(plain):
        raise PaymentError("an IBAN must be two letters, two digits and 11 to 30 letters and digits")
    if int("".join(_digits[letter] for letter in plain[4:] + plain[:4])) % 97 != 1:
        raise PaymentError("an IBAN's check digits are wrong", hint="compare the account number")
    return plain
