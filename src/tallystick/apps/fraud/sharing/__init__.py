"""Sharing: what banks learn together about payees and terminals, without showing each other a customer."""

from __future__ import annotations

__all__: list[str] = []
