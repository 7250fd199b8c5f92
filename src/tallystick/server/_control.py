"""The kill switch of a running service: its journal is its own, so nobody else can state a control meanwhile.

Only stricter: a key stands for one person, and two have to agree on less. Those do it at the console, with
`tallystick control set`, while the service is stopped.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from tallystick.decisions import Control

from ._app import Key

__all__ = ["Controls", "add_control"]


class Controls(Protocol):
    """Where controls are set; `Oversight` is one."""

    def set_control(self, control: Control, *, by: str, reason: str) -> str: ...


class ControlSaid(BaseModel):
    """How far models may decide from now on, and why; everybody may read the reason."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["confirm", "rules", "refuse"]
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


def add_control(app: FastAPI, controls: Controls) -> FastAPI:
    """Add the route that makes decisions stricter at once, for all models.

    Args:
        app: from `create_app`.
        controls: where they are set.

    Returns:
        The same application.
    """

    @app.post("/v1/control", tags=["oversight"])
    def set_control(said: ControlSaid, key: Key) -> dict[str, Any]:
        """Let persons confirm, let rules decide alone, or refuse all payments. Only ever stricter than before."""
        return {"statement": controls.set_control(Control(said.mode), by=key.name, reason=said.reason)}

    return app
