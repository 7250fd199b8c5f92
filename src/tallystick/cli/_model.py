"""`tallystick model ...`: the commands on files and those on a workspace's registry, in one group."""

from __future__ import annotations

import typer

# Importing it adds its commands to those on files.
from tallystick.cli import _model_card, _model_fit, _model_import, _model_use

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)
assert _model_card.model is _model_fit.model is _model_import.model is _model_use.model
app.add_typer(_model_use.model, name="model")
