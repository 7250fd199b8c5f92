"""A bundle: a whole network laid out on one machine, for a pilot or a test.

Every key is made here, which a real consortium must not do: there each member makes its own (`join`, `assemble`). The
homes are the same, made by the same code.

    bundle/network.json         who, on which chain, by which genesis
    bundle/<member>/            a node's home: keys (0600), configuration, part.json, data, log
    bundle/run/                 which processes run
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tallystick.errors import (
    ChainMismatchError,
    ConfigurationError,
    DamagedError,
    EncodingError,
    NotFoundError,
    StorageError,
)
from tallystick.proof import (
    Clock,
    OsFiles,
    check_format,
    format_json,
    parse_json,
    system_clock,
    write_atomically,
)

from ._bech32 import parse_bech32
from ._engine import find_engine
from ._genesis import genesis_hash
from ._home import JoinedPorts, read_ports
from ._joining import KEY, join, own_part, preview, run_engine, set_up
from ._parts import MEMBER_LIMIT, NetworkPart, NetworkTerms, check_name
from ._processes import free_block

if TYPE_CHECKING:
    from tallystick.chain import Account, Profile

__all__ = ["Bundle", "Member", "make_bundle", "open_bundle"]

NAMES = tuple(f"member-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
PORTS_EACH = 8  # a member's ports, in a row
_FILE = "network.json"
_FORMAT = "tallystick/network-bundle"
# Of one machine, so no member has to borrow from several others, and the pilot's treasury is a member's spare.
_STAKE, _SPARE = 1_000_000, 400_000
_OVERHEAD_MS = 75  # what agreeing on a block takes beside the pause, four validators on two cores


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a network, and its validator.

    Args:
        name: of the member.
        home: its node's directory.
        rpc_url: JSON-RPC of its node, on loopback.
        comet_url: the consensus engine's own interface, on loopback.
        p2p: where the other validators reach it, ``host:port``.
        node_id: 40 hex digits.
        address: its account, 0x and 40 lower-case hex digits.
    """

    name: str
    home: Path
    rpc_url: str
    comet_url: str
    p2p: str
    node_id: str
    address: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A network on this machine.

    Args:
        path: its directory.
        engine: the engine's binary, or None to take the one that is built.
        members: by name.
        chain_id: EIP-155.
        genesis_hash: SHA-256 of the genesis file, hex.
        faults: how many validators may be down or lie.
    """

    path: Path
    engine: Path | None
    members: tuple[Member, ...]
    chain_id: int
    genesis_hash: str
    faults: int

    def member(self, which: int | str) -> Member:
        """Return a member by its name or its place.

        Raises:
            NotFoundError: there is none.
        """
        for place, member in enumerate(self.members):
            if which in (place, member.name):
                return member
        raise NotFoundError("the network has no such member", hint=f"it has: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names, in order."""
        return tuple(member.name for member in self.members)

    def profile(self, member: int | str | None = None, *, agree: int | None = None) -> Profile:
        """Make a profile to reach the network with: that member's endpoint first, then the others'.

        Args:
            member: whose node it is for; the first one's when None.
            agree: so many members' endpoints must say the same; one more than may be faulty when None.
        """
        from tallystick.chain import Profile

        first = self.member(0 if member is None else member)
        line = [first, *(one for one in self.members if one is not first)]
        return Profile(
            name="network",
            urls=tuple(one.rpc_url for one in line),
            members=tuple(one.name for one in line),
            agree=min(self.faults + 1, len(line)) if agree is None else agree,
            chain_id=self.chain_id,
        )

    def account(self, which: int | str) -> Account:
        """Return a member's funded account, with its key; a bundle's keys all lie on this machine."""
        from tallystick.chain import Account

        member = self.member(which)
        engine = self.engine or find_engine()
        words = ("keys", "unsafe-export-eth-key", KEY, "--keyring-backend", "test")
        said = run_engine(engine, member.home, *words).splitlines()[-1].strip()
        account = Account(bytes.fromhex(said))
        if account.address.lower() != member.address:
            raise DamagedError("a member's key is not that of its account")
        return account

    def accounts(self) -> tuple[Account, ...]:
        """Return all members' funded accounts, in order."""
        return tuple(self.account(member.name) for member in self.members)

    def check(self) -> None:
        """Check that all members stand on this bundle's genesis, each with keys of its own.

        Raises:
            ChainMismatchError: another genesis.
            ConfigurationError: a key or a port that two of them have.
            DamagedError: something is missing.
        """
        seen: dict[str, str] = {}
        for member in self.members:
            try:
                genesis = (member.home / "config" / "genesis.json").read_bytes()
                keys = [
                    ("validator key", (member.home / "config" / "priv_validator_key.json").read_bytes()),
                    ("node key", (member.home / "config" / "node_key.json").read_bytes()),
                ]
            except OSError as error:
                raise DamagedError(
                    f"{member.name}'s home is not whole: {Path(str(error.filename)).name} cannot be read",
                    hint="restore it from its backup, or make the network again",
                ) from error
            if genesis_hash(genesis) != self.genesis_hash:
                raise ChainMismatchError(
                    f"{member.name} stands on the genesis {genesis_hash(genesis)[:16]}…, expected {self.genesis_hash[:16]}…",
                    hint="compare the hashes with each member; a node on another genesis never agrees with the others",
                )
            for what, key in keys:
                secret = _secret(key)
                if secret in seen:
                    raise ConfigurationError(
                        f"{seen[secret]} and {member.name} have the same {what}",
                        hint="two validators with one key sign two blocks of one height, which is punished: "
                        "give one of them its own key back",
                    )
                seen[secret] = member.name


def _secret(data: bytes) -> str:
    """The secret in one of the engine's key files, whatever its spaces are."""
    try:
        return str(orjson.loads(data)["priv_key"]["value"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("a key file of the engine is damaged") from error


def make_bundle(
    path: Path,
    members: Sequence[str] | int = 4,
    *,
    engine: str = "cosmos",
    binary: Path | None = None,
    chain_id: int = 262144,
    ports: int | None = None,
    host: str = "127.0.0.1",
    block_time_s: float = 1.0,
    faults: int | None = None,
    clock: Clock = system_clock,
) -> Bundle:
    """Lay out a network of several validators on this machine.

    Args:
        path: a directory that is not there, or is empty.
        members: their names, or how many.
        engine: ``cosmos``.
        binary: of the engine; the one that is built when None.
        chain_id: EIP-155; 262144 is fixed in the engine.
        ports: the first port, each member takes eight; free ones when None.
        host: where the validators reach each other.
        block_time_s: about so long from block to block, 0.2 to 60.
        faults: how many validators may be down or lie; the most that so many members bear when None.
        clock: microseconds since the epoch.

    Raises:
        ConfigurationError: a value that does not fit, too few members for the faults, a directory in use.
        NotFoundError: the engine is not built.
    """
    names = _names(members)
    borne = (len(names) - 1) // 3
    if faults is not None and not 0 <= faults <= borne:
        raise ConfigurationError(
            f"to bear {faults} faulty validators a network needs {3 * faults + 1} members, got {len(names)}",
            hint=f"name more members, or ask for at most {borne}",
        )
    if engine != "cosmos" or chain_id != 262144:
        raise ConfigurationError(
            f"a network that runs here is cosmos with chain id 262144, got {engine!r} with {chain_id}",
            hint="the chain id is fixed in the engine's binary",
        )
    bears = borne if faults is None else faults
    terms = NetworkTerms(
        chain_id=chain_id,
        block_time_ms=max(100, round(block_time_s * 1000) - _OVERHEAD_MS),
        faulty=bears,
        stake=_STAKE,
        spare=min(_SPARE, _STAKE // (2 * bears + 1)),
    )
    binary = binary or find_engine()
    if path.exists() and any(path.iterdir()):
        raise ConfigurationError(f"{path} is not empty", hint="name a new directory")
    base = (
        ports
        if ports is not None
        else free_block(host, PORTS_EACH * len(names), choose=secrets.randbelow(4096))
    )
    places = [
        JoinedPorts(p2p=first, rpc=first + 1, comet=first + 4)
        for first in range(base, base + PORTS_EACH * len(names), PORTS_EACH)
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            _lay_out(draft, names, places, binary, terms, host=host, clock=clock)
            draft.replace(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from error
    found = open_bundle(path)
    return Bundle(found.path, binary, found.members, found.chain_id, found.genesis_hash, found.faults)


def _lay_out(
    path: Path,
    names: Sequence[str],
    places: Sequence[JoinedPorts],
    binary: Path,
    terms: NetworkTerms,
    *,
    host: str,
    clock: Clock,
) -> None:
    def make(place: int) -> NetworkPart:
        return join(
            path / names[place],
            name=names[place],
            host=host,
            engine=binary,
            clock=clock,
            terms=terms,
            ports=places[place],
        )

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(make, range(len(names))))
        made = preview(parts, engine=binary)
        homes = [
            pool.submit(set_up, path / part.name, part, made, expected=made.hash, block_time_ms=None)
            for part in parts
        ]
        for one in homes:
            one.result()
    document = {
        "chain_id": terms.chain_id,
        "engine": terms.engine,
        "faults": terms.faulty,
        "genesis_hash": made.hash,
        "members": list(names),
        "type": _FORMAT,
        "v": 1,
    }
    (path / "run").mkdir(mode=0o700)
    write_atomically(OsFiles(), path / _FILE, format_json(document) + b"\n")


def open_bundle(path: Path) -> Bundle:
    """Read a bundle.

    Raises:
        NotFoundError: there is none.
        DamagedError: it is not what was written.
    """
    path = path.resolve()
    try:
        data = (path / _FILE).read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"there is no network in {path}", hint="make one: `tallystick network new DIR --members 4`"
        ) from error
    try:
        said: Mapping[str, Any] = check_format(parse_json(data.removesuffix(b"\n")), _FORMAT)
        members = tuple(_member(path, str(name)) for name in said["members"])
        return Bundle(
            path,
            None,
            members,
            int(said["chain_id"]),
            str(said["genesis_hash"]),
            int(said["faults"]),
        )
    except (EncodingError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{_FILE} is damaged", hint="restore it from its backup") from error


def _member(path: Path, name: str) -> Member:
    check_name(name)
    part, ports = own_part(path / name), read_ports(path / name)
    return Member(
        name=name,
        home=path / name,
        rpc_url=f"http://127.0.0.1:{ports.rpc}",
        comet_url=f"http://127.0.0.1:{ports.comet}",
        p2p=f"{part.host}:{part.p2p_port}",
        node_id=part.node_id,
        address="0x" + parse_bech32(part.account)[1].hex(),
    )


def _names(members: Sequence[str] | int) -> tuple[str, ...]:
    if isinstance(members, int):
        if not 1 <= members <= len(NAMES):
            raise ConfigurationError(f"a network on one machine has 1 to {len(NAMES)} members, got {members}")
        return NAMES[:members]
    names = tuple(members)
    for name in names:
        check_name(name)
    if not 1 <= len(names) <= MEMBER_LIMIT or len(set(names)) != len(names) or "run" in names:
        raise ConfigurationError(
            "a network's members must be 1 to 64, with different names, none of them `run`"
        )
    return names
