"""`fraud.toml`: how a bank decides payments. It stands beside `tallystick.toml`; an unknown key is refused.

version = 1
permit = ""                     # statement that permits these decisions

[models]                        # no such table: rules decide alone
champion = "fraud@1"            # a model of the registry; or
champion_file = "fraud.model"   # a file, relative to this one, and
champion_hash = "9f2c…"         # the SHA-256 that it must have
challenger = ""                 # scored beside it
reference = "fraud.reference.json"  # what payments looked like, from training; learned when left out
on_missing = "refuse"           # or "rules": start all the same, and let rules decide alone

[policy]                        # integer scores of the champion, from its training
review_score = 100
hold_score = 200
decline_score = 300

[engine]                        # see EngineSettings
batch = 128

[cases]
hold_s = 14400                  # to settle a hold
review_s = 432000               # to look at what went on

[[rules]]                       # no such table: the default rules
name = "large-to-new-payee"
title = "a large amount to a payee who was never paid before"
code = "R05"
action = "review"
when = ["amount > 500000", "payee_is_new == 1"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from tallystick.apps.fraud.casework import CaseDeadlines
from tallystick.apps.fraud.deciding import DecisionPolicy, EngineSettings, PaymentRule, parse_rules
from tallystick.apps.fraud.features import FeatureSettings
from tallystick.errors import ConfigurationError, ModelInputError, UnknownFormatError

__all__ = ["FRAUD_FILE", "FraudSettings", "ModelSettings"]

FRAUD_FILE: Final = "fraud.toml"
MAX_FILE_BYTES: Final = 256 * 1024
_MAX: Final = 2**53 - 1
_TABLES: Final = ("version", "permit", "models", "policy", "engine", "cases", "features", "rules")
Section = TypeVar("Section")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which models decide.

    Args:
        champion: name, name and version, or hash in the registry; or
        champion_file: a model's file.
        champion_hash: the SHA-256 that the file must have, hex.
        challenger: as the champion, of the same kind; none when empty.
        reference: file that says what payments looked like when the champion was made; drift is measured from it, and
            from the first decisions when empty.
        on_missing: ``refuse`` or ``rules``.
    """

    champion: str = ""
    champion_file: str = ""
    champion_hash: str = ""
    challenger: str = ""
    reference: str = ""
    on_missing: str = "refuse"

    def __post_init__(self) -> None:
        if bool(self.champion) == bool(self.champion_file):
            raise ConfigurationError("models must say either champion or champion_file")
        if self.champion_hash and not self.champion_file:
            raise ConfigurationError("models.champion_hash goes with champion_file")
        if self.on_missing not in ("refuse", "rules"):
            raise ConfigurationError("models.on_missing must be refuse or rules")


@dataclass(frozen=True, slots=True)
class FraudSettings:
    """How a bank decides payments.

    Args:
        models: which models decide; rules alone when None.
        policy: thresholds.
        rules: written rules; the default ones when None.
        engine: sizes and limits.
        cases: how long people have.
        permit: statement that permits these decisions.
        features: how windows are opened.
    """

    models: ModelSettings | None = None
    policy: DecisionPolicy = field(default_factory=lambda: DecisionPolicy(_MAX, _MAX, _MAX))
    rules: tuple[PaymentRule, ...] | None = None
    engine: EngineSettings = field(default_factory=EngineSettings)
    cases: CaseDeadlines = field(default_factory=CaseDeadlines)
    permit: str = ""
    features: FeatureSettings = field(default_factory=FeatureSettings)

    @classmethod
    def read(cls, directory: Path) -> FraudSettings:
        """Read a directory's file; where there is none, the default rules decide alone.

        Raises:
            ConfigurationError: it cannot be read, an unknown key, or a value that does not fit.
            UnknownFormatError: written by a later version.
        """
        path = directory / FRAUD_FILE
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise ConfigurationError(f"{FRAUD_FILE} could not be read: {error.strerror}") from error
        if len(data) > MAX_FILE_BYTES:
            raise ConfigurationError(f"{FRAUD_FILE} must have at most {MAX_FILE_BYTES} bytes")
        try:
            return cls.parse(data.decode())
        except UnicodeDecodeError:
            raise ConfigurationError(f"{FRAUD_FILE} must be UTF-8") from None

    @classmethod
    def parse(cls, text: str) -> FraudSettings:
        """Read settings from TOML text; raises as `read`."""
        try:
            said = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{FRAUD_FILE} is not TOML: {error}") from error
        for key in said:
            if key not in _TABLES:
                raise ConfigurationError(
                    f"unknown key {key[:40]} in {FRAUD_FILE}", hint=f"known: {', '.join(_TABLES)}"
                )
        if type(said.get("version")) is not int:
            raise ConfigurationError(f"{FRAUD_FILE} must say version = 1")
        if said["version"] != 1:
            raise UnknownFormatError(f"{FRAUD_FILE} must have version 1, got {said['version']}")
        models = _section("models", said["models"], ModelSettings) if "models" in said else None
        if models is not None and "policy" not in said:
            raise ConfigurationError(
                f"{FRAUD_FILE} names a model and no policy",
                hint="`tallystick fraud train` writes the thresholds that its alert budget asks for",
            )
        found: dict[str, Any] = {"models": models}
        if "policy" in said:
            found["policy"] = _section("policy", said["policy"], DecisionPolicy)
        found["engine"] = _section("engine", said.get("engine", {}), EngineSettings)
        found["cases"] = _section("cases", said.get("cases", {}), CaseDeadlines)
        found["features"] = _section("features", said.get("features", {}), FeatureSettings)
        if type(said.get("permit", "")) is not str:
            raise ConfigurationError("permit must be the id of a statement")
        if "rules" in said:
            if type(said["rules"]) is not list or not all(isinstance(one, dict) for one in said["rules"]):
                raise ConfigurationError("rules must be [[rules]] tables")
            found["rules"] = parse_rules(said["rules"])
        return cls(**found, permit=said.get("permit", ""))


def _section(name: str, said: object, into: type[Section]) -> Section:
    """Build a section from its table; every key must be known and of its type."""
    known = {one.name: str(one.type) for one in fields(cast(Any, into))}
    if not isinstance(said, Mapping):
        raise ConfigurationError(f"[{name}] must be a table")
    values: dict[str, Any] = {}
    for key, value in said.items():
        if key not in known:
            raise ConfigurationError(
                f"unknown key {name}.{key[:40]} in {FRAUD_FILE}", hint=f"known: {', '.join(known)}"
            )
        if known[key].startswith("tuple"):
            if type(value) is not list or not all(type(item) is str for item in value):
                raise ConfigurationError(f"{name}.{key} must be a list of texts")
            values[key] = tuple(value)
        elif type(value) is not (int if known[key] == "int" else str):
            kind = "a whole number" if known[key] == "int" else "text"
            raise ConfigurationError(f"{name}.{key} must be {kind}")
        else:
            values[key] = value
    try:
        return into(**values)
    except TypeError:
        raise ConfigurationError(f"[{name}] lacks a key", hint=f"known: {', '.join(known)}") from None
    except ModelInputError as error:
        raise ConfigurationError(f"[{name}]: {error.message}") from error
