"""The first block: the same bytes at every member, with every member's stake in it, and nothing of this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.unit.network.made_parts import part, parts

from tallystick.errors import ConfigurationError
from tallystick.network._bech32 import format_bech32
from tallystick.network._genesis import draft_genesis, genesis_hash, make_genesis
from tallystick.network._home import set_value
from tallystick.network._parts import NetworkTerms, check_parts

EMPTY: dict[str, Any] = {
    "app_state": {
        "auth": {"accounts": []},
        "bank": {"balances": [], "denom_metadata": [], "supply": []},
        "evm": {"params": {"evm_denom": "atest"}},
        "feemarket": {"params": {}},
        "genutil": {"gen_txs": []},
        "gov": {
            "params": {"expedited_min_deposit": [{"denom": "stake"}], "min_deposit": [{"denom": "stake"}]}
        },
        "mint": {"minter": {"inflation": "0.13"}, "params": {"mint_denom": "stake"}},
        "slashing": {"params": {"signed_blocks_window": "100"}},
        "staking": {"params": {"bond_denom": "stake"}},
    },
    "chain_id": "",
    "consensus": {"params": {"block": {"max_gas": "-1"}}},
    "genesis_time": "2026-01-01T00:00:00.123Z",
}


def made(members: Any, empty: dict[str, Any] = EMPTY) -> dict[str, Any]:
    found = orjson.loads(make_genesis(orjson.dumps(empty), check_parts(members)))
    assert isinstance(found, dict)
    return found


def test_every_member_makes_the_same_bytes_whenever_its_engine_was_asked() -> None:
    members = parts()
    later = {**EMPTY, "genesis_time": "2027-07-07T07:07:07.7Z", "chain_id": "other"}
    one = make_genesis(orjson.dumps(EMPTY), check_parts(members))
    assert make_genesis(orjson.dumps(later, option=orjson.OPT_INDENT_2), check_parts(members[::-1])) == one
    assert genesis_hash(one) != genesis_hash(
        make_genesis(orjson.dumps(EMPTY), check_parts([*members, part("e", 4)]))
    )


def test_its_time_is_that_of_the_latest_part() -> None:
    members = parts()
    assert made(members)["genesis_time"] == "2026-09-21T14:13:23Z"
    earlier = [replace(one, at=0) for one in members]
    assert made(earlier)["genesis_time"] == "1970-01-01T00:00:00Z"


def test_every_validator_has_its_stake_and_what_it_may_lend_and_every_party_its_pocket() -> None:
    members = parts()
    found = made(members)["app_state"]
    balances = {one["address"]: int(one["coins"][0]["amount"]) for one in found["bank"]["balances"]}
    assert len(balances) == len(found["auth"]["accounts"]) == 8
    for one in members:
        assert balances[one.account] == 1334 * 10**18
        assert balances[format_bech32("cosmos", bytes.fromhex(one.party_account[2:]))] == 100 * 10**18
    assert int(found["bank"]["supply"][0]["amount"]) == sum(balances.values())
    without = made([replace(one, cards=()) for one in members])["app_state"]
    assert len(without["bank"]["balances"]) == 4


def test_the_members_transactions_stand_in_it_in_the_order_of_their_names() -> None:
    found = made(parts()[::-1])["app_state"]["genutil"]["gen_txs"]
    assert [one["body"]["messages"][0]["description"]["moniker"] for one in found] == [
        "bank-a",
        "bank-b",
        "bank-c",
        "bank-d",
    ]


def test_money_is_not_made_and_gas_is_free() -> None:
    state = made(parts())["app_state"]
    assert float(state["mint"]["minter"]["inflation"]) == 0
    assert float(state["mint"]["params"]["inflation_max"]) == 0
    assert state["feemarket"]["params"]["no_base_fee"] is True
    assert state["feemarket"]["params"]["min_gas_multiplier"] == "0"


@pytest.mark.parametrize("missing", ["staking", "feemarket", "bank", "genutil"])
def test_an_engine_whose_genesis_has_another_shape_is_refused(missing: str) -> None:
    other = {**EMPTY, "app_state": {k: v for k, v in EMPTY["app_state"].items() if k != missing}}
    with pytest.raises(ConfigurationError, match="another shape"):
        made(parts(), other)
    with pytest.raises(ConfigurationError, match="another shape"):
        draft_genesis(b"not json", "cosmos1", NetworkTerms())


def test_one_value_is_set_and_the_rest_of_the_file_stays() -> None:
    text = '# top\nname = "a"\n\n[rpc]\nladdr = "tcp://0.0.0.0:1" # why\n\n[p2p]\nladdr = "x"\n'
    assert set_value(text, "rpc", "laddr", '"y"') == text.replace('"tcp://0.0.0.0:1" # why', '"y"')
    assert set_value(text, "", "name", '"b"').startswith('# top\nname = "b"\n')
    for section, key in (("rpc", "name"), ("", "laddr"), ("none", "laddr")):
        with pytest.raises(ConfigurationError, match="configuration has no"):
            set_value(text, section, key, "1")
