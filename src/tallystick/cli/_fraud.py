"""`tallystick fraud ...`: payments decided in real time."""

from __future__ import annotations

import typer

from tallystick.cli._command import lazy_group

__all__ = ["app"]

_HERE = "tallystick.cli"
# Command -> module; imported when it is used.
COMMANDS = {
    "shadow": f"{_HERE}._fraud_shadow",
    "observe": f"{_HERE}._fraud_observe",
    "compare": f"{_HERE}._fraud_observe",
    "simulate": f"{_HERE}._fraud_train",
    "train": f"{_HERE}._fraud_train",
    "serve": f"{_HERE}._fraud_serve",
    "keys": f"{_HERE}._fraud_serve",
    "share": f"{_HERE}._fraud_share",
}

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Decide payments in real time, each decision provable for years.",
)


@app.callback()
def _fraud() -> None:
    """Keep this a group of commands."""
