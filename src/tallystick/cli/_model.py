"""`tallystick model ...`: the commands on files and those on a workspace's registry, in one group."""

from __future__ import annotations

import typer

# Importing it adds its commands to those on files.
from tallystick.cli._model_use import model

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)
app.add_typer(model, name="model")
