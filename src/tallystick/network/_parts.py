"""What a member tells the others before a network starts: its part. Nothing in it is secret.

A part is one JSON file: who (name, cards), where (host, port), the signed transaction that makes its node a
validator (`gentx`), and the terms that it was made for. Everybody assembles the genesis from all parts, and gets the
same bytes; so a part that somebody changed on the way shows as another genesis hash.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tallystick.errors import ConfigurationError, EncodingError, StatementError
from tallystick.proof import (
    Card,
    chain_address,
    check_format,
    format_json,
    parse_card,
    parse_json,
    verify_cards,
)

from ._bech32 import parse_bech32

__all__ = ["NetworkPart", "NetworkTerms", "check_parts", "format_part", "parse_part"]

PART_LIMIT = 1024 * 1024  # bytes
MEMBER_LIMIT = 64
DEPTH = 12  # levels of a gentx in a part
_FORMAT = "tallystick/network-part"
_name = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*").fullmatch
_network_id = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}").fullmatch
_node_id = re.compile(r"[0-9a-f]{40}").fullmatch
_PART = ("account", "at", "cards", "gentx", "host", "name", "node_id", "p2p_port", "terms")


@dataclass(frozen=True, slots=True)
class NetworkTerms:
    """What all members agree on before anybody makes a part.

    Args:
        engine: ``cosmos``.
        chain_id: EIP-155 chain id; fixed in the engine.
        network_id: the name that validators sign under.
        block_time_ms: pause between two blocks, 100 to 60,000.
        faulty: how many validators may be down or lie: at least 3 f + 1 members.
        stake: tokens of each validator; all are equal.
        spare: tokens that each has beside its stake, to lend to newcomers. With a (2 f + 1)th of a stake it takes 2 f + 1
            members to let somebody in; with 1/2 f or more of it, f members could stake a third and stop everybody.
        pocket_wei: what each member's own account has for bonds and fees.
    """

    engine: str = "cosmos"
    chain_id: int = 262144
    network_id: str = "9001"
    block_time_ms: int = 1000
    faulty: int = 1
    stake: int = 1000
    spare: int = 334
    pocket: int = 100

    def __post_init__(self) -> None:
        if self.engine != "cosmos":
            raise ConfigurationError(f"an engine must be cosmos, got {self.engine!r}")
        if not _network_id(self.network_id) or not 0 < self.chain_id < 2**53:
            raise ConfigurationError("network_id must be lower-case letters and digits, chain_id > 0")
        if not 100 <= self.block_time_ms <= 60_000:
            raise ConfigurationError(f"block_time_ms must be 100 to 60000, got {self.block_time_ms}")
        if not 0 <= self.faulty < MEMBER_LIMIT // 3:
            raise ConfigurationError(f"faulty must be 0 to {MEMBER_LIMIT // 3 - 1}, got {self.faulty}")
        if not 1 <= self.stake <= 10**9 or not 0 <= self.pocket <= 10**9:
            raise ConfigurationError("stake must be 1 to 10^9 tokens, pocket 0 to 10^9")
        if not 0 <= self.spare <= self.stake or (self.faulty and 2 * self.faulty * self.spare >= self.stake):
            raise ConfigurationError(
                f"spare must be below a {2 * self.faulty or 1}th of the stake {self.stake}, got {self.spare}",
                hint="with more, as many members as may be faulty could stake a third and stop everybody",
            )


@dataclass(frozen=True, slots=True)
class NetworkPart:
    """One member's part.

    Args:
        name: of the member: lower-case letters, digits, hyphens.
        host: IPv4 address where the other validators reach it.
        p2p_port: there.
        node_id: 40 hex digits, from its node key.
        account: bech32 account that owns the validator.
        at: POSIX second at which the part was made.
        gentx: the signed transaction that makes the node a validator.
        cards: all cards of the member's party; empty when it takes no part in journals.
        terms: what it was made for.
    """

    name: str
    host: str
    p2p_port: int
    node_id: str
    account: str
    at: int
    gentx: Mapping[str, Any]
    cards: tuple[Card, ...]
    terms: NetworkTerms

    def __post_init__(self) -> None:
        check_name(self.name)
        check_address(self.host, self.p2p_port)
        if not _node_id(self.node_id) or not 0 <= self.at < 2**40:
            raise ConfigurationError("a part's node id must be 40 hex digits, its time in POSIX seconds")
        prefix, _ = parse_bech32(self.account)
        if prefix != "cosmos":
            raise ConfigurationError("a part's account must begin with cosmos1")
        message = self.message
        if message.get("delegator_address") not in ("", None, self.account):
            raise ConfigurationError("a part's transaction is of another account than its own")
        if parse_bech32(str(message["validator_address"]))[1] != parse_bech32(self.account)[1]:
            raise ConfigurationError("a part's transaction is of another account than its own")

    @property
    def message(self) -> Mapping[str, Any]:
        """The one message of the transaction: a validator is created."""
        try:
            (message,) = self.gentx["body"]["messages"]
            if message["@type"] != "/cosmos.staking.v1beta1.MsgCreateValidator":
                raise ValueError
            str(message["pubkey"]["key"])
            str(message["value"]["amount"])
            str(message["validator_address"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError("a part's transaction must create one validator") from error
        found: Mapping[str, Any] = message
        return found

    @property
    def consensus_key(self) -> str:
        """The key that signs blocks, base64."""
        return str(self.message["pubkey"]["key"])

    @property
    def party_account(self) -> str:
        """The account (0x) of the member's party, from its newest card; empty without cards."""
        return chain_address(self.cards[-1].keys["chain"]) if self.cards else ""

    @property
    def peer(self) -> str:
        """Where and as whom the others reach it."""
        return f"{self.node_id}@{self.host}:{self.p2p_port}"


def check_name(name: str) -> None:
    """Refuse a member's name that cannot be a directory, a host or a moniker everywhere."""
    if not _name(name) or len(name) > 40:
        raise ConfigurationError(
            "a member's name must be 1 to 40 lower-case letters, digits and single hyphens"
        )


def check_address(host: str, port: int) -> None:
    """Refuse an address that is none."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError as error:
        raise ConfigurationError("a member's host must be an IPv4 address") from error
    if not 1 <= port <= 65535:
        raise ConfigurationError(f"a port must be 1 to 65535, got {port}")


def format_part(part: NetworkPart) -> bytes:
    """Write a part; `parse_part` reads it back equal."""
    document = {
        "account": part.account,
        "at": part.at,
        "cards": [card.bytes.decode() for card in part.cards],
        "gentx": part.gentx,
        "host": part.host,
        "name": part.name,
        "node_id": part.node_id,
        "p2p_port": part.p2p_port,
        "terms": asdict(part.terms),
        "type": _FORMAT,
        "v": 1,
    }
    try:
        return format_json(document, depth=DEPTH) + b"\n"
    except StatementError as error:
        raise ConfigurationError(f"a part cannot be written: {error.message}") from error


def parse_part(data: bytes) -> NetworkPart:
    """Read a part, strictly.

    Raises:
        EncodingError: not a part, or one that is malformed.
        UnknownFormatError: a later version.
        CardError: its cards do not verify.
    """
    document = check_format(parse_json(data.removesuffix(b"\n"), limit=PART_LIMIT, depth=DEPTH), _FORMAT)
    if set(document) != {*_PART, "type", "v"}:
        raise EncodingError("a part must have exactly the fields of version 1")
    terms, cards, gentx = document["terms"], document["cards"], document["gentx"]
    texts = all(type(document[key]) is str for key in ("account", "host", "name", "node_id"))
    numbers = all(type(document[key]) is int for key in ("at", "p2p_port"))
    if not texts or not numbers or type(gentx) is not dict or type(cards) is not list:
        raise EncodingError("a part's fields must be of their types")
    if not all(type(card) is str for card in cards):
        raise EncodingError("a part's cards must be text")
    parsed = tuple(parse_card(card.encode()) for card in cards)
    if parsed:
        verify_cards(parsed)
    try:
        return NetworkPart(
            **{key: document[key] for key in ("account", "at", "host", "name", "node_id", "p2p_port")},
            gentx=gentx,
            cards=parsed,
            terms=_terms(terms),
        )
    except ConfigurationError as error:
        raise EncodingError(f"this part cannot be used: {error.message}", hint=error.hint) from error


def _terms(found: Any) -> NetworkTerms:
    known = {one.name: type(one.default) for one in fields(NetworkTerms)}
    if not isinstance(found, dict) or set(found) != set(known):
        raise EncodingError("a part's terms must have exactly the fields of version 1")
    if any(type(found[name]) is not kind for name, kind in known.items()):
        raise EncodingError("a part's terms must be of their types")
    return NetworkTerms(**found)


def check_parts(parts: Sequence[NetworkPart]) -> tuple[NetworkPart, ...]:
    """Hold all parts against each other before anything is made of them.

    Returns:
        The parts, by name: the order in which everybody writes them.

    Raises:
        ConfigurationError: too few members for the faults asked for, different terms, or something that stands twice.
    """
    if not parts:
        raise ConfigurationError("a network needs its members' parts", hint="see `tallystick network join`")
    terms = parts[0].terms
    if any(part.terms != terms for part in parts):
        raise ConfigurationError(
            "the parts were made for different terms", hint="agree on one line to type, and join again"
        )
    needed = 3 * terms.faulty + 1
    if len(parts) < needed:
        raise ConfigurationError(
            f"to bear {terms.faulty} faulty validators a network needs {needed} members, got {len(parts)}",
            hint="wait for the other members' parts, or agree on fewer faults",
        )
    if len(parts) > MEMBER_LIMIT:
        raise ConfigurationError(f"a network must have at most {MEMBER_LIMIT} members, got {len(parts)}")
    for what, seen in (
        ("name", [part.name for part in parts]),
        ("validator key", [part.consensus_key for part in parts]),
        ("node id", [part.node_id for part in parts]),
        ("account", [part.account for part in parts]),
        ("address", [(part.host, part.p2p_port) for part in parts]),
        ("party", [part.cards[0].party for part in parts if part.cards]),
    ):
        if len(set(seen)) != len(seen):
            raise ConfigurationError(
                f"two parts have the same {what}",
                hint="each member makes its own keys, on its own machine; one key on two machines is punished",
            )
    stake = str(terms.stake * 10**18)
    if any(part.message["value"]["amount"] != stake for part in parts):
        raise ConfigurationError("each member must stake what the terms say, got another amount")
    return tuple(sorted(parts, key=lambda part: part.name))
