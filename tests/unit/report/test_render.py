"""A report is one page that needs nothing else, and escapes what comes from data."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tallystick.errors import InputError
from tallystick.report import (
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
    render,
)

EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta"}


def report(text: str = "plain") -> Report:
    parts = [
        Forest(text, text, (text, "b"), [ForestGroup(text, text, [Interval(0.5, 0.4, 0.6), None]),
               ForestGroup("x", "y", [None, None], text)], 0.4, 1.0, (0.5, text), text),
        Calibration(text, text, text, [CalibrationPoint(0.1, 0.2, 0, 0.5, 9), CalibrationPoint(0.9, 1, 0.5, 1, 4)], text),
        Curve(text, text, text, [0.7, 0.5, 0.4], text),
        Shares(text, text, [Share(text, 3, "good"), Share("b", 0, "faint")], text),
        Bars(text, text, text, [Bar(text, -0.5, text), Bar("b", 0.0, "0")], text),
        TraceTree(text, Hop(text, text, text, [Hop("child", "proved")]), [("proved", "good")], text),
        Grid(text, (text, "b", "c"), [(text, "1", "2")], frozenset({1}), text),
        Points(text, [text]),
        Course(text, text, text, [(0, 5.0), (15, 12.5), (30, -1.0)], (2, 8), (text, "b"), text),
        Amounts(text, text, [Bar(text, 3.0, text), Bar("b", 0.0, "0")], text),
        Lines(text, text, text, [(text, [(0.0, 1.0), (1.0, 0.1)]), ("b", [(0.0, 0.9), (1.0, 0.0)])], marks=((0.2, text), (0.5, text)), caption=text),
    ]  # fmt: skip
    return Report(text, text, [Figure(text, text, text)] * 3, [Section(text, text, parts)], text)


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Balance:
    found = Balance()
    found.feed(page)
    assert not found.open
    return found


def test_a_page_is_well_formed_and_holds_every_part() -> None:
    page = render(report())
    found = parsed(page)
    assert page.startswith("<!doctype html>")
    assert {"svg", "table", "figcaption", "circle"} <= found.seen
    assert page.count("<figure") == 11


def test_a_page_asks_for_nothing_from_outside_and_runs_no_script() -> None:
    page = render(report())
    found = parsed(page)
    assert not found.seen & {"script", "img", "iframe", "link", "object", "a"}
    assert not {name for name, _ in found.attributes} & {"src", "href", "onclick", "onload"}
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", page)
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_what_comes_from_data_is_escaped_everywhere() -> None:
    page = render(report(EVIL))
    found = parsed(page)
    assert "script" not in found.seen
    assert EVIL not in page
    assert page.count("&lt;script&gt;") >= 30


def test_a_page_follows_dark_light_phone_and_print() -> None:
    page = render(report())
    for rule in ("prefers-color-scheme: dark", "max-width: 46rem", "@media print", "width=device-width"):
        assert rule in page


def test_a_number_that_is_not_finite_is_refused() -> None:
    for value in (float("nan"), float("inf")):
        part = Curve("t", "s", "m", [value, 0.5])
        course = Course("t", "m", "o", [(0, 1.0), (1, value)], (2, 8), ("a", "b"))
        for wrong in (part, course):
            with pytest.raises(InputError):
                render(Report("t", "s", [Figure("1", "a")] * 3, [Section("x", "", [wrong])]))


def test_every_series_of_lines_is_drawn_between_its_own_points() -> None:
    page = render(report())
    assert page.count('class="path s0"') == 2  # once in the legend
    assert page.count('class="path s1"') == 2
    assert "25%" in page


def test_lines_without_two_points_or_with_too_many_series_are_refused() -> None:
    line = ("a", [(0.0, 1.0), (1.0, 0.0)])
    for series in ([], [("a", [(0.0, 1.0)])], [line] * 5):
        with pytest.raises(InputError, match="1 to 4 series"):
            Lines("t", "m", "o", series)


def test_a_course_of_one_point_is_refused() -> None:
    part = Course("t", "m", "o", [(0, 1.0)], (2, 8), ("a", "b"))
    with pytest.raises(InputError, match="two points"):
        render(Report("t", "s", [Figure("1", "a")] * 3, [Section("x", "", [part])]))


def test_a_report_without_its_three_figures_and_a_ragged_table_are_refused() -> None:
    with pytest.raises(InputError):
        Report("t", "s", [Figure("1", "a")], [])
    with pytest.raises(InputError):
        Grid("t", ("a", "b"), [("1",)])


def test_what_would_stand_beside_nothing_takes_the_whole_width() -> None:
    points, wide = Points("p", ["x"]), Shares("s", "of", [Share("a", 3, "good")])

    def spans(*parts: Points | Shares) -> list[bool]:
        page = render(Report("t", "s", [Figure("1", "f", "")] * 3, [Section("h", "", list(parts))], "f"))
        return [bool(found) for found in re.findall(r'<figure( class="span")?>', page)]

    assert spans(points) == [True]
    assert spans(points, points) == [False, False]
    assert spans(wide, points, wide) == [True, True, True]
    assert spans(points, points, wide, points) == [False, False, True, True]
