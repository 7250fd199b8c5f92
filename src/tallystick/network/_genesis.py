"""The first block of a network: one file, made by every member alone, the same at all of them to the byte.

It is the engine's own empty genesis with the members' accounts, stakes and signed transactions put in, in the order of
their names, and with nothing of this machine or this minute in it: its time is that of the latest part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from tallystick.errors import ConfigurationError

from ._bech32 import format_bech32
from ._parts import NetworkPart, NetworkTerms

__all__ = ["DENOM", "TOKEN", "draft_genesis", "genesis_hash", "make_genesis"]

DENOM = "atest"  # the smallest unit; the engine's binary knows this one name for what gas is paid in
TOKEN = 10**18  # smallest units of a token
_GAS_LIMIT = "40000000"  # of a block


def genesis_hash(genesis: bytes) -> str:
    """The SHA-256 of a genesis file, hex: what the members read out to each other."""
    return hashlib.sha256(genesis).hexdigest()


def make_genesis(empty: bytes, parts: Sequence[NetworkPart]) -> bytes:
    """Make the genesis file.

    Args:
        empty: what the engine's `init` wrote.
        parts: of all members, checked and in the order of `check_parts`.

    Raises:
        ConfigurationError: the engine's genesis has another shape than the one that this was written for.
    """
    gentxs = [part.gentx for part in parts]
    return _made(empty, parts[0].terms, _balances(parts), gentxs, at=max(part.at for part in parts))


def draft_genesis(empty: bytes, account: str, terms: NetworkTerms) -> bytes:
    """Make a genesis with one account in it, on which the engine signs that account's first transaction."""
    return _made(empty, terms, {account: (terms.stake + terms.spare) * TOKEN}, [], at=0)


def _made(
    empty: bytes,
    terms: NetworkTerms,
    balances: Mapping[str, int],
    gentxs: Sequence[Mapping[str, Any]],
    *,
    at: int,
) -> bytes:
    try:
        document: dict[str, Any] = orjson.loads(empty)
        _set_rules(document, terms)
        _set_accounts(document["app_state"], balances)
        document["app_state"]["genutil"]["gen_txs"] = list(gentxs)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ConfigurationError(
            "the engine's genesis has another shape than expected",
            hint="use the engine that `make network` builds",
        ) from error
    document["chain_id"] = terms.network_id
    document["genesis_time"] = _time(at)
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS) + b"\n"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _balances(parts: Sequence[NetworkPart]) -> dict[str, int]:
    """Account -> smallest units: each validator its stake and what it may lend to a newcomer, each party its pocket."""
    terms = parts[0].terms
    balances = {part.account: (terms.stake + terms.spare) * TOKEN for part in parts}
    for part in parts:
        if part.party_account and terms.pocket:
            account = format_bech32("cosmos", bytes.fromhex(part.party_account[2:]))
            balances[account] = balances.get(account, 0) + terms.pocket * TOKEN
    return balances


def _set_accounts(state: dict[str, Any], balances: Mapping[str, int]) -> None:
    state["auth"]["accounts"] = [
        {
            "@type": "/cosmos.auth.v1beta1.BaseAccount",
            "account_number": "0",
            "address": account,
            "pub_key": None,
            "sequence": "0",
        }
        for account in sorted(balances)
    ]
    state["bank"]["balances"] = [
        {"address": account, "coins": [{"amount": str(balances[account]), "denom": DENOM}]}
        for account in sorted(balances)
    ]
    state["bank"]["supply"] = [{"amount": str(sum(balances.values())), "denom": DENOM}]


def _set_rules(document: dict[str, Any], terms: NetworkTerms) -> None:
    state = document["app_state"]
    state["staking"]["params"]["bond_denom"] = DENOM
    state["mint"]["params"]["mint_denom"] = DENOM
    state["evm"]["params"]["evm_denom"] = DENOM
    for name in ("min_deposit", "expedited_min_deposit"):
        state["gov"]["params"][name][0]["denom"] = DENOM
    state["bank"]["denom_metadata"] = [
        {
            "base": DENOM,
            "denom_units": [
                {"aliases": ["attotest"], "denom": DENOM, "exponent": 0},
                {"aliases": [], "denom": "test", "exponent": 18},
            ],
            "description": "",
            "display": "test",
            "name": "Test",
            "symbol": "TEST",
            "uri": "",
            "uri_hash": "",
        }
    ]
    # A silent validator stays one: without it the others bear no fault any more, so people decide, not a counter.
    state["slashing"]["params"]["signed_blocks_window"] = "1000000"
    state["mint"]["minter"]["inflation"] = "0.000000000000000000"
    state["mint"]["params"].update(
        inflation_max="0.000000000000000000",
        inflation_min="0.000000000000000000",
        inflation_rate_change="0.000000000000000000",
    )
    # No fees: the members know each other. Else a transaction pays at least a half of its gas limit.
    state["feemarket"]["params"].update(
        base_fee="0", min_gas_multiplier="0", min_gas_price="0", no_base_fee=True
    )
    document["consensus"]["params"]["block"]["max_gas"] = _GAS_LIMIT
