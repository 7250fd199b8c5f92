"""Backup and restore of a workspace as one file.

A backup is a zip file of the workspace as it stands on the disk, keys still encrypted, plus `backup.json` that lists
every file with its SHA-256. What it leaves out on purpose:

- locks and temporary files;
- the witness state: an old one could cosign a second history, so a restored workspace retires its witness key;
- the memory of the head, which lies outside of the workspace for exactly this case.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.errors import ConfigurationError, DamagedError, EncodingError, NotFoundError, StorageError
from tallystick.proof import check_format, format_json, journal_id, parse_json

from ._anchoring import collect_claims, read_claims
from ._node import Node
from ._settings import Settings
from ._workspace import Workspace, write_small

__all__ = ["BackedUp", "ask_chain", "backup", "restore"]

UNPACKED_LIMIT = 1024**4  # bytes
FILE_LIMIT = 1_000_000
_FORMAT = "tallystick/backup"
_LEFT_OUT = re.compile(r"(^|/)(lock|witness\.json|.*\.new|.*-(wal|shm))$")
_plain = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*").fullmatch


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds: whose journal, how many statements, how many files and bytes."""

    origin: str
    size: int
    files: int
    bytes: int


def backup(node: Node, path: Path) -> BackedUp:
    """Write a backup; the node holds the journal's lock, so nothing moves meanwhile.

    Raises:
        StorageError: it could not be written, or something is there already.
    """
    top = node.workspace.path
    if path.exists():
        raise StorageError(f"{path} is there already", hint="name a new file: backups are not overwritten")
    if top.resolve() in path.resolve().parents:
        raise ConfigurationError("a backup must lie outside of the workspace that it saves")
    names = sorted(
        name
        for file in top.rglob("*")
        if file.is_file() and not _LEFT_OUT.search(name := file.relative_to(top).as_posix())
    )
    listed: dict[str, str] = {}
    total = 0
    try:
        with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            for name in names:
                data = _read(top / name)
                listed[name] = hashlib.sha256(data).hexdigest()
                total += len(data)
                archive.writestr(name, data)
            empty = [place for place in top.rglob("*") if place.is_dir() and not any(place.iterdir())]
            document = {
                "directories": sorted(place.relative_to(top).as_posix() for place in empty),
                "files": listed,
                "origin": node.origin,
                "size": node.journal.size,
                "type": _FORMAT,
                "v": 1,
            }
            archive.writestr("backup.json", format_json(document))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"the backup could not be written: {error.strerror}") from error
    path.chmod(0o600)
    return BackedUp(node.origin, node.journal.size, len(names), total)


def _read(path: Path) -> bytes:
    if path.suffix != ".sqlite":
        return path.read_bytes()
    # SQLite's own copy: the main file alone may lack what stands in its write-ahead log.
    try:
        source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return source.serialize()
        finally:
            source.close()
    except sqlite3.Error as error:
        raise StorageError(f"{path.name} could not be read: {error}") from error


def restore(path: Path, directory: Path) -> BackedUp:
    """Restore a backup into a new directory.

    The workspace opens; its journal refuses to sign when this machine remembers a later head, and the chain refuses
    older heads in any case. Its witness key must be replaced: `tallystick card rotate --role witness`.

    Raises:
        NotFoundError: no such file.
        ConfigurationError: the directory is in use.
        DamagedError: not a backup, or it is damaged; nothing was written.
    """
    if directory.exists() and any(directory.iterdir()):
        raise ConfigurationError(f"{directory} is not empty", hint="restore into a new directory")
    try:
        with zipfile.ZipFile(path) as archive:
            document, files = _unpack(archive)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no backup {path}") from error
    except (zipfile.BadZipFile, zlib.error, EncodingError, KeyError, OSError, RuntimeError) as error:
        raise DamagedError("this is not a backup, or it is damaged", hint="take another copy") from error
    # Settings last: without them there is no workspace, so a crash before leaves nothing half made in use.
    for name in sorted(files, key=lambda name: name == "tallystick.toml"):
        write_small(directory / name, files[name])
    for name in document["directories"]:
        (directory / name).mkdir(parents=True, exist_ok=True)
    return BackedUp(document["origin"], document["size"], len(files), sum(map(len, files.values())))


def ask_chain(directory: Path, origin: str) -> int:
    """Write down what the chain has of a restored journal, so that an older copy refuses to go on.

    Args:
        directory: the restored workspace.
        origin: of its journal.

    Returns:
        The size of the newest head on the chain; 0 when there is none, or no chain.

    Raises:
        TallystickError: the chain is not there, or does not answer.
    """
    settings = Settings.read(directory).chain
    if settings is None or not settings.anchors:
        return 0
    from tallystick.chain import Anchors, connect

    workspace = Workspace(directory)
    with connect(settings.profile) as chain:
        collect_claims(workspace, chain, Anchors(chain.web3, settings.anchors), journal_id(origin))
    return max((claim.size for claim in read_claims(workspace.anchors)), default=0)


def _unpack(archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, bytes]]:
    entries = archive.infolist()
    if len(entries) > FILE_LIMIT or sum(entry.file_size for entry in entries) > UNPACKED_LIMIT:
        raise DamagedError("a backup must not hold more files or bytes than a workspace can")
    document = check_format(parse_json(archive.read("backup.json")), _FORMAT)
    files = {entry.filename: archive.read(entry) for entry in entries if entry.filename != "backup.json"}
    if not all(_plain(name) for name in (*files, *document["directories"])) or len(files) != len(entries) - 1:
        raise DamagedError("a backup's file names must be plain and unique")
    if document["files"] != {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}:
        raise DamagedError("the backup's files are not those that it lists", hint="take another copy")
    return document, files
