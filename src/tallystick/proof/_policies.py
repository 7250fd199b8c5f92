"""Policies: whom a verifier trusts, and what must be proved before it is content.

A policy is the verifier's own file; it never comes with the evidence. It is JSON that people may edit (any
spacing), read strictly:

    {"type": "tallystick/policy", "v": 1, "name": "Regulator 7",
     "parties": [{"name": "Bank A", "cards": ["<card>", ...]}, ...],
     "witnesses": {"parties": ["Bank A", "Bank B", "Bank C"], "need": 2, "faulty": 0},
     "anchor": {"chain_id": 4221, "genesis": "0x..", "contract": "0x..", "local": false,
                "need": 2, "endpoints": [{"name": "a", "url": "http://..."}]},
     "ask": ["party", "witnesses", "anchor"]}

- A party is pinned by its cards: its id, its keys, and the newest card the verifier has seen.
- A quorum must satisfy 2 k > n + f, n being the witnesses other than the journal's own party: then two
  quorums share an honest witness, so no two histories can both have one.
- ``local``: an embedded chain has one operator, so its anchors are that operator's word whatever is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tallystick.errors import CardError, NotFoundError, PolicyError, StorageError, UnknownFormatError
from tallystick.proof._cards import Card, parse_card, verify_cards

__all__ = [
    "ASKS",
    "AnchorPolicy",
    "Endpoint",
    "PinnedParty",
    "Policy",
    "WitnessPolicy",
    "format_policy",
    "parse_policy",
]

POLICY_SIZE_LIMIT = 4 * 1024 * 1024  # bytes
ASKS = ("party", "witnesses", "anchor", "payload")
_FORMAT = "tallystick/policy"
_hash = re.compile(r"0x[0-9a-f]{64}").fullmatch
_address = re.compile(r"0x[0-9a-f]{40}").fullmatch


@dataclass(frozen=True, slots=True)
class PinnedParty:
    """A party that the verifier knows, under the verifier's own name for it."""

    name: str
    cards: tuple[Card, ...]

    @property
    def id(self) -> str:
        """The party's id."""
        return self.cards[0].party


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """Which parties count as witnesses, how many are needed, how many may lie."""

    parties: tuple[str, ...]
    need: int
    faulty: int = 0

    def check(self, eligible: int) -> None:
        """Refuse a quorum that cannot be met, or that two histories could both have.

        Args:
            eligible: witnesses that may count for the journal in question.

        Raises:
            PolicyError: need > eligible, or 2 need <= eligible + faulty.
        """
        if self.need > eligible:
            raise PolicyError(f"the policy needs {self.need} witnesses, but only {eligible} can count")
        if 2 * self.need <= eligible + self.faulty:
            raise PolicyError(
                f"a quorum must satisfy 2 k > n + f, got k={self.need}, n={eligible}, f={self.faulty}",
                hint="raise `need`, or lower `faulty`",
            )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A JSON-RPC endpoint that the verifier trusts to some degree."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class AnchorPolicy:
    """The chain and contract in which anchors count."""

    chain_id: int
    genesis: str
    contract: str
    local: bool
    need: int = 1
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A verifier's policy; see the module for its meaning."""

    name: str
    parties: tuple[PinnedParty, ...]
    witnesses: WitnessPolicy | None = None
    anchor: AnchorPolicy | None = None
    ask: tuple[str, ...] = ("party",)
    by_id: Mapping[str, PinnedParty] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {party.id: party for party in self.parties})
        if len(self.by_id) != len(self.parties) or len({party.name for party in self.parties}) != len(
            self.parties
        ):
            raise PolicyError("a policy must name each party once")
        unknown = set(self.ask) - set(ASKS)
        if unknown:
            raise PolicyError(f"a policy may ask {', '.join(ASKS)}, got {', '.join(sorted(unknown))}")
        if "witnesses" in self.ask and self.witnesses is None:
            raise PolicyError("a policy that asks witnesses must name them")
        if "anchor" in self.ask and (self.anchor is None or self.anchor.local):
            raise PolicyError("a policy that asks an anchor must name a chain that is not one operator's own")
        if self.witnesses is not None:
            self._check_witnesses(self.witnesses)

    def _check_witnesses(self, witnesses: WitnessPolicy) -> None:
        members = set(witnesses.parties)
        if not members <= set(self.by_id) or len(members) != len(witnesses.parties):
            raise PolicyError("each witness must be one of the policy's parties, once")
        if witnesses.need < 1:
            raise PolicyError("a policy must need at least one witness")
        for party in self.parties:
            witnesses.check(len(members - {party.id}))

    @classmethod
    def read(cls, path: Path | str) -> Policy:
        """Read a policy file.

        Raises:
            NotFoundError: no such file.
            PolicyError: malformed, or it can never be met.
        """
        try:
            return parse_policy(Path(path).read_bytes())
        except FileNotFoundError as error:
            raise NotFoundError(
                "there is no policy file here", hint="make one: `tallystick policy new`"
            ) from error
        except OSError as error:
            raise StorageError(f"the policy could not be read: {error.strerror}") from error


def format_policy(policy: Policy) -> bytes:
    """Write a policy as indented JSON that a person can edit."""
    names = {party.id: party.name for party in policy.parties}
    document: dict[str, Any] = {
        "type": _FORMAT,
        "v": 1,
        "name": policy.name,
        "ask": list(policy.ask),
        "parties": [
            {"name": party.name, "cards": [card.bytes.decode() for card in party.cards]}
            for party in policy.parties
        ],
    }
    if policy.witnesses is not None:
        document["witnesses"] = {
            "parties": [names[party] for party in policy.witnesses.parties],
            "need": policy.witnesses.need,
            "faulty": policy.witnesses.faulty,
        }
    if policy.anchor is not None:
        anchor = policy.anchor
        document["anchor"] = {
            "chain_id": anchor.chain_id,
            "genesis": anchor.genesis,
            "contract": anchor.contract,
            "local": anchor.local,
            "need": anchor.need,
            "endpoints": [{"name": endpoint.name, "url": endpoint.url} for endpoint in anchor.endpoints],
        }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def parse_policy(data: bytes) -> Policy:
    """Read a policy.

    Raises:
        PolicyError: malformed, unknown fields, or it can never be met.
        UnknownFormatError: a later version.
    """
    if len(data) > POLICY_SIZE_LIMIT:
        raise PolicyError(f"a policy must have at most {POLICY_SIZE_LIMIT} bytes, got {len(data)}")
    try:
        # Bounds the depth first: json alone exhausts the stack where a library raised Python's own limit.
        orjson.loads(data)
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise PolicyError("a policy must be JSON") from error
    if not isinstance(document, dict) or document.get("type") != _FORMAT:
        raise PolicyError(f"expected a {_FORMAT} document")
    if document.get("v") != 1 or type(document["v"]) is not int:
        raise UnknownFormatError(f"expected version 1 of {_FORMAT}, got another one")
    _fields(document, {"type", "v", "name", "parties"}, {"witnesses", "anchor", "ask"})
    parties = tuple(_party(item) for item in _list(document["parties"]))
    witnesses = _witnesses(document["witnesses"], parties) if "witnesses" in document else None
    anchor = _anchor(document["anchor"]) if "anchor" in document else None
    ask = tuple(_text(item) for item in _list(document.get("ask", ["party"])))
    if not ask:
        # A file that asks nothing would be met by any stranger's receipt, with exit code 0.
        raise PolicyError("a policy must ask for something", hint="the least is `party`")
    return Policy(_text(document["name"]), parties, witnesses, anchor, ask)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise PolicyError("a policy must name each field once")
    return dict(pairs)


def _fields(document: Any, required: set[str], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    if not isinstance(document, dict) or not required <= set(document) <= required | optional:
        raise PolicyError(f"expected the fields {', '.join(sorted(required))}")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise PolicyError("expected a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 500 or not value.isprintable():
        raise PolicyError("expected text of 1 to 500 printable characters")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise PolicyError("expected a count")
    return value


def _party(item: Any) -> PinnedParty:
    _fields(item, {"name", "cards"})
    try:
        cards = tuple(parse_card(note.encode()) for note in _list(item["cards"]))
        verify_cards(cards)
    except (CardError, AttributeError, UnicodeEncodeError) as error:
        raise PolicyError("a party's cards in the policy do not verify") from error
    return PinnedParty(_text(item["name"]), cards)


def _witnesses(item: Any, parties: Sequence[PinnedParty]) -> WitnessPolicy:
    _fields(item, {"parties", "need"}, {"faulty"})
    ids = {party.name: party.id for party in parties}
    names = [_text(name) for name in _list(item["parties"])]
    if not set(names) <= set(ids):
        raise PolicyError("each witness must be one of the policy's parties")
    return WitnessPolicy(
        tuple(ids[name] for name in names), _count(item["need"]), _count(item.get("faulty", 0))
    )


def _anchor(item: Any) -> AnchorPolicy:
    _fields(item, {"chain_id", "genesis", "contract", "local"}, {"need", "endpoints"})
    genesis, contract = _text(item["genesis"]), _text(item["contract"]).lower()
    if not _hash(genesis) or not _address(contract) or type(item["local"]) is not bool:
        raise PolicyError("an anchor must name genesis hash, contract address and whether it is local")
    endpoints = []
    for endpoint in _list(item.get("endpoints", [])):
        _fields(endpoint, {"name", "url"})
        endpoints.append(Endpoint(_text(endpoint["name"]), _text(endpoint["url"])))
    need = _count(item.get("need", 1))
    if need < 1:
        raise PolicyError("an anchor must need at least one endpoint")
    # One endpoint under two names would count as two.
    if any(
        len({getattr(endpoint, part) for endpoint in endpoints}) != len(endpoints) for part in ("name", "url")
    ):
        raise PolicyError("a policy must name each endpoint once, with a url of its own")
    return AnchorPolicy(_count(item["chain_id"]), genesis, contract, item["local"], need, tuple(endpoints))
