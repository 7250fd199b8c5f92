"""What a healthcare trace cannot show, said where somebody might think that it was shown."""

from __future__ import annotations

__all__ = ["REMARKS"]

REMARKS = {
    ("update.committed", "data"): "that the update came from these rows is {by}'s word",
    ("decision.made", "data"): "that the input is a row of it is {by}'s word",
}
