"""Tallystick: several organisations record, share, learn, decide and trade, and everyone can prove it.

Importing this package loads nothing; each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> room. Kept sorted; a test compares it with the rooms' own doors.
_WHERE: dict[str, str] = {
    "Journal": "proof",
    "Node": "node",
    "Party": "proof",
    "Policy": "proof",
    "Receipt": "proof",
    "TallystickError": "errors",
    "VerificationError": "errors",
    "trace": "proof",
    "verify": "proof",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tallystick.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
