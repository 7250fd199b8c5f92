"""A workspace on the disk: which file stands where, and the memory of the journal's head that lies outside of it.

    hospital-a/
      tallystick.toml     settings
      keys.json           encrypted key file, mode 0600
      journal/            statements, tree, checkpoints, cosignatures, encrypted payloads
      peers/              imported cards
      witness.json        heads of other journals that this party has cosigned
      outbox-….sqlite     what was sent to the chain, and what still has to be
      anchors.json        own heads that stand on the chain
      given/              notes that others signed, until whoever writes takes them in
      moving/             a move to another chain that is not over: its settings, outbox and anchored heads
      models/             model files, each under its hash
      openings/           inputs of oracle requests that this party may see, with what opens their commitment
      followed-….json     how far an oracle node or a watcher has followed the chain

The head file lies in the user's state directory (`$TALLYSTICK_STATE`, else `$XDG_STATE_HOME/tallystick`, else
`~/.local/state/tallystick`): a restored copy of the workspace must not bring an old memory with it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tallystick.errors import NotFoundError, StorageError
from tallystick.proof import OsFiles, read_whole, write_atomically

__all__ = ["Workspace", "head_file", "read_small", "write_small"]

SMALL_FILE_LIMIT = 64 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Workspace:
    """The places of one workspace's files."""

    path: Path

    @property
    def keys(self) -> Path:
        """The encrypted key file."""
        return self.path / "keys.json"

    @property
    def journal(self) -> Path:
        """The journal's directory."""
        return self.path / "journal"

    @property
    def peers(self) -> Path:
        """The directory of imported cards."""
        return self.path / "peers"

    @property
    def next_keys(self) -> Path:
        """The keys of a rotation that is not finished."""
        return self.path / "keys.next.json"

    @property
    def witness(self) -> Path:
        """The witness state."""
        return self.path / "witness.json"

    def outbox(self, account: str) -> Path:
        """The outbox of an account: a rotated chain key gets a new one."""
        return self.path / f"outbox-{account[2:10]}.sqlite"

    @property
    def anchors(self) -> Path:
        """Own heads on the chain."""
        return self.path / "anchors.json"

    @property
    def given(self) -> Path:
        """The directory of notes that others signed and that nobody has taken in yet."""
        return self.path / "given"

    @property
    def moving(self) -> Path:
        """The directory of a move to another chain that is not over."""
        return self.path / "moving"

    @property
    def models(self) -> Path:
        """The directory of model files."""
        return self.path / "models"

    @property
    def openings(self) -> Path:
        """The directory of openings."""
        return self.path / "openings"

    def followed(self, role: str, contract: str) -> Path:
        """How far a role (``oracle`` or ``watcher``) has followed a contract."""
        return self.path / f"followed-{role}-{contract[2:10]}.json"


def head_file(origin: str, heads: Path | None = None) -> Path:
    """Where the head of a journal is remembered, outside of every workspace; its directory exists on return.

    Args:
        origin: the journal's origin.
        heads: a directory to use instead of the user's own, for throw-away consortiums.

    Raises:
        StorageError: the state directory cannot be made.
    """
    named, home = os.environ.get("TALLYSTICK_STATE"), os.environ.get("XDG_STATE_HOME")
    if named:
        state = Path(named)
    else:
        state = (Path(home) if home else Path.home() / ".local" / "state") / "tallystick"
    directory = state / "heads" if heads is None else heads
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the state directory {directory} could not be made: {error.strerror}",
            hint="set TALLYSTICK_STATE to a directory that you can write, outside of the workspace",
        ) from error
    return directory / hashlib.sha256(origin.encode()).hexdigest()[:32]


def read_small(path: Path) -> bytes | None:
    """Read a small file of a workspace; None when it is not there."""
    try:
        return read_whole(OsFiles(), path, limit=SMALL_FILE_LIMIT)
    except NotFoundError:
        return None


def write_small(path: Path, data: bytes) -> None:
    """Replace a small file of a workspace atomically and durably, making its directory if need be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent} could not be made: {error.strerror}") from error
    write_atomically(OsFiles(), path, data)
