"""The outbox on four validators: bursts, forgetful endpoints, kills; in order and never twice."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.chain import Account, Call, Chain, Outbox, connect
from tallystick.network import Network, funded
from tallystick.testing._chains import KEEPER, TOPIC

pytestmark = [pytest.mark.network, pytest.mark.slow]

DRIVER = Path(__file__).parents[1] / "integration" / "killed_anchoring.py"
KILLS = 15  # `make faults` kills fifty times
BURST = 120


def paying(network: Network, *, payer: int = 0) -> Account:
    account = Account(secrets.token_bytes(32))
    funded(network.bundle, account.address, 10**18, payer=payer)
    return account


def told(chain: Chain, keeper: str, first: int) -> list[int]:
    asked = {"fromBlock": hex(first), "toBlock": "latest", "topics": [TOPIC], "address": keeper}
    return [int(log["topics"][1], 16) for log in chain.ask("eth_getLogs", asked)]


def test_a_burst_from_one_account_is_mined_once_and_in_its_order(network: Network, tmp_path: Path) -> None:
    account = paying(network)
    with (
        connect(replace(network.bundle.profile(), wait_s=120)) as chain,
        Outbox(tmp_path / "outbox.db", chain, account=account) as outbox,
    ):
        keeper = outbox.send("deploy", Call(None, KEEPER))
        for number in range(1, BURST + 1):
            outbox.put(f"s{number}", Call(keeper.contract, number.to_bytes(32, "big")), gas=100_000)
        mined = outbox.flush()
        assert [one.intent_id for one in mined] == [f"s{number}" for number in range(1, BURST + 1)]
        assert told(chain, keeper.contract, keeper.block) == list(range(1, BURST + 1))
        assert chain.nonce(account.address) == BURST + 1
        assert outbox.failed() == []


def test_an_outbox_goes_on_at_another_members_node_with_what_the_first_was_given(
    network: Network, tmp_path: Path
) -> None:
    account = paying(network)
    for place in range(8):
        with (
            connect(replace(network.bundle.profile(place % 4), wait_s=120)) as chain,
            Outbox(tmp_path / "outbox.db", chain, account=account) as outbox,
        ):
            for number in range(10):
                outbox.put(f"{place}/{number}", Call(account.address, b"", 1), gas=21_000)
            outbox.flush(timeout_s=0)
    with (
        connect(replace(network.bundle.profile(), wait_s=120)) as chain,
        Outbox(tmp_path / "outbox.db", chain, account=account) as outbox,
    ):
        outbox.flush()
        assert outbox.pending() == outbox.failed() == []
        assert chain.nonce(account.address) == 80


def test_ten_accounts_share_the_network(network: Network, tmp_path: Path) -> None:
    accounts = [paying(network) for _ in range(10)]

    def send(place: int) -> int:
        profile = replace(network.bundle.profile(place % 4), wait_s=120)
        with (
            connect(profile) as chain,
            Outbox(tmp_path / f"{place}.db", chain, account=accounts[place]) as outbox,
        ):
            for number in range(12):
                outbox.put(f"s{number}", Call(accounts[place].address, b"", 1), gas=21_000)
            outbox.flush()
            return chain.nonce(accounts[place].address)

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(send, range(10))) == [12] * 10


def test_a_nonce_that_somebody_else_used_is_found_and_the_intent_goes_behind_it(
    network: Network, tmp_path: Path
) -> None:
    account = paying(network)
    with connect(replace(network.bundle.profile(), wait_s=120)) as chain:
        with (
            Outbox(tmp_path / "one.db", chain, account=account) as one,
            Outbox(tmp_path / "other.db", chain, account=account) as other,
        ):
            for number in range(5):
                one.put(f"one/{number}", Call(account.address, b"", 1), gas=21_000)
                other.put(f"other/{number}", Call(account.address, b"", 2), gas=21_000)
            # both sign for the same nonces: one of them wins each
            one._sign_waiting()
            other._sign_waiting()
            mined = [*one.flush(), *other.flush(), *one.flush()]
        assert {done.intent_id for done in mined} == {
            f"{who}/{n}" for who in ("one", "other") for n in range(5)
        }
        assert chain.nonce(account.address) == 10


def test_a_partys_node_that_is_killed_again_and_again_while_it_anchors_loses_and_repeats_nothing(
    network: Network, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tmp_path), str(KILLS), "11", str(network.bundle.path)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["lost"] == []
    assert found["twice"] == 0
    assert found["refused"] == 0
    assert found["recorded"] > 10
    assert found["anchored"] > 5
    assert found["head"] == found["size"] >= found["recorded"]
