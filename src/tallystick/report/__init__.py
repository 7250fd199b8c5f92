"""One-page reports: pictures and tables for a busy reader, offline, on any screen; no rule of any domain."""

from __future__ import annotations

from tallystick.report._page import (
    Amounts,
    Bar,
    Bars,
    Calibration,
    CalibrationPoint,
    Course,
    Curve,
    Figure,
    Forest,
    ForestGroup,
    Grid,
    Hop,
    Interval,
    Lines,
    Points,
    Report,
    Section,
    Share,
    Shares,
    TraceTree,
)
from tallystick.report._render import render

__all__ = [
    "Amounts",
    "Bar",
    "Bars",
    "Calibration",
    "CalibrationPoint",
    "Course",
    "Curve",
    "Figure",
    "Forest",
    "ForestGroup",
    "Grid",
    "Hop",
    "Interval",
    "Lines",
    "Points",
    "Report",
    "Section",
    "Share",
    "Shares",
    "TraceTree",
    "render",
]
