"""`tallystick.toml`: what a workspace says about itself. Versioned; an unknown key is refused.

version = 1
name = "Hospital A"
journal = "main"

[chain]
kind = "local"              # none, local or rpc
path = "../chain"           # local: the chain's directory, relative to this file
urls = ["http://..."]       # rpc: endpoints, tried in this order
chain_id = 4221             # rpc: what the endpoints must answer
genesis = "0x..."           # rpc: the hash of block 0
members = "0x..."           # address of the Members contract
anchors = "0x..."           # address of the Anchors contract
confirmations = 0           # blocks on top before something counts

[anchor]
every_statements = 1000     # anchor when so many statements are new
every_seconds = 60          # or when the oldest new one is so old
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from tallystick.errors import ConfigurationError, NotFoundError, UnknownFormatError

__all__ = ["SETTINGS_FILE", "AnchorSettings", "ChainKind", "ChainSettings", "Settings"]

SETTINGS_FILE = "tallystick.toml"
SETTINGS_VERSION = 1
SETTINGS_LIMIT = 64 * 1024  # bytes
ChainKind = Literal["none", "local", "rpc"]


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Which chain a workspace anchors to."""

    kind: ChainKind = "none"
    path: str = ""
    urls: tuple[str, ...] = ()
    chain_id: int = 0
    genesis: str = ""
    members: str = ""
    anchors: str = ""
    confirmations: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(ChainKind):
            raise ConfigurationError(f'chain.kind must be "none", "local" or "rpc", got "{self.kind}"')
        if self.kind == "local" and not self.path:
            raise ConfigurationError(
                "a local chain needs chain.path", hint='add path = "../chain" under [chain]'
            )
        if self.kind == "rpc" and not self.urls:
            raise ConfigurationError(
                "an rpc chain needs chain.urls", hint='add urls = ["http://…"] under [chain]'
            )
        if self.chain_id < 0 or self.confirmations < 0:
            raise ConfigurationError("chain.chain_id and chain.confirmations must be >= 0")


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """When a head is worth a transaction: by count or by age, whichever comes first."""

    every_statements: int = 1000
    every_seconds: int = 60

    def __post_init__(self) -> None:
        if self.every_statements < 1 or self.every_seconds < 0:
            raise ConfigurationError("anchor.every_statements must be >= 1 and anchor.every_seconds >= 0")


@dataclass(frozen=True, slots=True)
class Settings:
    """One workspace's settings."""

    name: str
    journal: str = "main"
    chain: ChainSettings = field(default_factory=ChainSettings)
    anchor: AnchorSettings = field(default_factory=AnchorSettings)

    @classmethod
    def read(cls, workspace: Path) -> Settings:
        """Read a workspace's file.

        Raises:
            NotFoundError: no workspace here.
            ConfigurationError: not TOML, an unknown key, or a value that does not fit.
            UnknownFormatError: written by a later version.
        """
        path = workspace / SETTINGS_FILE
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(
                f"there is no workspace in {workspace}",
                hint='run `tallystick init DIR --name "…"`, or name one with --workspace or TALLYSTICK_WORKSPACE',
            ) from error
        except OSError as error:
            raise ConfigurationError(f"{path} could not be read: {error.strerror}") from error
        if len(data) > SETTINGS_LIMIT:
            raise ConfigurationError(
                f"{SETTINGS_FILE} must have at most {SETTINGS_LIMIT} bytes, got {len(data)}"
            )
        try:
            return cls.parse(data.decode())
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{SETTINGS_FILE} must be UTF-8") from error

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Read settings from TOML text; raises as `read` does."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{SETTINGS_FILE} is not TOML: {error}") from error
        version = document.pop("version", None)
        if type(version) is not int:
            raise ConfigurationError(f"{SETTINGS_FILE} must say version = {SETTINGS_VERSION}")
        if version != SETTINGS_VERSION:
            raise UnknownFormatError(f"{SETTINGS_FILE} must have version {SETTINGS_VERSION}, got {version}")
        chain = _section("chain", document.pop("chain", {}), ChainSettings)
        anchor = _section("anchor", document.pop("anchor", {}), AnchorSettings)
        settings = cast(Settings, _section("", document, cls, required=("name",), skip=("chain", "anchor")))
        return replace(settings, chain=cast(ChainSettings, chain), anchor=cast(AnchorSettings, anchor))

    def format(self) -> str:
        """Write settings as TOML text; `parse` reads it back equal."""
        lines = [f"version = {SETTINGS_VERSION}", *_lines(self, skip=("chain", "anchor"))]
        for name, section in (("chain", self.chain), ("anchor", self.anchor)):
            lines += ["", f"[{name}]", *_lines(section)]
        return "\n".join(lines) + "\n"


def _lines(section: Any, *, skip: tuple[str, ...] = ()) -> list[str]:
    shown = [f for f in fields(section) if f.name not in skip]
    return [
        f"{f.name} = {_toml(getattr(section, f.name))}"
        for f in shown
        if getattr(section, f.name) != f.default or f.name == "kind"
    ]


def _toml(value: object) -> str:
    # A JSON string without surrogates is a TOML basic string; tuples are arrays of such strings.
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _section(
    name: str, found: object, into: type[Any], *, required: tuple[str, ...] = (), skip: tuple[str, ...] = ()
) -> object:
    """Build a settings class from a table; every key must be known and of the default's type."""
    where = f"{name}." if name else ""
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"[{name}] must be a table")
    known = {f.name: f for f in fields(into) if f.name not in skip}
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = (
                f"did you mean {where}{near[0]}?" if near else f"known: {', '.join(where + k for k in known)}"
            )
            raise ConfigurationError(f"unknown key {where}{key} in {SETTINGS_FILE}", hint=hint)
    for key in required:
        if key not in found:
            raise ConfigurationError(f"{SETTINGS_FILE} must say {where}{key}")
    values: dict[str, object] = {}
    for key, value in found.items():
        default = known[key].default
        if isinstance(default, tuple):
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ConfigurationError(f"{where}{key} must be a list of strings")
            values[key] = tuple(value)
        elif type(value) is not (int if isinstance(default, int) else str):
            kind = "a whole number" if isinstance(default, int) else "a string"
            raise ConfigurationError(f"{where}{key} must be {kind}")
        else:
            values[key] = value
    return into(**values)
