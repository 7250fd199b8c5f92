"""`tallystick network ...`: the validators of a consortium's network."""

from __future__ import annotations

import typer

from tallystick.cli._command import lazy_group

__all__ = ["app"]

_HERE = "tallystick.cli"
# Command -> module; imported when it is used.
COMMANDS = {
    "build": f"{_HERE}._network_run",
    "new": f"{_HERE}._network_run",
    "up": f"{_HERE}._network_run",
    "down": f"{_HERE}._network_run",
    "status": f"{_HERE}._network_run",
    "join": f"{_HERE}._network_join",
    "assemble": f"{_HERE}._network_join",
    "attach": f"{_HERE}._network_join",
    "validators": f"{_HERE}._network_validators",
    "lend": f"{_HERE}._network_validators",
    "add": f"{_HERE}._network_validators",
    "remove": f"{_HERE}._network_validators",
    "besu": f"{_HERE}._network_besu",
}

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Lay out, join and look after the validators of a consortium's network.",
)


@app.callback()
def _network() -> None:
    """Keep this a group of commands."""
