"""`share.toml`: with whom a bank shares, and how. An unknown key is refused; paths are relative to the file.

version = 1
policy = "policy.json"          # who the members are: every one of them is pinned there
days = 30                       # that a report counts; the same for all members, or their lists differ
patience_ms = 15                # a decision waits at most so long for tokens that are not in memory
timeout_s = 2.0                 # one answer of another member, all of it

[listen]
host = "0.0.0.0"
port = 8491
tls_cert = "cert.pem"
tls_key = "key.pem"

[epochs]                        # the same for all members: epoch `number` begins at `since`, each lasts `days`
number = 1
since = 2026-12-01T00:00:00Z
days = 30

[limits]                        # what each other member may look up
per_second = 1.0
burst = 10000

[holds]                         # no such table: holds on the chain are not looked at
contract = "0x..."
every_s = 1.0                   # between two looks at the chain
start_block = 0                 # the contract's own saves reading what came before
stale_s = 30.0                  # after so long without one, whether a payee is held counts as unknown

[lists]                         # when the list's root is stated and posted; the same for all members
every_s = 3600                  # from an epoch's beginning on
settle_s = 600                  # that a report may come late

[risk]                          # no such table: no rounds of masked sums; the same for all members
every_days = 1                  # from [epochs] since on
terminals = "terminals.txt"     # ids that banks share, one a line; "" for payees alone
floor = 5                       # see RiskRule
least = 20
weight = 50.0
bucket_bits = 14

[unknown]                       # a payment about whose payee the others could not be asked, to a new payee
amount = 100000                 # and above so many minor units,
action = "review"               # at least this happens; "" for nothing

[[member]]                      # every other member
party = "did:key:..."
url = "https://bank-b.example:8491"
key_file = "bank-b.key"         # the API key that they gave, alone in a file that only its owner reads
ca = "bank-b-ca.pem"            # who signs their certificate; the system's list when it is left out
per_second = 5.0                # other limits for this one
burst = 20000
"""

from __future__ import annotations

import datetime
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick.errors import ConfigurationError, NotFoundError, StorageError
from tallystick.proof import Policy

from ._limits import SECOND, Limits
from ._lists import ListPlan
from ._payees import KEPT_DAYS
from ._risk import RiskRule
from ._rounds import RoundPlan

__all__ = ["EpochPlan", "HoldsSettings", "Peer", "ShareSettings"]

MAX_FILE_BYTES: Final = 256 * 1024
DAY: Final = 86_400 * SECOND
_KNOWN: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = {
    "": {"days": (int,), "patience_ms": (int,), "policy": (str,), "timeout_s": (int, float), "version": (int,)},
    "listen": {"host": (str,), "port": (int,), "tls_cert": (str,), "tls_key": (str,)},
    "epochs": {"days": (int,), "number": (int,), "since": (datetime.datetime,)},
    "limits": {"burst": (int,), "per_second": (int, float)},
    "holds": {
        "contract": (str,),
        "every_s": (int, float),
        "stale_s": (int, float),
        "start_block": (int,),
    },
    "lists": {"every_s": (int,), "settle_s": (int,)},
    "risk": {
        "bucket_bits": (int,),
        "every_days": (int,),
        "floor": (int,),
        "least": (int,),
        "terminals": (str,),
        "weight": (int, float),
    },
    "unknown": {"action": (str,), "amount": (int,)},
    "member": {
        "burst": (int,),
        "ca": (str,),
        "key_file": (str,),
        "party": (str,),
        "per_second": (int, float),
        "url": (str,),
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """When epochs begin and end: all members have the same.

    Args:
        number: of the first one.
        since: when it begins, microseconds.
        length: of each, microseconds.
    """

    number: int
    since: int
    length: int

    def __post_init__(self) -> None:
        if self.number < 1 or self.since < 0 or not 60 * SECOND <= self.length <= 400 * DAY:
            raise ConfigurationError("epochs count from 1, and last a minute to 400 days")

    def at(self, at: int) -> int | None:
        """Number of the epoch at a moment; None before the first."""
        return None if at < self.since else self.number + (at - self.since) // self.length

    def times(self, number: int) -> tuple[int, int]:
        """Begin and end of an epoch, microseconds."""
        since = self.since + (number - self.number) * self.length
        return since, since + self.length


@dataclass(frozen=True, slots=True)
class Peer:
    """Another member, as this bank reaches it.

    Args:
        party: its party id.
        url: where it listens.
        key: the API key that it gave.
        ca: who signs its certificate.
        limits: what it may look up here; None for what all may.
    """

    party: str
    url: str
    key: str = field(repr=False)
    ca: Path | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class HoldsSettings:
    """Where holds are read.

    Args:
        contract: address of ``Holds``.
        every_s: seconds between two looks.
        stale_s: seconds without a look after which nothing is known of holds.
        start_block: first block that is read, such as the contract's own.
    """

    contract: str
    every_s: float = 1.0
    stale_s: float = 30.0
    start_block: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.every_s <= self.stale_s or self.start_block < 0:
            raise ConfigurationError("holds.every_s must be above 0, and not above holds.stale_s")


@dataclass(frozen=True, slots=True)
class ShareSettings:
    """How a bank shares; see the module."""

    policy: Policy
    epochs: EpochPlan
    peers: tuple[Peer, ...]
    host: str = "127.0.0.1"
    port: int = 8491
    tls_cert: Path | None = None
    tls_key: Path | None = None
    days: int = KEPT_DAYS
    patience_ms: int = 15
    timeout_s: float = 2.0
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    holds: HoldsSettings | None = None
    rounds: RoundPlan | None = None
    lists: ListPlan = ListPlan()  # noqa: RUF009 - frozen
    unknown_action: str = "review"
    unknown_amount: int = 100_000

    def __post_init__(self) -> None:
        parties = [peer.party for peer in self.peers]
        if not parties or len(set(parties)) != len(parties):
            raise ConfigurationError("share.toml must name every other member once, and there must be one")
        if any(party not in self.policy.by_id for party in parties):
            raise ConfigurationError("share.toml names a member that the policy does not pin")
        if not 0 <= self.patience_ms <= 1_000 or not 0.1 <= self.timeout_s <= 60:
            raise ConfigurationError("patience_ms must be 0 to 1000, timeout_s 0.1 to 60")
        if self.unknown_action not in ("", "review", "hold", "decline") or self.unknown_amount < 0:
            raise ConfigurationError('unknown.action must be review, hold, decline or ""; its amount >= 0')

    @classmethod
    def read(cls, path: Path) -> ShareSettings:
        """Read the file.

        Raises:
            ConfigurationError: an unknown key, a value that does not fit, or a key that others may read.
            NotFoundError: it, or a file that it names, is not there.
        """
        text = _read(path)
        try:
            said = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path.name} is not TOML: {error}") from error
        try:
            return cls._of(said, path.parent)
        except KeyError as error:
            raise ConfigurationError(f"{path.name} lacks {str(error.args[0])[:40]}") from None

    @classmethod
    def _of(cls, said: Mapping[str, Any], beside: Path) -> ShareSettings:
        tables = {name: table for name, table in said.items() if isinstance(table, Mapping | list)}
        top = _checked("", {name: value for name, value in said.items() if name not in tables})
        if top.get("version") != 1 or not set(tables) <= set(_KNOWN):
            raise ConfigurationError(
                "share.toml must say version = 1, and hold no tables but those that are known"
            )
        members = tables.pop("member", [])
        if not isinstance(members, list):
            raise ConfigurationError("members stand in [[member]] tables")
        parts = {name: _checked(name, table) for name, table in tables.items()}
        listen, unknown = parts.get("listen", {}), parts.get("unknown", {})
        since = _microseconds(parts["epochs"]["since"])
        files = {name: beside / listen[name] for name in ("tls_cert", "tls_key") if name in listen}
        plain = {name: top[name] for name in ("days", "patience_ms", "timeout_s") if name in top}
        return cls(
            policy=Policy.read(beside / top["policy"]),
            epochs=EpochPlan(parts["epochs"]["number"], since, parts["epochs"]["days"] * DAY),
            peers=tuple(_peer(_checked("member", one), beside) for one in members),
            **{name: listen[name] for name in ("host", "port") if name in listen},
            **files,
            **plain,
            limits=Limits(**parts.get("limits", {})),
            holds=HoldsSettings(**parts["holds"]) if "holds" in parts else None,
            lists=ListPlan(**parts.get("lists", {})),
            rounds=_rounds(parts["risk"], since, beside) if "risk" in parts else None,
            **{f"unknown_{name}": value for name, value in unknown.items()},
        )


def _peer(said: Mapping[str, Any], beside: Path) -> Peer:
    limits = {name: said[name] for name in ("burst", "per_second") if name in said}
    return Peer(
        said["party"],
        said["url"],
        _secret(beside / said["key_file"]),
        beside / said["ca"] if "ca" in said else None,
        Limits(**limits) if limits else None,
    )


def _rounds(said: Mapping[str, Any], since: int, beside: Path) -> RoundPlan:
    rule = {name: said[name] for name in ("bucket_bits", "floor", "least", "weight") if name in said}
    lines = _read(beside / said["terminals"]).split("\n") if said.get("terminals") else []
    terminals = tuple(sorted({line.strip() for line in lines} - {""}))
    return RoundPlan(since, said.get("every_days", 1) * DAY, terminals, RiskRule(**rule))


def _checked(name: str, said: Any) -> dict[str, Any]:
    known = _KNOWN[name]
    if not isinstance(said, Mapping):
        raise ConfigurationError(f"[{name}] must be a table")
    for key, value in said.items():
        if key not in known:
            where = f"{name}.{key}" if name else key
            raise ConfigurationError(
                f"unknown key {where[:80]} in share.toml", hint=f"known: {', '.join(known)}"
            )
        if type(value) not in known[key]:
            raise ConfigurationError(
                f"{name}.{key} must be {' or '.join(kind.__name__ for kind in known[key])}"
            )
    return dict(said)


def _microseconds(when: datetime.datetime) -> int:
    if when.tzinfo is None:
        raise ConfigurationError("epochs.since must name its zone, such as 2026-12-01T00:00:00Z")
    return int(when.timestamp()) * SECOND


def _secret(path: Path) -> str:
    text = _read(path).strip()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigurationError(f"{path.name} must be its owner's alone", hint=f"chmod 600 {path}")
    if not text.isprintable() or not text.isascii() or not 0 < len(text) <= 200:
        raise ConfigurationError(f"{path.name} must hold one API key and nothing else")
    return text


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigurationError(f"{path.name} must have at most {MAX_FILE_BYTES} bytes")
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path.name} here") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name} must be UTF-8") from None
    except OSError as error:
        raise StorageError(f"{path.name} could not be read: {error.strerror}") from error
