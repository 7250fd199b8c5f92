"""The simulator: payments of several banks, their customers, terminals and fraudsters. Everything it makes is SIMULATED."""

from __future__ import annotations

__all__: list[str] = []
