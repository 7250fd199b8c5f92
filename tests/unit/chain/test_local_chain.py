"""The embedded chain: its file, its blocks, its clock, its one writer, and geth's words."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import Account, Call, LocalChain
from tallystick.chain._methods import METHODS
from tallystick.errors import (
    ChainMismatchError,
    ConfigurationError,
    LockedError,
    NotFoundError,
    StorageError,
    UnknownFormatError,
)

START = 1_795_000_000
RECEIVER = "0x" + "11" * 20


class SetClock:
    def __init__(self, seconds: int = START) -> None:
        self.seconds = seconds

    def __call__(self) -> int:
        return self.seconds * 1_000_000


def ask(chain: LocalChain, method: str, *params: Any) -> Any:
    answer = chain.make_request(method, list(params))
    assert "error" not in answer, answer
    return answer["result"]


def error(chain: LocalChain, method: str, *params: Any) -> dict[str, Any]:
    answer = chain.make_request(method, list(params))
    assert "result" not in answer, answer
    return dict(answer["error"])


def pay(
    chain: LocalChain, account: Account, nonce: int, *, gas: int = 21_000, value: int = 1, fee: int = 7
) -> bytes:
    return account.sign(
        Call(RECEIVER, b"", value),
        chain_id=chain.chain_id,
        nonce=nonce,
        gas=gas,
        max_fee=fee,
        max_priority_fee=0,
    )


def send(chain: LocalChain, raw: bytes) -> Any:
    return ask(chain, "eth_sendRawTransaction", "0x" + raw.hex())


def refusal(chain: LocalChain, raw: bytes) -> str:
    said = error(chain, "eth_sendRawTransaction", "0x" + raw.hex())
    assert said["code"] == -32000
    return str(said["message"])


@pytest.fixture
def account() -> Account:
    return Account(os.urandom(32))


@pytest.fixture
def chain(tmp_path: Path, account: Account) -> Any:
    with LocalChain(tmp_path / "a.chain", alloc={account.address: 10**18}, clock=SetClock()) as opened:
        yield opened


def test_each_new_chain_draws_its_own_id_and_genesis(tmp_path: Path) -> None:
    with LocalChain(tmp_path / "a.chain") as a, LocalChain(tmp_path / "b.chain") as b:
        assert a.chain_id != b.chain_id
        assert a.head().hash != b.head().hash


def test_a_chain_is_the_same_when_it_is_opened_again(tmp_path: Path, account: Account) -> None:
    with LocalChain(tmp_path / "a.chain") as chain:
        chain.fund(account.address)
        before = (chain.chain_id, chain.head())
    with LocalChain(tmp_path / "a.chain") as again:
        assert (again.chain_id, again.head()) == before
        assert int(ask(again, "eth_getBalance", account.address, "latest"), 16) == 10**18
        assert send(again, pay(again, account, 0))


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with LocalChain(tmp_path / "a.chain"):
        assert stat.S_IMODE((tmp_path / "a.chain").stat().st_mode) == 0o600


def test_another_chain_id_than_expected_is_refused(tmp_path: Path) -> None:
    LocalChain(tmp_path / "a.chain", chain_id=5).close()
    with pytest.raises(ChainMismatchError, match=r"expected chain 6 .* got 5"):
        LocalChain(tmp_path / "a.chain", chain_id=6)
    LocalChain(tmp_path / "a.chain", chain_id=5).close()  # the refusal kept no lock


def test_balances_can_be_allocated_at_the_genesis_only(tmp_path: Path, account: Account) -> None:
    LocalChain(tmp_path / "a.chain").close()
    with pytest.raises(ConfigurationError, match="new chain only"):
        LocalChain(tmp_path / "a.chain", alloc={account.address: 1})


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with LocalChain(tmp_path / "a.chain"):
        with pytest.raises(LockedError, match=f"process {os.getpid()} writes") as refused:
            LocalChain(tmp_path / "a.chain")
        assert "chain serve" in refused.value.hint
    LocalChain(tmp_path / "a.chain").close()


def test_readers_see_what_the_writer_seals(chain: LocalChain, account: Account) -> None:
    with LocalChain(chain.path, read_only=True) as reader:
        assert ask(reader, "eth_blockNumber") == "0x0"
        sent = send(chain, pay(chain, account, 0))
        assert ask(reader, "eth_blockNumber") == "0x1"
        assert ask(reader, "eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert ask(reader, "eth_getBalance", RECEIVER, "latest") == "0x1"
        assert "reads the chain only" in refusal(reader, pay(chain, account, 1))


def test_a_reader_makes_no_chain(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        LocalChain(tmp_path / "none.chain", read_only=True)
    assert not list(tmp_path.iterdir())


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.chain")
    connection.execute("CREATE TABLE facts (name TEXT, value TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(UnknownFormatError, match="not a chain"):
        LocalChain(tmp_path / "a.chain")


def test_a_later_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    LocalChain(tmp_path / "a.chain").close()
    connection = sqlite3.connect(tmp_path / "a.chain")
    connection.execute(
        "UPDATE facts SET value = CAST('tallystick/local-chain/v2' AS BLOB) WHERE name = 'format'"
    )
    connection.commit()
    connection.close()
    with pytest.raises(UnknownFormatError) as refused:
        LocalChain(tmp_path / "a.chain")
    assert "upgrade" in refused.value.hint


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.chain").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageError):
        LocalChain(tmp_path / "a.chain")


def test_quick_blocks_share_a_second(chain: LocalChain, account: Account) -> None:
    for nonce in range(20):
        send(chain, pay(chain, account, nonce))
    assert chain.head().number == 20
    assert chain.head().timestamp == START


def test_a_clock_that_goes_back_repeats_the_parents_time(tmp_path: Path, account: Account) -> None:
    clock = SetClock()
    with LocalChain(tmp_path / "a.chain", alloc={account.address: 10**18}, clock=clock) as chain:
        times = []
        for nonce, seconds in enumerate([START + 10, START + 5, START - 1_000, START + 10, START + 11]):
            clock.seconds = seconds
            send(chain, pay(chain, account, nonce))
            times.append(chain.head().timestamp - START)
        assert times == [10, 10, 10, 10, 11]


def test_threads_share_blocks_and_nobody_is_lost(chain: LocalChain) -> None:
    accounts = [Account(os.urandom(32)) for _ in range(8)]
    for account in accounts:
        chain.fund(account.address)
    head = chain.head().number
    gate = threading.Barrier(len(accounts))

    def work(account: Account) -> list[str]:
        gate.wait()
        return [send(chain, pay(chain, account, nonce)) for nonce in range(10)]

    with ThreadPoolExecutor(len(accounts)) as pool:
        sent = [found for many in pool.map(work, accounts) for found in many]
    receipts = [ask(chain, "eth_getTransactionReceipt", one) for one in sent]
    assert len({receipt["transactionHash"] for receipt in receipts}) == 80
    assert chain.head().number - head < 80


def test_the_pending_nonce_counts_what_is_being_sealed(
    chain: LocalChain, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = chain.store.seal

    def look(*values: Any) -> None:
        seen.append(ask(chain, "eth_getTransactionCount", account.address, "pending"))
        seen.append(ask(chain, "eth_getTransactionCount", account.address, "latest"))
        real(*values)

    monkeypatch.setattr(chain.store, "seal", look)
    send(chain, pay(chain, account, 0))
    assert seen == ["0x1", "0x0"]
    assert ask(chain, "eth_getTransactionCount", account.address, "pending") == "0x1"


def test_one_senders_transactions_are_sealed_in_the_order_of_their_nonces(
    chain: LocalChain, account: Account
) -> None:
    raws = [pay(chain, account, nonce) for nonce in (2, 0, 1)]
    assert all(isinstance(answer, bytes) for answer in chain.send_many(raws))
    assert chain.head().number == 1
    block = ask(chain, "eth_getBlockByNumber", "0x1", True)
    assert [one["nonce"] for one in block["transactions"]] == ["0x0", "0x1", "0x2"]
    assert block["gasUsed"] == hex(63_000)
    receipts = ask(chain, "eth_getBlockReceipts", "0x1")
    assert [one["cumulativeGasUsed"] for one in receipts] == [hex(21_000), hex(42_000), hex(63_000)]


def test_what_does_not_fit_into_a_block_goes_into_the_next(chain: LocalChain, account: Account) -> None:
    raws = [pay(chain, account, nonce, gas=29_990_000) for nonce in range(3)]
    assert all(isinstance(answer, bytes) for answer in chain.send_many(raws))
    places = [
        ask(chain, "eth_getBlockTransactionCountByNumber", hex(n)) for n in range(1, chain.head().number + 1)
    ]
    assert sum(int(count, 16) for count in places) == 3
    assert len(places) == 3


def test_one_bad_transaction_does_not_spoil_the_block(chain: LocalChain, account: Account) -> None:
    poor = Account(os.urandom(32))
    good, bad, also = chain.send_many([pay(chain, account, 0), pay(chain, poor, 0), pay(chain, account, 1)])
    assert isinstance(good, bytes)
    assert isinstance(also, bytes)
    assert isinstance(bad, Exception)
    assert "insufficient funds" in str(bad)


def test_refusals_use_geths_words(chain: LocalChain, account: Account) -> None:
    sent = pay(chain, account, 0)
    send(chain, sent)
    poor = Account(os.urandom(32))
    cases = [
        (sent, "already known"),
        (pay(chain, account, 0, value=9), "nonce too low"),
        (pay(chain, account, 5), "nonce too high"),
        (pay(chain, poor, 0), "insufficient funds for gas * price + value"),
        (pay(chain, account, 1, gas=20_999), "intrinsic gas too low"),
        (pay(chain, account, 1, gas=30_000_001), "exceeds block gas limit"),
        (pay(chain, account, 1, fee=6), "max fee per gas less than block base fee"),
        (pay(chain, account, 1, value=10**18), "insufficient funds"),
    ]
    for raw, words in cases:
        assert words in refusal(chain, raw)
    tip = account.sign(
        Call(RECEIVER, b""), chain_id=chain.chain_id, nonce=1, gas=21_000, max_fee=7, max_priority_fee=8
    )
    assert "max priority fee per gas higher than max fee per gas" in refusal(chain, tip)
    huge = account.sign(
        Call(None, bytes(49_153)), chain_id=chain.chain_id, nonce=1, gas=10**7, max_fee=7, max_priority_fee=0
    )
    assert "max initcode size exceeded" in refusal(chain, huge)
    assert chain.head().number == 1


def test_a_full_disk_loses_nothing_and_tells(chain: LocalChain, account: Account) -> None:
    send(chain, pay(chain, account, 0))
    writer = chain.store._writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    head, nonce = chain.head(), 1
    creation = account.sign(
        Call(None, b"\x61\x60\x00\x80\x60\x0a\x5f\x39\x5f\xf3" + os.urandom(24_000)),
        chain_id=chain.chain_id, nonce=nonce, gas=10**7, max_fee=7, max_priority_fee=0,
    )  # fmt: skip
    said = error(chain, "eth_sendRawTransaction", "0x" + creation.hex())
    assert said["code"] == -32603
    assert "surroundings.storage" in said["message"]
    assert chain.head() == head
    with LocalChain(chain.path, read_only=True) as reader:
        assert reader.head() == head
    writer.execute("PRAGMA max_page_count = 1000000")  # somebody made room
    assert send(chain, creation)


def test_a_disk_that_failed_once_is_not_trusted_again(
    chain: LocalChain, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        """A connection whose fsync fails once, at the commit."""

        def __init__(self, real: sqlite3.Connection) -> None:
            self.real = real
            self.failed = False

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT" and not self.failed:
                self.failed = True
                trouble = sqlite3.OperationalError("disk I/O error")
                trouble.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise trouble
            return self.real.execute(statement, *values)

    real = chain.store._writer
    assert real is not None
    monkeypatch.setattr(chain.store, "_writer", Failing(real))
    for words in ("not written", "stopped writing"):
        said = error(chain, "eth_sendRawTransaction", "0x" + pay(chain, account, 0).hex())
        assert words in said["message"]
    assert chain.head().number == 0


def test_an_interrupted_seal_lets_nobody_hang_and_keeps_the_head_true(
    chain: LocalChain, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = chain.store.seal

    def seal_then_interrupt(*values: Any) -> None:
        real(*values)
        raise KeyboardInterrupt

    monkeypatch.setattr(chain.store, "seal", seal_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        chain.send(pay(chain, account, 0))
    monkeypatch.undo()
    assert chain.head().number == 1
    assert send(chain, pay(chain, account, 1))


def test_a_defect_in_one_block_is_told_to_its_senders_only(
    chain: LocalChain, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain.executor, "apply", lambda *_, **__: 1 / 0)
    said = error(chain, "eth_sendRawTransaction", "0x" + pay(chain, account, 0).hex())
    assert (said["code"], said["message"][:6]) == (-32603, "defect")
    monkeypatch.undo()
    assert send(chain, pay(chain, account, 0))


def test_a_reader_opens_a_chain_that_nobody_writes(tmp_path: Path) -> None:
    LocalChain(tmp_path / "a.chain").close()
    with LocalChain(tmp_path / "a.chain", read_only=True) as reader:
        assert reader.head().number == 0


@pytest.mark.parametrize("address", ["", "0x", "11" * 20, "0x" + "zz" * 20, "0x" + "11" * 21])
def test_what_is_no_address_is_refused(tmp_path: Path, chain: LocalChain, address: str) -> None:
    for attempt in (
        lambda: chain.fund(address),
        lambda: LocalChain(tmp_path / "b.chain", alloc={address: 1}),
        lambda: Call(address, b""),
    ):
        with pytest.raises(ConfigurationError, match="40 hex digits"):
            attempt()
    with pytest.raises(ConfigurationError, match="value must be"):
        Call(RECEIVER, b"", -1)


def test_calls_name_blocks_in_every_way(chain: LocalChain, account: Account) -> None:
    send(chain, pay(chain, account, 0))
    first = ask(chain, "eth_getBlockByNumber", "earliest", False)["hash"]
    for block, balance in (
        ("earliest", 0),
        ("0x0", 0),
        ({"blockNumber": "0x0"}, 0),
        ({"blockHash": first}, 0),
        ("latest", 1),
        ("pending", 1),
        ("safe", 1),
        ("finalized", 1),
    ):
        assert int(ask(chain, "eth_getBalance", RECEIVER, block), 16) == balance, block
    assert error(chain, "eth_getBalance", RECEIVER, "0x99") == {"code": -32000, "message": "header not found"}


def test_fee_history_covers_the_blocks_asked_for(chain: LocalChain, account: Account) -> None:
    for nonce in range(3):
        send(chain, pay(chain, account, nonce))
    history = ask(chain, "eth_feeHistory", "0x2", "latest", [10, 90])
    assert history["oldestBlock"] == "0x2"
    assert history["baseFeePerGas"] == ["0x7"] * 3
    assert history["reward"] == [["0x0", "0x0"]] * 2
    assert history["gasUsedRatio"] == [21_000 / 30_000_000] * 2
    assert error(chain, "eth_feeHistory", "0x1", "0x99")["code"] == -32000


def test_bad_arguments_are_invalid_params(chain: LocalChain) -> None:
    for method, params in (
        ("eth_getBlockByNumber", []),
        ("eth_getBlockByNumber", ["0x0", True, 1]),
        ("eth_getBlockByNumber", ["0x0", "yes"]),
        ("eth_getBalance", ["0xzz", "latest"]),
        ("eth_getLogs", [[]]),
        ("eth_getLogs", [{"topics": [None] * 5}]),
        ("eth_getLogs", [{"topics": ["0x12"]}]),
        ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0x1"}]),
        ("eth_getLogs", [{"blockHash": "0x" + "00" * 32, "fromBlock": "0x0"}]),
        ("eth_call", [{"to": RECEIVER, "data": "0x01", "input": "0x02"}, "latest"]),
        ("eth_call", [{"to": RECEIVER, "gas": "0x" + "ff" * 20}, "latest"]),
        ("eth_call", ["0x", "latest"]),
        ("eth_sendRawTransaction", ["0x0"]),
    ):
        assert error(chain, method, *params)["code"] == -32602, (method, params)
    assert error(chain, "eth_sign", RECEIVER, "0x")["code"] == -32601
    assert chain.make_request("eth_chainId", {"a": 1})["error"]["code"] == -32602


def test_an_unknown_blocks_logs_are_an_error(chain: LocalChain) -> None:
    assert error(chain, "eth_getLogs", {"blockHash": "0x" + "12" * 32})["message"] == "unknown block"
    assert ask(chain, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x999999"}) == []


def test_a_call_can_pay_only_what_its_sender_has(chain: LocalChain, account: Account) -> None:
    assert ask(chain, "eth_call", {"from": account.address, "to": RECEIVER, "value": "0x1"}, "latest") == "0x"
    poor = {"from": "0x" + "22" * 20, "to": RECEIVER, "value": "0x1"}
    assert "insufficient funds" in error(chain, "eth_call", poor, "latest")["message"]
    dear = {"from": "0x" + "22" * 20, "to": RECEIVER, "gasPrice": "0x7"}
    assert "gas required exceeds allowance (0)" in error(chain, "eth_estimateGas", dear)["message"]


def test_a_contract_sees_its_block(chain: LocalChain, account: Account) -> None:
    # answers number, timestamp, chain id, base fee and the parent's hash
    shows = bytes.fromhex("435f5242602052466040524860605260014303406080526" + "0a05ff3")
    code = bytes([0x60, len(shows), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + shows
    raw = account.sign(
        Call(None, code), chain_id=chain.chain_id, nonce=0, gas=10**6, max_fee=7, max_priority_fee=0
    )
    contract = ask(chain, "eth_getTransactionReceipt", send(chain, raw))["contractAddress"]
    send(chain, pay(chain, account, 1))
    answer = bytes.fromhex(
        ask(
            chain,
            "eth_call",
            {"to": contract, "gasPrice": "0x7", "from": account.address, "gas": "0x186a0"},
            "0x2",
        )[2:]
    )
    words = [answer[at : at + 32] for at in range(0, 160, 32)]
    parent = ask(chain, "eth_getBlockByNumber", "0x1", False)["hash"]
    assert [int.from_bytes(word, "big") for word in words[:4]] == [2, START, chain.chain_id, 7]
    assert "0x" + words[4].hex() == parent


def test_funding_is_a_transaction_like_any_other(chain: LocalChain) -> None:
    sent = chain.fund(RECEIVER, 5)
    found = ask(chain, "eth_getTransactionByHash", "0x" + sent.hex())
    assert (found["to"], found["value"]) == (RECEIVER, "0x5")
    assert ask(chain, "tallystick_fund", RECEIVER, "0x7")
    assert ask(chain, "eth_getBalance", RECEIVER, "latest") == "0xc"
    assert error(chain, "tallystick_fund", RECEIVER, hex(10**21 + 1))["code"] == -32602


def test_the_docstring_names_every_method() -> None:
    text = LocalChain.__doc__ or ""
    named = re.findall(r"\b(?:eth|net|web3|tallystick)_\w+", text)
    assert sorted(set(named)) == sorted(METHODS)


def test_a_closed_chain_says_so(chain: LocalChain) -> None:
    chain.close()
    assert "surroundings.storage" in error(chain, "eth_getBlockByNumber", "earliest", False)["message"]
