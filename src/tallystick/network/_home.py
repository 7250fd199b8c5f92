"""A node's home on its own machine: its ports, its configuration, and who may read it.

The engine writes both configuration files with its defaults; here single values of them are set. A value that the
engine no longer has stops everything: a node that silently kept a default could show its JSON-RPC to the world.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tallystick.errors import ConfigurationError, DamagedError, EncodingError, StorageError
from tallystick.proof import OsFiles, check_format, format_json, parse_json, write_atomically

from ._genesis import DENOM
from ._parts import NetworkPart

__all__ = [
    "JoinedPorts",
    "close_to_others",
    "read_ports",
    "set_value",
    "write_configuration",
    "write_ports",
    "write_unit",
]

_PORTS_FILE = "ports.json"
_FORMAT = "tallystick/network-ports"


@dataclass(frozen=True, slots=True)
class JoinedPorts:
    """Where a node listens on its own machine.

    Args:
        p2p: for the other validators.
        rpc: JSON-RPC of the EVM, on loopback; the next two are its websocket and its figures.
        comet: the consensus engine's own interface, on loopback.
    """

    p2p: int = 26656
    rpc: int = 8545
    comet: int = 26657

    def __post_init__(self) -> None:
        used = (self.p2p, self.rpc, self.rpc + 1, self.rpc + 2, self.comet)
        if not all(1 <= port <= 65535 for port in used) or len(set(used)) != len(used):
            raise ConfigurationError(
                "a node's ports must be 1 to 65535, and different; rpc takes three in a row"
            )


def write_ports(home: Path, ports: JoinedPorts) -> None:
    """Keep a node's ports beside its keys."""
    document = {"ports": asdict(ports), "type": _FORMAT, "v": 1}
    write_atomically(OsFiles(), home / _PORTS_FILE, format_json(document) + b"\n")


def read_ports(home: Path) -> JoinedPorts:
    """Read a node's ports.

    Raises:
        DamagedError: not what was written.
    """
    try:
        data = (home / _PORTS_FILE).read_bytes()
        return JoinedPorts(**check_format(parse_json(data.removesuffix(b"\n")), _FORMAT)["ports"])
    except (OSError, EncodingError, KeyError, TypeError, ConfigurationError) as error:
        raise DamagedError(f"{_PORTS_FILE} is damaged", hint="write the ports that join was given") from error


def close_to_others(home: Path) -> None:
    """Let only the owner read what lies in a home: keys of the node, of its account and of its blocks."""
    home.chmod(0o700)
    for path in home.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)


def write_unit(home: Path, engine: Path) -> Path:
    """Write a systemd unit that keeps this node running; a person copies it to where units stand.

    Args:
        home: of the node; its owner runs it.
        engine: the engine's binary.

    Returns:
        Where it was written.
    """
    place, binary = home.resolve(), engine.resolve()
    for path in (place, binary):
        if not re.fullmatch(r"[A-Za-z0-9/._+-]+", str(path)):
            raise ConfigurationError(
                "a unit's paths must be letters, digits and / . _ + -", hint="move the directory"
            )
    unit = f"""[Unit]
Description=Validator of a consortium's network
After=network-online.target time-sync.target
Wants=network-online.target

[Service]
User={home.owner()}
ExecStart={binary} start --home {place} --log_level error
# The engine remembers what it signed before it signs: starting it again is always safe, a second copy of it never is.
Restart=on-failure
RestartSec=5
TimeoutStopSec=60
LimitNOFILE=65536
NoNewPrivileges=true
PrivateTmp=true
ProtectSystem=strict
ReadWritePaths={place}

[Install]
WantedBy=multi-user.target
"""
    path = home / "validator.service"
    write_atomically(OsFiles(), path, unit.encode(), 0o644)
    return path


def set_value(text: str, section: str, key: str, value: str) -> str:
    """Set one value in a TOML file and keep everything else, comments too.

    Args:
        text: the file.
        section: of the key; empty for keys before the first section.
        key: must stand there once.
        value: as it is written, with its quotation marks.

    Raises:
        ConfigurationError: the engine's file has no such key.
    """
    lines, here, found = text.split("\n"), "", []
    for place, line in enumerate(lines):
        head = re.fullmatch(r"\[([A-Za-z0-9._-]+)\]\s*", line)
        if head is not None:
            here = head.group(1)
        elif here == section and re.match(rf"{re.escape(key)}\s*=", line):
            found.append(place)
    if len(found) != 1:
        raise ConfigurationError(
            f"the engine's configuration has no {section or 'first'} {key}",
            hint="use the engine that `make network` builds",
        )
    lines[found[0]] = f"{key} = {value}"
    return "\n".join(lines)


def write_configuration(
    home: Path,
    own: NetworkPart,
    members: Sequence[NetworkPart],
    ports: JoinedPorts,
    *,
    block_time_ms: int | None = None,
) -> None:
    """Set both of the engine's configuration files for this network; written again, they come out the same."""
    pause = own.terms.block_time_ms if block_time_ms is None else block_time_ms
    peers = ",".join(part.peer for part in members if part.node_id != own.node_id)
    close = ipaddress.IPv4Address(own.host).is_loopback
    listen = own.host if close else "0.0.0.0"  # noqa: S104 - for the other validators; every other port is on loopback
    # private networks often share one address range, which the address book's strict rules refuse
    near = all(ipaddress.IPv4Address(part.host).is_private for part in members)
    comet = {
        ("rpc", "laddr"): f'"tcp://127.0.0.1:{ports.comet}"',
        ("rpc", "pprof_laddr"): '""',
        ("p2p", "laddr"): f'"tcp://{listen}:{ports.p2p}"',
        ("p2p", "external_address"): f'"{own.host}:{ports.p2p}"',
        ("p2p", "persistent_peers"): f'"{peers}"',
        ("p2p", "addr_book_strict"): "false" if near else "true",
        ("p2p", "allow_duplicate_ip"): "true" if near else "false",
        ("p2p", "pex"): "false",  # the members are known: nobody is looked for
        ("consensus", "timeout_commit"): f'"{pause}ms"',
        # how long a silent proposer holds the others up; it grows by itself when blocks take longer
        ("consensus", "timeout_propose"): '"1500ms"',
        # messages wait so long to go together: with the engine's 100 ms each, a block takes 0.2 s longer
        ("consensus", "peer_gossip_sleep_duration"): '"25ms"',
        ("p2p", "flush_throttle_timeout"): '"10ms"',
    }
    app = {
        ("", "minimum-gas-prices"): f'"0{DENOM}"',
        ("api", "enable"): "false",
        ("grpc", "enable"): "false",
        ("grpc-web", "enable"): "false",
        ("json-rpc", "enable"): "true",
        ("json-rpc", "address"): f'"127.0.0.1:{ports.rpc}"',
        ("json-rpc", "ws-address"): f'"127.0.0.1:{ports.rpc + 1}"',
        ("json-rpc", "metrics-address"): f'"127.0.0.1:{ports.rpc + 2}"',
        ("json-rpc", "api"): '"eth,net,web3,txpool,debug"',
        ("evm", "evm-chain-id"): str(own.terms.chain_id),
    }
    _set_all(home / "config" / "config.toml", comet)
    _set_all(home / "config" / "app.toml", app)


def _set_all(path: Path, values: dict[tuple[str, str], str]) -> None:
    try:
        text = path.read_text()
    except OSError as error:
        raise StorageError(f"{path.name} could not be read: {error.strerror}") from error
    for (section, key), value in values.items():
        text = set_value(text, section, key, value)
    write_atomically(OsFiles(), path, text.encode())
