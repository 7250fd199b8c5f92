"""Several nodes in one process, re-exported for users' own tests."""

from __future__ import annotations

from tallystick.node import Consortium

__all__ = ["Consortium"]
