"""The outbox on a network without a transaction queue: in order, again and again, and never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.queueless import QueuelessNetwork, QueuelessNode

from tallystick.chain import Account, Call, Chain, LocalChain, Outbox, Profile
from tallystick.chain._transactions import parse_transaction
from tallystick.errors import ChainUnreachableError
from tallystick.testing._chains import KEEPER, TOPIC

ELSEWHERE = "0x" + "11" * 20


class Turns:
    """A clock that goes on while somebody waits, and a network that makes its blocks meanwhile."""

    def __init__(self, network: QueuelessNetwork) -> None:
        self.network = network
        self.now = 1_795_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += 1_000_000
        self.network.block()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalChain]:
    with LocalChain(tmp_path / "a.chain") as opened:
        yield opened


@pytest.fixture
def account() -> Account:
    return Account(b"\x07" * 32)


@pytest.fixture
def network(local: LocalChain, account: Account) -> QueuelessNetwork:
    network = QueuelessNetwork(local)
    network.fund(account.address)
    return network


@pytest.fixture
def turns(network: QueuelessNetwork) -> Turns:
    return Turns(network)


def reached(node: QueuelessNode, *, wait_s: float = 5) -> Chain:
    return Chain(Profile("net", urls=("http://node.example",), wait_s=wait_s), node)


@pytest.fixture
def outbox(tmp_path: Path, network: QueuelessNetwork, account: Account, turns: Turns) -> Iterator[Outbox]:
    with opened(tmp_path, network.nodes[0], account, turns) as one:
        yield one


def opened(tmp_path: Path, node: QueuelessNode, account: Account, turns: Turns) -> Outbox:
    return Outbox(tmp_path / "outbox.db", reached(node), account=account, clock=turns, sleep=turns.sleep)


def put(outbox: Outbox, numbers: range, keeper: str = "") -> None:
    for number in numbers:
        call = Call(keeper, number.to_bytes(32, "big")) if keeper else Call(ELSEWHERE, b"", number)
        outbox.put(f"s{number}", call, gas=100_000)


def told(local: LocalChain) -> list[int]:
    """Return what the keeper heard, in the order of the chain."""
    found = local.make_request("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest", "topics": [TOPIC]}])
    return [int(log["topics"][1], 16) for log in found["result"]]


def balance(local: LocalChain, address: str) -> int:
    return int(local.make_request("eth_getBalance", [address, "latest"])["result"], 16)


def used(local: LocalChain, account: Account) -> int:
    return int(local.make_request("eth_getTransactionCount", [account.address, "latest"])["result"], 16)


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7, 11, 13, 29, 71])
@pytest.mark.parametrize("late", [False, True])
def test_blocks_that_land_in_a_burst_break_neither_order_nor_count(
    outbox: Outbox, network: QueuelessNetwork, local: LocalChain, account: Account, every: int, late: bool
) -> None:
    keeper = outbox.send("deploy", Call(None, KEEPER)).contract
    network.every, network.most = every, 3
    network.nodes[0].late_recheck = late
    put(outbox, range(1, 26), keeper)
    assert [one.intent_id for one in outbox.flush()] == [f"s{number}" for number in range(1, 26)]
    assert told(local) == list(range(1, 26))
    assert used(local, account) == 26


def test_a_burst_that_a_block_broke_goes_on_from_the_nodes_own_nonce(
    outbox: Outbox, network: QueuelessNetwork, local: LocalChain
) -> None:
    node = network.nodes[0]
    broken: list[int] = []

    def evict_once(method: str, params: list[object]) -> None:
        if method == "eth_sendRawTransaction" and len(node.pool) == 4 and not broken:
            broken.append(1)
            node.restart()

    node.before = evict_once
    network.nodes[1].stands_still = True
    put(outbox, range(1, 10))
    began = outbox._clock()
    assert len(outbox.flush()) == 9
    assert broken
    # what the node lost goes again at once, not when the next round of repeats is due
    assert outbox._clock() - began < 4_000_000


def test_bytes_that_the_node_knows_are_sent_but_count_only_when_mined(
    tmp_path: Path, outbox: Outbox, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    network.halted = True
    put(outbox, range(1, 4))
    assert outbox.flush(timeout_s=0) == []
    with opened(tmp_path, network.nodes[0], account, turns) as later:
        assert later.flush(timeout_s=0) == []
        assert network.nodes[0].refused == ["tx already in mempool"] * 3
        assert [intent.state for intent in later.pending()] == ["signed"] * 3
        network.halted = False
        assert len(later.flush()) == 3
    assert used(network.local, account) == 3


def test_a_halted_network_gets_no_second_form_of_what_waits_and_goes_on_when_it_can(
    outbox: Outbox, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    network.halted = True
    put(outbox, range(1, 6))
    for _ in range(10):
        outbox.flush(timeout_s=0)
        turns.sleep(0)
        turns.now += 20_000_000
    network.halted = False
    assert [one.intent_id for one in outbox.flush()] == [f"s{number}" for number in range(1, 6)]
    assert used(network.local, account) == 5
    assert balance(network.local, ELSEWHERE) == 15


def test_what_was_put_during_a_halt_is_handed_over_too(
    outbox: Outbox, network: QueuelessNetwork, turns: Turns
) -> None:
    network.halted = True
    put(outbox, range(1, 3))
    outbox.flush(timeout_s=0)
    turns.now += 60_000_000
    put(outbox, range(3, 5))
    outbox.flush(timeout_s=0)
    assert len(network.nodes[0].pool) == 4


def test_an_index_that_lags_for_minutes_makes_nothing_happen_twice(
    outbox: Outbox, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    network.nodes[0].index_lag = 1_000
    put(outbox, range(1, 4))
    for _ in range(100):
        outbox.flush(timeout_s=0)
        turns.sleep(0)
    assert used(network.local, account) == 3
    network.nodes[0].index_lag = 0
    assert len(outbox.flush()) == 3
    assert used(network.local, account) == 3
    assert balance(network.local, ELSEWHERE) == 6


def test_an_index_that_shows_a_later_receipt_first_does_not_turn_the_order(
    outbox: Outbox, network: QueuelessNetwork, turns: Turns
) -> None:
    hidden: list[str] = []

    def hide_the_first(method: str, params: list[Any]) -> None:
        if method == "eth_getTransactionReceipt":
            hidden.append(params[0])
        network.nodes[0].index_lag = 1_000 if len(hidden) < 3 else 0

    put(outbox, range(1, 8))
    network.nodes[0].before = hide_the_first
    assert [one.intent_id for one in outbox.flush()] == [f"s{number}" for number in range(1, 8)]
    assert hidden[0] != hidden[2]


def test_a_node_that_stands_still_fills_no_gap_and_signs_nothing_twice(
    tmp_path: Path, outbox: Outbox, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    behind = network.nodes[1]
    behind.stands_still = True
    put(outbox, range(1, 4))
    assert len(outbox.flush()) == 3
    with opened(tmp_path, behind, account, turns) as later:
        put(later, range(4, 6))
        for _ in range(60):
            later.flush(timeout_s=0)
            turns.sleep(0)
        assert [intent.id for intent in later.pending()] == ["s4", "s5"]
        assert [intent.nonce for intent in later.pending()] == [3, 4]
        behind.catch_up()
        assert [one.intent_id for one in later.flush()] == ["s4", "s5"]
    assert used(network.local, account) == 5
    assert balance(network.local, ELSEWHERE) == 15


def test_a_node_that_is_full_delays_only(outbox: Outbox, network: QueuelessNetwork, turns: Turns) -> None:
    network.nodes[0].is_full = True
    put(outbox, range(1, 3))
    assert outbox.flush(timeout_s=0) == []
    assert len(outbox.pending()) == 2
    network.nodes[0].is_full = False
    assert len(outbox.flush()) == 2


def test_more_than_the_node_counts_as_pending_still_go_in_order(
    tmp_path: Path, outbox: Outbox, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    network.halted = True
    put(outbox, range(1, 51))
    outbox.flush(timeout_s=0)
    assert len(network.nodes[0].pool) == 50
    with opened(tmp_path, network.nodes[0], account, turns) as later:
        put(later, range(51, 61))
        later.flush(timeout_s=0)
        network.halted = False
        mined = later.flush()
    assert [one.intent_id for one in mined] == [f"s{number}" for number in range(1, 61)]
    assert used(network.local, account) == 60


def test_a_node_that_forgot_everything_gets_it_again_through_another_one_too(
    tmp_path: Path, outbox: Outbox, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    first, second = network.nodes
    network.halted = True
    put(outbox, range(1, 6))
    outbox.flush(timeout_s=0)
    first.is_down = True
    second.restart()
    with pytest.raises(ChainUnreachableError):
        outbox.flush(timeout_s=0)
    network.halted = False
    with opened(tmp_path, second, account, turns) as later:
        assert len(later.flush()) == 5
    first.restart()
    first.catch_up()
    assert outbox.flush() == []
    assert outbox.pending() == []
    assert used(network.local, account) == 5


def test_a_nonce_that_somebody_else_used_is_found_in_its_block(
    outbox: Outbox, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    chain = reached(network.nodes[0])
    network.nodes[0].before = None
    put(outbox, range(1, 3))
    network.nodes[0].is_full = True
    outbox.flush(timeout_s=0)
    fees = chain.fees()
    other = account.sign(
        Call(ELSEWHERE, b"", 100),
        chain_id=chain.chain_id,
        nonce=0,
        gas=21_000,
        max_fee=fees.max_fee,
        max_priority_fee=fees.tip,
    )
    parse_transaction(other, chain_id=chain.chain_id)
    network.nodes[1].make_request("eth_sendRawTransaction", ["0x" + other.hex()])
    network.nodes[0].is_full = False
    network.block(1)
    assert sorted(one.intent_id for one in outbox.flush()) == ["s1", "s2"]
    assert balance(network.local, ELSEWHERE) == 103
    assert used(network.local, account) == 3


class KilledError(BaseException):
    """The process ends here: nothing catches this."""


def killing(at: int) -> Callable[[str, list[Any]], None]:
    count = iter(range(at + 1))

    def before(method: str, params: list[Any]) -> None:
        if next(count, at) == at:
            raise KilledError

    return before


@pytest.mark.parametrize("after_it_arrived", [False, True])
def test_a_process_that_ends_at_any_request_leaves_what_the_next_one_finishes_once(
    tmp_path: Path, network: QueuelessNetwork, account: Account, turns: Turns, after_it_arrived: bool
) -> None:
    node = network.nodes[0]
    with opened(tmp_path, node, account, turns) as first:
        keeper = first.send("deploy", Call(None, KEEPER)).contract
    network.every, network.most = 5, 2
    put_so_far = 1
    for at in range(60):
        chain = reached(node)
        with Outbox(tmp_path / "outbox.db", chain, account=account, clock=turns, sleep=turns.sleep) as outbox:
            put(outbox, range(put_so_far, put_so_far + 2), keeper)
            put_so_far += 2
            kill = killing(at)
            if after_it_arrived:
                node.after = kill
            else:
                node.before = kill
            with suppress(KilledError):
                outbox.flush()
            node.before = node.after = None
    with opened(tmp_path, node, account, turns) as last:
        last.flush()
        assert last.pending() == last.failed() == []
    assert told(network.local) == list(range(1, put_so_far))
    assert used(network.local, account) == put_so_far


def test_nodes_that_end_and_come_back_at_random_lose_and_repeat_nothing(
    tmp_path: Path, network: QueuelessNetwork, account: Account, turns: Turns
) -> None:
    dice = Random(20_261_123)
    with opened(tmp_path, network.nodes[0], account, turns) as first:
        keeper = first.send("deploy", Call(None, KEEPER)).contract
    network.most = 3
    for step in range(60):
        node = network.nodes[dice.randrange(2)]
        network.every = dice.choice((0, 2, 5, 9))
        for other in network.nodes:
            other.late_recheck, other.index_lag = dice.random() < 0.3, dice.choice((0, 0, 2, 10))
            other.is_full = dice.random() < 0.1
            if dice.random() < 0.2:
                other.restart()
            if dice.random() < 0.1:
                other.stands_still = True
            elif other.stands_still and dice.random() < 0.7:
                other.catch_up()
        with opened(tmp_path, node, account, turns) as outbox:
            put(outbox, range(3 * step + 1, 3 * step + 4), keeper)
            node.before = killing(dice.randrange(40)) if dice.random() < 0.6 else None
            with suppress(KilledError):
                for _ in range(dice.randrange(8)):
                    outbox.flush(timeout_s=0)
                    turns.sleep(0)
            node.before = None
    network.every = 0
    for node in network.nodes:
        node.is_full, node.late_recheck, node.index_lag = False, False, 0
        node.catch_up()
    with opened(tmp_path, network.nodes[0], account, turns) as last:
        last.flush()
        assert last.pending() == last.failed() == []
    assert told(network.local) == list(range(1, 181))
    assert used(network.local, account) == 181
