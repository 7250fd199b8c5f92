"""Opening a journal's files, and checking all of them.

Recovery is the normal way of opening: from the last synced size on (and at least over the last entries), hashes and
places are derived from the entries once more, and the root must be the one in the last signed checkpoint. That proves
the frontier, the tail and the checkpoint at once, after a crash as after a clean close. When it fails, everything is
derived from the first entry on: either the root comes out and the derived files are written anew, or an entry is
damaged and is named. Nothing stored is changed before the root has come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tallystick.errors import DamagedError, DisposedError
from tallystick.proof._checkpoints import Checkpoint
from tallystick.proof._hashes import REBUILD, Tree
from tallystick.proof._merkle import HASH_SIZE, leaf_hash, leaf_hashes
from tallystick.proof._store import Store

TAIL = 1024  # entries that every opening hashes again, even when all was synced
Progress = Callable[[int, int], None]
"""Called with the entries done and the entries in all."""


@dataclass(frozen=True, slots=True)
class Rehashed:
    """What was hashed again.

    Args:
        size: entries whose hashes were computed again and compared.
        disposed: of these, entries that are gone: their stored leaf hashes were taken for what they are, and the tree
            above them was computed up to the signed roots.
    """

    size: int
    disposed: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening a journal had to do.

    Args:
        cut_bytes: bytes that no checkpoint covered, never acknowledged, and dropped.
        derived_from: first entry from which hashes and places were derived again.
        rebuilt: whether the stored hashes were wrong and all of them were written anew.
    """

    cut_bytes: int
    derived_from: int
    rebuilt: bool


def recover(store: Store, check: Callable[[Checkpoint], None]) -> Recovery:
    """Bring a store that was opened for writing to its last signed head.

    Args:
        store: freshly opened.
        check: raises when a checkpoint is not this journal's.

    Raises:
        DamagedError: an entry or a checkpoint is damaged; the entry is named.
    """
    head, cut = store.heads.recover()
    check(head)
    synced = min(store.heads.synced_size, head.size)
    start = min(synced, max(0, head.size - TAIL))
    tree = _derived(store, start, head)
    rebuilt = tree is None
    if rebuilt:
        start = 0
        store.heads.mark_synced(0)
        tree = _derived(store, 0, head)
    if tree is None:
        raise _locate(store, head)
    store.take_up(head, tree)
    _write_kinds(store, start)
    _write_derived(store, start, head.size)
    cut += store.segments.cut(head.size)
    store.synced = 0 if rebuilt else synced
    if head.size - store.synced >= TAIL:
        store.sync_derived()
    return Recovery(cut, start, rebuilt)


def take_up_for_reading(store: Store, check: Callable[[Checkpoint], None]) -> None:
    """Bring a store that was opened for reading to the last durable head.

    Raises:
        DamagedError: head or stored hashes are damaged.
    """
    head = store.heads.durable()
    check(head)
    store.segments.refresh()
    store.kinds.refresh()
    tree = store.hashes.tree(head.size)
    if tree.root() != head.root:
        raise DamagedError("the stored hashes do not have the signed root", hint="open it once for writing")
    store.take_up(head, tree)


def verify_store(store: Store, progress: Progress | None = None) -> Rehashed:
    """Hash every entry and every subtree again and compare them with all that is stored and signed.

    Entries may be appended meanwhile: what is checked ends at the head of the beginning.

    Raises:
        DamagedError: names the first entry, hash, place or checkpoint that is wrong.
    """
    head = store.head
    checkpoints = _up_to(store.heads.walk(), head)
    tree, gone = Tree(), 0
    signed = _check_signed(tree, next(checkpoints, None), checkpoints)
    for first, leaves, entries, places in _leaf_passes(store, 0, head.size):
        if places is None:
            gone += _check_remains(store, first, leaves)
        elif store.segments.read_offsets(first, len(places)) != tuple(places):
            raise _first_wrong_place(store, head, first, places)
        else:
            _check_kinds(store, first, entries)
        done = 0
        while done < len(leaves):
            stop = min(len(leaves), signed.size - first) if signed else len(leaves)
            for level, index, packed in tree.extend(leaves[done:stop]):
                if store.hashes.read(level, index, len(packed) // HASH_SIZE) != packed:
                    raise _locate(store, head)
            done = stop
            signed = _check_signed(tree, signed, checkpoints)
        if progress:
            progress(tree.size, head.size)
    if tree.root() != head.root:
        raise _locate(store, head)
    for _ in checkpoints:  # what is left is of this size and was compared, or the file ends too early
        pass
    store.segments.check_lengths(head.size)
    store.ids.verify(head.size, lambda: progress(head.size, head.size) if progress else None)
    return Rehashed(head.size, gone)


def _leaf_passes(
    store: Store, start: int, stop: int
) -> Iterator[tuple[int, list[bytes], list[bytes], list[int] | None]]:
    """Walk over leaf hashes: those of the entries, or what stays of segments that were disposed of.

    Yields:
        Index of the first, leaf hashes, entries and their places; no entries, and None, where they are gone.
    """
    while start < stop:
        end, gone = store.segments.span(start, stop)
        if gone:
            yield start, store.segments.remains_of(start).leaves(start, end), [], None
            start = end
            continue
        try:
            for first, entries, places in store.segments.passes(start, end):
                start = first + len(entries)
                yield first, leaf_hashes(entries), entries, places
        except DisposedError:
            continue  # it was disposed of just now: look again


def _check_kinds(store: Store, first: int, entries: list[bytes]) -> None:
    try:
        store.kinds.check(first, entries)
    except DamagedError:
        # Another thread may be disposing of them: kinds are marked as gone just before the segment goes.
        if not store.segments.is_leaving(first):
            raise


def _check_remains(store: Store, first: int, leaves: list[bytes]) -> int:
    """Check kept entries against their leaves, and what the index of kinds says; returns how many are gone."""
    kept = store.segments.remains_of(first).kept(first, first + len(leaves))
    for index, entry in kept:
        if leaf_hash(entry) != leaves[index - first]:
            raise _damaged_entry(index)
    store.kinds.check_gone(first, first + len(leaves), kept)
    return len(leaves) - len(kept)


def _up_to(found: Iterator[Checkpoint], head: Checkpoint) -> Iterator[Checkpoint]:
    """Give the checkpoints up to a head, which must be among them; a writer may have added later ones."""
    size = -1
    for checkpoint in found:
        if checkpoint.size > head.size:
            break
        size = checkpoint.size
        yield checkpoint
    if size != head.size:
        raise DamagedError("`checkpoints` ends before the head", hint=_RESTORE)


def _check_signed(
    tree: Tree, signed: Checkpoint | None, checkpoints: Iterator[Checkpoint]
) -> Checkpoint | None:
    """Compare the tree with the checkpoints of its size; return the next one of a larger size."""
    while signed is not None and signed.size <= tree.size:
        if signed.size < tree.size or signed.root != tree.root():
            raise DamagedError(f"the checkpoint of size {signed.size} does not fit the entries")
        signed = next(checkpoints, None)
    return signed


def _derived(store: Store, start: int, head: Checkpoint) -> Tree | None:
    """Derive the tree from ``start`` on without writing; None when the head's root does not come out."""
    try:
        tree = store.hashes.tree(start)
        for _, leaves, _, _ in _leaf_passes(store, start, head.size):
            tree.extend(leaves)
    except DamagedError:
        return None
    return tree if (tree.size, tree.root()) == (head.size, head.root) else None


def _write_kinds(store: Store, stop: int) -> None:
    """Write the kinds before ``stop`` that no opening has written yet; only an older journal, or a damaged index, has any."""
    start = store.kinds.begin(stop)
    for first, leaves, entries, places in _leaf_passes(store, start, stop):
        _write_kinds_of(store, first, leaves, entries if places is not None else None)
    if start < stop:
        store.kinds.sync()


def _write_kinds_of(store: Store, first: int, leaves: list[bytes], entries: list[bytes] | None) -> None:
    if entries is not None:
        store.kinds.derive(first, entries)
        return
    stop = first + len(leaves)
    store.kinds.derive_gone(first, stop, store.segments.remains_of(first).kept(first, stop))


def _write_derived(store: Store, start: int, size: int) -> None:
    """Write hashes, kinds and places from ``start`` on wherever other bytes are stored."""
    tree = store.hashes.tree(start)
    for first, leaves, entries, places in _leaf_passes(store, start, size):
        if places is not None and store.segments.read_offsets(first, len(places)) != tuple(places):
            store.segments.write_offsets(first, places)
        _write_kinds_of(store, first, leaves, entries if places is not None else None)
        parts = tree.extend(leaves)
        wrong = [
            part
            for part in parts
            if store.hashes.read(part[0], part[1], len(part[2]) // HASH_SIZE) != part[2]
        ]
        store.hashes.write(wrong)


def _first_wrong_place(store: Store, head: Checkpoint, first: int, places: list[int]) -> DamagedError:
    stored = store.segments.read_offsets(first, len(places))
    located = _locate(store, head)
    if "entry" in located.message:
        return located
    index = next((at for at, place in enumerate(places) if at >= len(stored) or stored[at] != place), 0)
    return DamagedError(f"the stored place of entry {first + index} is damaged", hint=REBUILD)


def _locate(store: Store, head: Checkpoint) -> DamagedError:
    """Find what is damaged when the head's root does not come out.

    The entries against the stored leaf hashes name the entry. If they agree, the head's root over the entries tells
    whether a stored inner hash is wrong; if not, the checkpoints between narrow it down.
    """
    tree = Tree()
    wrong: int | None = None
    try:
        for first, leaves, _, _ in _leaf_passes(store, 0, head.size):
            stored = store.hashes.read(0, first, len(leaves))
            if wrong is None and stored != b"".join(leaves):
                pairs = enumerate(leaves)
                wrong = next(
                    first + at for at, leaf in pairs if stored[HASH_SIZE * at : HASH_SIZE * (at + 1)] != leaf
                )
            tree.extend(leaves)
    except DamagedError as error:
        return error if wrong is None else _damaged_entry(wrong)
    if tree.root() == head.root:
        return DamagedError("a stored hash is damaged, all entries are intact", hint=REBUILD)
    if wrong is not None:
        return _damaged_entry(wrong)
    return _between_checkpoints(store, head)


def _between_checkpoints(store: Store, head: Checkpoint) -> DamagedError:
    tree, good = Tree(), 0
    for signed in store.heads.walk():
        for _, leaves, _, _ in _leaf_passes(store, tree.size, min(signed.size, head.size)):
            tree.extend(leaves)
        if tree.root() != signed.root:
            return DamagedError(f"an entry from {good} to {signed.size - 1} is damaged", hint=_RESTORE)
        good = signed.size
    return DamagedError("the last checkpoint does not fit the entries", hint=_RESTORE)


_RESTORE = "restore the segment from a backup or another copy"


def _damaged_entry(index: int) -> DamagedError:
    return DamagedError(f"entry {index} is damaged on the disk", hint=_RESTORE)
