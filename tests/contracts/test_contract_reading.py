"""How reading a contract fails: every foreign error becomes one of ours."""

from __future__ import annotations

import eth_abi
import pytest
from contract_world import World, address, journal, keys, party
from web3 import Web3
from web3.providers.base import BaseProvider

from tallystick.chain import Anchors, Keys, Members
from tallystick.errors import ChainError, ChainUnreachableError, ConfigurationError, DefectError, RevertError

REASON = "0x08c379a0" + eth_abi.encode(["string"], ["members: no"]).hex()


class Scripted(BaseProvider):
    """Answers everything alike, or raises."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def make_request(self, method: str, params: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"jsonrpc": "2.0", "id": 1, **self.answer}


def members_answering(answer: object) -> Members:
    return Members(Web3(Scripted(answer)), address("A"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (REASON, "members: no"),
        ("0x", ""),
        ("0x08c379a0", ""),
        ("0x08c379a0" + "ff" * 64, ""),
        ("no hex", ""),
        ("0x4e487b71" + "00" * 31 + "11", "panic 0x11"),
    ],
)
def test_a_revert_tells_its_reason_and_its_bytes(data: str, reason: str) -> None:
    error = {"code": 3, "message": "execution reverted", "data": data}
    with pytest.raises(RevertError) as caught:
        members_answering({"error": error}).count()
    assert caught.value.reason == reason
    assert caught.value.data == (b"" if data == "no hex" else bytes.fromhex(data[2:]))


def test_a_revert_without_data_tells_the_reason_in_its_words() -> None:
    with pytest.raises(RevertError) as caught:
        members_answering({"error": {"code": -32000, "message": "execution reverted: members: no"}}).count()
    assert caught.value.reason == "members: no"


def test_a_refusing_node_is_a_chain_error() -> None:
    with pytest.raises(ChainError, match="contract Members cannot be read"):
        members_answering({"error": {"code": -32000, "message": "header not found"}}).count()


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), OSError("down")])
def test_a_node_that_does_not_answer_is_unreachable(error: Exception) -> None:
    with pytest.raises(ChainUnreachableError, match="no endpoint answered"):
        members_answering(error).count()


@pytest.mark.parametrize("answer", [{}, {"error": "down"}, {"error": None}])
def test_an_answer_that_is_none_is_a_chain_error(answer: dict) -> None:
    with pytest.raises(ChainError, match="contract Members cannot be read"):
        members_answering(answer).count()


@pytest.mark.parametrize("result", [None, "junk", "0x", "0x01", "0x" + "ff" * 31])
def test_an_answer_of_the_wrong_shape_is_an_error(result: str) -> None:
    with pytest.raises(ChainError, match="contract Members was expected at"):
        members_answering({"result": result}).count()


@pytest.mark.parametrize(
    "wrong", ["", "0x", "A", "0x" + "0" * 39, "0x" + "g" * 40, "0x" + "0" * 41, "0x" + "0" * 40 + "\n"]
)
def test_what_is_no_address_is_refused_before_anything_is_asked(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="an address must be 0x and 40 hex digits"):
        Members(Web3(Scripted({})), wrong)
    with pytest.raises(ConfigurationError, match="an address must be"):
        members_answering({}).rotate(Keys(wrong, address("A"), bytes(32)))
    with pytest.raises(ConfigurationError, match="an address must be"):
        Anchors.deploy_call(wrong)


def test_addresses_are_told_in_lower_case(world: World) -> None:
    members = world.found(["A"], 1, delay_s=0)
    shouted = Members(world.web3, world.web3.to_checksum_address(members.address))
    assert shouted.address == members.address == members.address.lower()
    assert members.member(world.web3.to_checksum_address(address("A"))) == party("A")
    assert members.rotate(keys("A")).to == members.address


def test_an_event_is_asked_by_its_indexed_arguments_only(world: World) -> None:
    members = world.found(["A", "B"], 2)
    assert len(members.logged("Joined")) == 2
    (only,) = members.logged("Joined", journal=journal("B"))
    assert only.values["party"] == party("B")
    assert only.transaction.startswith("0x")
    assert members.logged("Joined", start=world.block() + 1) == []
    assert len(members.logged("Joined", start=world.block())) == 2
    with pytest.raises(DefectError, match="no indexed argument card"):
        members.logged("Joined", card=bytes(32))


JOINED = "0x" + Web3.keccak(text="Joined(bytes32,bytes32,address,address,bytes32)").hex().removeprefix("0x")
LOG = {
    "address": Web3.to_checksum_address(address("A")),
    "topics": [JOINED, "0x" + "01" * 32, "0x" + "02" * 32, "0x" + "00" * 12 + "03" * 20],
    "data": "0x" + "00" * 12 + "04" * 20 + "05" * 32,
    "blockNumber": "0x1",
    "transactionHash": "0x" + "33" * 32,
}


def test_an_event_is_read_from_what_a_node_answers() -> None:
    (found,) = members_answering({"result": [LOG]}).logged("Joined", party=bytes([1]) * 32)
    assert found.values == {
        "party": bytes([1]) * 32,
        "journal": bytes([2]) * 32,
        "account": "0x" + "03" * 20,
        "writer": "0x" + "04" * 20,
        "card": bytes([5]) * 32,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"address": address("B")},
        {"topics": LOG["topics"][:3]},
        {"topics": ["0x" + "11" * 32, *LOG["topics"][1:]]},
        {"topics": [JOINED, "0x" + "09" * 32, *LOG["topics"][2:]]},
        {"topics": None},
        {"data": "0x"},
        {"blockNumber": None},
        {"blockNumber": "junk"},
    ],
)
def test_an_event_that_was_not_asked_for_or_cannot_be_read_is_an_error(change: dict) -> None:
    members = members_answering({"result": [{**LOG, **change}]})
    with pytest.raises(ChainError, match="event Joined of contract Members cannot be read"):
        members.logged("Joined", party=bytes([1]) * 32)


@pytest.mark.parametrize("result", [None, {}, "0x"])
def test_what_is_no_list_of_events_is_an_error(result: object) -> None:
    with pytest.raises(ChainError, match="a list of logs was expected"):
        members_answering({"result": result}).logged("Joined")
    with pytest.raises(ChainError, match="a block number was expected"):
        members_answering({"result": result}).logged("Joined", start=1)
