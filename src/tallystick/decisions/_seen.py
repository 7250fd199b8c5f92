"""A statement of one's own journal as oversight reads it: with what is sealed in it, when that can still be opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One statement.

    Args:
        id: the statement's id; empty for one that is not recorded yet.
        at: microseconds since the epoch.
        kind: ``noun.verb``.
        body: what everybody may read.
        links: label -> ids of earlier statements.
        sealed: the record of fields; None when it cannot be opened any more.
    """

    id: str
    at: int
    kind: str
    body: Mapping[str, Any]
    links: Mapping[str, Sequence[str]]
    sealed: Mapping[str, Any] | None

    def linked(self, label: str) -> str:
        """Return the one statement linked under a label, empty when there is not exactly one."""
        ids = self.links.get(label, ())
        return ids[0] if len(ids) == 1 else ""
