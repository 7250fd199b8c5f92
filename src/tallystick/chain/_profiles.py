"""Which chain to talk to, and by what rules: a profile, read strictly from plain data.

A profile names either the file of an embedded chain or the urls of a network's nodes. The chain id and the
genesis hash, when it names them, are held against what answers: a profile never talks to another chain silently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tallystick.errors import ConfigurationError

__all__ = ["Profile", "parse_profile"]

_HASH = re.compile(r"0x[0-9a-f]{64}\Z")
_NAMES = frozenset(
    {
        "agree",
        "chain_id",
        "confirmations",
        "fee_cap_wei",
        "finality",
        "genesis",
        "members",
        "name",
        "path",
        "timeout_s",
        "tip_wei",
        "urls",
        "wait_s",
    }
)
FINALITIES = ("instant", "tagged", "confirmations")


@dataclass(frozen=True, slots=True)
class Profile:
    """One chain, and how to use it.

    Attributes:
        name: what people call it.
        path: the file of an embedded chain, or empty.
        urls: JSON-RPC endpoints, one's own first: the others are asked when it fails; empty with a path.
        members: whose endpoint each url is, one name for each url; empty when nobody says, and then all are taken
            for one member's.
        agree: so many members' endpoints must say the same before anything that was read counts.
        chain_id: expected chain id; None accepts any.
        genesis: expected hash of block 0 (0x hex); empty accepts any.
        finality: ``instant`` (a mined block stays: BFT networks and LocalChain), ``tagged`` (the node's
            ``finalized`` block), or ``confirmations``.
        confirmations: blocks on top before a transaction counts, with that finality only.
        tip_wei: priority fee per gas; None asks the node.
        fee_cap_wei: the most that is ever paid per gas, replacements included.
        timeout_s: one request.
        wait_s: one transaction, from sending to counting.
    """

    name: str
    path: Path | None = None
    urls: tuple[str, ...] = ()
    chain_id: int | None = None
    genesis: str = ""
    finality: str = "instant"
    confirmations: int = 0
    tip_wei: int | None = None
    fee_cap_wei: int = 10**12
    timeout_s: float = 10.0
    wait_s: float = 60.0
    members: tuple[str, ...] = ()
    agree: int = 1

    def __post_init__(self) -> None:
        if (self.path is None) == (not self.urls):
            raise ConfigurationError(
                "a profile names either a path or urls", hint='path = "pilot.chain", or urls = ["http://…"]'
            )
        for url in self.urls:
            _check_url(url)
        self._check_members()
        if self.chain_id is not None and not 0 < self.chain_id < 2**63:
            raise ConfigurationError(f"chain_id must be > 0, got {self.chain_id}")
        if self.genesis and not _HASH.match(self.genesis):
            raise ConfigurationError("genesis must be 0x and 64 lower-case hex digits")
        if self.finality not in FINALITIES:
            raise ConfigurationError(
                f"finality must be one of {', '.join(FINALITIES)}, got {self.finality!r}"
            )
        if self.confirmations < 0 or (self.confirmations > 0) != (self.finality == "confirmations"):
            raise ConfigurationError("confirmations must be > 0 with that finality, and 0 with any other")
        if self.timeout_s <= 0 or self.wait_s <= 0:
            raise ConfigurationError("timeout_s and wait_s must be > 0")
        if self.fee_cap_wei <= 0 or (self.tip_wei is not None and not 0 <= self.tip_wei <= self.fee_cap_wei):
            raise ConfigurationError("fee_cap_wei must be > 0 and tip_wei within it")

    def _check_members(self) -> None:
        if self.members and len(self.members) != len(self.urls):
            raise ConfigurationError(
                f"members must name one member for each of the {len(self.urls)} urls, got {len(self.members)}"
            )
        if not all(self.members):
            raise ConfigurationError("a member of the chain's profile must have a name")
        if len(set(self.urls)) != len(self.urls):
            raise ConfigurationError("a url stands twice in the chain's profile: it would agree with itself")
        most = max(len(set(self.members)), 1)
        if not 1 <= self.agree <= most:
            raise ConfigurationError(
                f"agree must be 1 to {most}, the number of members with a url, got {self.agree}",
                hint="name the member of each url in the profile's members, or ask fewer to agree",
            )

    def own(self) -> Profile:
        """The same chain by one's own endpoint alone, the first."""
        return replace(self, urls=self.urls[:1], members=self.members[:1], agree=1)

    @classmethod
    def of(cls, place: str, *, name: str = "") -> Profile:
        """Make a profile of what a person types: a url, or the path of a chain's file."""
        if "://" in place:
            return cls(name=name or "network", urls=(place,))
        return cls(name=name or Path(place).stem, path=Path(place))


def parse_profile(said: Mapping[str, Any]) -> Profile:
    """Read a profile from plain data (a TOML table); an unknown name is refused.

    Raises:
        ConfigurationError: what does not fit, and where.
    """
    unknown = sorted(set(said) - _NAMES)
    if unknown:
        raise ConfigurationError(f"unknown names in the chain's profile: {', '.join(unknown)}")
    values = dict(said)
    for name, kinds in _KINDS.items():
        if name in values and (not isinstance(values[name], kinds) or isinstance(values[name], bool)):
            raise ConfigurationError(f"{name} of the chain's profile has the wrong type")
    if "path" in values:
        values["path"] = Path(values["path"])
    if "urls" in values:
        if not all(isinstance(url, str) for url in values["urls"]):
            raise ConfigurationError("urls of the chain's profile must be text")
        values["urls"] = tuple(values["urls"])
    if "members" in values:
        if not all(isinstance(member, str) for member in values["members"]):
            raise ConfigurationError("members of the chain's profile must be text")
        values["members"] = tuple(values["members"])
    return Profile(**{"name": "chain", **values})


_KINDS: dict[str, type | tuple[type, ...]] = {
    "agree": int,
    "chain_id": int,
    "confirmations": int,
    "fee_cap_wei": int,
    "finality": str,
    "genesis": str,
    "members": (list, tuple),
    "name": str,
    "path": str,
    "timeout_s": (int, float),
    "tip_wei": int,
    "urls": (list, tuple),
    "wait_s": (int, float),
}


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits:
        # not shown: it may hold an access key
        raise ConfigurationError("expected an http or https url in the chain's profile")
