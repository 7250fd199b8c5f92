"""The files of a Besu network, held against the documented format: Besu itself is not run here."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import rlp

from tallystick.chain import Account
from tallystick.errors import ConfigurationError
from tallystick.network._besu import (
    BESU_LABEL,
    BesuPart,
    BesuTerms,
    besu_files,
    besu_member_files,
    format_extra_data,
    make_besu,
    new_besu_key,
    write_besu_files,
)

yaml: Any = pytest.importorskip("yaml")

# From the documentation of Besu, "Configure QBFT consensus", its example of a genesis file.
DOCUMENTED = (
    "f87aa00000000000000000000000000000000000000000000000000000000000000000f8549464a702e6263b7297a96638cac6ae65e6"
    "541f4169943923390ad55e90c237593b3b0e401f3b08a0318594aefdb9a738c9f433e5b6b212a6d62f6370c2f69294c7eeb9a4e00ce6"
    "83cf93039b212648e01c6c6b78c080c0"
)
# Options of the command line reference that a configuration file may name.
OPTIONS = {
    "data-path",
    "genesis-file",
    "node-private-key-file",
    "static-nodes-file",
    "discovery-enabled",
    "p2p-host",
    "p2p-interface",
    "p2p-port",
    "sync-mode",
    "data-storage-format",
    "min-gas-price",
    "tx-pool",
    "revert-reason-enabled",
    "rpc-http-enabled",
    "rpc-http-host",
    "rpc-http-port",
    "rpc-http-api",
    "host-allowlist",
    "logging",
}
TERMS = BesuTerms(chain_id=4221, at=1_790_000_000, block_time_s=2, balances={"0x" + "ab" * 20: 10**24})


def made(names: str = "clinic-a clinic-b clinic-c clinic-d") -> tuple[list[BesuPart], dict[str, bytes]]:
    secrets = {}
    parts = []
    for place, name in enumerate(names.split()):
        secrets[name], public = new_besu_key(os.urandom)
        parts.append(BesuPart(name, public, p2p_port=30303 + place, rpc_port=8545 + place))
    return parts, secrets


def genesis_of(parts: list[BesuPart]) -> dict[str, Any]:
    found = json.loads(besu_files(parts, TERMS)["genesis.json"])
    assert isinstance(found, dict)
    return found


def test_the_documented_extra_data_is_made_to_the_byte() -> None:
    _, validators, *_ = rlp.decode(bytes.fromhex(DOCUMENTED))
    assert format_extra_data(["0x" + address.hex() for address in validators]).hex() == DOCUMENTED


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 13, 64])
def test_extra_data_decodes_by_an_independent_library(count: int) -> None:
    addresses = sorted(os.urandom(20) for _ in range(count))
    data = format_extra_data(["0x" + address.hex() for address in addresses])
    assert rlp.decode(data) == [bytes(32), addresses, [], b"", []]
    assert rlp.encode([bytes(32), addresses, [], b"", []]) == data


def test_a_validator_is_the_address_of_its_node_key() -> None:
    secret, public = new_besu_key(os.urandom)
    assert BesuPart("a", public).address == Account(secret).address


def test_a_key_out_of_range_is_drawn_again() -> None:
    drawn = iter([bytes(32), b"\xff" * 32, (1).to_bytes(32, "big")])
    secret, public = new_besu_key(lambda _: next(drawn))
    assert int.from_bytes(secret, "big") == 1
    assert public.hex().startswith("79be667ef9dcbbac")  # the curve's base point


def test_the_genesis_holds_what_the_documentation_asks_for() -> None:
    parts, _ = made()
    genesis = genesis_of(parts)
    assert set(genesis) == {
        "alloc",
        "coinbase",
        "config",
        "difficulty",
        "extraData",
        "gasLimit",
        "mixHash",
        "nonce",
        "timestamp",
    }
    assert genesis["config"]["qbft"] == {
        "blockperiodseconds": 2,
        "epochlength": 30000,
        "requesttimeoutseconds": 4,
    }
    assert (genesis["config"]["chainId"], genesis["config"]["cancunTime"]) == (4221, 0)
    assert bytes.fromhex(genesis["mixHash"][2:]) == b"ctical byzantine fault tolerance"
    assert (int(genesis["timestamp"], 16), int(genesis["gasLimit"], 16)) == (1_790_000_000, 40_000_000)
    assert genesis["alloc"] == {"ab" * 20: {"balance": hex(10**24)}}
    _, validators, *_ = rlp.decode(bytes.fromhex(genesis["extraData"][2:]))
    assert ["0x" + found.hex() for found in validators] == sorted(part.address for part in parts)


def test_all_members_make_the_same_files_from_the_same_parts_in_any_order() -> None:
    parts, _ = made()
    one, other = besu_files(parts, TERMS), besu_files(parts[::-1], TERMS)
    assert one == other
    moved = besu_files(parts, BesuTerms(chain_id=4221, at=1_790_000_001, block_time_s=2))
    assert hashlib.sha256(one["genesis.json"]).digest() != hashlib.sha256(moved["genesis.json"]).digest()


def test_static_nodes_name_every_member_as_enode() -> None:
    parts, _ = made()
    nodes = json.loads(besu_files(parts, TERMS)["static-nodes.json"])
    assert nodes == [
        f"enode://{part.public_key.hex()}@127.0.0.1:{30303 + place}" for place, part in enumerate(parts)
    ]


def test_a_node_listens_for_json_rpc_on_loopback_only_wherever_it_stands() -> None:
    _, public = new_besu_key(os.urandom)
    far = BesuPart("bank-a", public, host="192.0.2.7")
    config = tomllib.loads(besu_member_files(far)["bank-a/config.toml"].decode())
    assert set(config) == OPTIONS
    assert config["rpc-http-host"] == "127.0.0.1"
    assert (config["p2p-host"], config["p2p-interface"]) == ("192.0.2.7", "0.0.0.0")
    near = tomllib.loads(besu_member_files(BesuPart("b", public))["b/config.toml"].decode())
    assert near["p2p-interface"] == "127.0.0.1"


def test_compose_and_units_start_each_member_with_its_own_configuration() -> None:
    parts, _ = made()
    compose = yaml.safe_load(besu_files(parts, TERMS)["compose.yml"])
    assert set(compose["services"]) == {part.name for part in parts}
    for part in parts:
        service = compose["services"][part.name]
        assert service["command"] == [f"--config-file={part.name}/config.toml"]
        assert service["network_mode"] == "host"
        unit = besu_member_files(part, "/srv/net")[f"{part.name}/besu-{part.name}.service"].decode()
        assert f"ExecStart=/usr/local/bin/besu --config-file={part.name}/config.toml" in unit
        assert "WorkingDirectory=/srv/net\n" in unit


def test_every_file_that_people_read_says_that_it_was_not_executed() -> None:
    parts, _ = made()
    files = {**besu_files(parts, TERMS), **besu_member_files(parts[0])}
    for name in ("README.txt", "compose.yml", "clinic-a/config.toml", "clinic-a/besu-clinic-a.service"):
        assert BESU_LABEL.encode() in files[name], name


def test_written_keys_are_their_owners_only_and_nobody_elses_travel(tmp_path: Path) -> None:
    parts, secrets = made()
    files = {**besu_files(parts, TERMS), **besu_member_files(parts[0])}
    write_besu_files(tmp_path / "net", files, keys={"clinic-a": secrets["clinic-a"]})
    key = tmp_path / "net" / "clinic-a" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert bytes.fromhex(key.read_text().strip()[2:]) == secrets["clinic-a"]
    assert [path.name for path in (tmp_path / "net").rglob("key")] == ["key"]
    everything = b"".join(path.read_bytes() for path in (tmp_path / "net").rglob("*") if path.is_file())
    assert not any(
        secrets[name].hex().encode() in everything for name in ("clinic-b", "clinic-c", "clinic-d")
    )
    with pytest.raises(ConfigurationError, match="not empty"):
        write_besu_files(tmp_path / "net", files, keys={})


def test_what_stands_twice_is_refused() -> None:
    parts, _ = made()
    _, public = new_besu_key(os.urandom)
    for wrong in (
        BesuPart("clinic-a", public, p2p_port=1),
        BesuPart("other", parts[0].public_key, p2p_port=1),
        BesuPart("other", public, p2p_port=30303),
    ):
        with pytest.raises(ConfigurationError, match="must stand once"):
            besu_files([*parts, wrong], TERMS)
    with pytest.raises(ConfigurationError, match="1 to 64 members"):
        besu_files([], TERMS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Clinic A"},
        {"name": "../a"},
        {"host": "node.example"},
        {"host": "1.2.3.4\nmin-gas-price=1"},
        {"p2p_port": 0},
        {"rpc_port": 65536},
        {"public_key": bytes(64)},
        {"public_key": b"\x01" * 63},
    ],
)
def test_parts_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    _, public = new_besu_key(os.urandom)
    with pytest.raises(ConfigurationError):
        BesuPart(**{"name": "a", "public_key": public, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"chain_id": 0},
        {"at": -1},
        {"block_time_s": 0},
        {"balances": {"0x12": 1}},
        {"balances": {"0x" + "ab" * 20: -1}},
    ],
)
def test_terms_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        BesuTerms(**{"chain_id": 1, "at": 1, **wrong})


def test_a_pilots_whole_network_is_made_on_one_machine(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    parts = make_besu(tmp_path / "net", names, terms=TERMS, randomness=os.urandom)
    assert [part.rpc_port for part in parts] == [8545, 8546, 8547, 8548]
    for part in parts:
        secret = bytes.fromhex((tmp_path / "net" / part.name / "key").read_text().strip()[2:])
        assert Account(secret).address == part.address
        assert (
            tomllib.loads((tmp_path / "net" / part.name / "config.toml").read_text())["p2p-port"]
            == part.p2p_port
        )
    with pytest.raises(ConfigurationError, match="must stand once"):
        make_besu(tmp_path / "other", ["a", "a"], terms=TERMS, randomness=os.urandom)
    assert not (tmp_path / "other").exists()
