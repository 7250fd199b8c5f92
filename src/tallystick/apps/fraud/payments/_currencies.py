"""Currencies and amounts: decimal text becomes minor units exactly, or is refused."""

from __future__ import annotations

import re
from typing import Final

from tallystick.errors import PaymentError

from ._payment import MAX_AMOUNT

__all__ = ["CURRENCIES", "check_currency", "to_minor"]

# Source: ISO 4217 as amended up to number 177: how many decimals each currency has.
_NONE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
    "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR "
    "MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK "
    "SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD "
    "XCG YER ZAR ZMW ZWG"
)
_THREE: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR: Final = "CLF UYW"
CURRENCIES: Final[dict[str, int]] = {
    code: decimals
    for decimals, codes in ((0, _NONE), (2, _TWO), (3, _THREE), (4, _FOUR))
    for code in codes.split()
}
"""Every currency that is known, with the number of its decimals."""

_amount = re.compile(r"([0-9]{1,18})(?:\.([0-9]{0,12}))?").fullmatch


def check_currency(currency: object) -> str:
    """Return a currency that is known.

    Raises:
        PaymentError: it is not.
    """
    if type(currency) is not str or currency not in CURRENCIES:
        raise PaymentError("a currency must be one of ISO 4217", hint="three capital letters, such as EUR")
    return currency


def to_minor(text: str, currency: str) -> int:
    """Return an amount in minor units, exactly.

    Args:
        text: a decimal such as ``12.34``: digits, a point, no sign and no exponent.
        currency: its currency.

    Raises:
        PaymentError: an unknown currency, not such a decimal, not positive, too large, or finer than the currency.
    """
    decimals = CURRENCIES[check_currency(currency)]
    found = _amount(text)
    if found is None:
        raise PaymentError("an amount must be a decimal such as 12.34, with no sign and no exponent")
    whole, fraction = found[1], found[2] or ""
    if fraction[decimals:].strip("0"):
        raise PaymentError(f"an amount of this currency must have at most {decimals} decimals")
    minor = int(whole + fraction[:decimals].ljust(decimals, "0"))
    if not 0 < minor <= MAX_AMOUNT:
        raise PaymentError(f"an amount must be 1 to {MAX_AMOUNT} minor units")
    return minor
