"""Payments: what they are, and how messages and tables become them."""

from __future__ import annotations

from ._payment import CHANNELS, Label, Payment

__all__ = ["CHANNELS", "Label", "Payment"]
