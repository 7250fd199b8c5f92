"""A consortium's network on Hyperledger Besu with QBFT: every file it needs, made from the members' public parts.

- Each member makes a node key on its own machine (`new_besu_key`); the public half, a name and an address travel.
- `besu_files` is a pure function of these parts and the terms, so all members make the same bytes and compare one
  hash before anybody starts.
- JSON-RPC listens on loopback only; gas is free (`zeroBaseFee`), because the members know each other; Cancun from the
  first block, because that is what the contracts are compiled for.
- Besu is in no registry that this project builds from: **generated, not executed by our tests**. The files are
  checked against the documented format and the extraData is decoded by an independent RLP library.

Sources: Besu documentation, "Configure QBFT consensus" and "Genesis file items"; extraData is
RLP([32 bytes of vanity, [validators], [] (no vote), 0 (round), [] (no seals)]); Yellow Paper, appendix B (RLP).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tallystick.errors import ConfigurationError, StorageError
from tallystick.proof import OsFiles, Randomness, keccak256, write_atomically

__all__ = [
    "BESU_LABEL",
    "BESU_VERSION",
    "BesuPart",
    "BesuTerms",
    "besu_files",
    "besu_member_files",
    "format_extra_data",
    "make_besu",
    "new_besu_key",
    "write_besu_files",
]

BESU_LABEL = "generated, not executed by our tests"
BESU_VERSION = "25.8.0"  # the image in the compose file; any later one that knows QBFT and Cancun does
MEMBER_LIMIT = 64
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
# What QBFT blocks carry in place of a proof of work; the same words in every QBFT genesis.
_MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"
_GAS_LIMIT = 40_000_000
_address = re.compile(r"0x[0-9a-f]{40}").fullmatch
_name = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*").fullmatch


@dataclass(frozen=True, slots=True)
class BesuPart:
    """What a member tells the others about its node; nothing in it is secret.

    Args:
        name: of the member's directory and unit: lower-case letters, digits, hyphens.
        public_key: of the node key, 64 bytes (an uncompressed secp256k1 point without its first byte).
        host: IPv4 address where the others reach it; Besu resolves names by an experimental option only.
        p2p_port: there.
        rpc_port: of its JSON-RPC, on its own loopback address.

    Raises:
        ConfigurationError: a value out of its range.
    """

    name: str
    public_key: bytes
    host: str = "127.0.0.1"
    p2p_port: int = 30303
    rpc_port: int = 8545

    def __post_init__(self) -> None:
        if not _name(self.name) or len(self.name) > 40:
            raise ConfigurationError(
                "a member's name must be 1 to 40 lower-case letters, digits and single hyphens"
            )
        try:
            ipaddress.IPv4Address(self.host)
        except ValueError as error:
            raise ConfigurationError("a member's host must be an IPv4 address") from error
        if not (1 <= self.p2p_port <= 65535 and 1 <= self.rpc_port <= 65535):
            raise ConfigurationError("ports must be 1 to 65535")
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), b"\x04" + self.public_key)
        except ValueError as error:
            raise ConfigurationError("a node's public key must be 64 bytes of a secp256k1 point") from error

    @property
    def address(self) -> str:
        """The validator's address: that of its node key."""
        return "0x" + keccak256(self.public_key)[12:].hex()

    @property
    def enode(self) -> str:
        """Where and as whom the others reach it."""
        return f"enode://{self.public_key.hex()}@{self.host}:{self.p2p_port}"


@dataclass(frozen=True, slots=True)
class BesuTerms:
    """What the members agree on before they start.

    Args:
        chain_id: EIP-155 chain id, > 0.
        at: POSIX second of the genesis block; the same for all, not in the future when they start.
        block_time_s: seconds between two blocks, >= 1.
        balances: account -> wei that it has from the first block on.
    """

    chain_id: int
    at: int
    block_time_s: int = 1
    balances: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.chain_id < 2**63:
            raise ConfigurationError(f"chain_id must be > 0, got {self.chain_id}")
        if not 0 <= self.at < 2**40 or not 1 <= self.block_time_s <= 3600:
            raise ConfigurationError("a genesis' time must be in POSIX seconds, its block time 1 to 3600 s")
        for account, wei in (self.balances or {}).items():
            if not _address(account) or not 0 <= wei < 2**255:
                raise ConfigurationError("balances must be of 0x and 40 lower-case hex digits, 0 or more wei")


def new_besu_key(randomness: Randomness) -> tuple[bytes, bytes]:
    """Make a node key.

    Returns:
        The secret, 32 bytes, which never leaves its machine; the public key of `BesuPart`, 64 bytes.
    """
    while True:
        secret = randomness(32)
        number = int.from_bytes(secret, "big")
        if 0 < number < _ORDER:
            break
    point = ec.derive_private_key(number, ec.SECP256K1()).public_key()
    return secret, point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def format_extra_data(validators: Sequence[str]) -> bytes:
    """Write the extraData of a QBFT genesis block.

    Args:
        validators: addresses, 0x and 40 hex digits, in this order.
    """
    addresses = [bytes.fromhex(validator[2:]) for validator in validators]
    listed = _rlp_list([_rlp_bytes(address) for address in addresses])
    return _rlp_list([_rlp_bytes(bytes(32)), listed, _rlp_list([]), _rlp_bytes(b""), _rlp_list([])])


def _rlp_bytes(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < 0x80:
        return data
    return _rlp_length(len(data), 0x80) + data


def _rlp_list(items: Sequence[bytes]) -> bytes:
    body = b"".join(items)
    return _rlp_length(len(body), 0xC0) + body


def _rlp_length(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = (length.bit_length() + 7) // 8
    return bytes([offset + 55 + size]) + length.to_bytes(size, "big")


def besu_files(parts: Sequence[BesuPart], terms: BesuTerms) -> dict[str, bytes]:
    """Make the files that are the same at every member: name -> content.

    Args:
        parts: of all members, in any order.
        terms: agreed by all.

    Raises:
        ConfigurationError: a name, key or address that stands twice, or too many or no members.
    """
    members = _checked(parts)
    enodes = [part.enode for part in members]
    return {
        "README.txt": _readme(members, terms).encode(),
        "compose.yml": _compose(members).encode(),
        "genesis.json": _json(_genesis(members, terms)),
        "static-nodes.json": _json(enodes),
    }


def _checked(parts: Sequence[BesuPart]) -> list[BesuPart]:
    if not 1 <= len(parts) <= MEMBER_LIMIT:
        raise ConfigurationError(f"a network must have 1 to {MEMBER_LIMIT} members, got {len(parts)}")
    for what, values in (
        ("name", [part.name for part in parts]),
        ("validator key", [part.public_key for part in parts]),
        ("address of a node", [(part.host, part.p2p_port) for part in parts]),
    ):
        if len(set(values)) != len(values):
            raise ConfigurationError(
                f"a {what} must stand once, got one twice",
                hint="each member makes its own on its own machine",
            )
    return sorted(parts, key=lambda part: part.name)


def _genesis(members: Sequence[BesuPart], terms: BesuTerms) -> dict[str, object]:
    return {
        "alloc": {
            account[2:]: {"balance": hex(wei)} for account, wei in sorted((terms.balances or {}).items())
        },
        "coinbase": "0x" + "00" * 20,
        "config": {
            "berlinBlock": 0,
            # Nothing here sends blobs; named all the same, because some versions want a line for each fork.
            "blobSchedule": {"cancun": {"baseFeeUpdateFraction": 3338477, "max": 6, "target": 3}},
            "cancunTime": 0,
            "chainId": terms.chain_id,
            "londonBlock": 0,
            "qbft": {
                "blockperiodseconds": terms.block_time_s,
                "epochlength": 30000,
                # the documentation asks for at least twice the block period
                "requesttimeoutseconds": 2 * terms.block_time_s,
            },
            "shanghaiTime": 0,
            "zeroBaseFee": True,
        },
        "difficulty": "0x1",
        "extraData": "0x" + format_extra_data(sorted(part.address for part in members)).hex(),
        "gasLimit": hex(_GAS_LIMIT),
        "mixHash": _MIX_HASH,
        "nonce": "0x0",
        "timestamp": hex(terms.at),
    }


def besu_member_files(part: BesuPart, directory: str = "/etc/tallystick/besu") -> dict[str, bytes]:
    """Make the files of one member's node, without its key: name -> content.

    Args:
        part: of this member.
        directory: where the shared files and this member's directory stand on its machine.
    """
    return {
        f"{part.name}/besu-{part.name}.service": _unit(part, directory).encode(),
        f"{part.name}/config.toml": _config(part).encode(),
    }


def _config(part: BesuPart) -> str:
    # Paths start at the bundle's directory, where the unit and the compose file start the node.
    local = ipaddress.IPv4Address(part.host).is_loopback
    inside = part.host if local else "0.0.0.0"  # noqa: S104 - between nodes only, who know each other's keys
    return f"""# Besu node of {part.name}; {BESU_LABEL}
data-path="{part.name}/data"
genesis-file="genesis.json"
node-private-key-file="{part.name}/key"
static-nodes-file="static-nodes.json"
discovery-enabled=false
p2p-host="{part.host}"
p2p-interface="{inside}"
p2p-port={part.p2p_port}
sync-mode="FULL"
data-storage-format="FOREST"
min-gas-price=0
tx-pool="SEQUENCED"
revert-reason-enabled=true
rpc-http-enabled=true
rpc-http-host="127.0.0.1"
rpc-http-port={part.rpc_port}
rpc-http-api=["ETH","NET","WEB3","QBFT","TXPOOL"]
host-allowlist=["127.0.0.1","localhost"]
logging="INFO"
"""


def _unit(part: BesuPart, directory: str) -> str:
    return f"""# {BESU_LABEL}
[Unit]
Description=Besu validator of {part.name}
After=network-online.target
Wants=network-online.target

[Service]
User=besu
WorkingDirectory={directory}
ExecStart=/usr/local/bin/besu --config-file={part.name}/config.toml
Restart=on-failure
RestartSec=5
LimitNOFILE=65536
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
ReadWritePaths={directory}/{part.name}

[Install]
WantedBy=multi-user.target
"""


def _compose(members: Sequence[BesuPart]) -> str:
    # The host's network: JSON-RPC stays on its loopback address, where a published port would leave it.
    lines = [f"# {BESU_LABEL}; for a pilot on one machine", "services:"]
    for part in members:
        lines += [
            f"  {part.name}:",
            f"    image: hyperledger/besu:{BESU_VERSION}",
            "    network_mode: host",
            '    user: "${BESU_UID:-1000}:${BESU_GID:-1000}"',
            "    working_dir: /network",
            f'    command: ["--config-file={part.name}/config.toml"]',
            "    volumes:",
            "      - ./genesis.json:/network/genesis.json:ro",
            "      - ./static-nodes.json:/network/static-nodes.json:ro",
            f"      - ./{part.name}:/network/{part.name}",
            "    restart: on-failure",
        ]
    return "\n".join(lines) + "\n"


def _readme(members: Sequence[BesuPart], terms: BesuTerms) -> str:
    faulty = (len(members) - 1) // 3
    listed = "\n".join(f"  {part.name:<40} {part.address}  {part.host}:{part.p2p_port}" for part in members)
    return f"""A Besu QBFT network of {len(members)} validators, chain {terms.chain_id}.
{BESU_LABEL}: try it with your version of Besu before anything depends on it.

Each member compares the SHA-256 of genesis.json with all the others before it starts its node.
It goes on while at most {faulty} of {len(members)} validators are down or lie, and halts, without a fork, beyond that.

{listed}

One machine:    docker compose up -d          (the key files must be readable by BESU_UID)
One each:       copy genesis.json, static-nodes.json and your own directory, and install its .service file
Is it alive:    curl -s http://127.0.0.1:PORT -d '{{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}}'
Add a validator: a majority of the present ones calls qbft_proposeValidatorVote(ADDRESS, true) on its own node;
remove one with false; afterwards each calls qbft_discardValidatorVote(ADDRESS).
"""


def write_besu_files(path: Path, files: Mapping[str, bytes], *, keys: Mapping[str, bytes]) -> None:
    """Write a bundle's files; key files are readable by their owner only.

    Args:
        path: a directory that is not there, or is empty.
        files: as made above.
        keys: member's name -> secret, of those members whose machine this is.

    Raises:
        ConfigurationError: something stands there already.
        StorageError: it could not be written.
    """
    if path.exists() and any(path.iterdir()):
        raise ConfigurationError(f"{path} is not empty", hint="name a new directory")
    kept = OsFiles()
    try:
        for name, data in sorted(files.items()):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(kept, path / name, data, 0o644)
        for name, secret in sorted(keys.items()):
            (path / name).mkdir(parents=True, exist_ok=True)
            write_atomically(kept, path / name / "key", b"0x" + secret.hex().encode() + b"\n")
    except OSError as error:
        raise StorageError(f"the network's files could not be written: {error.strerror}") from error


def make_besu(
    path: Path,
    names: Sequence[str],
    *,
    terms: BesuTerms,
    randomness: Randomness,
    host: str = "127.0.0.1",
    p2p_port: int = 30303,
    rpc_port: int = 8545,
) -> list[BesuPart]:
    """Make a whole network's files on one machine, keys included: for a pilot, not for several organisations.

    Args:
        path: a directory that is not there, or is empty.
        names: of the members.
        terms: of the network.
        randomness: source of the keys.
        host: of all nodes.
        p2p_port: of the first node; each further one has the next.
        rpc_port: likewise.

    Returns:
        The members' parts, in the order of the names.

    Raises:
        ConfigurationError: names, ports or a directory that cannot be used.
        StorageError: it could not be written.
    """
    keys, parts = dict[str, bytes](), list[BesuPart]()
    for place, name in enumerate(names):
        keys[name], public = new_besu_key(randomness)
        parts.append(BesuPart(name, public, host, p2p_port + place, rpc_port + place))
    files = besu_files(parts, terms)
    for part in parts:
        files |= besu_member_files(part)
    write_besu_files(path, files, keys=keys)
    return parts


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
