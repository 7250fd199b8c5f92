"""Joining and assembling: each member makes its keys on its own machine, and only public parts travel.

    join       a home for a node: its keys (which never leave it) and a part for the others
    assemble   all parts become one genesis; its hash is compared by people, over another way; then the node is set up

Nothing is half made: a home appears under its name when everything in it is there, and a genesis is written into it
only when the hash that was named is its hash.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tallystick.errors import (
    ChainMismatchError,
    ClockError,
    ConfigurationError,
    DamagedError,
    NotFoundError,
    StorageError,
    TallystickError,
)
from tallystick.proof import Card, Clock, OsFiles, system_clock, write_atomically

from ._genesis import DENOM, TOKEN, draft_genesis, genesis_hash, make_genesis
from ._home import JoinedPorts, close_to_others, read_ports, write_configuration, write_ports
from ._parts import NetworkPart, NetworkTerms, check_address, check_name, check_parts, format_part, parse_part

__all__ = ["Assembled", "assemble", "attach", "join", "own_part", "preview", "run_engine", "set_up"]

KEY = "validator"  # name of the account's key in the node's keyring
PART_FILE = "part.json"
_KEYRING = ("--keyring-backend", "test")
_TIMEOUT_S = 60.0
SKEW_S = 300  # a part may be so far ahead of this clock
_GENESIS = "config/genesis.json"


@dataclass(frozen=True, slots=True)
class Assembled:
    """A genesis that all members make alike.

    Args:
        hash: SHA-256 of the file, hex.
        genesis: the file.
        parts: the members, by name.
    """

    hash: str
    genesis: bytes
    parts: tuple[NetworkPart, ...]


def run_engine(engine: Path, home: Path, *words: str, told: str | None = None) -> str:
    """Run one command of the engine on a home, and return what it says.

    Raises:
        NotFoundError: there is no engine.
        ConfigurationError: it refused; its last words, which hold no secret, are in the hint.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the engine that this member built or named
            [str(engine), *words, "--home", str(home)],
            input=told,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotFoundError("the network's engine is not built", hint="run `make network`") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"the engine did not end `{words[0]}` in {_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        telling = [line for line in said if line.startswith(("Error", "panic"))] or said
        hint = telling[-1][:300] if telling and words[0] != "keys" else "see the engine's own log"
        raise ConfigurationError(f"the engine refused `{' '.join(words[:2])}`", hint=hint)
    return (done.stdout + done.stderr).strip()


def join(
    path: Path,
    *,
    name: str,
    host: str,
    engine: Path,
    clock: Clock,
    terms: NetworkTerms | None = None,
    ports: JoinedPorts | None = None,
    cards: Sequence[Card] = (),
) -> NetworkPart:
    """Make a node's home with its own keys, and the part for the others.

    Args:
        path: a directory that is not there, or is empty; on this member's own machine.
        name: of the member.
        host: IPv4 address where the other validators reach this node.
        engine: the engine's binary.
        clock: microseconds since the epoch.
        terms: agreed by all members.
        ports: of the node.
        cards: of the member's party, so that the others know whose node it is.

    Returns:
        The part, which also lies in the home as `part.json`.

    Raises:
        ConfigurationError: a value that does not fit, or a directory in use.
        NotFoundError: no engine.
    """
    terms, ports = terms or NetworkTerms(), ports or JoinedPorts()
    check_name(name)
    check_address(host, ports.p2p)
    if path.exists() and any(path.iterdir()):
        raise ConfigurationError(f"{path} is not empty", hint="name a new directory")
    at = clock() // 1_000_000
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise StorageError(f"{path} could not be made: {error.strerror}") from error
    try:
        part = _make_keys(draft, engine, terms, ports, name=name, host=host, at=at, cards=tuple(cards))
        write_atomically(OsFiles(), draft / PART_FILE, format_part(part), 0o644)
        write_ports(draft, ports)
        close_to_others(draft)
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return part


def _make_keys(
    home: Path,
    engine: Path,
    terms: NetworkTerms,
    ports: JoinedPorts,
    *,
    name: str,
    host: str,
    at: int,
    cards: tuple[Card, ...],
) -> NetworkPart:
    run_engine(engine, home, "config", "set", "client", "chain-id", terms.network_id)
    run_engine(engine, home, "config", "set", "client", "keyring-backend", "test")
    run_engine(engine, home, "keys", "add", KEY, *_KEYRING, "--algo", "eth_secp256k1")
    run_engine(engine, home, "init", name, "-o", "--chain-id", terms.network_id)
    account = run_engine(engine, home, "keys", "show", KEY, "-a", *_KEYRING).splitlines()[-1].strip()
    node_id = run_engine(engine, home, "comet", "show-node-id").splitlines()[-1].strip()
    # The engine signs the transaction only on a genesis where the account can pay it; this one is thrown away.
    own = (home / _GENESIS).read_bytes()
    (home / _GENESIS).write_bytes(draft_genesis(own, account, terms))
    signed = home / "config" / "gentx.json"
    run_engine(
        engine,
        home,
        *("genesis", "gentx", KEY, f"{terms.stake * TOKEN}{DENOM}"),
        *("--moniker", name, "--ip", host, "--p2p-port", str(ports.p2p), "--gas-prices", f"0{DENOM}"),
        *("--commission-rate", "0", "--commission-max-rate", "0", "--commission-max-change-rate", "0"),
        *(*_KEYRING, "--chain-id", terms.network_id, "--output-document", str(signed)),
    )
    (home / _GENESIS).unlink()
    return NetworkPart(
        name=name,
        host=host,
        p2p_port=ports.p2p,
        node_id=node_id,
        account=account,
        at=at,
        gentx=_read_json(signed),
        cards=cards,
        terms=terms,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError("the engine wrote no transaction that can be read") from error
    if not isinstance(found, dict):
        raise ConfigurationError("the engine wrote no transaction that can be read")
    return found


def preview(parts: Sequence[NetworkPart], *, engine: Path, clock: Clock = system_clock) -> Assembled:
    """Make the genesis of these parts and its hash; nothing is kept.

    Args:
        parts: of all members, in any order.
        engine: the engine's binary.
        clock: microseconds since the epoch.

    Raises:
        ClockError: a part is of a time that has not come yet: the network would wait for it.
        ConfigurationError: see `check_parts`; or the engine finds the genesis wrong.
    """
    members = check_parts(parts)
    _check_times(members, clock() // 1_000_000)
    with tempfile.TemporaryDirectory(prefix="tallystick-genesis-") as place:
        home = Path(place)
        network_id = members[0].terms.network_id
        run_engine(engine, home, "config", "set", "client", "chain-id", network_id)
        run_engine(engine, home, "init", "empty", "--chain-id", network_id)
        genesis = make_genesis((home / _GENESIS).read_bytes(), members)
        (home / _GENESIS).write_bytes(genesis)
        run_engine(engine, home, "genesis", "validate-genesis")
    return Assembled(genesis_hash(genesis), genesis, members)


def _check_times(members: Sequence[NetworkPart], now: int) -> None:
    ahead = {part.name: part.at - now for part in members if part.at - now > SKEW_S}
    if ahead:
        name = max(ahead, key=lambda one: ahead[one])
        raise ClockError(
            f"the part of {name} is of {ahead[name]} s from now: its clock or this one is wrong",
            hint="set both clocks by NTP; who was ahead joins again in a new directory",
        )


def assemble(
    path: Path,
    parts: Sequence[NetworkPart],
    *,
    engine: Path,
    expected: str,
    block_time_ms: int | None = None,
    clock: Clock = system_clock,
) -> Assembled:
    """Set a joined node up for the network that all parts make.

    Args:
        path: the home that `join` made.
        parts: of all members, this one's included.
        engine: the engine's binary.
        expected: the genesis hash that the members read out to each other, 64 hex digits.
        block_time_ms: pause between two blocks at this node; that of the terms when None.
        clock: microseconds since the epoch.

    Raises:
        ClockError: a part is of a time that has not come yet.
        ChainMismatchError: these parts make another genesis: somebody's part is missing, old or changed.
        ConfigurationError: this member's own part is missing or another one, or the parts do not fit each other.
        NotFoundError: nothing was joined here, or no engine.
    """
    own = own_part(path)
    if own not in parts:
        raise ConfigurationError(
            "the parts do not hold this member's own part as it was made here",
            hint=f"name {path / PART_FILE} too, and no other part of {own.name}",
        )
    made = preview(parts, engine=engine, clock=clock)
    return set_up(path, own, made, expected=expected, block_time_ms=block_time_ms)


def attach(
    path: Path, parts: Sequence[NetworkPart], *, engine: Path, expected: str, block_time_ms: int | None = None
) -> Assembled:
    """Set a joined node up for a network that runs already: it follows, and can be made a validator then.

    Args:
        path: the home that `join` made.
        parts: those that the network was assembled from.
        engine: the engine's binary.
        expected: the network's genesis hash, as its members tell it.
        block_time_ms: as for `assemble`.

    Raises:
        ChainMismatchError: these parts make another genesis.
        ConfigurationError: this member's part is among them, or something in it stands there already.
        NotFoundError: nothing was joined here, or no engine.
    """
    own = own_part(path)
    check_parts([*parts, own])
    made = preview(parts, engine=engine)
    return set_up(path, own, made, expected=expected, block_time_ms=block_time_ms)


def set_up(
    path: Path, own: NetworkPart, made: Assembled, *, expected: str, block_time_ms: int | None
) -> Assembled:
    if made.hash != expected.lower():
        raise ChainMismatchError(
            f"expected the genesis {expected[:16]}…, these parts make {made.hash[:16]}…",
            hint="compare the hashes of the parts with each member: one is missing, old or changed",
        )
    if (path / _GENESIS).exists() and genesis_hash((path / _GENESIS).read_bytes()) != made.hash:
        raise ConfigurationError(
            "this node was set up for another genesis",
            hint="join again in a new directory for another network",
        )
    write_configuration(path, own, made.parts, read_ports(path), block_time_ms=block_time_ms)
    # Last: without its genesis a node does not start, so a crash before leaves one that refuses to run.
    write_atomically(OsFiles(), path / _GENESIS, made.genesis, 0o644)
    return made


def own_part(path: Path) -> NetworkPart:
    """Read the part that was made in a home.

    Raises:
        NotFoundError: nothing was joined here.
        DamagedError: it is not what was written.
    """
    try:
        return parse_part((path / PART_FILE).read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"nothing was joined in {path}", hint="run `tallystick network join`") from error
    except TallystickError as error:
        raise DamagedError(f"{PART_FILE} is damaged", hint="take it from the files that were sent") from error
