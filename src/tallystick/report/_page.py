"""What a report is made of: one sentence, three figures that matter, then sections of pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tallystick.errors import InputError

Tone = Literal["good", "plain", "warn", "faint"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that matters: the number, what it is, and a note in small print."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """A point with its interval on the axis of a `Forest`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ForestGroup:
    """One group of a `Forest`: an interval per series, or why there is none."""

    name: str
    note: str
    intervals: Sequence[Interval | None]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Forest:
    """Points with intervals, per group and series.

    Args:
        title: the finding, a sentence.
        axis: what is measured, with its unit or its meaning at both ends.
        series: up to three names; the first is drawn strongest.
        groups: from top to bottom.
        low: left end of the axis.
        high: right end of the axis.
        mark: a value to draw a reference line at, and what it means.
        caption: how to read it.
    """

    title: str
    axis: str
    series: Sequence[str]
    groups: Sequence[ForestGroup]
    low: float
    high: float
    mark: tuple[float, str] | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """Cases of like probability: what was said, what turned out with its interval (all 0 to 1), how many."""

    said: float
    seen: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a model said against what turned out."""

    title: str
    said: str
    seen: str
    points: Sequence[CalibrationPoint]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line over whole steps, such as the loss per round."""

    title: str
    steps: str
    measure: str
    values: Sequence[float]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """One measure over time, and the band in which it should stay.

    Args:
        title: the finding, a sentence.
        measure: what is measured, with its unit.
        over: what the axis is, such as time.
        points: (place on the axis, value), at least two, in order.
        band: lower and upper end.
        ends: what stands at both ends of the axis.
        caption: how to read it.
    """

    title: str
    measure: str
    over: str
    points: Sequence[tuple[float, float]]
    band: tuple[float, float]
    ends: tuple[str, str]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Several curves over the same axes, such as precision over recall.

    Args:
        title: the finding, a sentence.
        measure: what goes upwards, with its unit.
        over: what goes to the right, with its unit.
        series: up to four: name and points (right, up), at least two each, in order; the first is drawn strongest.
        right: both ends of the axis to the right.
        up: both ends of the axis upwards.
        percent: whether both axes are shares, shown as per cent.
        marks: places on the axis to the right to draw reference lines at, and what they mean.
        caption: how to read it.
    """

    title: str
    measure: str
    over: str
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]]
    right: tuple[float, float] = (0.0, 1.0)
    up: tuple[float, float] = (0.0, 1.0)
    percent: bool = True
    marks: Sequence[tuple[float, str]] = ()
    caption: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.series) <= 4 or any(len(points) < 2 for _, points in self.series):
            raise InputError("a picture of lines must have 1 to 4 series of at least 2 points")


@dataclass(frozen=True, slots=True)
class Amounts:
    """Bars from zero to the right, such as costs to compare: label, value >= 0, and the value as text.

    Args:
        title: the finding, a sentence.
        unit: of the values.
        bars: from top to bottom.
        caption: how to read it.
    """

    title: str
    unit: str
    bars: Sequence[Bar]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """One part of `Shares`."""

    label: str
    count: int
    tone: Tone


@dataclass(frozen=True, slots=True)
class Shares:
    """Counts that make up a whole, as one bar."""

    title: str
    unit: str
    parts: Sequence[Share]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of `Bars`, to the right of zero or to the left."""

    label: str
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars to both sides of zero, such as the reasons of one decision."""

    title: str
    left: str
    right: str
    bars: Sequence[Bar]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """One node of a `TraceTree`: what it is, how well it stands, what hangs on it."""

    text: str
    standing: str
    detail: str = ""
    children: Sequence[Hop] = ()


@dataclass(frozen=True, slots=True)
class TraceTree:
    """Where something came from, as a tree; tones by standing, others are plain."""

    title: str
    root: Hop
    tones: Sequence[tuple[str, Tone]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Args:
        title: the finding, a sentence.
        header: column names, units included.
        rows: cells as text, as many as the header.
        numeric: which columns are numbers (set right).
        caption: where the figures come from.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise InputError(f"every row of a table must have {len(self.header)} cells")


@dataclass(frozen=True, slots=True)
class Points:
    """A short list of sentences."""

    title: str
    items: Sequence[str]


Part = Amounts | Bars | Calibration | Course | Curve | Forest | Grid | Lines | Points | Shares | TraceTree


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a paragraph and its parts; parts stand side by side where the page is wide."""

    title: str
    text: str
    parts: Sequence[Part]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """One page.

    Args:
        title: what the page is about.
        sentence: what happened, in one sentence.
        figures: the three figures that matter.
        sections: in the order of reading.
        footer: where the page comes from, in small print.
    """

    title: str
    sentence: str
    figures: Sequence[Figure]
    sections: Sequence[Section]
    footer: str = ""

    def __post_init__(self) -> None:
        if len(self.figures) != 3:
            raise InputError(f"a report must show three figures, got {len(self.figures)}")
