"""One way to every chain: checked identity, typed errors, other nodes' habits hidden."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import Account, Call, Chain, LocalChain, Profile, connect, serve
from tallystick.errors import (
    ChainError,
    ChainMismatchError,
    ChainUnreachableError,
    ConfigurationError,
    FundsError,
    LockedError,
    NonceError,
    NotFoundError,
    RevertError,
)

ERROR_NO = "0x08c379a0" + "20".rjust(64, "0") + "02".rjust(64, "0") + "6e6f".ljust(64, "0")


class Scripted:
    """A node that answers as a test says, and like an embedded chain otherwise."""

    def __init__(self, chain: LocalChain, **answers: Any) -> None:
        self.chain = chain
        self.answers = answers
        self.session = self

    def make_request(self, method: str, params: Any) -> Any:
        answer = self.answers.get(method)
        return self.chain.make_request(method, params) if answer is None else answer

    def close(self) -> None:
        self.chain.close()


def failing(message: str, code: int = -32000, data: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalChain]:
    with LocalChain(tmp_path / "a.chain") as opened:
        yield opened


def scripted(local: LocalChain, **answers: Any) -> Chain:
    return Chain(Profile("scripted", urls=("http://node.example",)), Scripted(local, **answers))


def test_an_embedded_chain_is_made_only_when_asked(tmp_path: Path) -> None:
    path = str(tmp_path / "a.chain")
    with pytest.raises(NotFoundError, match="no chain at"):
        connect(path)
    with connect(path, create=True) as chain:
        assert chain.is_local
        genesis = chain.genesis
    with connect(path) as chain:
        assert chain.genesis == genesis == chain.block(0).hash


def test_a_served_chain_is_local_too(local: LocalChain) -> None:
    with serve(local, port=0) as served, connect(served.url) as chain:
        assert chain.is_local
        assert chain.fund("0x" + "11" * 20, 5)
        assert chain.balance("0x" + "11" * 20) == 5
        assert chain.web3.eth.block_number == 1


def test_another_chain_id_is_refused(local: LocalChain) -> None:
    with serve(local, port=0) as served:
        profile = Profile("net", urls=(served.url,), chain_id=local.chain_id + 1)
        with pytest.raises(
            ChainMismatchError, match=f"expected chain {local.chain_id + 1}, got {local.chain_id}"
        ):
            connect(profile)


def test_the_same_id_on_another_genesis_is_refused(local: LocalChain) -> None:
    with serve(local, port=0) as served:
        profile = Profile("net", urls=(served.url,), chain_id=local.chain_id, genesis="0x" + "00" * 32)
        with pytest.raises(ChainMismatchError, match="expected genesis"):
            connect(profile)


def test_a_mismatch_leaves_the_file_unlocked(tmp_path: Path) -> None:
    LocalChain(tmp_path / "a.chain").close()
    with pytest.raises(ChainMismatchError):
        connect(Profile("pilot", path=tmp_path / "a.chain", genesis="0x" + "00" * 32))
    LocalChain(tmp_path / "a.chain").close()


def test_a_locked_file_says_who_holds_it(local: LocalChain) -> None:
    with pytest.raises(LockedError):
        connect(str(local.path))


def test_a_locked_file_can_be_read(local: LocalChain) -> None:
    with connect(str(local.path), read_only=True) as chain:
        local.fund("0x" + "11" * 20, 5)
        assert chain.balance("0x" + "11" * 20) == 5
        with pytest.raises(ChainError, match="reads the chain only"):
            chain.fund("0x" + "11" * 20)


def test_an_embedded_chain_takes_no_other_finality(tmp_path: Path) -> None:
    profile = Profile("pilot", path=tmp_path / "a.chain", finality="confirmations", confirmations=2)
    with pytest.raises(ConfigurationError, match="final at once"):
        connect(profile, create=True)


def test_a_node_that_is_down_is_unreachable_and_worth_another_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/key/of-the-account"
    with pytest.raises(ChainUnreachableError) as refused:
        connect(url)
    assert refused.value.retryable
    assert refused.value.hint
    assert "of-the-account" not in str(refused.value)


def test_what_is_no_node_is_a_chain_error(local: LocalChain) -> None:
    for answer in ([], {}, {"result": 1, "error": {}}, {"jsonrpc": "2.0", "id": 1, "result": "zzz"}):
        with pytest.raises(ChainError):
            scripted(local, eth_chainId=answer)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failing("execution reverted: no", 3, ERROR_NO), RevertError),
        (failing("execution reverted: no"), RevertError),
        (failing("VM Exception while processing transaction: revert", data={"data": ERROR_NO}), RevertError),
        (failing("insufficient funds for gas * price + value: balance 0"), FundsError),
        (failing("nonce too low: next nonce 5, tx nonce 4"), NonceError),
        (failing("invalid nonce; got 313, expected 308: invalid sequence"), NonceError),
        (failing("the method eth_call does not exist", -32601), ChainError),
        (failing("something else\nover two lines"), ChainError),
        ({"jsonrpc": "2.0", "id": 1, "error": "just words"}, ChainError),
    ],
)
def test_each_nodes_error_becomes_ours(local: LocalChain, answer: Any, kind: type[ChainError]) -> None:
    chain = scripted(local, eth_call=answer)
    with pytest.raises(kind) as refused:
        chain.call(Call("0x" + "11" * 20, b""))
    assert type(refused.value) is kind
    assert "\n" not in str(refused.value)


def test_a_reverts_reason_comes_from_its_data_or_its_words(local: LocalChain) -> None:
    panic = "0x4e487b71" + "11".rjust(64, "0")
    for answer, reason in (
        (failing("execution reverted", 3, ERROR_NO), "no"),
        (failing("execution reverted: of words"), "of words"),
        (failing("execution reverted", 3, panic), "panic 0x11"),
        (failing("execution reverted", 3, "0x"), ""),
        (failing("execution reverted", 3, "0xzz"), ""),
        (failing("execution reverted", 3, ERROR_NO[:80]), ""),
    ):
        with pytest.raises(RevertError) as refused:
            scripted(local, eth_call=answer).call(Call("0x" + "11" * 20, b""))
        assert refused.value.reason == reason


def test_an_unknown_receipt_is_none_whatever_the_node_calls_it(local: LocalChain) -> None:
    for answer in (
        {"jsonrpc": "2.0", "id": 1, "result": None},
        failing("ethereum tx not found"),
        failing("transaction indexing is in progress"),
    ):
        assert scripted(local, eth_getTransactionReceipt=answer).receipt("0x" + "00" * 32) is None
    with pytest.raises(ChainError):
        scripted(local, eth_getTransactionReceipt=failing("boom")).receipt("0x" + "00" * 32)


def test_bytes_that_the_node_knows_already_are_sent(local: LocalChain) -> None:
    for words in (
        "already known",
        "tx already in mempool",
        "transaction already imported",
        "known transaction: 0x1",
    ):
        scripted(local, eth_sendRawTransaction=failing(words)).send(b"\x02")
    with pytest.raises(ChainError):
        scripted(local, eth_sendRawTransaction=failing("no")).send(b"\x02")


def test_a_node_without_a_tip_method_is_asked_for_its_gas_price(local: LocalChain) -> None:
    price = {"jsonrpc": "2.0", "id": 1, "result": hex(10)}
    chain = scripted(local, eth_maxPriorityFeePerGas=failing("unknown", -32601), eth_gasPrice=price)
    assert (chain.fees().tip, chain.fees().max_fee) == (3, 17)


def test_fees_stay_under_the_profiles_cap(local: LocalChain) -> None:
    profile = Profile("net", urls=("http://node.example",), fee_cap_wei=5, tip_wei=5)
    fees = Chain(profile, Scripted(local)).fees()
    assert (fees.max_fee, fees.tip) == (5, 5)


def test_finality_decides_which_block_counts(local: LocalChain) -> None:
    for _ in range(5):
        local.fund("0x" + "11" * 20, 1)
    url = ("http://node.example",)
    for profile, expected in (
        (Profile("a", urls=url), 5),
        (Profile("b", urls=url, finality="tagged"), 5),
        (Profile("c", urls=url, finality="confirmations", confirmations=2), 3),
        (Profile("d", urls=url, finality="confirmations", confirmations=9), 0),
    ):
        assert Chain(profile, Scripted(local)).settled() == expected


def test_a_network_is_funded_by_nobody(local: LocalChain) -> None:
    version = {"jsonrpc": "2.0", "id": 1, "result": "Geth/v1"}
    chain = scripted(local, web3_clientVersion=version)
    assert not chain.is_local
    assert chain.fund("0x" + "11" * 20) is False


def test_a_block_that_is_not_there_is_not_found(local: LocalChain) -> None:
    with pytest.raises(NotFoundError):
        scripted(local).block(99)


def test_an_account_without_coins_is_told_when_it_sends(local: LocalChain) -> None:
    chain = scripted(local)
    raw = Account(os.urandom(32)).sign(
        Call("0x" + "11" * 20, b""),
        chain_id=chain.chain_id,
        nonce=0,
        gas=21_000,
        max_fee=7,
        max_priority_fee=0,
    )
    with pytest.raises(FundsError):
        chain.send(raw)
