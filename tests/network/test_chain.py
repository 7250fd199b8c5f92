"""The suite of every chain over four validators, and over endpoints that are dead, slow, behind, elsewhere or lie."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.network.hostile_proxy import MODES, HostileProxy, hostile_proxy

from tallystick.chain import Account, Call, Chain, FileCursor, Follower, Profile, connect
from tallystick.errors import RevertError
from tallystick.network import Network, funded
from tallystick.testing import CHAIN_CHECKS, check_chain
from tallystick.testing._chains import KEEPER, TOPIC

pytestmark = pytest.mark.network

NAMED = {
    "dead": "unreachable",
    "slow": "slow",
    "behind": "behind",
    "other chain": "other-chain",
    "forged receipts": "differs",
    "forged logs": "differs",
    "forged head": "ahead",
}


def fund_on(network: Network):  # type: ignore[no-untyped-def]
    def fund(_: Chain, address: str) -> None:
        funded(network.bundle, address, 10**18)

    return fund


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAIN_CHECKS)
def test_four_validators_behave_like_every_other_chain(network: Network, name: str) -> None:
    profile = network.bundle.profile()
    assert profile.agree == 2
    check_chain(lambda: connect(profile), fund=fund_on(network), only=[name])


@contextmanager
def proxied(network: Network, *, agree: int = 2) -> Iterator[tuple[Chain, HostileProxy]]:
    """The network, with a proxy before the first endpoint of the profile."""
    honest = network.bundle.profile(agree=agree)
    with ExitStack() as stack:
        proxy = stack.enter_context(hostile_proxy(honest.urls[0]))
        profile = replace(honest, urls=(proxy.url, *honest.urls[1:]), timeout_s=5)
        yield stack.enter_context(connect(profile)), proxy


def send(chain: Chain, account: Account, call: Call) -> str:
    fees = chain.fees()
    raw = account.sign(
        call,
        chain_id=chain.chain_id,
        nonce=chain.nonce(account.address),
        gas=200_000,
        max_fee=fees.max_fee,
        max_priority_fee=fees.tip,
    )
    chain.send(raw)
    return "0x" + chain.web3.keccak(raw).hex().removeprefix("0x")


def mined(chain: Chain, transaction: str) -> tuple[str, bool]:
    deadline = time.monotonic() + 30
    while (receipt := chain.receipt(transaction)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return receipt.contract, receipt.succeeded


@pytest.fixture(scope="module")
def keeper(network: Network) -> tuple[Account, str]:
    """A funded account and the contract that it deployed."""
    account = Account(secrets.token_bytes(32))
    funded(network.bundle, account.address, 10**18)
    with connect(network.bundle.profile()) as chain:
        return account, mined(chain, send(chain, account, Call(None, KEEPER)))[0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_one_bad_endpoint_changes_no_answer_and_is_named(
    network: Network, keeper: tuple[Account, str], mode: str, tmp_path: Path
) -> None:
    account, contract = keeper
    word = secrets.token_bytes(32)
    with proxied(network) as (chain, proxy):
        chain.head()
        if mode in ("dead", "slow", "other chain"):
            # it is looked at again, as after a restart
            chain.provider._gathering.endpoints[0].identified = False
        proxy.mode = mode
        found = []
        sent = send(chain, account, Call(contract, word + bytes(32)))
        assert mined(chain, sent)[1]
        assert chain.call(Call(contract, b"")) == word
        follower = Follower(
            chain, FileCursor(tmp_path / "cursor"), address=contract, topics=[TOPIC, "0x" + word.hex()]
        )
        for page in follower.pages():
            found += [log["data"] for log in page.logs]
            follower.keep(page)
        assert found == ["0x" + "00" * 32]
        reports = chain.reports()
        deadline = time.monotonic() + 20
        while not reports and time.monotonic() < deadline:
            chain.receipt(sent)
            chain.settled()
            chain.ask("eth_getLogs", {"address": contract, "fromBlock": "0x0"})
            time.sleep(0.2)
            reports = chain.reports()
        assert {(report.member, report.reason) for report in reports} == {
            (chain.profile.members[0], NAMED[mode])
        }


@pytest.mark.slow
def test_a_refusal_names_the_contracts_words_over_the_network(
    network: Network, keeper: tuple[Account, str]
) -> None:
    with connect(network.bundle.profile()) as chain, pytest.raises(RevertError) as refused:
        chain.estimate_gas(Call(keeper[1], bytes(32)), sender=keeper[0].address)
    assert refused.value.reason == "no"
    assert refused.value.data[:4].hex() == "08c379a0"


@pytest.mark.slow
def test_an_own_write_is_read_through_every_endpoint_at_once(
    network: Network, keeper: tuple[Account, str]
) -> None:
    account, contract = keeper
    for first in network.bundle.names:
        word = secrets.token_bytes(32)
        profile: Profile = network.bundle.profile(first, agree=1)
        with connect(profile) as chain:
            mined(chain, send(chain, account, Call(contract, word + bytes(32))))
            assert chain.call(Call(contract, b"")) == word
