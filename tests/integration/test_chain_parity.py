"""One behaviour suite over the embedded chain, the embedded chain behind HTTP, and foundry's anvil."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import (
    Account,
    Anchors,
    Call,
    Chain,
    Keys,
    LocalChain,
    Members,
    Outbox,
    Profile,
    Seat,
    connect,
    hashed_id,
    serve,
)
from tallystick.testing import CHAIN_CHECKS, anvil, check_chain, find_anvil, fund_on_anvil

ROOT = Path(__file__).parents[2]
MISSING = "anvil is not installed, so the chain was held against no second engine: run scripts/install_anvil.sh (needs npm)"


Reached = tuple[Callable[[], Chain], Callable[[Chain, str], None] | None]


@pytest.fixture(scope="module")
def anvil_url() -> Iterator[str]:
    binary = find_anvil(ROOT)
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with anvil(binary) as url:
        yield url


@pytest.fixture(scope="module", params=["embedded", "served", "anvil"])
def reached(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    path = str(tmp_path_factory.mktemp("chain") / "a.chain")
    if request.param == "embedded":
        yield lambda: connect(path, create=True), None
    elif request.param == "served":
        with LocalChain(path) as chain, serve(chain, port=0) as served:
            yield lambda: connect(served.url), None
    else:
        url = request.getfixturevalue("anvil_url")
        yield lambda: connect(url), fund_on_anvil


@pytest.mark.parametrize("name", CHAIN_CHECKS)
def test_every_chain_behaves_alike(reached: Reached, name: str) -> None:
    reach, fund = reached
    check_chain(reach, fund=fund, only=[name])


def gas_of_anchoring(chain: Chain, account: Account, place: Path) -> list[int]:
    """Found a consortium, anchor a head and the next, and return the gas of each transaction."""
    keys = Keys(account.address, account.address, sha256(b"card").digest())
    seat = Seat(hashed_id("party"), hashed_id("party/main"), keys)
    leaves = [sha256(b"\x00" + bytes([number])).digest() for number in range(2)]
    root = sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    with Outbox(place / "outbox.db", chain, account=account) as outbox:
        times = {"delay_s": 0, "delay_blocks": 0, "lifetime_s": 10_000}
        founded = outbox.send("members", Members.deploy_call([seat], threshold=1, **times))
        deployed = outbox.send("anchors", Anchors.deploy_call(founded.contract))
        anchors = Anchors(chain.web3, deployed.contract)
        first = outbox.send("first", anchors.anchor(seat.journal, size=1, root=leaves[0]))
        following = outbox.send("next", anchors.anchor(seat.journal, size=2, root=root, proof=[leaves[1]]))
        head = anchors.heads(seat.journal)
        assert head is not None
        assert (head.size, head.root) == (2, root)
    return [mined.gas_used for mined in (founded, deployed, first, following)]


def test_anchoring_costs_the_same_gas_on_both_engines(anvil_url: str, tmp_path: Path) -> None:
    account = Account(sha256(b"anchoring").digest())
    (tmp_path / "anvil").mkdir()
    with connect(anvil_url) as chain:
        fund_on_anvil(chain, account.address)
        on_anvil = gas_of_anchoring(chain, account, tmp_path / "anvil")
    with connect(str(tmp_path / "a.chain"), create=True) as chain:
        chain.fund(account.address)
        assert gas_of_anchoring(chain, account, tmp_path) == on_anvil


def test_the_suite_runs_without_pytest(tmp_path: Path) -> None:
    check_chain(lambda: connect(str(tmp_path / "a.chain"), create=True))


def test_the_suite_names_the_check_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chain, "balance", lambda *_: 7)
    with pytest.raises(AssertionError, match="mines a transfer: the sender's balance: expected"):
        check_chain(lambda: connect(str(tmp_path / "a.chain"), create=True))


def test_the_suite_refuses_a_network_that_funds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Chain, "fund", lambda *_: False)
    with pytest.raises(AssertionError, match="funds accounts"):
        check_chain(lambda: connect(Profile("pilot", path=tmp_path / "a.chain"), create=True))


class SetClock:
    def __init__(self) -> None:
        self.now = 1_795_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def by_hand(anvil_url: str) -> Iterator[Chain]:
    """Anvil, mining only when it is told to, so that transactions wait in its mempool."""
    with connect(anvil_url) as chain:
        chain.ask("evm_setAutomine", False)
        try:
            yield chain
        finally:
            chain.ask("anvil_dropAllTransactions")
            chain.ask("evm_setAutomine", True)


def waiting_intents(chain: Chain, account: Account, outbox: Outbox) -> str:
    receiver = Account(os.urandom(32)).address
    fund_on_anvil(chain, account.address)
    for number in range(1, 4):
        outbox.put(f"s{number}", Call(receiver, b"", number))
    assert outbox.flush(timeout_s=0) == []
    assert [intent.state for intent in outbox.pending()] == ["signed"] * 3
    return receiver


def test_a_real_mempool_takes_replacements_and_mines_each_intent_once(by_hand: Chain, tmp_path: Path) -> None:
    account, clock = Account(os.urandom(32)), SetClock()
    with Outbox(tmp_path / "outbox.db", by_hand, account=account, clock=clock) as outbox:
        receiver = waiting_intents(by_hand, account, outbox)
        first = {one["hash"] for one in pool(by_hand, account)}
        for _ in range(3):
            clock.now += 20_000_000
            assert outbox.flush(timeout_s=0) == []
        replaced = {one["hash"] for one in pool(by_hand, account)}
        assert len(first) == len(replaced) == 3
        assert not first & replaced
        by_hand.ask("evm_mine")
        mined = outbox.flush(timeout_s=10)
    assert [one.intent_id for one in mined] == ["s1", "s2", "s3"]
    assert {one.hash for one in mined} == replaced
    assert (by_hand.balance(receiver), by_hand.nonce(account.address)) == (6, 3)


def test_what_a_node_dropped_is_handed_over_again(by_hand: Chain, tmp_path: Path) -> None:
    account, clock = Account(os.urandom(32)), SetClock()
    with Outbox(tmp_path / "outbox.db", by_hand, account=account, clock=clock) as outbox:
        receiver = waiting_intents(by_hand, account, outbox)
        by_hand.ask("anvil_dropAllTransactions")
        assert pool(by_hand, account) == []
        clock.now += 6_000_000
        assert outbox.flush(timeout_s=0) == []
        assert len(pool(by_hand, account)) == 3
        by_hand.ask("evm_mine")
        assert len(outbox.flush(timeout_s=10)) == 3
    assert by_hand.balance(receiver) == 6


def test_a_later_process_finds_what_was_mined_meanwhile(by_hand: Chain, tmp_path: Path) -> None:
    account = Account(os.urandom(32))
    with Outbox(tmp_path / "outbox.db", by_hand, account=account) as outbox:
        receiver = waiting_intents(by_hand, account, outbox)
    by_hand.ask("evm_mine")
    with Outbox(tmp_path / "outbox.db", by_hand, account=account) as outbox:
        assert [one.intent_id for one in outbox.flush(timeout_s=10)] == ["s1", "s2", "s3"]
    assert by_hand.balance(receiver) == 6


def pool(chain: Chain, account: Account) -> list[Any]:
    content = chain.ask("txpool_content")
    return [
        one
        for kind in ("pending", "queued")
        for sender, found in content[kind].items()
        if sender.lower() == account.address
        for one in found.values()
    ]
