"""Features: what is known about a payment the moment it is made, and never anything later."""

from __future__ import annotations

from ._source import FeatureSource, Signals

__all__ = ["FeatureSource", "Signals"]
