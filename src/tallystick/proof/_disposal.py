"""Disposal: whole segments go when their retention is over, and no proof is lost.

Rules:

- only closed segments go, as wholes; their leaf hashes, and with them all levels of the tree, stay;
- entries of kinds that are to be kept stay readable, with their place;
- the order is: what stays is durable, then the statement ``retention.disposed`` is durable, only then anything goes;
- a crash before the statement leaves files that the next opening removes; a crash after it leaves a segment beside
  what stays of it, and the next opening, or call, ends what was begun. A statement alone never deletes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tallystick.errors import DamagedError, StatementError
from tallystick.proof._entries import walk_entries, walk_kinds
from tallystick.proof._kinds_index import fits_kinds, kinds_of
from tallystick.proof._remains import write_remains
from tallystick.proof._store import Store

__all__ = ["DISPOSED", "Disposed", "disposable", "dispose", "finish_disposal"]

DISPOSED = "retention.disposed"
_ALWAYS = "retention."  # a disposal ends what a crash left half done by reading these

DisposePayloads = Callable[[int, int, Collection[int]], int]
"""Frees the payloads of a segment's entries but for some; returns the bytes."""
Alone = Callable[[Callable[[], object]], object]
"""Runs something that writes while nothing else does."""
State = Callable[[str, dict[str, Any]], object]
"""Appends a statement, durably."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Disposed:
    """What a disposal did, or would do.

    Args:
        first: first entry of the segments.
        stop: the entry behind their last; equal to ``first`` when there is nothing to dispose of.
        segments: how many.
        kept: entries that stay readable.
        bytes: bytes of the files that go, less those of what stays.
    """

    first: int
    stop: int
    segments: int
    kept: int = 0
    bytes: int = 0


def disposable(store: Store, before: int) -> Disposed:
    """Say what could be disposed of: all closed segments that lie wholly below an index."""
    spans = _spans(store, before)
    if not spans:
        return Disposed(0, 0, 0)
    return Disposed(
        spans[0][0], spans[-1][1], len(spans), bytes=sum(store.segments.bytes_of(first) for first, _ in spans)
    )


def dispose(
    store: Store,
    before: int,
    *,
    keep: Collection[str],
    also: Collection[int],
    state: State,
    alone: Alone,
    payloads: DisposePayloads,
    progress: Progress | None = None,
) -> Disposed:
    """Dispose of all closed segments that lie wholly below an index; see `Journal.dispose`."""
    kinds = sorted({*keep, _ALWAYS})
    if not all(0 < len(kind) <= 100 for kind in kinds) or len(kinds) > 200:
        raise StatementError("kinds to keep must be at most 200 names")
    spans = _spans(store, before)
    if not spans:
        return Disposed(0, 0, 0)
    freed, kept = 0, 0
    for first, stop in spans:
        kept += _write_remains(store, first, stop, kinds, also)
    # From here on the statement answers for it: whatever ends this now, the next opening goes on with it.
    state(DISPOSED, {"first": spans[0][0], "keep": kinds, "last": spans[-1][1] - 1})
    for at, (first, stop) in enumerate(spans):
        freed += _release(store, first, stop, alone=alone, payloads=payloads)
        if progress:
            progress(at + 1, len(spans))
    return Disposed(spans[0][0], spans[-1][1], len(spans), kept, freed)


def finish_disposal(store: Store, *, alone: Alone, payloads: DisposePayloads) -> int:
    """End what a crash left half done; how many segments went."""
    half = store.segments.half_disposed()
    if not half:
        return 0
    said = [entry.statement.body for entry in walk_kinds(store, 0, store.head.size, [DISPOSED])]
    gone = 0
    for first, stop in half:
        if stop < store.head.size and any(_begun(store, first, stop, body) for body in said):
            _release(store, first, stop, alone=alone, payloads=payloads)
            gone += 1
        else:
            # The statement never became durable: the segment stays, whole as it is.
            alone(partial(store.segments.drop_remains, first))
    return gone


def _begun(store: Store, first: int, stop: int, body: Mapping[str, Any]) -> bool:
    """Tell whether a statement is that of the disposal which wrote a segment's remains."""
    try:
        remains = store.segments.remains(first)
        remains.kept(first, stop)
    except DamagedError:
        return False  # while the segment is there, nothing else is needed
    return (
        body["first"] <= first
        and stop - 1 <= body["last"]
        and (remains.stop, list(remains.keep)) == (stop, body.get("keep"))
    )


def _spans(store: Store, before: int) -> list[tuple[int, int]]:
    # The segment that entries are written to must stay, and so must the last entry, which holds the last time.
    size = store.head.size
    return [span for span in store.segments.closed() if span[1] <= before and span[1] < size]


def _write_remains(store: Store, first: int, stop: int, keep: Collection[str], also: Collection[int]) -> int:
    """Write what stays of a segment; the entries are proved against the signed root while they are read."""
    wanted = frozenset(kind.encode() for kind in keep)
    known = {name.encode() for name in store.kinds.names()}
    leaves, kept = list[bytes](), list[tuple[int, bytes]]()
    for entry in walk_entries(store, first, stop):
        leaves.append(bytes.fromhex(entry.id))
        (kind,) = kinds_of([entry.bytes])
        # Of a kind that no index lists, nobody can have said whether it may go.
        if entry.index in also or kind not in known or fits_kinds(kind, wanted):
            kept.append((entry.index, entry.bytes))
    path = store.segments.remains_path(first)
    write_remains(store.files, path, first=first, keep=keep, kept=kept, leaves=leaves)
    return len(kept)


def _release(store: Store, first: int, stop: int, *, alone: Alone, payloads: DisposePayloads) -> int:
    """Let a segment go whose remains and whose statement are durable; returns the bytes that became free."""
    freed = 0

    def act() -> None:
        nonlocal freed
        remains = store.segments.remains(first)
        kept = remains.kept(first, stop)
        # Each step may be done again: as long as the segment is there, an opening begins here once more.
        freed += payloads(first, stop, [index for index, _ in kept])
        store.kinds.derive_gone(first, stop, kept)
        store.kinds.sync()
        freed += store.segments.drop(first)

    alone(act)
    return freed
