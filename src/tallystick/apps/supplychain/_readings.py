"""What a logger saw on a trip, and the features that follow from it: integers only, so that anybody gets the same.

- Temperatures are whole tenths of a degree Celsius, times whole minutes since the first reading.
- A temperature holds until the next reading. What lies more than `GAP_MIN` behind a reading was seen by nobody: it
  counts as unseen, not as cold.
- The mean kinetic temperature weighs each minute by the speed of an Arrhenius reaction of 83.144 kJ/mol, that is
  10,000 K. The weights are whole numbers out of a table that `decimal` computes the same everywhere.

Source: J. D. Haynes, "Worldwide virtual temperatures for product stability testing", J. Pharm. Sci. 60 (1971) 927;
USP <1079.2> takes the same activation energy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cache
from itertools import pairwise
from typing import Final

from tallystick.errors import DataError

__all__ = ["COLUMNS", "FEATURES", "Reading", "Trip", "format_page", "parse_page"]

WARM: Final = 80  # tenths of a degree: above it a lot is too warm
COLD: Final = 20  # below it too cold
GAP_MIN: Final = 60  # minutes that one reading may stand for
COLDEST, WARMEST = -900, 900
MAX_READINGS: Final = 20_000
MAX_MINUTES: Final = 525_600
KINETIC_K: Final = 10_000  # activation energy over the gas constant
_PRECISION: Final = Context(prec=40)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading.

    Args:
        minute: since the first reading of the trip.
        tenths: temperature in tenths of a degree Celsius.
        doors: how often the door was opened since the reading before; None where nobody counts.
        handling: minutes in which the lot was handled since then; None likewise.
        km: kilometres gone since then; None likewise.
    """

    minute: int
    tenths: int
    doors: int | None = None
    handling: int | None = None
    km: int | None = None

    def fields(self) -> list[int | None]:
        """Return the reading as it stands in a signed page."""
        return [self.minute, self.tenths, self.doors, self.handling, self.km]


@dataclass(frozen=True, slots=True)
class Trip:
    """The readings of one lot, in order.

    Args:
        lot: its number, as people write it.
        readings: at least two, by strictly rising minutes, the first at minute 0.

    Raises:
        DataError: out of these bounds.
    """

    lot: str
    readings: tuple[Reading, ...]

    def __post_init__(self) -> None:
        minutes = [reading.minute for reading in self.readings]
        if not 2 <= len(minutes) <= MAX_READINGS:
            raise DataError(f"lot {self.lot} must have 2 to {MAX_READINGS} readings, got {len(minutes)}")
        if minutes[0] != 0 or any(b <= a for a, b in pairwise(minutes)):
            raise DataError(f"readings of lot {self.lot} must begin at minute 0 and follow in time")
        if minutes[-1] > MAX_MINUTES:
            raise DataError(f"lot {self.lot} must travel at most {MAX_MINUTES} minutes, got {minutes[-1]}")
        for reading in self.readings:
            if not COLDEST <= reading.tenths <= WARMEST:
                raise DataError(
                    f"lot {self.lot}: a temperature must be -90 to 90 °C, got {reading.tenths / 10}"
                )

    def row(self) -> dict[str, str | None]:
        """Return the features as cells of a model's row: text, None where nobody counted."""
        spans = _spans(self.readings)
        values: dict[str, int | None] = {name: feature(self, spans) for name, feature in FEATURES.items()}
        return {
            name: None if value is None else _decimal(value) if name.endswith("_c") else str(value)
            for name, value in values.items()
        }


Span = tuple[int, int]  # minutes, tenths of a degree
_Feature = Callable[[Trip, Sequence[Span]], "int | None"]


def _spans(readings: Sequence[Reading]) -> list[Span]:
    """Say how long each temperature was there, as far as somebody saw it."""
    return [(min(after.minute - now.minute, GAP_MIN), now.tenths) for now, after in pairwise(readings)]


def _minutes(spans: Sequence[Span], holds: Callable[[int], bool]) -> int:
    return sum(minutes for minutes, tenths in spans if holds(tenths))


def _longest(spans: Sequence[Span], holds: Callable[[int], bool]) -> int:
    longest = run = 0
    for minutes, tenths in spans:
        run = run + minutes if holds(tenths) else 0
        longest = max(longest, run)
    return longest


def _excursions(spans: Sequence[Span]) -> int:
    outside = [not COLD <= tenths <= WARM for _, tenths in spans]
    return sum(now and not before for before, now in zip([False, *outside], outside, strict=False))


def _total(trip: Trip, name: str) -> int | None:
    counts = [getattr(reading, name) for reading in trip.readings]
    return None if any(count is None for count in counts) else sum(counts)


def _kinetic(spans: Sequence[Span]) -> int:
    """Return the mean kinetic temperature in tenths of a degree, rounded up."""
    minutes = sum(minutes for minutes, _ in spans)
    mean = -(-sum(minutes * _speed(tenths) for minutes, tenths in spans) // minutes)
    low, high = min(tenths for _, tenths in spans), max(tenths for _, tenths in spans)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _speed(middle) < mean else (low, middle)
    return low


@cache
def _speed(tenths: int) -> int:
    """Return how fast a reaction runs at a temperature, in 2^-40 of its speed at 5 °C."""
    kelvin = Decimal(tenths) / 10 + Decimal("273.15")
    power = _PRECISION.subtract(
        _PRECISION.divide(KINETIC_K, Decimal("278.15")), _PRECISION.divide(KINETIC_K, kelvin)
    )
    return int(_PRECISION.multiply(_PRECISION.exp(power), 2**40))


def _warm(tenths: int) -> bool:
    return tenths > WARM


def _cold(tenths: int) -> bool:
    return tenths < COLD


def _frozen(tenths: int) -> bool:
    return tenths < 0


FEATURES: Final[dict[str, _Feature]] = {
    "maximum_c": lambda trip, _: max(reading.tenths for reading in trip.readings),
    "minimum_c": lambda trip, _: min(reading.tenths for reading in trip.readings),
    "mean_kinetic_c": lambda _, spans: _kinetic(spans),
    "minutes_above_8": lambda _, spans: _minutes(spans, _warm),
    "minutes_below_2": lambda _, spans: _minutes(spans, _cold),
    "minutes_below_0": lambda _, spans: _minutes(spans, _frozen),
    "longest_above_8": lambda _, spans: _longest(spans, _warm),
    "longest_below_2": lambda _, spans: _longest(spans, _cold),
    "degree_minutes": lambda _, spans: sum(m * (t - WARM) for m, t in spans if t > WARM) // 10,
    "excursions": lambda _, spans: _excursions(spans),
    "unseen_minutes": lambda trip, spans: trip.readings[-1].minute - sum(m for m, _ in spans),
    "hours": lambda trip, _: trip.readings[-1].minute // 60,
    "door_openings": lambda trip, _: _total(trip, "doors"),
    "handling_minutes": lambda trip, _: _total(trip, "handling"),
    "distance_km": lambda trip, _: _total(trip, "km"),
}

COLUMNS: Final[dict[str, str]] = {
    "maximum_c": "highest temperature, °C",
    "minimum_c": "lowest temperature, °C",
    "mean_kinetic_c": "mean kinetic temperature, °C",
    "minutes_above_8": "minutes above 8 °C",
    "minutes_below_2": "minutes below 2 °C",
    "minutes_below_0": "minutes below 0 °C",
    "longest_above_8": "longest time above 8 °C, minutes",
    "longest_below_2": "longest time below 2 °C, minutes",
    "degree_minutes": "degrees above 8 °C times minutes",
    "excursions": "excursions out of 2 to 8 °C",
    "unseen_minutes": "minutes without a reading",
    "hours": "hours under way",
    "door_openings": "door openings",
    "handling_minutes": "minutes handled",
    "distance_km": "distance, km",
}


def _decimal(tenths: int) -> str:
    sign, whole = ("-" if tenths < 0 else ""), abs(tenths)
    return f"{sign}{whole // 10}.{whole % 10}"


def format_page(lot: str, page: int, readings: Sequence[Reading]) -> bytes:
    """Write what a logger signs: some readings of a lot in a row, as canonical JSON."""
    from tallystick.proof import format_json

    rows = [reading.fields() for reading in readings]
    return format_json({"lot": lot, "page": page, "readings": rows, "type": "tallystick/readings", "v": 1})


def parse_page(data: bytes) -> tuple[str, int, tuple[Reading, ...]]:
    """Read a page; the inverse of `format_page`, and as strict.

    Returns:
        Lot, number of the page, readings.

    Raises:
        EncodingError: not canonical JSON.
        DataError: not a page of version 1.
    """
    from tallystick.proof import parse_json

    said = parse_json(data)
    if type(said) is not dict or set(said) != {"lot", "page", "readings", "type", "v"}:
        raise DataError("a page of readings must have lot, page, readings, type and v")
    if said["type"] != "tallystick/readings" or said["v"] != 1 or type(said["readings"]) is not list:
        raise DataError("not a page of readings of version 1")
    if type(said["lot"]) is not str or type(said["page"]) is not int:
        raise DataError("a page of readings must name its lot and its number")
    for row in said["readings"]:
        fits = type(row) is list and len(row) == 5 and all(type(cell) is int for cell in row[:2])
        if not fits or not all(cell is None or (type(cell) is int and cell >= 0) for cell in row[2:]):
            raise DataError("a reading must be a minute, tenths of a degree, doors, handling and kilometres")
    return said["lot"], said["page"], tuple(Reading(*row) for row in said["readings"])
