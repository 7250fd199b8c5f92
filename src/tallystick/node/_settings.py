"""`tallystick.toml`: what a workspace says about itself. Versioned; an unknown key is refused.

version = 1
name = "Hospital A"
journal = "main"

[chain]                     # no such table: no chain
path = "../chain"           # the file of an embedded chain, relative to this file; or
urls = ["http://..."]       # a network's endpoints, one's own first
whose = ["bank-a"]          # whose endpoint each of them is
agree = 1                   # so many members' endpoints must say the same
chain_id = 4221             # what it must answer; the other names are those of a chain's profile
genesis = "0x..."           # the hash of block 0
members = "0x..."           # address of the Members contract
anchors = "0x..."           # address of the Anchors contract
models = "0x..."            # address of the Models contract, where models stand on the chain too
oracle = "0x..."            # address of the Oracle contract

[anchor]
every_statements = 1000     # anchor when so many statements are new
every_seconds = 60          # or when the oldest new one is so old
cosigned = 0                # so many known parties must have cosigned a head before it is anchored

[witnesses]                 # no such table: nobody is asked
urls = ["https://..."]      # where other members' nodes listen
need = 0                    # so many lines are wanted; 0: so many that no two histories can both have them
every_seconds = 60          # how often `tallystick node serve` asks
timeout_seconds = 10        # that one of them may take to answer

[clock]
behind_s = 300              # seconds that the clock may stand behind the last statement
idle_days = 366             # days that it may stand ahead of it

[oversight]
confirm_s = 3600            # seconds to confirm what a model proposes
appeal_s = 2592000          # to appeal after a decision
review_s = 1209600          # to review after an appeal

[retention]                 # days after which entries may be disposed of; 0, or no line: never
access_days = 0             # access that was given or refused
answers_days = 0            # answers to a contract
decisions_days = 0          # decisions that nobody objected to
documents_days = 0          # documents
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from tallystick.chain import Profile, parse_profile
from tallystick.errors import ConfigurationError, NotFoundError, UnknownFormatError
from tallystick.proof import ClockBounds

__all__ = [
    "SETTINGS_FILE",
    "AnchorSettings",
    "ChainSettings",
    "OversightSettings",
    "RetentionSettings",
    "Settings",
    "WitnessSettings",
]

SETTINGS_FILE = "tallystick.toml"
SETTINGS_VERSION = 1
_TABLES = ("anchor", "chain", "clock", "oversight", "retention", "witnesses")
_CONTRACTS = ("members", "anchors", "models", "oracle")
_WHOSE = "whose"  # the profile's `members`: in this table that word is the contract's address
SETTINGS_LIMIT = 64 * 1024  # bytes
WITNESS_LIMIT = 64
_address = re.compile(r"0x[0-9a-f]{40}").fullmatch


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Which chain a workspace anchors to, and where its contracts stand."""

    profile: Profile
    members: str = ""
    anchors: str = ""
    models: str = ""
    oracle: str = ""

    def __post_init__(self) -> None:
        for name in _CONTRACTS:
            if getattr(self, name) and not _address(getattr(self, name)):
                raise ConfigurationError(f"chain.{name} must be 0x and 40 lower-case hex digits")

    @classmethod
    def parse(cls, found: object, workspace: Path) -> ChainSettings:
        """Read the table `[chain]`; a path in it starts at the workspace."""
        if not isinstance(found, Mapping):
            raise ConfigurationError("[chain] must be a table")
        said = {"name": "chain", **found}
        contracts = {name: said.pop(name) for name in _CONTRACTS if name in said}
        if not all(isinstance(address, str) for address in contracts.values()):
            raise ConfigurationError(f"{', '.join(f'chain.{name}' for name in _CONTRACTS)} must be strings")
        if _WHOSE in said:
            said["members"] = said.pop(_WHOSE)
        profile = parse_profile(said)
        if profile.path is not None:
            profile = replace(profile, path=workspace / profile.path)
        return cls(profile, **contracts)

    def lines(self, workspace: Path) -> list[str]:
        """Write the table's lines."""
        profile = self.profile
        if profile.path is not None:
            profile = replace(profile, path=Path(os.path.relpath(profile.path, workspace)))
        lines = _lines(profile, skip=("name", "members"))
        if profile.members:
            lines.append(f"{_WHOSE} = {_toml(profile.members)}")
        return lines + _lines(self, skip=("profile",))


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """When a head is worth a transaction: by count or by age, whichever comes first."""

    every_statements: int = 1000
    every_seconds: int = 60
    cosigned: int = 0

    def __post_init__(self) -> None:
        if self.every_statements < 1 or self.every_seconds < 0:
            raise ConfigurationError("anchor.every_statements must be >= 1 and anchor.every_seconds >= 0")
        if not 0 <= self.cosigned <= WITNESS_LIMIT:
            raise ConfigurationError(f"anchor.cosigned must be 0 to {WITNESS_LIMIT} known parties")


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """Which members' nodes are asked to cosign heads and to attest anchors, and how many lines are wanted.

    Args:
        urls: where they listen.
        need: lines that are wanted; 0 for the smallest number of which no two histories can both have so many.
        every_seconds: between two rounds of a node that serves.
        timeout_seconds: of one answer.
    """

    urls: tuple[str, ...] = ()
    need: int = 0
    every_seconds: int = 60
    timeout_seconds: int = 10

    def __post_init__(self) -> None:
        count = len(self.urls)
        if count > WITNESS_LIMIT or len(set(self.urls)) != count:
            raise ConfigurationError(
                f"witnesses.urls must name at most {WITNESS_LIMIT} nodes, each of them once"
            )
        if self.need and not count < 2 * self.need <= 2 * count:
            raise ConfigurationError(
                f"witnesses.need must be 0, or more than half of the {count} nodes, got {self.need}",
                hint="with half of them or fewer, two histories could both have enough witnesses",
            )
        if min(self.every_seconds, self.timeout_seconds) < 1:
            raise ConfigurationError("witnesses.every_seconds and witnesses.timeout_seconds must be >= 1")

    @property
    def wanted(self) -> int:
        """How many lines are wanted: `need`, or the smallest safe number; 0 when nobody is asked."""
        return self.need or (len(self.urls) // 2 + 1 if self.urls else 0)


@dataclass(frozen=True, slots=True)
class OversightSettings:
    """How long people have, in seconds; what a passed deadline means stands in the statements themselves."""

    confirm_s: int = 60 * 60
    appeal_s: int = 30 * 24 * 60 * 60
    review_s: int = 14 * 24 * 60 * 60

    def __post_init__(self) -> None:
        if min(self.confirm_s, self.appeal_s, self.review_s) <= 0:
            raise ConfigurationError("oversight.confirm_s, appeal_s and review_s must be > 0 seconds")


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """Days after which classes of entries may be disposed of; 0 keeps them for ever."""

    access_days: int = 0
    answers_days: int = 0
    decisions_days: int = 0
    documents_days: int = 0

    def __post_init__(self) -> None:
        if any(getattr(self, part.name) < 0 for part in fields(self)):
            raise ConfigurationError("days of [retention] must be >= 0")

    def days(self) -> dict[str, int]:
        """Class -> days, of the classes that do not stay for ever."""
        found = {part.name.removesuffix("_days"): getattr(self, part.name) for part in fields(self)}
        return {name: days for name, days in found.items() if days}


@dataclass(frozen=True, slots=True)
class Settings:
    """One workspace's settings."""

    name: str
    journal: str = "main"
    chain: ChainSettings | None = None
    anchor: AnchorSettings = field(default_factory=AnchorSettings)
    clock: ClockBounds = field(default_factory=ClockBounds)
    oversight: OversightSettings = field(default_factory=OversightSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    witnesses: WitnessSettings = field(default_factory=WitnessSettings)

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
            return cls.parse(data.decode(), workspace)
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{SETTINGS_FILE} must be UTF-8") from error

    @classmethod
    def parse(cls, text: str, workspace: Path) -> Settings:
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
        chain = ChainSettings.parse(document.pop("chain"), workspace) if "chain" in document else None
        anchor = _section("anchor", document.pop("anchor", {}), AnchorSettings)
        clock = _section("clock", document.pop("clock", {}), ClockBounds)
        oversight = _section("oversight", document.pop("oversight", {}), OversightSettings)
        retention = _section("retention", document.pop("retention", {}), RetentionSettings)
        witnesses = _section("witnesses", document.pop("witnesses", {}), WitnessSettings)
        settings = cast(Settings, _section("", document, cls, required=("name",), skip=_TABLES))
        return replace(
            settings,
            chain=chain,
            anchor=cast(AnchorSettings, anchor),
            clock=cast(ClockBounds, clock),
            oversight=cast(OversightSettings, oversight),
            retention=cast(RetentionSettings, retention),
            witnesses=cast(WitnessSettings, witnesses),
        )

    def format(self, workspace: Path) -> str:
        """Write settings as TOML text; `parse` reads it back equal."""
        lines = [f"version = {SETTINGS_VERSION}", *_lines(self, skip=_TABLES)]
        if self.chain is not None:
            lines += ["", "[chain]", *self.chain.lines(workspace)]
        if self.anchor != AnchorSettings():
            lines += ["", "[anchor]", *_lines(self.anchor)]
        if self.clock != ClockBounds():
            lines += ["", "[clock]", *_lines(self.clock)]
        if self.oversight != OversightSettings():
            lines += ["", "[oversight]", *_lines(self.oversight)]
        if self.retention != RetentionSettings():
            lines += ["", "[retention]", *_lines(self.retention)]
        if self.witnesses != WitnessSettings():
            lines += ["", "[witnesses]", *_lines(self.witnesses)]
        return "\n".join(lines) + "\n"


def _lines(section: Any, *, skip: tuple[str, ...] = ()) -> list[str]:
    shown = [f for f in fields(section) if f.name not in skip]
    said = [(f.name, getattr(section, f.name)) for f in shown if getattr(section, f.name) != f.default]
    return [f"{name} = {_toml(value)}" for name, value in said]


def _toml(value: object) -> str:
    # A JSON string without surrogates is a TOML basic string; tuples are arrays of such strings.
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Path):
        value = str(value)
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
