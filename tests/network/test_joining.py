"""Members join on their own machines, assemble one genesis, and later let a fifth in and one go."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from tests.network.joined import Joined

from tallystick.chain import Profile, anchor_reader, connect
from tallystick.errors import (
    ChainMismatchError,
    ChainUnreachableError,
    ClockError,
    ConfigurationError,
    DamagedError,
    FundsError,
    NotFoundError,
)
from tallystick.network._bech32 import format_bech32
from tallystick.network._home import read_ports, set_value
from tallystick.network._joining import assemble, attach, join, own_part, preview, run_engine
from tallystick.network._parts import NetworkTerms, format_part, parse_part
from tallystick.network._validators import add_validator, lend, remove_validator, validators
from tallystick.node import (
    CardFile,
    ChainSettings,
    Node,
    anchor_policy,
    found,
    found_elsewhere,
    make_policy,
    migrate,
)
from tallystick.proof import Party, system_clock, verify

pytestmark = [pytest.mark.network, pytest.mark.slow]
NAMES = ("bank-a", "bank-b", "bank-c", "bank-d")


@pytest.fixture(scope="module")
def joined(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    """Four members who joined one by one and assembled; nothing runs yet."""
    made = Joined(tmp_path_factory.mktemp("joined"), engine)
    try:
        made.join_all(NAMES, {name: Party.create(name).cards for name in NAMES})
        made.assemble()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def running(joined: Joined) -> Joined:
    """The four of them, making blocks."""
    for name in NAMES:
        joined.start(name)
    joined.wait("bank-a", 2)
    return joined


def test_everybody_makes_the_same_genesis_from_what_travelled(joined: Joined) -> None:
    travelled = [parse_part(format_part(part)) for part in joined.parts]
    assert preview(travelled[::-1], engine=joined.engine).hash == joined.hash
    files = {(joined.home(name) / "config" / "genesis.json").read_bytes() for name in NAMES}
    assert len(files) == 1


def test_no_key_travels(joined: Joined) -> None:
    for name in NAMES:
        home = joined.home(name)
        secrets = [
            orjson.loads((home / "config" / "node_key.json").read_bytes())["priv_key"]["value"],
            orjson.loads((home / "config" / "priv_validator_key.json").read_bytes())["priv_key"]["value"],
        ]
        travels = (home / "part.json").read_text() + (home / "config" / "genesis.json").read_text()
        assert not any(secret in travels for secret in secrets)


def test_a_home_is_its_owners_only(joined: Joined) -> None:
    home = joined.home("bank-a")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    keys = [path for path in home.rglob("*") if "key" in path.as_posix() and path.is_file()]
    assert keys
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)


def test_everything_but_the_validators_port_listens_on_loopback(joined: Joined, tmp_path: Path) -> None:
    config = joined.home("bank-a") / "config"
    for name in ("config.toml", "app.toml"):
        assert "0.0.0.0" not in (config / name).read_text()
    far = [replace(part, host=f"192.0.2.{place}") for place, part in enumerate(joined.parts, 1)]
    from tallystick.network._home import write_configuration

    (tmp_path / "config").mkdir()
    for name in ("config.toml", "app.toml"):
        (tmp_path / "config" / name).write_bytes((config / name).read_bytes())
    write_configuration(tmp_path, far[0], far, read_ports(joined.home("bank-a")))
    lines = [
        line for line in (tmp_path / "config" / "config.toml").read_text().splitlines() if "0.0.0.0" in line
    ]
    assert lines == [f'laddr = "tcp://0.0.0.0:{far[0].p2p_port}"']
    assert "0.0.0.0" not in (tmp_path / "config" / "app.toml").read_text()


def test_the_engine_names_an_account_as_we_do(joined: Joined, tmp_path: Path) -> None:
    said = run_engine(joined.engine, tmp_path, "debug", "addr", "c6fe5d33615a1c52c08018c47e8bc53646a0e101")
    assert format_bech32("cosmos", bytes.fromhex("c6fe5d33615a1c52c08018c47e8bc53646a0e101")) in said


def test_another_hash_than_the_members_told_sets_nothing_up(joined: Joined, tmp_path: Path) -> None:
    four = Joined(tmp_path, joined.engine)
    own = four.join("bank-e")
    parts = [*joined.parts[:3], own]
    with pytest.raises(ChainMismatchError, match="expected the genesis"):
        assemble(four.home("bank-e"), parts, engine=joined.engine, expected=joined.hash)
    assert not (four.home("bank-e") / "config" / "genesis.json").exists()


def test_a_part_that_was_changed_on_the_way_shows_as_another_hash(joined: Joined) -> None:
    moved = [replace(joined.parts[0], at=joined.parts[0].at + 60), *joined.parts[1:]]
    assert preview(moved, engine=joined.engine).hash != joined.hash
    with pytest.raises(ConfigurationError, match="own part as it was made here"):
        assemble(joined.home("bank-a"), moved, engine=joined.engine, expected=joined.hash)


def test_a_part_from_a_clock_that_is_ahead_is_refused_by_its_members_name(joined: Joined) -> None:
    first = min(part.at for part in joined.parts)
    with pytest.raises(ClockError, match=r"the part of bank-[a-d] is of \d+ s from now"):
        preview(joined.parts, engine=joined.engine, clock=lambda: (first - 3600) * 1_000_000)


def test_a_joined_home_is_not_joined_again_and_a_missing_engine_leaves_nothing(
    joined: Joined, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="is not empty"):
        joined.join("bank-a")
    with pytest.raises(NotFoundError, match="engine is not built"):
        join(tmp_path / "x", name="x", host="127.0.0.1", engine=tmp_path / "none", clock=system_clock)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_and_a_missing_home_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing was joined"):
        own_part(tmp_path)
    (tmp_path / "part.json").write_bytes(b"{}")
    with pytest.raises(DamagedError):
        own_part(tmp_path)


def test_an_engine_without_a_setting_that_we_rely_on_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no rpc laddr"):
        set_value('[p2p]\nladdr = "x"\n', "rpc", "laddr", '"y"')
    assert set_value('laddr = 1\n[p2p]\nladdr = "x" # why\n', "p2p", "laddr", '"y"') == (
        'laddr = 1\n[p2p]\nladdr = "y"\n'
    )


def test_a_node_that_does_not_run_is_said_so(joined: Joined, tmp_path: Path) -> None:
    idle = Joined(tmp_path, joined.engine)
    idle.join("idle")
    with pytest.raises(ChainUnreachableError, match="does not answer"):
        validators(idle.comet("idle"))


def test_a_fifth_validator_joins_the_running_network_and_one_is_removed(running: Joined) -> None:
    joined = running
    with connect(Profile("network", urls=(joined.rpc("bank-a"),), chain_id=262144)) as chain:
        party = joined.parts[0].party_account
        assert chain.balance(party) == NetworkTerms().pocket * 10**18

    newcomer = joined.join("bank-e")
    home = joined.home("bank-e")
    attach(home, joined.parts, engine=joined.engine, expected=joined.hash)
    joined.start("bank-e")
    joined.wait("bank-e", joined.wait("bank-a", 3))
    with pytest.raises(FundsError, match="too few tokens"):
        lend(
            joined.home("bank-a"), newcomer.account, 1000, engine=joined.engine
        )  # no member can let one in alone
    for name in NAMES[:3]:  # 2 f + 1 members let it in
        with pytest.raises(FundsError, match=r"no tokens yet|too few tokens"):
            add_validator(home, engine=joined.engine)
        lend(joined.home(name), newcomer.account, 334, engine=joined.engine)
    five = add_validator(home, engine=joined.engine)
    assert sorted(five.powers.values()) == [1000] * 5
    assert newcomer.consensus_key in five.powers
    with pytest.raises(ConfigurationError, match="a validator already"):
        add_validator(home, engine=joined.engine)

    left = remove_validator(joined.home("bank-b"), engine=joined.engine)
    assert joined.parts[1].consensus_key not in left.powers
    assert len(left.powers) == 4
    with pytest.raises(NotFoundError, match="no validator"):
        remove_validator(joined.home("bank-b"), engine=joined.engine)
    with pytest.raises(ConfigurationError, match="3 would be left"):
        remove_validator(joined.home("bank-c"), engine=joined.engine)

    joined.stop("bank-b")  # it is none any more: the four others do not miss it
    assert joined.wait("bank-e", left.height + 3)


def test_a_workspace_moves_from_the_embedded_chain_to_the_network(running: Joined, tmp_path: Path) -> None:
    embedded = Profile("chain", path=tmp_path / "embedded.chain")
    whose = ("bank-a", "bank-c")
    urls = tuple(running.rpc(name) for name in whose)
    there = Profile("chain", urls=urls, members=whose, agree=2, chain_id=262144)
    with Node.init(tmp_path / "a", name="Bank A", passphrase="correct horse", scrypt_n=2**4) as node:
        own = [CardFile(node.party.cards)]
        with connect(embedded, create=True) as chain:
            node.set_chain(ChainSettings(embedded, *found(node, chain, own, threshold=1)))
        node.record("document.recorded", {"title": "protocol"})
        node.anchor()
        before = make_policy("before", own, anchor=anchor_policy(node.settings.chain, {}))
        receipt = node.receipt(0).format()
        told = verify(receipt, policy=before).lines

        moved = migrate(node, found_elsewhere(node, there, own, threshold=1))
        assert moved.old is not None
        assert moved.new is not None
        assert (moved.old.size, moved.old.root) == (moved.new.size, moved.new.root)
        assert verify(receipt, policy=before).lines == told
        assert [claim.size for claim in node.anchor()] == [2]

        fresh = node.receipt(0)
        assert fresh.anchor is not None
        assert fresh.anchor.chain_id == 262144
        endpoints = {name: running.rpc(name) for name in ("bank-a", "bank-c")}
        after = make_policy(
            "after", own, anchor=anchor_policy(node.settings.chain, endpoints), ask=("party", "anchor")
        )
        for url in endpoints.values():
            _wait_block(url, fresh.anchor.block)
        report = verify(fresh.format(), policy=after, read_anchor=anchor_reader(list(endpoints.values())))
        assert any(line.topic == "anchor" and "2 of your endpoints say" in line.text for line in report.lines)


def _wait_block(url: str, number: int) -> None:
    with connect(Profile("network", urls=(url,))) as chain:
        deadline = time.monotonic() + 30
        while chain.head().number < number:
            assert time.monotonic() < deadline
            time.sleep(0.2)
