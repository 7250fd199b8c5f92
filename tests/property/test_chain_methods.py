"""Whatever is asked of the embedded chain, it answers a result or one of geth's errors, and never falls over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.chain import Account, Call, LocalChain
from tallystick.chain._methods import METHODS
from tallystick.testing._chains import KEEPER

CODES = {-32600, -32601, -32602, -32000, -32005, 3}
KEEPER_PLACE = "0x" + "00" * 20


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    with LocalChain(tmp_path_factory.mktemp("methods") / "a.chain") as opened:
        account = Account(b"\x07" * 32)
        opened.fund(account.address)
        for nonce, call in enumerate([Call(None, KEEPER), Call(account.address, b"")]):
            opened.send(
                account.sign(
                    call, chain_id=opened.chain_id, nonce=nonce, gas=200_000, max_fee=7, max_priority_fee=0
                )
            )
        yield opened


HEX = st.one_of(
    st.sampled_from(
        ["0x0", "0x1", "0x2", "0x", "0xzz", "latest", "pending", "earliest", "safe", "0x-1", "0x 1", ""]
    ),
    st.sampled_from(["0x" + "00" * 20, "0x" + "11" * 32, "0x" + "ff" * 32, "0x" + "0" * 64, "0x" + "f" * 16]),
    st.integers(0, 2**70).map(hex),
    st.binary(max_size=40).map(lambda data: "0x" + data.hex()),
    st.text(max_size=8),
)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), HEX)
NAMES = st.sampled_from(
    [
        *("from", "to", "data", "input", "value", "gas", "gasPrice", "maxFeePerGas", "chainId", "accessList"),
        *("address", "topics", "fromBlock", "toBlock", "blockHash", "blockNumber", "storageKeys", "nonce"),
    ]
)
ANY = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)


def fits(answer: dict[str, Any]) -> bool:
    return "result" in answer or answer["error"]["code"] in CODES


@settings(max_examples=600, deadline=None)
@given(method=st.sampled_from(sorted(METHODS)), params=st.lists(ANY, max_size=4))
def test_no_arguments_make_a_method_fall_over(chain: LocalChain, method: str, params: list[Any]) -> None:
    answer = chain.make_request(method, params)
    assert fits(answer), (method, params, answer)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["eth_call", "eth_estimateGas", "eth_getLogs"]),
    asked=st.dictionaries(NAMES, ANY, max_size=6),
    block=st.one_of(HEX, ANY),
)
def test_no_object_makes_a_method_fall_over(
    chain: LocalChain, method: str, asked: dict[str, Any], block: Any
) -> None:
    params = [asked] if method == "eth_getLogs" else [asked, block]
    answer = chain.make_request(method, params)
    assert fits(answer), (method, params, answer)


@settings(max_examples=200, deadline=None)
@given(raw=st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda tail: b"\x02\xf8" + tail)))
def test_no_bytes_sent_make_the_chain_fall_over(chain: LocalChain, raw: bytes) -> None:
    answer = chain.make_request("eth_sendRawTransaction", ["0x" + raw.hex()])
    assert answer["error"]["code"] in {-32000, -32602}
