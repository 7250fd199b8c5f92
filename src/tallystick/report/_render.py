"""Turn a report into one HTML file that needs nothing else: no script, no font, no network.

The pictures are SVG drawn with percentages and CSS variables, so text keeps its size on a phone and colours
follow light, dark and print. Everything that comes from data is escaped by the template engine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from tallystick.errors import InputError, MissingExtraError
from tallystick.report._page import Bar, Course, Forest, Grid, Part, Report, Shares

if TYPE_CHECKING:
    from jinja2 import Template


def render(report: Report) -> str:
    """Return the report as one self-contained HTML page.

    Raises:
        MissingExtraError: jinja2 is not installed.
        InputError: a figure is not a finite number.
    """
    template, markup = _template()
    return template.render(report=report, style=markup(_file("page.css")))


def _file(name: str) -> str:
    return resources.files("tallystick.report").joinpath(name).read_text(encoding="utf-8")


def _template() -> tuple[Template, Any]:
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise MissingExtraError("reports need jinja2", hint="pip install 'tallystick[ai]'") from error
    page = Environment(autoescape=True, undefined=StrictUndefined)
    page.filters.update(
        grouped=_grouped,
        kind=lambda part: type(part).__name__,
        largest=_largest,
        frame=_frame,
        laid_out=_laid_out,
        percent=lambda share: f"{share:.0%}",
        fifths=_fifths,
        place=_place,
        radius=lambda count: f"{min(3 + math.sqrt(count), 11):.1f}",
        ticks=_ticks,
        tone=lambda standing, tones: dict(tones).get(standing, "plain"),
    )
    return page.from_string(_file("page.html.j2")), Markup


def _laid_out(parts: Sequence[Part]) -> list[tuple[Part, bool]]:
    """Say of each part whether it takes the whole width: what is wide, and what would stand beside nothing."""
    wide = [
        isinstance(part, Forest | Shares) or (isinstance(part, Grid) and len(part.header) > 2)
        for part in parts
    ]
    beside = [False, *(not one for one in wide), False]
    return [(part, wide[n] or not (beside[n] or beside[n + 2])) for n, part in enumerate(parts)]


def _place(value: float, low: float, high: float) -> str:
    """Say where a value stands between low (0%) and high (100%), which may run backwards."""
    if not all(map(math.isfinite, (value, low, high))):
        raise InputError("a picture needs finite numbers, got NaN or infinity")
    share = (value - low) / (high - low) if high != low else 0.5
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from low to high, at steps of a tenth or wider."""
    step = next(step for step in (0.1, 0.2, 0.5, 1.0, math.inf) if (high - low) / step <= 6.5)
    if math.isinf(step):
        return [low, high]
    return [
        round(n * step, 6) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _fifths(ends: tuple[float, float]) -> list[float]:
    """Return five places from one end of an axis to the other."""
    low, high = ends
    return [low + (high - low) * quarter / 4 for quarter in range(5)]


def _frame(course: Course) -> tuple[float, float, float, float]:
    """Return the ends of both axes of a course: left, right, lowest, highest; the band is always inside."""
    places, values = [place for place, _ in course.points], [value for _, value in course.points]
    if len(places) < 2 or not all(map(math.isfinite, (*places, *values))):
        raise InputError("a course must have at least two points, all finite")
    low, high = min(*values, course.band[0]), max(*values, course.band[1])
    room = (high - low) * 0.06
    return places[0], places[-1], low - room, high + room


def _grouped(count: int) -> str:
    return f"{count:,}"


def _largest(bars: Sequence[Bar]) -> float:
    return max((abs(bar.value) for bar in bars), default=1.0) or 1.0
