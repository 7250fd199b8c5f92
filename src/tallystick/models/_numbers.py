"""Numbers as they stand in a table: decimal text, read exactly.

A binary float would make the score depend on who parsed it; here "2.3" is 2300000 millionths everywhere.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from tallystick.errors import ModelInputError

MAX_CELL_CHARACTERS = 64
LARGEST_EXPONENT = 15  # values of 10^16 and more are refused
LARGEST_UNITS = 2**53 - 1  # what a whole number of units may reach, so that JSON and int64 hold it

# More digits than a cell has, so that moving the point rounds nothing and a number is rounded once.
_EXACT = Context(prec=MAX_CELL_CHARACTERS + 16, rounding=ROUND_HALF_EVEN)


def parse_decimal(text: str) -> Decimal:
    """Read a finite decimal number.

    Raises:
        ModelInputError: not a number, NaN, infinite, or 10^16 and more.
    """
    try:
        if len(text) > MAX_CELL_CHARACTERS or not text.isascii() or "_" in text:
            raise ModelInputError("a numeric cell must be a short decimal number in ASCII")
        value = Decimal(text)
    except InvalidOperation as error:
        raise ModelInputError("a numeric cell must be a decimal number, got other text") from error
    if not value.is_finite():
        raise ModelInputError("a numeric cell must be finite, got NaN or infinity")
    if value and value.adjusted() > LARGEST_EXPONENT:
        raise ModelInputError(f"a numeric cell must be below 10^{LARGEST_EXPONENT + 1}, got a larger number")
    return value


def units(text: str, decimals: int) -> int:
    """Return the number in units of 10^-decimals, rounded half to even.

    Raises:
        ModelInputError: see `parse_decimal`; or the number of units is 2^53 or more.
    """
    value = parse_decimal(text)
    if not value:
        return 0  # a zero may carry an exponent that no power can be computed of
    whole = int(_EXACT.to_integral_value(_EXACT.scaleb(value, decimals)))
    if abs(whole) > LARGEST_UNITS:
        raise ModelInputError(f"a numeric cell must be below 2^53 units of 10^-{decimals}, got a larger one")
    return whole
