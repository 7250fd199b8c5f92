"""API keys: who may call the service, and in which role. Only hashes are kept; a key is shown once.

    version = 1

    [[key]]
    id = "4f1c09aa"
    name = "payment hub"
    roles = ["decide"]
    sha256 = "..."              # of the whole key
    created_at = 1795459200     # POSIX second
    per_second = 2000           # requests; the service's own limit when it is left out

- A key is ``tsk_<id>_<256 random bits>``: with so many bits one SHA-256 is enough, nobody can try them out.
- The file must be readable by its owner alone, else it is refused.
- Persons who judge cases need a key each: what a key says is said by the person whose name it bears.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tallystick.decisions import is_same_person, plain_name
from tallystick.errors import ConfigurationError, ConflictError, NotFoundError, StorageError, TallystickError
from tallystick.proof import Clock, OsFiles, Randomness, encode_base64url, system_clock, write_atomically

__all__ = ["KEYS_FILE", "ROLES", "ApiKey", "Keys", "KeysFile"]

ROLES: Final = ("audit", "decide", "member", "operate", "review")
"""What a key may be for.

- audit: read decisions, receipts with what is disclosed, cases, metrics;
- decide: send payments, and read their decisions and receipts;
- member: another bank, which may read receipts with nothing disclosed;
- operate: read metrics, report labels;
- review: read cases and settle them, report labels, open appeals, make decisions stricter.
"""
KEYS_FILE: Final = "keys.toml"
MAX_KEYS: Final = 1_000
MAX_FILE_BYTES: Final = 1024 * 1024
LOOK_S: Final = 1.0  # between two looks at the file
_token = re.compile(r"tsk_([0-9a-f]{8})_[A-Za-z0-9_-]{43}").fullmatch
_id = re.compile(r"[0-9a-f]{8}").fullmatch
_digest = re.compile(r"[0-9a-f]{64}").fullmatch
_NOBODY: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret.

    Args:
        id: stands in the key itself, eight hex digits.
        name: whose it is: a system, or a person.
        roles: of `ROLES`.
        sha256: of the whole key.
        created_at: POSIX second.
        per_second: requests that it may make; 0 for the service's own limit.

    Raises:
        ConfigurationError: a field does not fit.
    """

    id: str
    name: str
    roles: frozenset[str]
    sha256: bytes
    created_at: int
    per_second: int = 0

    def __post_init__(self) -> None:
        if not _id(self.id) or len(self.sha256) != 32:
            raise ConfigurationError("a key must have an id of eight hex digits and a SHA-256")
        if not 0 < len(self.name) <= 100 or self.name != self.name.strip() or not self.name.isprintable():
            raise ConfigurationError(
                "a key's name must be 1 to 100 printable characters, no blanks around them"
            )
        if not self.roles or not self.roles <= set(ROLES):
            raise ConfigurationError(f"a key's roles must be of {', '.join(ROLES)}")
        if self.created_at < 0 or self.per_second < 0:
            raise ConfigurationError("a key's numbers must be >= 0")


class Keys:
    """The keys that a service knows.

    Args:
        keys: each id and each name once.

    Raises:
        ConfigurationError: one of them twice, or too many.
    """

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self.keys = tuple(keys)
        names = {plain_name(key.name) for key in self.keys}
        if not min(len({key.id for key in self.keys}), len(names)) == len(self.keys) <= MAX_KEYS:
            raise ConfigurationError(f"there must be at most {MAX_KEYS} keys, each id and each name once")
        self._by_id = {key.id: key for key in self.keys}

    def find(self, token: str) -> ApiKey | None:
        """Return the key that this is, None for any other text; takes the same time for every wrong secret."""
        shape = _token(token)
        key = self._by_id.get(shape[1]) if shape else None
        given = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        same = hmac.compare_digest(given, _NOBODY if key is None else key.sha256)
        return key if same else None

    def added(
        self,
        name: str,
        roles: Iterable[str],
        *,
        per_second: int = 0,
        clock: Clock = system_clock,
        randomness: Randomness = os.urandom,
    ) -> tuple[Keys, str]:
        """Return these keys and a new one, and the new key's text, which cannot be read again.

        Raises:
            ConfigurationError: a name or a role that does not fit.
            ConflictError: the name has a key.
        """
        if any(is_same_person(key.name, name) for key in self.keys):
            raise ConflictError("this name has a key already", hint="remove it first, or use another name")
        identity = randomness(4).hex()
        while identity in self._by_id:
            identity = randomness(4).hex()
        token = f"tsk_{identity}_{encode_base64url(randomness(32))}"
        digest = hashlib.sha256(token.encode()).digest()
        key = ApiKey(identity, name, frozenset(roles), digest, clock() // 1_000_000, per_second)
        return Keys((*self.keys, key)), token

    def removed(self, name: str) -> Keys:
        """Return these keys without one.

        Raises:
            NotFoundError: no key has this name.
        """
        if all(key.name != name for key in self.keys):
            raise NotFoundError("no key has this name", hint="see `tallystick fraud keys list`")
        return Keys(key for key in self.keys if key.name != name)

    def limited(self, name: str, per_second: int) -> Keys:
        """Return these keys, one of them with another limit."""
        return Keys(replace(key, per_second=per_second) if key.name == name else key for key in self.keys)

    # -- the file ------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: Path) -> Keys:
        """Read a file of keys; no file is no keys.

        Raises:
            ConfigurationError: others may read the file, or it is no such file.
        """
        try:
            mode = path.stat().st_mode
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ConfigurationError(f"{path.name} must have at most {MAX_FILE_BYTES} bytes")
            if stat.S_IMODE(mode) & 0o077:
                raise ConfigurationError(f"{path.name} must be its owner's alone", hint=f"chmod 600 {path}")
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return cls()
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path.name} must be UTF-8") from None
        except OSError as error:
            raise StorageError(f"{path.name} could not be read: {error.strerror}") from error
        return cls.parse(text)

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner alone."""
        write_atomically(OsFiles(), path, self.format().encode(), mode=0o600)

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Read what `format` made.

        Raises:
            ConfigurationError: it is not that.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{KEYS_FILE} is not TOML: {error}") from error
        if document.get("version") != 1 or not set(document) <= {"version", "key"}:
            raise ConfigurationError(f"{KEYS_FILE} must say version = 1 and hold [[key]] tables")
        tables = document.get("key", [])
        if type(tables) is not list:
            raise ConfigurationError(f"{KEYS_FILE} must hold [[key]] tables")
        return cls(_key(table, number) for number, table in enumerate(tables, start=1))

    def format(self) -> str:
        """Write it as TOML."""
        lines = ["version = 1"]
        for key in self.keys:
            lines += [
                "",
                "[[key]]",
                f'id = "{key.id}"',
                f"name = {_quoted(key.name)}",
                f"roles = [{', '.join(_quoted(role) for role in sorted(key.roles))}]",
                f'sha256 = "{key.sha256.hex()}"',
                f"created_at = {key.created_at}",
                *([f"per_second = {key.per_second}"] if key.per_second else []),
            ]
        return "\n".join(lines) + "\n"


class KeysFile:
    """The keys of a file, as it stands now: a key that is removed counts no more a moment later.

    A file that cannot be read changes nothing: the keys of before go on to count until it is mended, and `wrong` is told.

    Args:
        path: see `Keys.read`.
        wrong: is told what is wrong with a file that changed, once for each change.
        timer: seconds, monotonic.

    Raises:
        ConfigurationError, StorageError: as `Keys.read`, of the file as it stands at the start.
    """

    def __init__(
        self,
        path: Path,
        *,
        wrong: Callable[[TallystickError], object] = lambda _error: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._wrong, self._timer = path, wrong, timer
        self._looked, self._seen = timer(), _mark(path)
        self._keys = Keys.read(path)

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """The keys that count now."""
        self._look()
        return self._keys.keys

    def find(self, token: str) -> ApiKey | None:
        """See `Keys.find`."""
        self._look()
        return self._keys.find(token)

    def _look(self) -> None:
        now = self._timer()
        if now - self._looked < LOOK_S:
            return
        self._looked, mark = now, _mark(self._path)
        if mark == self._seen:
            return
        # What is read is at least as new as the mark: a change in between is seen at the next look.
        self._seen = mark
        try:
            self._keys = Keys.read(self._path)
        except TallystickError as error:
            self._wrong(error)


def _mark(path: Path) -> tuple[int, ...]:
    """Return what changes with a file, whoever writes it."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _key(table: Any, number: int) -> ApiKey:
    kinds = {"id": str, "name": str, "roles": list, "sha256": str, "created_at": int, "per_second": int}
    if not isinstance(table, Mapping) or not set(table) <= set(kinds):
        raise ConfigurationError(f"key {number}: known are {', '.join(kinds)}")
    said = {"per_second": 0, **table}
    for name, kind in kinds.items():
        if type(said.get(name)) is not kind:
            raise ConfigurationError(f"key {number}: {name} must be {kind.__name__}")
    if not all(type(role) is str for role in said["roles"]) or not _digest(said["sha256"]):
        raise ConfigurationError(f"key {number}: roles must be texts, sha256 64 hex digits")
    digest = bytes.fromhex(said["sha256"])
    return ApiKey(
        said["id"], said["name"], frozenset(said["roles"]), digest, said["created_at"], said["per_second"]
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
