"""Applications: domain standards and pilots over the rooms below; each plugs in by the entry point group `tallystick.apps`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from tallystick.errors import NotFoundError
from tallystick.proof import HopCheck, Kind

__all__ = ["App", "find_app", "find_pilot", "installed_apps"]


@dataclass(frozen=True, slots=True)
class App:
    """What an application brings.

    Args:
        name: as it is typed.
        title: what it is for, one line.
        kinds: kinds of statements beside the standard ones.
        checks: (parent kind, link label) -> what computes that hop of a trace again.
        remarks: (parent kind, link label) -> what a hop of a trace does not show; `{by}` is the linked party.
        pilots: its pilots, by the name that is typed; each takes its own options.
    """

    name: str
    title: str
    kinds: Sequence[Kind] = ()
    checks: Callable[[], Mapping[tuple[str, str], HopCheck]] = dict
    remarks: Mapping[tuple[str, str], str] = field(default_factory=dict)
    pilots: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def installed_apps() -> list[App]:
    """Load every installed application, by name."""
    found = [point.load() for point in entry_points(group="tallystick.apps")]
    return sorted((app for app in found if isinstance(app, App)), key=lambda app: app.name)


def find_app(name: str) -> App:
    """Load one application.

    Raises:
        NotFoundError: it is not installed.
    """
    for point in entry_points(group="tallystick.apps", name=name):
        app = point.load()
        if isinstance(app, App):
            return app
    names = sorted(point.name for point in entry_points(group="tallystick.apps"))
    raise NotFoundError(f"there is no application {name!r}", hint=f"installed: {', '.join(names) or 'none'}")


def find_pilot(name: str) -> Callable[..., Any]:
    """Load the pilot of that name, whichever application offers it.

    Raises:
        NotFoundError: no installed application does.
    """
    pilots = {known: pilot for app in installed_apps() for known, pilot in app.pilots.items()}
    if name not in pilots:
        raise NotFoundError(
            f"there is no pilot {name!r}", hint=f"installed: {', '.join(sorted(pilots)) or 'none'}"
        )
    return pilots[name]
