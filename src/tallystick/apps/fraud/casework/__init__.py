"""Casework: what people do with decisions: cases, four eyes, labels, appeals."""

from __future__ import annotations

__all__: list[str] = []
