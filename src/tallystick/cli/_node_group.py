"""`tallystick node ...`: a party's node towards the other members."""

from __future__ import annotations

import typer

from tallystick.cli._command import lazy_group

__all__ = ["app"]

_HERE = "tallystick.cli"
# Command -> module; imported when it is used.
COMMANDS = {
    "serve": f"{_HERE}._node_serve",
    "witnesses": f"{_HERE}._node_ask",
    "ask": f"{_HERE}._node_ask",
    "watch": f"{_HERE}._node_serve",
}

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Your node towards other members: show your journal, witness theirs, follow their logs.",
)


@app.callback()
def _node() -> None:
    """Keep this a group of commands."""
