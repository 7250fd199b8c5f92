"""Several endpoints as one: fail over, read what was written, and believe no single one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.chain.nodes import CONTRACT, Ledger, Node, block_hash, served

from tallystick.chain import Chain, Profile, connect
from tallystick.errors import (
    ChainDisagreementError,
    ChainMismatchError,
    ChainUnreachableError,
    ConfigurationError,
)

TRANSACTION = "0x" + "11" * 32
ANYBODY = "0x" + "22" * 20


def dead_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def reached(*nodes: Node, agree: int = 1, timeout_s: float = 3.0, first: str = "", **said: Any) -> Chain:
    urls = (*([first] if first else []), *(node.url for node in nodes))
    members = tuple("abcdefgh"[: len(urls)])
    return connect(Profile("net", urls=urls, members=members, agree=agree, timeout_s=timeout_s, **said))


def reasons(chain: Chain) -> list[tuple[str, str]]:
    return [(report.member, report.reason) for report in chain.reports()]


def four() -> tuple[Ledger, list[Node]]:
    ledger = Ledger(receipts={TRANSACTION: 90})
    return ledger, [Node(ledger) for _ in range(4)]


@pytest.mark.parametrize("agree", [1, 2, 3])
def test_a_dead_endpoint_is_passed_over_and_named(agree: int) -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes, agree=agree, first=dead_url()) as chain:
        assert chain.head().number == 100
        assert reasons(chain) == [("a", "unreachable")]
        assert reasons(chain) == []


def test_an_endpoint_that_dies_is_passed_over() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes) as chain:
        nodes[0].status = 503
        assert chain.balance(ANYBODY) == 100
        assert reasons(chain) == [("a", "unreachable")]


def test_nobody_answering_is_unreachable_and_heals() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes, agree=2) as chain:
        for node in nodes:
            node.status = 503
        with pytest.raises(ChainUnreachableError, match="no endpoint answers"):
            chain.head()
        for node in nodes:
            node.status = 200
        assert chain.head().number == 100


def test_a_slow_endpoint_gets_company_and_is_named_in_the_end() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes) as chain:
        nodes[0].delay_s = 2.5
        for _ in range(4):
            assert chain.balance(ANYBODY) == 100
        assert ("a", "slow") in reasons(chain)


@pytest.mark.slow
def test_a_heavy_question_makes_nobody_slow() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes[:2], agree=2) as chain:
        for node in nodes:
            node.delay_s = 1.3
        for _ in range(4):
            chain.ask("eth_getBalance", ANYBODY, "0x5")
        assert reasons(chain) == []


def test_an_endpoint_on_another_chain_is_named_and_never_asked() -> None:
    _, nodes = four()
    nodes[0].chain = "two"
    with served(*nodes), reached(*nodes, agree=2) as chain:
        assert chain.genesis == block_hash(0)
        assert reasons(chain) == [("a", "other-chain")]
        asked = len(nodes[0].asked)
        chain.balance(ANYBODY)
        assert len(nodes[0].asked) == asked


def test_the_profiles_genesis_decides_which_endpoint_is_of_another_chain() -> None:
    _, nodes = four()
    nodes[0].chain = "two"
    with served(*nodes), reached(*nodes, genesis=block_hash(0)) as chain:
        assert chain.head().hash == block_hash(100)
        assert reasons(chain) == [("a", "other-chain")]
    for node in nodes:
        node.chain = "two"
    with served(*nodes), pytest.raises(ChainMismatchError, match="expected chain any with genesis"):
        reached(*nodes, genesis=block_hash(0))


def test_two_chains_of_two_members_each_are_no_chain() -> None:
    _, nodes = four()
    nodes[0].chain = nodes[1].chain = "two"
    with served(*nodes), pytest.raises(ChainDisagreementError, match="must be of one chain"):
        reached(*nodes, agree=2)


def test_an_endpoint_that_comes_back_as_another_chain_is_not_believed() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes[:2]) as chain:
        nodes[0].status = 503
        chain.head()
        nodes[0].status, nodes[0].chain = 200, "two"
        nodes[1].status = 503
        with pytest.raises(ChainUnreachableError):
            chain.head()
        assert ("a", "other-chain") in reasons(chain)


# -- read your own writes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("agree", [1, 2])
def test_nobody_below_an_own_write_is_read_from(agree: int) -> None:
    _, nodes = four()
    nodes[0].behind = nodes[1].behind = 1
    with served(*nodes), reached(*nodes, agree=agree) as chain:
        chain.saw(100)
        assert chain.balance(ANYBODY) == 100
        assert chain.nonce(ANYBODY) == 100


def test_a_read_waits_until_somebody_has_the_own_write() -> None:
    ledger, nodes = four()
    with served(*nodes), reached(*nodes, timeout_s=0.5) as chain:
        chain.saw(101)
        with pytest.raises(ChainUnreachableError, match="no endpoint has reached block 101 yet"):
            chain.balance(ANYBODY)
        ledger.height = 101
        assert chain.balance(ANYBODY) == 101


def test_a_receipt_raises_what_reads_may_not_fall_below() -> None:
    ledger, nodes = four()
    nodes[0].behind = 5
    with served(*nodes), reached(*nodes, agree=2) as chain:
        ledger.receipts[TRANSACTION] = 100
        receipt = chain.receipt(TRANSACTION)
        assert receipt is not None
        assert receipt.block == 100
        nodes[0].asked.clear()
        assert chain.balance(ANYBODY) == 100
        assert "eth_getBalance" not in nodes[0].asked


# -- nobody is believed alone -----------------------------------------------------------------------------


def lying_balance(method: str, _: list[Any], right: Any) -> Any:
    return "0xffff" if method == "eth_getBalance" else right


def lying_receipt(method: str, _: list[Any], right: Any) -> Any:
    return {**right, "status": "0x0"} if method == "eth_getTransactionReceipt" else right


def lying_hash(method: str, params: list[Any], right: Any) -> Any:
    if method == "eth_getBlockByNumber" and params[0] != "0x0" and right:
        return {**right, "hash": "0x" + "ff" * 32}
    return right


def lying_logs(method: str, _: list[Any], right: Any) -> Any:
    return right[:-1] if method == "eth_getLogs" else right


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("lie", "ask"),
    [
        (lying_balance, lambda chain: chain.balance(ANYBODY) == 100),
        (lying_receipt, lambda chain: chain.receipt(TRANSACTION).succeeded),
        (lying_hash, lambda chain: chain.head().hash == block_hash(100)),
        (
            lying_logs,
            lambda chain: len(chain.ask("eth_getLogs", {"address": CONTRACT, "fromBlock": "0x0"})) == 3,
        ),
    ],
    ids=["balance", "receipt", "block hash", "logs"],
)
def test_a_lie_of_one_never_counts_and_its_endpoint_is_named(
    lie: Callable[[str, list[Any], Any], Any], ask: Callable[[Chain], bool], place: int
) -> None:
    ledger, nodes = four()
    ledger.logs = {7: 2, 99: 1}
    with served(*nodes), reached(*nodes, agree=2) as chain:
        nodes[place].forge = lie
        found: list[tuple[str, str]] = []
        # who answers after enough others have agreed is not heard this time
        for _ in range(50):
            assert ask(chain)
            found += reasons(chain)
        assert found == [("abcd"[place], "differs")]


def test_a_lie_that_comes_when_enough_have_agreed_is_named_too() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes, agree=2) as chain:
        chain.head()
        nodes[3].forge, nodes[3].delay_s = lying_receipt, 0.3
        found = chain.receipt(TRANSACTION)
        assert found is not None
        assert found.succeeded
        assert reasons(chain) == []
        deadline = time.monotonic() + 10
        while not (told := reasons(chain)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert told == [("d", "differs")]


def test_without_agreement_the_same_lie_is_believed() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes, agree=1) as chain:
        nodes[0].forge = lying_balance
        assert chain.balance(ANYBODY) == 0xFFFF


def test_two_of_two_who_contradict_each_other_are_no_answer() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes[:2], agree=2) as chain:
        nodes[0].forge = lying_balance
        with pytest.raises(ChainDisagreementError, match="endpoints of 2 members must say the same"):
            chain.balance(ANYBODY)


def test_too_few_members_who_answer_are_unreachable_not_a_disagreement() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes[:2], agree=2) as chain:
        nodes[1].status = 503
        with pytest.raises(ChainUnreachableError, match="2 members are needed, got answers of 1"):
            chain.balance(ANYBODY)


def test_two_endpoints_of_one_member_are_one_voice() -> None:
    _, nodes = four()
    with served(*nodes):
        urls = tuple(node.url for node in nodes[:3])
        profile = Profile("net", urls=urls, members=("a", "a", "b"), agree=2, timeout_s=2)
        with connect(profile) as chain:
            nodes[0].forge = nodes[1].forge = lying_balance
            with pytest.raises(ChainDisagreementError, match="2 members"):
                chain.balance(ANYBODY)


def test_a_forged_head_moves_nothing_and_is_named() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes, agree=2) as chain:
        nodes[0].behind = -1_000_000
        assert chain.settled() == 100
        assert chain.head().number == 100
        assert reasons(chain) == [("a", "ahead")]


def test_an_endpoint_far_behind_is_named_and_one_block_behind_is_not() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes, agree=2) as chain:
        nodes[0].behind, nodes[1].behind = 50, 1
        for _ in range(4):
            chain.provider._height = (float("-inf"), 0)
            assert chain.settled() == 100
        assert reasons(chain) == [("a", "behind")]


def test_a_receipt_that_nobody_else_has_is_no_receipt_and_its_endpoint_is_named() -> None:
    ledger, nodes = four()
    forged = "0x" + "33" * 32
    with served(*nodes), reached(*nodes, agree=2) as chain:
        own = Ledger(height=100, receipts={forged: 95})
        nodes[0].ledger = own
        for _ in range(3):
            assert chain.receipt(forged) is None
        assert reasons(chain) == [("a", "differs")]
        # a receipt of the newest block may not have reached the others' index yet
        nodes[1].ledger = Ledger(height=100, receipts={forged: 100})
        for _ in range(5):
            assert chain.receipt(forged) is None
        assert reasons(chain) == []
        assert ledger.height == 100


def test_a_refusal_that_two_members_report_is_a_refusal() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes, agree=2) as chain:
        answer = chain.provider.make_request("eth_getCode", [ANYBODY])
        assert "error" in answer
        assert reasons(chain) == []


# -- sending ----------------------------------------------------------------------------------------------


def test_the_same_bytes_go_to_another_endpoint_when_they_come_again() -> None:
    _, nodes = four()
    with served(*nodes), reached(*nodes) as chain:
        chain.send(b"\x02\x01")
        chain.send(b"\x02\x01")
        assert [node.asked.count("eth_sendRawTransaction") for node in nodes] == [1, 1, 0, 0]


@pytest.mark.parametrize(("behind", "taken_by"), [(2, 0), (3, 1)])
def test_bytes_go_first_to_whom_the_others_have_not_left_behind(behind: int, taken_by: int) -> None:
    ledger, nodes = four()
    with served(*nodes), reached(*nodes, agree=2) as chain:
        nodes[0].behind = behind
        ledger.height += 1
        chain.head()
        chain.send(b"\x02\x01")
        assert [node.asked.count("eth_sendRawTransaction") for node in nodes].index(1) == taken_by


# -- profiles ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"members": ("a",)}, "one member for each of the 2 urls"),
        ({"members": ("a", "a"), "agree": 2}, "agree must be 1 to 1"),
        ({"members": ("a", "b"), "agree": 3}, "agree must be 1 to 2"),
        ({"agree": 2}, "agree must be 1 to 1"),
        ({"agree": 0}, "agree must be 1 to 1"),
        ({"members": ("a", "")}, "must have a name"),
    ],
)
def test_who_must_agree_has_to_be_possible(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Profile("net", urls=("http://a.example", "http://b.example"), **said)


def test_one_url_twice_would_agree_with_itself() -> None:
    with pytest.raises(ConfigurationError, match="stands twice"):
        Profile("net", urls=("http://a.example", "http://a.example"), members=("a", "b"), agree=2)
