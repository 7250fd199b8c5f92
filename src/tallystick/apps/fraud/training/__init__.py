"""Training: protocols that do not look into the future, models, and how good they are."""

from __future__ import annotations

__all__: list[str] = []
