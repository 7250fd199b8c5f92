"""Each intent happens once: whatever the node does, whenever the process ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import Account, Call, Chain, Intent, LocalChain, Outbox, Profile
from tallystick.chain._transactions import parse_transaction
from tallystick.errors import (
    ChainError,
    ChainMismatchError,
    ChainUnreachableError,
    FundsError,
    InputError,
    NotFoundError,
    RevertError,
    UnknownFormatError,
)
from tallystick.testing._chains import KEEPER

Answer = dict[str, Any]
ELSEWHERE = "0x" + "11" * 20


def failing(message: str, code: int = -32000) -> Answer:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}


def answering(result: Any) -> Answer:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


class Node:
    """A node in front of an embedded chain, with habits of other nodes that a test switches on."""

    def __init__(self, chain: LocalChain) -> None:
        self.chain = chain
        self.session = self
        self.habits: dict[str, Callable[[list[Any]], Answer | None]] = {}
        self.sent: list[str] = []

    def make_request(self, method: str, params: list[Any]) -> Answer:
        if method == "eth_sendRawTransaction":
            self.sent.append(params[0])
        habit = self.habits.get(method)
        answer = None if habit is None else habit(params)
        return self.chain.make_request(method, params) if answer is None else answer

    def close(self) -> None:
        """Nothing: the test owns the chain."""


class SetClock:
    def __init__(self) -> None:
        self.now = 1_795_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        # a look a second: what takes patience takes no time here
        self.now += 1_000_000


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalChain]:
    with LocalChain(tmp_path / "a.chain") as opened:
        yield opened


@pytest.fixture
def node(local: LocalChain) -> Node:
    return Node(local)


@pytest.fixture
def account() -> Account:
    return Account(b"\x07" * 32)


@pytest.fixture
def chain(node: Node) -> Chain:
    return Chain(Profile("net", urls=("http://node.example",), wait_s=5), node)


@pytest.fixture
def outbox(tmp_path: Path, chain: Chain, account: Account, clock: SetClock) -> Iterator[Outbox]:
    chain.fund(account.address)
    with Outbox(tmp_path / "outbox.db", chain, account=account, clock=clock, sleep=clock.sleep) as opened:
        yield opened


def pay(number: int) -> Call:
    return Call(ELSEWHERE, b"", number)


def again(tmp_path: Path, chain: Chain, account: Account, **changes: Any) -> Outbox:
    return Outbox(tmp_path / "outbox.db", chain, account=account, **changes)


def test_what_was_put_is_mined_once_in_its_order(outbox: Outbox, chain: Chain, account: Account) -> None:
    for number in range(1, 4):
        outbox.put(f"s{number}", pay(number))
    mined = outbox.flush()
    assert [one.intent_id for one in mined] == ["s1", "s2", "s3"]
    assert outbox.pending() == []
    assert chain.balance(ELSEWHERE) == 6
    for one in mined:
        receipt = chain.receipt(one.hash)
        assert receipt is not None
        assert (receipt.block, receipt.block_hash) == (one.block, one.block_hash)
    assert outbox.flush() == []
    assert chain.nonce(account.address) == 3


def test_the_same_id_is_the_same_intent(outbox: Outbox, chain: Chain) -> None:
    first = outbox.put("s", pay(5))
    assert outbox.put("s", pay(5)) == first
    outbox.flush()
    assert outbox.put("s", pay(5)).state == "mined"
    assert outbox.flush() == []
    assert chain.balance(ELSEWHERE) == 5


def test_one_id_never_stands_for_two_calls(outbox: Outbox) -> None:
    outbox.put("s", pay(5))
    with pytest.raises(InputError, match="another call"):
        outbox.put("s", pay(6))
    with pytest.raises(InputError, match="another call"):
        outbox.put("s", Call(None, b"", 5))


@pytest.mark.parametrize("name", ["", "x" * 201, "é", "gap/1"])
def test_an_id_that_does_not_fit_is_refused(outbox: Outbox, name: str) -> None:
    with pytest.raises(InputError, match="an intent's id must"):
        outbox.put(name, pay(1))


def test_an_unknown_intent_is_not_found(outbox: Outbox) -> None:
    with pytest.raises(NotFoundError):
        outbox.intent("nobody")


def test_a_sent_intent_answers_with_the_contract_it_made(outbox: Outbox, chain: Chain) -> None:
    mined = outbox.send("deploy", Call(None, KEEPER))
    assert chain.call(Call(mined.contract, b"")) == bytes(32)


def test_a_refusal_is_kept_with_its_reason_and_later_ones_go_on(outbox: Outbox, chain: Chain) -> None:
    keeper = outbox.send("deploy", Call(None, KEEPER)).contract
    outbox.put("bad", Call(keeper, bytes(32)))
    outbox.put("bad with gas", Call(keeper, bytes(32)), gas=100_000)
    outbox.put("good", Call(keeper, (3).to_bytes(32, "big")))
    assert [one.intent_id for one in outbox.flush()] == ["good"]
    assert [(one.id, one.reason) for one in outbox.failed()] == [("bad", "no"), ("bad with gas", "no")]
    assert outbox.intent("bad with gas").hash  # this one was mined, and reverted
    with pytest.raises(RevertError, match="refused: no"):
        outbox.send("bad", Call(keeper, bytes(32)))


def test_a_failed_intent_may_try_again(outbox: Outbox, chain: Chain, account: Account) -> None:
    keeper = outbox.send("deploy", Call(None, KEEPER)).contract
    outbox.put("bad", Call(keeper, bytes(32)))
    outbox.flush()
    outbox.retry("bad")
    assert [intent.id for intent in outbox.pending()] == ["bad"]
    assert outbox.flush() == []
    assert [intent.id for intent in outbox.failed()] == ["bad"]


def test_an_empty_account_is_told_and_nothing_is_lost(
    tmp_path: Path, chain: Chain, account: Account, clock: SetClock
) -> None:
    with again(tmp_path, chain, account, clock=clock, sleep=clock.sleep) as outbox:
        outbox.put("s", pay(5), gas=21_000)
        with pytest.raises(FundsError) as refused:
            outbox.flush()
        assert account.address in refused.value.hint
        chain.fund(account.address)
        assert [one.intent_id for one in outbox.flush()] == ["s"]


def test_a_node_that_is_down_delays_only(outbox: Outbox, node: Node, chain: Chain) -> None:
    def down(params: list[Any]) -> Answer:
        raise ChainUnreachableError("nobody answers")

    outbox.put("s", pay(5))
    for method in (
        "eth_getTransactionCount",
        "eth_estimateGas",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
    ):
        node.habits = {method: down}
        with pytest.raises(ChainUnreachableError):
            outbox.flush()
        assert [intent.id for intent in outbox.pending()] == ["s"]
    node.habits = {}
    assert [one.intent_id for one in outbox.flush()] == ["s"]
    assert chain.balance(ELSEWHERE) == 5


def test_an_answer_lost_on_its_way_sends_nothing_twice(outbox: Outbox, node: Node, chain: Chain) -> None:
    def lose_the_answer(params: list[Any]) -> Answer:
        node.chain.make_request("eth_sendRawTransaction", params)
        raise ChainUnreachableError("timed out")

    outbox.put("s", pay(5))
    node.habits = {"eth_sendRawTransaction": lose_the_answer}
    with pytest.raises(ChainUnreachableError):
        outbox.flush()
    node.habits = {}
    assert [one.intent_id for one in outbox.flush()] == ["s"]
    assert chain.balance(ELSEWHERE) == 5
    assert len(set(node.sent)) == 1


def test_a_later_process_hands_over_the_very_same_bytes(
    outbox: Outbox, node: Node, tmp_path: Path, chain: Chain, account: Account
) -> None:
    outbox.put("s", pay(5))
    node.habits = {"eth_sendRawTransaction": lambda _: answering("0x")}  # taken, and forgotten
    assert outbox.flush(timeout_s=0) == []
    assert [intent.state for intent in outbox.pending()] == ["signed"]
    outbox.close()
    node.habits = {}
    with again(tmp_path, chain, account) as later:
        assert [one.intent_id for one in later.flush()] == ["s"]
    assert len(set(node.sent)) == 1
    assert chain.balance(ELSEWHERE) == 5


def test_bytes_that_a_node_forgot_are_sent_again(outbox: Outbox, node: Node, chain: Chain) -> None:
    forgotten: list[str] = []

    def forget_thrice(params: list[Any]) -> Answer | None:
        forgotten.append(params[0])
        return answering("0x") if len(forgotten) <= 3 else None

    outbox.put("s", pay(5))
    node.habits = {"eth_sendRawTransaction": forget_thrice}
    assert [one.intent_id for one in outbox.flush()] == ["s"]
    assert len(forgotten) == 4


def test_a_transaction_that_stays_is_replaced_by_a_dearer_one(
    outbox: Outbox, node: Node, chain: Chain
) -> None:
    fees = []

    def wait_for_a_better_price(params: list[Any]) -> Answer | None:
        found = parse_transaction(bytes.fromhex(params[0][2:]), chain_id=chain.chain_id)
        fees.append((found.nonce, found.max_fee_per_gas, found.max_priority_fee_per_gas))
        return None if found.max_fee_per_gas > 17 else answering("0x")

    outbox.put("s", pay(5))
    node.habits = {"eth_sendRawTransaction": wait_for_a_better_price}
    mined = outbox.flush()
    assert [one.intent_id for one in mined] == ["s"]
    assert len({nonce for nonce, *_ in fees}) == 1
    prices = sorted({fee for _, fee, _ in fees})
    assert all(later >= earlier * 1.1 for earlier, later in pairwise(prices))
    assert chain.balance(ELSEWHERE) == 5


def test_an_underpriced_refusal_is_answered_with_a_higher_fee(
    outbox: Outbox, node: Node, chain: Chain
) -> None:
    def want_more(params: list[Any]) -> Answer | None:
        found = parse_transaction(bytes.fromhex(params[0][2:]), chain_id=chain.chain_id)
        return None if found.max_fee_per_gas > 30 else failing("replacement transaction underpriced")

    outbox.put("s", pay(5))
    node.habits = {"eth_sendRawTransaction": want_more}
    assert [one.intent_id for one in outbox.flush()] == ["s"]


def test_fees_never_rise_above_the_profiles_cap(
    tmp_path: Path, node: Node, account: Account, clock: SetClock
) -> None:
    chain = Chain(Profile("net", urls=("http://node.example",), fee_cap_wei=20), node)
    chain.fund(account.address)
    node.habits = {"eth_sendRawTransaction": lambda _: failing("transaction underpriced")}
    with again(tmp_path, chain, account, clock=clock, sleep=clock.sleep) as outbox:
        outbox.put("s", pay(5))
        with pytest.raises(ChainError, match="underpriced"):
            outbox.flush()
        assert [intent.id for intent in outbox.pending()] == ["s"]
    raws = [parse_transaction(bytes.fromhex(raw[2:]), chain_id=chain.chain_id) for raw in node.sent]
    assert max(raw.max_fee_per_gas for raw in raws) <= 20


def test_an_older_variant_that_is_mined_after_all_is_a_success(
    outbox: Outbox, node: Node, chain: Chain, local: LocalChain
) -> None:
    kept: list[str] = []

    def keep_then_mine_the_first(params: list[Any]) -> Answer:
        if params[0] not in kept:
            kept.append(params[0])
        if len(kept) == 2:
            local.make_request("eth_sendRawTransaction", [kept[0]])
        return answering("0x")

    outbox.put("s", pay(5))
    node.habits = {"eth_sendRawTransaction": keep_then_mine_the_first}
    (mined,) = outbox.flush()
    assert (
        mined.hash == "0x" + parse_transaction(bytes.fromhex(kept[0][2:]), chain_id=chain.chain_id).hash.hex()
    )


def test_a_nonce_used_by_another_program_is_no_success(
    outbox: Outbox, node: Node, chain: Chain, account: Account
) -> None:
    outbox.put("s", pay(5))
    node.habits = {"eth_sendRawTransaction": lambda _: answering("0x")}
    outbox.flush(timeout_s=0)
    node.habits = {}
    fees = chain.fees()
    other = account.sign(
        pay(100),
        chain_id=chain.chain_id,
        nonce=0,
        gas=21_000,
        max_fee=fees.max_fee,
        max_priority_fee=fees.tip,
    )
    chain.send(other)
    (mined,) = outbox.flush()
    assert outbox.intent("s").nonce == 1
    assert outbox.intent("s").attempts == 1
    assert chain.receipt(mined.hash) is not None
    assert chain.balance(ELSEWHERE) == 105


def test_a_node_that_shows_receipts_late_makes_nothing_happen_twice(
    outbox: Outbox, node: Node, chain: Chain, account: Account
) -> None:
    node.habits = {"web3_clientVersion": lambda _: answering("Geth/v1")}
    late = {"looks": 0}

    def not_yet(params: list[Any]) -> Answer | None:
        late["looks"] += 1
        return answering(None) if late["looks"] < 4 else None

    outbox.put("s", pay(5))
    node.habits = {"eth_getTransactionReceipt": not_yet}
    chain.is_local = False
    assert [one.intent_id for one in outbox.flush()] == ["s"]
    assert chain.nonce(account.address) == 1


def test_a_node_that_refuses_gaps_gets_them_in_order(outbox: Outbox, node: Node, chain: Chain) -> None:
    refused: list[int] = []

    def refuse_a_burst(params: list[Any]) -> Answer | None:
        found = parse_transaction(bytes.fromhex(params[0][2:]), chain_id=chain.chain_id)
        if found.nonce == 2 and not refused:
            refused.append(found.nonce)
            return failing("invalid nonce; got 2, expected 1: invalid sequence")
        return None

    for number in range(1, 6):
        outbox.put(f"s{number}", pay(number), gas=21_000)
    node.habits = {"eth_sendRawTransaction": refuse_a_burst}
    assert [one.intent_id for one in outbox.flush()] == [f"s{number}" for number in range(1, 6)]
    assert refused == [2]
    assert chain.balance(ELSEWHERE) == 15


def test_a_gap_is_closed_with_a_transfer_to_oneself(
    outbox: Outbox, node: Node, chain: Chain, account: Account, local: LocalChain
) -> None:
    def two_ahead(params: list[Any]) -> Answer | None:
        return answering("0x2") if params[1] == "pending" else None

    node.habits = {"eth_getTransactionCount": two_ahead}  # counts what it then forgets
    outbox.put("s", pay(5), gas=21_000)
    outbox.flush(timeout_s=0)
    assert outbox.intent("s").nonce == 2
    node.habits = {}
    assert [one.intent_id for one in outbox.flush()] == ["s"]
    assert (chain.nonce(account.address), chain.balance(ELSEWHERE)) == (3, 5)


def test_bytes_that_no_node_will_ever_take_fail_at_once(outbox: Outbox, chain: Chain) -> None:
    outbox.put("thin", pay(1), gas=100)
    outbox.put("good", pay(2))
    assert [one.intent_id for one in outbox.flush()] == ["good"]
    (failed,) = outbox.failed()
    assert "intrinsic gas too low" in failed.reason


def test_dependent_intents_wait_for_each_other(outbox: Outbox, node: Node, chain: Chain) -> None:
    keeper = outbox.send("deploy", Call(None, KEEPER)).contract
    estimates: list[str] = []

    def refuse_until_the_first_is_there(params: list[Any]) -> Answer | None:
        estimates.append(params[0]["data"])
        first_is_there = chain.call(Call(keeper, b"")) == (1).to_bytes(32, "big")
        is_second = params[0]["data"].endswith("02")
        return failing("execution reverted: too early", 3) if is_second and not first_is_there else None

    node.habits = {"eth_estimateGas": refuse_until_the_first_is_there}
    outbox.put("first", Call(keeper, (1).to_bytes(32, "big")))
    outbox.put("second", Call(keeper, (2).to_bytes(32, "big")))
    assert [one.intent_id for one in outbox.flush()] == ["first", "second"]


def rebuilding(
    tmp_path: Path, chain: Chain, account: Account, answer: Callable[[Intent], Call | None]
) -> tuple[Outbox, str]:
    chain.fund(account.address)
    outbox = again(tmp_path, chain, account, rebuild=answer)
    return outbox, outbox.send("deploy", Call(None, KEEPER)).contract


@pytest.mark.parametrize("gas", [None, 100_000])
def test_a_stale_intent_is_rebuilt(tmp_path: Path, chain: Chain, account: Account, gas: int | None) -> None:
    outbox, keeper = rebuilding(
        tmp_path, chain, account, lambda intent: Call(intent.call.to, (9).to_bytes(32, "big"))
    )
    with outbox:
        outbox.put("stale", Call(keeper, bytes(32)), gas=gas)
        assert [one.intent_id for one in outbox.flush()] == ["stale"]
        assert chain.call(Call(keeper, b"")) == (9).to_bytes(32, "big")
        outbox.put("stale", Call(keeper, bytes(32)), gas=gas)  # the id still stands for what was asked
        assert outbox.flush() == []


@pytest.mark.parametrize("gas", [None, 100_000])
def test_an_intent_that_is_no_longer_needed_is_dropped(
    tmp_path: Path, chain: Chain, account: Account, gas: int | None
) -> None:
    outbox, keeper = rebuilding(tmp_path, chain, account, lambda intent: None)
    with outbox:
        outbox.put("stale", Call(keeper, bytes(32)), gas=gas)
        assert outbox.flush() == []
        assert (outbox.intent("stale").state, outbox.pending(), outbox.failed()) == ("dropped", [], [])
        with pytest.raises(ChainError, match="dropped: no longer needed"):
            outbox.send("stale", Call(keeper, bytes(32)), gas=gas)


@pytest.mark.parametrize("gas", [None, 100_000])
def test_rebuilding_ends(tmp_path: Path, chain: Chain, account: Account, gas: int | None) -> None:
    asked: list[int] = []

    def never_right(intent: Intent) -> Call:
        asked.append(intent.attempts)
        return Call(intent.call.to, bytes(32) + bytes([len(asked)]))

    outbox, keeper = rebuilding(tmp_path, chain, account, never_right)
    with outbox:
        outbox.put("stale", Call(keeper, bytes(32)), gas=gas)
        assert outbox.flush() == []
        assert outbox.intent("stale").state == "failed"
    assert asked == [0, 1, 2, 3, 4]


def test_what_can_be_rebuilt_is_sent_one_after_the_other(
    tmp_path: Path, chain: Chain, account: Account, node: Node
) -> None:
    """A queue whose calls each fit only the state that the one before leaves, all made for the same state."""

    def fits(data: str) -> bool:
        return int(data[-4:-2], 16) == chain.call(Call(keeper, b""))[-1]

    def estimate(params: list[Any]) -> Answer | None:
        return None if fits(params[0]["data"]) else failing("execution reverted: stale", 3)

    def rebuild(intent: Intent) -> Call:
        now = chain.call(Call(keeper, b""))[-1]
        return Call(intent.call.to, bytes(30) + bytes([now, intent.call.data[-1]]))

    outbox, keeper = rebuilding(tmp_path, chain, account, rebuild)
    node.habits = {"eth_estimateGas": estimate}
    with outbox:
        for number in range(1, 10):
            outbox.put(f"s{number}", Call(keeper, bytes(31) + bytes([number])))
        before = len(node.sent)
        assert [one.intent_id for one in outbox.flush()] == [f"s{number}" for number in range(1, 10)]
        assert len(node.sent) - before == 9
        assert max(outbox.intent(f"s{number}").attempts for number in range(1, 10)) == 1


def test_a_refusal_of_an_earlier_nonce_does_not_count_when_the_clock_went_back(
    tmp_path: Path, chain: Chain, account: Account
) -> None:
    moments = iter(range(10**15, 0, -1_000_000))
    chain.fund(account.address)
    outbox = again(
        tmp_path,
        chain,
        account,
        clock=lambda: next(moments),
        rebuild=lambda intent: Call(intent.call.to, (9).to_bytes(32, "big")),
    )
    with outbox:
        keeper = outbox.send("deploy", Call(None, KEEPER)).contract
        outbox.put("stale", Call(keeper, bytes(32)), gas=100_000)
        assert [one.intent_id for one in outbox.flush()] == ["stale"]


def test_another_chain_or_account_is_refused(outbox: Outbox, tmp_path: Path, chain: Chain) -> None:
    with pytest.raises(ChainMismatchError, match="belongs to"):
        again(tmp_path, chain, Account(b"\x08" * 32))
    with LocalChain(tmp_path / "b.chain") as other:
        strange = Chain(Profile("net", urls=("http://node.example",)), Node(other))
        with pytest.raises(ChainMismatchError, match="belongs to"):
            again(tmp_path, strange, Account(b"\x07" * 32))


def test_a_file_of_something_else_is_refused(tmp_path: Path, chain: Chain, account: Account) -> None:
    connection = sqlite3.connect(tmp_path / "outbox.db")
    connection.execute("CREATE TABLE other (a)")
    connection.commit()
    connection.close()
    with pytest.raises(UnknownFormatError):
        again(tmp_path, chain, account)


def test_two_outboxes_on_one_file_share_the_work(
    outbox: Outbox, tmp_path: Path, chain: Chain, account: Account
) -> None:
    with again(tmp_path, chain, account) as other:
        outbox.put("a", pay(1))
        other.put("b", pay(2))
        mined = [*other.flush(), *outbox.flush()]
        assert sorted(one.intent_id for one in mined) == ["a", "b"]
    assert chain.nonce(account.address) == 2


def test_only_what_is_settled_counts(tmp_path: Path, node: Node, account: Account, local: LocalChain) -> None:
    profile = Profile("net", urls=("http://node.example",), finality="confirmations", confirmations=2)
    chain = Chain(profile, node)
    chain.fund(account.address)
    with again(tmp_path, chain, account) as outbox:
        outbox.put("s", pay(5))
        assert outbox.flush(timeout_s=0) == []
        assert [intent.state for intent in outbox.pending()] == ["signed"]
        for _ in range(2):
            local.fund("0x" + "22" * 20, 1)
        assert [one.intent_id for one in outbox.flush(timeout_s=0)] == ["s"]
