"""Which column of somebody's table is which field of a payment, and how its times and amounts are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tallystick.errors import DataError, PaymentError

from ._currencies import to_minor
from ._payment import MAX_AMOUNT
from ._times import MICROSECONDS, parse_time

__all__ = ["ColumnMapping", "TimeForm"]

FIELDS: Final = (
    "id", "at", "amount", "currency", "customer", "payee", "channel", "card", "terminal", "device", "fraud",
)  # fmt: skip
NEEDED: Final = ("at", "amount", "currency", "customer", "payee")
_UNITS: Final = {
    "unix-s": MICROSECONDS,
    "unix-ms": 1_000,
    "unix-us": 1,
}
EXAMPLE: Final = "for instance: amount=Amount,customer=Account,payee=Merchant,at=When,currency==EUR"


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How a table writes times.

    Args:
        unit_us: microseconds of one step; 0 for ISO 8601 text.
        start: microseconds of step 0.
    """

    unit_us: int = 0
    start: int = 0

    @classmethod
    def parse(cls, text: str, start: str = "") -> TimeForm:
        """Read ``iso``, ``unix-s``, ``unix-ms``, ``unix-us`` or ``step:SECONDS`` with a start.

        Raises:
            DataError: none of these, or a step without a start.
        """
        kind, _, seconds = text.partition(":")
        if text == "iso" and not start:
            return cls()
        if text in _UNITS and not start:
            return cls(_UNITS[text])
        if kind == "step" and seconds.isdecimal() and 0 < len(seconds) < 8 and int(seconds) > 0 and start:
            try:
                return cls(int(seconds) * MICROSECONDS, parse_time(start))
            except PaymentError as error:
                raise DataError(f"the start of the steps: {error.message}") from None
        raise DataError(
            "times must be iso, unix-s, unix-ms, unix-us, or step:SECONDS with a start",
            hint="for instance: at=step,time==step:3600,start==2026-01-01T00:00:00Z",
        )

    def read(self, text: str) -> int:
        """Return a cell as microseconds.

        Raises:
            PaymentError: it is not written so.
        """
        whole, _, fraction = text.partition(".")
        is_number = whole.isascii() and whole.isdecimal() and len(whole) <= 18 and not fraction.strip("0")
        if not self.unit_us:
            if is_number:
                raise PaymentError("a time must be ISO 8601, got a number", hint=_unit_hint(len(whole)))
            return parse_time(text)
        if not is_number:
            raise PaymentError(
                "a time must be a whole number of its unit",
                hint="times such as 2026-11-22T10:03:11Z need no time==... in the mapping",
            )
        return self.start + int(whole) * self.unit_us


def _unit_hint(digits: int) -> str:
    """Return what to add to a mapping for numbers of so many digits."""
    units = {10: "unix-s", 13: "unix-ms", 16: "unix-us"}
    if digits in units:
        return f"add time=={units[digits]} to the mapping"
    return "for steps since a start: --time-unit hour --time-start 2026-01-01"


@dataclass(frozen=True)
class ColumnMapping:
    """Which column is which field.

    Args:
        columns: field of `Payment`, or ``fraud`` for the label, -> the column's name in the table.
        constants: field -> one text for every row.
        times: how the column of ``at`` is written.
        amounts: ``decimal`` (12.34) or ``minor`` (1234).

    A field that is neither: an id is the row's number, a channel is ``card``, the others stay empty.

    Raises:
        DataError: a field that nobody knows, is said twice, or is missing.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)
    times: TimeForm = field(default_factory=TimeForm)
    amounts: str = "decimal"

    def __post_init__(self) -> None:
        for name in (*self.columns, *self.constants):
            if name not in FIELDS:
                raise DataError(
                    "a mapping names a field that nobody knows", hint=f"known: {', '.join(FIELDS)}"
                )
            if name in self.columns and name in self.constants:
                raise DataError(f"{name} must be a column or a constant, not both")
        for name in NEEDED:
            if name not in self.columns and name not in self.constants:
                raise DataError(f"the mapping must say which column is {name}", hint=EXAMPLE)
        for name in ("id", "at", "fraud"):
            if name in self.constants:
                raise DataError(f"{name} must be a column of its own")
        if self.amounts not in ("decimal", "minor"):
            raise DataError("amounts must be decimal or minor")

    @classmethod
    def parse(cls, text: str) -> ColumnMapping:
        """Read a mapping from one line: ``field=column`` and ``field==constant``, separated by commas.

        ``time==...`` and ``start==...`` say how times are written (`TimeForm.parse`), ``amounts==minor`` that amounts
        are whole minor units.

        Raises:
            DataError: not such a line.
        """
        columns: dict[str, str] = {}
        constants: dict[str, str] = {}
        for part in text.split(","):
            name, sign, value = (piece.strip() for piece in part.partition("="))
            into = columns
            if value.startswith("="):
                into, value = constants, value[1:].strip()
            if not (name and sign and value):
                raise DataError("a mapping must be field=column or field==constant, separated by commas",
                                hint=EXAMPLE)  # fmt: skip
            if name in columns or name in constants:
                raise DataError("a mapping must name each field once")
            into[name] = value
        times = TimeForm.parse(constants.pop("time", "iso"), constants.pop("start", ""))
        return cls(columns, constants, times, constants.pop("amounts", "decimal"))

    def minor(self, text: str, currency: str) -> int:
        """Return an amount in minor units.

        Raises:
            PaymentError: not an amount as the table writes them.
        """
        if "," in text:
            raise PaymentError(
                "an amount must have a point before its cents and no commas", hint="12,50 is written 12.50"
            )
        if self.amounts == "decimal":
            return to_minor(text, currency)
        to_minor("1", currency)  # a currency that is known
        if "." in text:
            raise PaymentError(
                "an amount must be whole minor units, such as 1250 for 12.50",
                hint="for decimals name your columns with --columns, without amounts==minor",
            )
        if not (text.isascii() and text.isdecimal() and len(text) <= 18) or not 0 < int(text) <= MAX_AMOUNT:
            raise PaymentError(f"an amount must be 1 to {MAX_AMOUNT} whole minor units")
        return int(text)
