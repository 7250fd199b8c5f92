"""What of a bank's journal goes into a pilot's bundle: enough to check everything that the report says, not all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from tallystick.proof import Entry, Journal

__all__ = ["OPENED", "chosen_entries"]

# Opened in the bundle: what re-execution needs, and nothing of a person.
OPENED: Final = frozenset({"data.registered", "model.published", "rules.stated", "update.committed"})
KEPT: Final = OPENED | {
    "case.judged", "case.opened", "consent.granted", "decision.overridden", "epoch.opened", "evaluation.reported",
    "hold.requested", "list.stated", "lookup.made", "lookup.served", "model.promoted", "payee.reported", "round.closed",
    "round.opened",
}  # fmt: skip
MOST_OF_A_KIND: Final = 40
LAST: Final = 60  # entries at the journal's end, whatever they are


def chosen_entries(journal: Journal, wanted: Iterable[str]) -> list[Entry]:
    """Choose entries: the wanted ones, the first of each rare kind, the journal's end, and all that these link.

    Args:
        journal: the bank's.
        wanted: ids of statements.
    """
    found: dict[int, Entry] = {}
    seen: Counter[str] = Counter()
    for entry in journal.entries(kinds=KEPT):
        kind = entry.statement.kind
        seen[kind] += 1
        if seen[kind] <= MOST_OF_A_KIND:
            found[entry.index] = entry
    for statement in wanted:
        entry = journal.entry(statement)
        found[entry.index] = entry
    for entry in journal.entries(max(0, journal.size - LAST), journal.size):
        found[entry.index] = entry
    # A statement never stands without those that it links: a trace must not end in the bundle's gaps.
    for entry in list(found.values()):
        for ids in entry.statement.links.values():
            for linked in ids:
                target = journal.entry(linked)
                found.setdefault(target.index, target)
    return [found[index] for index in sorted(found)]
