"""What other engines do differently never shows."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.chain.nodes import Ledger, Node, served

from tallystick.chain import Call, Profile, connect
from tallystick.chain._answers import revert_reason
from tallystick.chain._traps import normal, refused_tag
from tallystick.errors import RevertError

ADDRESS = "0x" + "22" * 20


def failing(code: int, message: str, data: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}}


@pytest.mark.parametrize("words", ["ethereum tx not found", "transaction indexing is in progress"])
def test_a_receipt_that_is_not_there_is_null(words: str) -> None:
    assert normal("eth_getTransactionReceipt", failing(-32000, words))["result"] is None
    assert "error" in normal("eth_getTransactionReceipt", failing(-32000, "the disk is full"))
    assert "error" in normal("eth_call", failing(-32000, words))


@pytest.mark.parametrize(
    "words", ["no", "anchors: not the writer of this journal, says the contract Members", ""]
)
def test_a_reverts_words_become_bytes_again(words: str) -> None:
    found = normal("eth_call", failing(-32000, f"execution reverted: {words}", words))["error"]
    assert found["code"] == 3
    assert revert_reason(bytes.fromhex(found["data"][2:])) == words


def test_a_reverts_bytes_stay_what_they_are() -> None:
    answer = failing(3, "execution reverted", "0x12345678")
    assert normal("eth_estimateGas", answer) == answer
    assert normal("eth_call", failing(3, "execution reverted"))["error"]["data"] is None


@pytest.mark.parametrize("tag", ["newest", "", "0x", "12", "LATEST"])
def test_a_tag_that_nobody_knows_is_refused_before_it_is_sent(tag: str) -> None:
    refused = refused_tag("eth_getBlockByNumber", [tag, False])
    assert refused is not None
    assert refused["error"]["code"] == -32602


@pytest.mark.parametrize("tag", ["latest", "pending", "safe", "finalized", "earliest", "0x0", "0xff"])
def test_a_tag_that_all_know_is_sent(tag: str) -> None:
    assert refused_tag("eth_getBlockByNumber", [tag, False]) is None
    assert refused_tag("eth_chainId", []) is None


@pytest.mark.parametrize("agree", [1, 2])
def test_a_revert_over_several_endpoints_names_its_reason(agree: int) -> None:
    ledger = Ledger()
    nodes = [Node(ledger), Node(ledger)]
    for node in nodes:
        node.answer = lambda method, params, own=node.answer: (  # type: ignore[method-assign, misc]
            failing(-32000, "execution reverted: no", "no") if method == "eth_call" else own(method, params)
        )
    with served(*nodes):
        urls = tuple(node.url for node in nodes)
        with connect(Profile("net", urls=urls, members=("a", "b"), agree=agree)) as chain:
            with pytest.raises(RevertError) as refused:
                chain.call(Call(ADDRESS, b""))
            assert refused.value.reason == "no"
            assert chain.reports() == []


def test_bytes_that_a_node_has_already_are_sent() -> None:
    node = Node(Ledger())

    def again(*_: Any) -> Any:
        raise LookupError("tx already in mempool")

    node.forge = lambda method, _, right: again() if method == "eth_sendRawTransaction" else right
    with served(node), connect(node.url) as chain:
        chain.send(b"\x02\x01")
