"""Entries, their tree and their signed heads on disk: a journal without the meaning of its statements.

A directory holds ``journal.json`` (format and origin, written last: without it there is no journal), ``lock``,
``segments/``, ``offsets``, ``kinds``, ``ids``, ``hashes/``, ``checkpoints`` and ``marks``. What each file promises stands
in `_segments`, `_kinds_index`, `_ids_index`, `_hashes` and `_heads`.

Order of a commit, and why a crash at each point is safe:

1. entries into the segment, sync — a crash leaves entries that no checkpoint covers: recovery cuts them;
2. hashes, offsets and kinds, without a sync — derivable from the entries;
3. the checkpoint is signed, written, synced — a torn record is cut with what it would have covered;
4. only now the mark for readers moves, the head in memory changes and the caller hears of it.

Whoever was told of an entry can therefore find it after any crash. Whoever was not told may find it or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tallystick.errors import (
    ConfigurationError,
    DamagedError,
    DisposedError,
    EncodingError,
    NotFoundError,
    ProofError,
)
from tallystick.proof._checkpoints import Checkpoint
from tallystick.proof._encoding import check_format, format_json, parse_json
from tallystick.proof._files import Files, Lock, make_directories, read_whole, write_atomically
from tallystick.proof._hashes import REBUILD, Hashes, Tree
from tallystick.proof._heads import Heads, create_heads
from tallystick.proof._ids_index import IdsIndex
from tallystick.proof._kinds_index import KindsIndex
from tallystick.proof._merkle import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    leaf_hashes,
    range_root,
    root_from_inclusion,
    verify_consistency,
)  # fmt: skip
from tallystick.proof._segments import SEGMENT_SIZE, Segments

Sign = Callable[[int, bytes], Checkpoint]
"""Signs a size and a root."""

SYNC_INTERVAL = (
    65_536  # entries after which hashes and offsets are synced: what an unclean opening reads at most
)
_FORMAT = "tallystick/journal"
_OWN_NAMES = {"checkpoints", "hashes", "ids", "kinds", "kinds.names", "lock", "marks", "offsets", "segments"}
_CACHED_LEVEL = 8  # hashes from this level on, or a higher one in a large journal, are kept in memory
_CACHE_BITS = 15  # so that the kept levels have at most 2**16 hashes, about 10 MB


class Store:
    """The files of one open journal; one thread at a time may call `commit`, any number may read.

    Args:
        files: file operations.
        directory: an existing journal's directory.
        write: hold the lock and allow commits.
        segment_size: bytes after which a segment is full.
    """

    def __init__(
        self, files: Files, directory: Path, *, write: bool, segment_size: int = SEGMENT_SIZE
    ) -> None:
        self.files = files
        self.directory = directory
        self.origin = read_origin(files, directory)
        self._lock: Lock | None = files.lock(directory / "lock") if write else None
        try:
            self.heads = Heads(files, directory, write=write)
            self.hashes = Hashes(files, directory, write=write)
            self.segments = Segments(files, directory, write=write, segment_size=segment_size)
            self.kinds = KindsIndex(files, directory, write=write)
            self.ids = IdsIndex(files, directory, self.hashes, write=write)
        except BaseException:
            self._unlock()
            raise
        self.head = Checkpoint(self.origin, 0, EMPTY_ROOT, b"")
        self._tree = Tree()
        self.synced = 0
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._parts: dict[tuple[int, int], bytes] = {}
        self._roots: dict[int, bytes] = {}

    def take_up(self, head: Checkpoint, tree: Tree) -> None:
        """Continue from a head that was checked, with the tree that has its root."""
        self.head, self._tree = head, tree
        self._roots = {head.size: head.root}

    def commit(self, entries: Sequence[bytes], sign: Sign) -> list[bytes]:
        """Append entries and return when they and the checkpoint over them are on the disk.

        Returns:
            The entries' leaf hashes.

        Raises:
            StorageError: some step failed; nothing may be committed through this object any more.
        """
        leaves = leaf_hashes(entries)
        self.segments.append(entries, index=self.head.size)
        self.kinds.write(self.head.size, entries)
        self.hashes.write(self._tree.extend(leaves))
        self.sign_head(sign)
        if self.head.size - self.synced >= SYNC_INTERVAL:
            self.sync_derived()
        return leaves

    def sign_head(self, sign: Sign) -> None:
        """Sign the tree as it stands and make that the head."""
        head = sign(self._tree.size, self._tree.root())
        self.heads.append(head)
        self._roots[head.size] = head.root
        self.head = head

    def sync_derived(self) -> None:
        """Make hashes, offsets and kinds durable, then remember up to where they are."""
        size = self.head.size
        self.segments.sync_offsets()
        self.kinds.sync()
        self.hashes.sync()
        self.heads.mark_synced(size)
        self.synced = size

    def read(self, index: int, *, size: int | None = None) -> tuple[bytes, list[bytes]]:
        """Read an entry with its inclusion path, both hashed again up to the signed root.

        Raises:
            NotFoundError: the index is not below the size.
            DamagedError: entry or path are not what was signed.
            DisposedError: the entry was disposed of.
        """
        head = self.head
        size = head.size if size is None else size
        if not 0 <= index < size <= head.size:
            raise NotFoundError(f"expected an entry below {min(size, head.size)}, got {index}")
        root = self.root(size)
        entry = self.segments.read(index)
        path = inclusion_path(index, size=size, node=self._node, part=self._part)
        if root_from_inclusion(leaf_hash(entry), index=index, size=size, path=path) != root:
            raise self._blame(index, entry, path, size=size, root=root)
        return entry, path

    def path(self, index: int, *, size: int | None = None) -> list[bytes]:
        """Make an entry's inclusion path; of one that was disposed of, from its stored leaf hash.

        Raises:
            NotFoundError: the index is not below the size.
            DamagedError: what is stored does not lead to the root.
        """
        try:
            return self.read(index, size=size)[1]
        except DisposedError:
            size = self.head.size if size is None else size
            root = self.root(size)
            path = inclusion_path(index, size=size, node=self._node, part=self._part)
            leaf = self.hashes.node(0, index)
            if root_from_inclusion(leaf, index=index, size=size, path=path) != root:
                raise DamagedError(
                    f"a stored hash of entry {index}, or on its path, is damaged", hint=REBUILD
                ) from None
            return path

    def root(self, size: int) -> bytes:
        """Return the root at a size, proved against the signed head unless it was before.

        Raises:
            NotFoundError: the size is above the head's.
            DamagedError: the stored hashes do not lead to the head.
        """
        known = self._roots.get(size)
        if known is not None:
            return known
        head = self.head
        if not 0 <= size <= head.size:
            raise NotFoundError(f"expected a size of at most {head.size}, got {size}")
        root = range_root(0, size, node=self._node)
        path = consistency_path(size, head.size, node=self._node)
        self._check_consistent(size, root, head, path)
        if len(self._roots) >= 1024:
            self._roots = {head.size: head.root}
        self._roots[size] = root
        return root

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Make the consistency path between two sizes and check it against the signed head."""
        old_root, new_root = self.root(old), self.root(new)
        path = consistency_path(old, new, node=self._node)
        self._check_consistent(old, old_root, Checkpoint(self.origin, new, new_root, b""), path)
        return path

    def _check_consistent(self, size: int, root: bytes, head: Checkpoint, path: list[bytes]) -> None:
        try:
            verify_consistency(
                old_size=size,
                new_size=head.size,
                old_root=root,
                new_root=head.root,
                path=path,
                allow_empty=True,
            )
        except ProofError as error:
            raise DamagedError(
                f"the stored hashes between the sizes {size} and {head.size} are damaged", hint=REBUILD
            ) from error

    def _node(self, level: int, index: int) -> bytes:
        if level < max(_CACHED_LEVEL, self.head.size.bit_length() - _CACHE_BITS):
            return self.hashes.node(level, index)
        key = (level, index)
        known = self._nodes.get(key)
        if known is None:
            if len(self._nodes) >= 2 << _CACHE_BITS:
                self._nodes = {}  # most are of a level that the journal has grown out of
            known = self._nodes[key] = self.hashes.node(level, index)
        return known

    def _part(self, start: int, stop: int) -> bytes:
        key = (start, stop)
        known = self._parts.get(key)
        if known is None:
            if len(self._parts) >= 4096:
                self._parts = {}
            known = self._parts[key] = range_root(start, stop, node=self._node)
        return known

    def _blame(self, index: int, entry: bytes, path: list[bytes], *, size: int, root: bytes) -> DamagedError:
        stored = self.hashes.node(0, index)
        if (
            stored != leaf_hash(entry)
            and root_from_inclusion(stored, index=index, size=size, path=path) == root
        ):
            return DamagedError(f"entry {index} is damaged on the disk", hint="restore it from a backup")
        return DamagedError(f"a stored hash or place of entry {index} is damaged", hint=REBUILD)

    def close(self) -> None:
        """Close all files and give the lock back."""
        self.segments.close()
        self.kinds.close()
        self.ids.close()
        self.hashes.close()
        self.heads.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def read_origin(files: Files, directory: Path) -> str:
    """Read which journal a directory holds.

    Raises:
        NotFoundError: none.
        DamagedError: the file that says so is damaged, or missing while entries are there.
        UnknownFormatError: a later version.
    """
    try:
        data = read_whole(files, directory / "journal.json", limit=4096)
    except NotFoundError as error:
        if files.exists(directory / "segments") and files.list(directory / "segments"):
            raise DamagedError(
                "journal.json is missing beside entries", hint="restore it from a backup"
            ) from error
        raise NotFoundError("there is no journal here") from error
    try:
        document = check_format(parse_json(data), _FORMAT)
        if set(document) != {"origin", "type", "v"} or type(document["origin"]) is not str:
            raise EncodingError("expected origin, type and v")
    except EncodingError as error:
        raise DamagedError("journal.json is damaged", hint="restore it from a backup") from error
    return str(document["origin"])


def create_store(files: Files, directory: Path, origin: str, sign: Sign) -> None:
    """Make an empty journal with its first signed checkpoint.

    ``journal.json`` comes last: a crash before it leaves parts that the next attempt writes again.

    Raises:
        ConfigurationError: the directory holds something else.
    """
    make_directories(files, directory)
    strange = {
        name for name in files.list(directory)
        if not name.startswith(".") and name not in _OWN_NAMES
    }  # fmt: skip
    if strange:
        raise ConfigurationError(
            f"expected an empty directory, got one that holds {min(strange)}",
            hint="choose a directory of its own",
        )
    lock = files.lock(directory / "lock")
    try:
        for name in ("segments", "hashes"):
            files.make_directory(directory / name)
        create_heads(files, directory, sign(0, EMPTY_ROOT))
        files.sync_directory(directory)
        document = {"origin": origin, "type": _FORMAT, "v": 1}
        write_atomically(files, directory / "journal.json", format_json(document), mode=0o600)
    finally:
        lock.close()
