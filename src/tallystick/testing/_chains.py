"""One behaviour suite for every chain that the product may run on, and a second engine to hold it against.

``check_chain`` runs each of ``CHAIN_CHECKS`` and raises AssertionError with what was expected and got; it is usable
from pytest or without it. ``anvil()`` starts foundry's engine from its npm package, for parity only: it is no store.

    check_chain(lambda: connect("new.chain", create=True))
    with anvil(find_anvil()) as url:
        check_chain(lambda: connect(url), fund=fund_on_anvil)
"""

from __future__ import annotations

import os
import queue
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tallystick.chain import Account, Call, Chain, Outbox
from tallystick.errors import ChainError, FundsError, NonceError, RevertError, SurroundingsError

__all__ = ["CHAIN_CHECKS", "anvil", "check_chain", "find_anvil", "fund_on_anvil"]

Fund = Callable[[Chain, str], None]

# Keeps a word and shouts it, written by hand so that no compiler is needed. With no data it answers slot 0. With
# data it refuses a first word of zero with Error("no"); otherwise it stores the first word in slot 0, logs the second
# under the topics (TOPIC, first word, sender), and answers the first word.
KEEPER = bytes.fromhex(
    "606c8060095f395ff3"
    "36600c575f545f5260205ff3"
    "5b5f35806034576308c379a060e01b5f5260206004526002602452616e6f60f01b60445260645ffd"
    "5b5f556020355f52335f357f" + "aa" * 32 + "60205fa3"
    "5f545f5260205ff3"
)
TOPIC = "0x" + "aa" * 32
KEEPER_RUNTIME_BYTES = 0x6C
DEPLOY_GAS = 76_520
START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Bench:
    """A chain under check, with fresh funded accounts."""

    chain: Chain
    fund: Fund

    def account(self, *, funded: bool = True) -> Account:
        account = Account(secrets.token_bytes(32))
        if funded:
            self.fund(self.chain, account.address)
        return account

    def sign(self, account: Account, call: Call, *, nonce: int | None = None, gas: int = 200_000) -> bytes:
        fees = self.chain.fees()
        return account.sign(
            call,
            chain_id=self.chain.chain_id,
            nonce=self.chain.nonce(account.address) if nonce is None else nonce,
            gas=gas,
            max_fee=fees.max_fee,
            max_priority_fee=fees.tip,
        )

    def mine(self, account: Account, call: Call, *, gas: int = 200_000) -> dict[str, Any]:
        """Send a call and return its receipt as the node gives it."""
        raw = self.sign(account, call, gas=gas)
        sent = self.chain.ask("eth_sendRawTransaction", "0x" + raw.hex())
        deadline = time.monotonic() + self.chain.profile.wait_s
        while (receipt := self.chain.ask("eth_getTransactionReceipt", sent)) is None:
            _expect(time.monotonic() < deadline, f"transaction {sent} is mined in time")
            time.sleep(0.05)
        return dict(receipt)

    def keeper(self, account: Account) -> str:
        receipt = self.mine(account, Call(to=None, data=KEEPER))
        _same("status of a deployment", "0x1", receipt["status"])
        return str(receipt["contractAddress"]).lower()


def check_chain(
    connect: Callable[[], Chain], *, fund: Fund | None = None, only: Iterable[str] | None = None
) -> None:
    """Run the checks over one chain.

    Args:
        connect: reaches the chain; it is closed at the end.
        fund: gives an account coins; the embedded chain's treasury when None.
        only: some names of ``CHAIN_CHECKS``; all of them when None.

    Raises:
        AssertionError: the first check that does not hold, by its name.
    """
    with connect() as chain:
        for name in CHAIN_CHECKS if only is None else only:
            try:
                CHAIN_CHECKS[name](_Bench(chain, fund or _fund_from_treasury))
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


def fund_on_anvil(chain: Chain, address: str) -> None:
    """Give an account ten ether by anvil's own method."""
    chain.ask("anvil_setBalance", address, hex(10**19))


def _fund_from_treasury(chain: Chain, address: str) -> None:
    _expect(chain.fund(address), "the chain funds accounts (name a fund function for a network)")


# -- the checks -------------------------------------------------------------------------------------------


def _names_itself(bench: _Bench) -> None:
    chain = bench.chain
    _same("net_version", str(chain.chain_id), chain.ask("net_version"))
    _same("web3's chain id", chain.chain_id, chain.web3.eth.chain_id)
    _same("genesis by number", chain.genesis, chain.block(0).hash)
    _same("the earliest block", chain.genesis, chain.ask("eth_getBlockByNumber", "earliest", False)["hash"])
    _same("eth_syncing", False, chain.ask("eth_syncing"))


def _mines_a_transfer(bench: _Bench) -> None:
    sender, receiver = bench.account(), bench.account(funded=False)
    before = bench.chain.balance(sender.address)
    receipt = bench.mine(sender, Call(to=receiver.address, data=b"", value=7), gas=50_000)
    _same("status", "0x1", receipt["status"])
    _same("type", "0x2", receipt["type"])
    _same("gas of a transfer", 21_000, int(receipt["gasUsed"], 16))
    _same("from", sender.address, receipt["from"].lower())
    _same("to", receiver.address, receipt["to"].lower())
    _same("the receiver's balance", 7, bench.chain.balance(receiver.address))
    paid = 21_000 * int(receipt["effectiveGasPrice"], 16) + 7
    _same("the sender's balance", before - paid, bench.chain.balance(sender.address))
    _same("the nonce", 1, bench.chain.nonce(sender.address))
    _same("the pending nonce", 1, bench.chain.nonce(sender.address, "pending"))


def _shows_blocks(bench: _Bench) -> None:
    sender = bench.account()
    receipt = bench.mine(sender, Call(to=sender.address, data=b"\x01"))
    ask, number, place = bench.chain.ask, receipt["blockNumber"], receipt["transactionIndex"]
    full = ask("eth_getBlockByNumber", number, True)
    short = ask("eth_getBlockByHash", receipt["blockHash"], False)
    _same("block by number and by hash", full["hash"], short["hash"])
    _expect(receipt["transactionHash"] in short["transactions"], "the block lists its transactions' hashes")
    inside = full["transactions"][int(place, 16)]
    by_hash = ask("eth_getTransactionByHash", receipt["transactionHash"])
    for name in (
        "blockHash",
        "blockNumber",
        "from",
        "gas",
        "hash",
        "input",
        "nonce",
        "to",
        "value",
        "type",
        "r",
        "s",
    ):
        _same(f"{name} of the transaction in its block", by_hash[name], inside[name])
    _same("by index", by_hash["hash"], ask("eth_getTransactionByBlockNumberAndIndex", number, place)["hash"])
    by_place = ask("eth_getTransactionByBlockHashAndIndex", receipt["blockHash"], place)
    _same("by hash and index", by_hash["hash"], by_place["hash"])
    counted = ask("eth_getBlockTransactionCountByNumber", number)
    _same("count of transactions", len(full["transactions"]), int(counted, 16))
    _same("its parent", ask("eth_getBlockByHash", full["parentHash"], False)["hash"], full["parentHash"])
    _same("web3 reads it", int(number, 16), bench.chain.web3.eth.get_block(full["hash"], True)["number"])


def _answers_null_for_what_is_not_there(bench: _Bench) -> None:
    nothing, beyond = "0x" + "12" * 32, hex(bench.chain.head().number + 1_000_000)
    for method, params in (
        ("eth_getTransactionByHash", [nothing]),
        ("eth_getBlockByHash", [nothing, False]),
        ("eth_getBlockByNumber", [beyond, False]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x0", "0x5"]),
    ):
        _same(f"{method} of nothing", None, bench.chain.ask(method, *params))
    _same("receipt of nothing", None, bench.chain.receipt(nothing))


def _runs_contracts(bench: _Bench) -> None:
    account = bench.account()
    receipt = bench.mine(account, Call(to=None, data=KEEPER))
    keeper = receipt["contractAddress"].lower()
    _same("gas of a deployment", DEPLOY_GAS, int(receipt["gasUsed"], 16))
    _same(
        "size of the code",
        KEEPER_RUNTIME_BYTES,
        len(_bytes(bench.chain.ask("eth_getCode", keeper, "latest"))),
    )
    word = (5).to_bytes(32, "big")
    _same("a call's answer", word, bench.chain.call(Call(keeper, word + word)))
    _same("what a call leaves", bytes(32), bench.chain.call(Call(keeper, b"")))
    bench.mine(account, Call(keeper, word + word))
    _same("what a transaction leaves", word, bench.chain.call(Call(keeper, b"")))
    _same("slot 0", word, _bytes(bench.chain.ask("eth_getStorageAt", keeper, "0x0", "latest")))


def _remembers_every_block(bench: _Bench) -> None:
    account = bench.account()
    keeper = bench.keeper(account)
    words = [number.to_bytes(32, "big") for number in (1, 2, 3)]
    blocks = [int(bench.mine(account, Call(keeper, word))["blockNumber"], 16) for word in words]
    for word, block in zip(words, blocks, strict=True):
        _same(f"slot 0 at block {block}", word, bench.chain.call(Call(keeper, b""), block=block))
        stored = bench.chain.ask("eth_getStorageAt", keeper, "0x0", hex(block))
        _same(f"stored at block {block}", word, _bytes(stored))
    _same("the nonce then", 2, bench.chain.nonce(account.address, blocks[0]))
    _same("code before it was there", "0x", bench.chain.ask("eth_getCode", keeper, hex(0)))


def _reverts_as_geth_does(bench: _Bench) -> None:
    account = bench.account()
    keeper = bench.keeper(account)
    refused = Call(keeper, bytes(32))
    answer = bench.chain.provider.make_request(
        "eth_call", [{"to": keeper, "data": "0x" + "00" * 32}, "latest"]
    )
    _same("code of a revert", 3, answer["error"]["code"])
    _expect("execution reverted" in answer["error"]["message"], "a revert says `execution reverted`")
    _same("selector of a revert's data", "0x08c379a0", answer["error"]["data"][:10])
    for attempt in (
        lambda: bench.chain.call(refused),
        lambda: bench.chain.estimate_gas(refused, sender=account.address),
    ):
        _same("the reason", "no", _raises(RevertError, attempt, "a call that reverts").reason)
    receipt = bench.mine(account, refused)
    _same("status of a reverted transaction", "0x0", receipt["status"])
    _same("its logs", [], receipt["logs"])
    _same("the nonce after it", 2, bench.chain.nonce(account.address))


def _estimates_gas_that_suffices(bench: _Bench) -> None:
    account = bench.account()
    keeper = bench.keeper(account)
    call = Call(keeper, (9).to_bytes(32, "big") + bytes(32))
    gas = bench.chain.estimate_gas(call, sender=account.address)
    receipt = bench.mine(account, call, gas=gas)
    _same("status with the estimated gas", "0x1", receipt["status"])
    used = int(receipt["gasUsed"], 16)
    _expect(used <= gas <= used * 1.1 + 3_000, f"an estimate near {used}, got {gas}")
    transfer = Call(bench.account(funded=False).address, b"", 1)
    _same("estimate of a transfer", 21_000, bench.chain.estimate_gas(transfer, sender=account.address))


def _refuses_bad_transactions(bench: _Bench) -> None:
    account, poor = bench.account(), bench.account(funded=False)
    call = Call(account.address, b"", 1)
    bench.mine(account, call)
    bench.mine(account, call)
    used = bench.sign(account, Call(account.address, b"", 2), nonce=0)
    _raises(NonceError, lambda: bench.chain.send(used), "a nonce used before")
    _raises(FundsError, lambda: bench.chain.send(bench.sign(poor, call)), "an account without coins")
    other = account.sign(
        call, chain_id=bench.chain.chain_id + 1, nonce=2, gas=21_000, max_fee=10**10, max_priority_fee=1
    )
    _raises(ChainError, lambda: bench.chain.send(other), "a signature for another chain")
    _raises(ChainError, lambda: bench.chain.send(bench.sign(account, call, gas=20_000)), "too little gas")
    _raises(ChainError, lambda: bench.chain.send(b"\x02\xc0"), "bytes that are no transaction")
    _same("the nonce after all that", 2, bench.chain.nonce(account.address))


def _refuses_bad_requests(bench: _Bench) -> None:
    make = bench.chain.provider.make_request
    _same("code of an unknown method", -32601, make("eth_noSuchThing", [])["error"]["code"])
    for method, params in (
        ("eth_getBalance", []),
        ("eth_getBalance", ["0x12", "latest"]),
        ("eth_getBlockByNumber", ["newest", False]),
    ):
        _same(f"code of {method}{params}", -32602, make(method, params)["error"]["code"])


def _finds_logs(bench: _Bench) -> None:
    account = bench.account()
    keepers = [bench.keeper(account), bench.keeper(account)]
    first = bench.chain.head().number + 1
    one, two = ((number).to_bytes(32, "big") for number in (1, 2))
    receipts = [bench.mine(account, Call(keeper, word)) for keeper in keepers for word in (one, two)]
    span = {"fromBlock": hex(first), "toBlock": "latest"}
    said = [None, "0x" + one.hex()]
    sender = "0x" + "00" * 12 + account.address[2:]

    def found(**query: Any) -> int:
        return len(bench.chain.ask("eth_getLogs", {**span, "address": keepers, **query}))

    _same("logs of two addresses", 4, found())
    _same("logs of one address", 2, found(address=keepers[0]))
    _same("logs of topic 0", 4, found(topics=[TOPIC]))
    _same("logs of another topic 0", 0, found(topics=["0x" + "bb" * 32]))
    _same("logs of topic 1 behind a null", 2, found(topics=said))
    _same("logs of either topic 1", 4, found(topics=[None, ["0x" + one.hex(), "0x" + two.hex()]]))
    _same("logs of all three topics", 2, found(topics=[TOPIC, "0x" + two.hex(), sender]))
    _same("logs of four topics", 0, found(topics=[TOPIC, None, None, TOPIC]))
    _same("logs of one block", 1, found(toBlock=hex(first)))
    block_hash = receipts[2]["blockHash"]
    inside = bench.chain.ask("eth_getLogs", {"blockHash": block_hash, "address": keepers})
    _same("logs by block hash", 1, len(inside))
    _same("the same log in its receipt", receipts[2]["logs"][0]["data"], inside[0]["data"])
    _same("its transaction", receipts[2]["transactionHash"], inside[0]["transactionHash"])
    bloom = int(bench.chain.ask("eth_getBlockByHash", block_hash, False)["logsBloom"], 16)
    own = int(receipts[2]["logsBloom"], 16)
    _expect(own and bloom & own == own, "a block's bloom holds those of its receipts")


def _names_fees(bench: _Bench) -> None:
    ask = bench.chain.ask
    base = int(ask("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    _expect(int(ask("eth_gasPrice"), 16) >= base, "the gas price is not below the base fee")
    _expect(int(ask("eth_maxPriorityFeePerGas"), 16) >= 0, "a priority fee")
    history = ask("eth_feeHistory", "0x1", "latest", [50])
    _same("base fees of one block's history", 2, len(history["baseFeePerGas"]))
    _same("rewards", 1, len(history["reward"][0]))


def _keeps_time(bench: _Bench) -> None:
    account = bench.account()
    times = [bench.chain.head().time]
    for _ in range(5):
        bench.mine(account, Call(account.address, b""))
        times.append(bench.chain.head().time)
    _same("times that never go back", sorted(times), times)
    if bench.chain.is_local:
        _expect(times[-1] <= time.time() + 1, "no block from the future")


def _takes_intents_once(bench: _Bench) -> None:
    account = bench.account()
    keeper = bench.keeper(account)
    with (
        TemporaryDirectory() as room,
        Outbox(Path(room) / "outbox.db", bench.chain, account=account) as outbox,
    ):
        for number in range(1, 6):
            for _ in range(2):  # put twice, happens once
                outbox.put(f"intent-{number}", Call(keeper, number.to_bytes(32, "big")))
        outbox.put("refused", Call(keeper, bytes(32)))
        mined = outbox.flush()
        _same("intents mined, in order", [f"intent-{n}" for n in range(1, 6)], [m.intent_id for m in mined])
        _same("what still waits", [], outbox.pending())
        _same("what was refused, and why", [("refused", "no")], [(i.id, i.reason) for i in outbox.failed()])
    _same("the last word", (5).to_bytes(32, "big"), bench.chain.call(Call(keeper, b"")))
    _same("transactions of the account", 6, bench.chain.nonce(account.address))


CHAIN_CHECKS: dict[str, Callable[[_Bench], None]] = {
    "names itself": _names_itself,
    "mines a transfer": _mines_a_transfer,
    "shows blocks": _shows_blocks,
    "answers null for what is not there": _answers_null_for_what_is_not_there,
    "runs contracts": _runs_contracts,
    "remembers every block": _remembers_every_block,
    "reverts as geth does": _reverts_as_geth_does,
    "estimates gas that suffices": _estimates_gas_that_suffices,
    "refuses bad transactions": _refuses_bad_transactions,
    "refuses bad requests": _refuses_bad_requests,
    "finds logs": _finds_logs,
    "names fees": _names_fees,
    "keeps time": _keeps_time,
    "takes intents once": _takes_intents_once,
}


# -- a second engine --------------------------------------------------------------------------------------


def find_anvil(root: Path | None = None) -> Path | None:
    """Return anvil's binary: ``TALLYSTICK_ANVIL``, ``build/anvil`` under root, or the PATH; None without one."""
    named = os.environ.get("TALLYSTICK_ANVIL")
    if named:
        return Path(named)
    packages = (root or Path.cwd()) / "build" / "anvil" / "node_modules" / "@foundry-rs"
    # the package of each platform lies beside the one that chooses; only the fitting one is installed
    for binary in sorted(packages.glob("anvil-*/bin/anvil")):
        return binary
    found = shutil.which("anvil")
    return Path(found) if found else None


@contextmanager
def anvil(binary: Path, *, chain_id: int = 31_337) -> Iterator[str]:
    """Run anvil (Cancun rules) on a free port of 127.0.0.1 for as long as the context lasts; yields its url.

    Raises:
        SurroundingsError: it did not start in time.
    """
    command = [
        str(binary),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--hardfork",
        "cancun",
        "--chain-id",
        str(chain_id),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read_lines, args=(process, lines), daemon=True)
    reader.start()
    try:
        yield f"http://127.0.0.1:{_port(lines)}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        reader.join(10)
        if process.stdout is not None:
            process.stdout.close()


def _read_lines(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    # read to the end: a full pipe would stop anvil in the middle of a test
    for line in process.stdout or ():
        lines.put(line)


def _port(lines: queue.Queue[str]) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            line = lines.get(timeout=max(deadline - time.monotonic(), 0.01))
        except queue.Empty:
            raise SurroundingsError(f"anvil did not start within {START_TIMEOUT_S} s") from None
        found = re.search(r"Listening on 127\.0\.0\.1:(\d+)", line)
        if found:
            return int(found.group(1))


# -- words ------------------------------------------------------------------------------------------------


def _expect(holds: object, what: str) -> None:
    if not holds:
        raise AssertionError(f"expected {what}")


def _same(what: str, expected: Any, got: Any) -> None:
    if expected != got:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


def _raises(kind: type[Any], attempt: Callable[[], Any], what: str) -> Any:
    try:
        attempt()
    except kind as error:
        return error
    except ChainError as error:
        raise AssertionError(
            f"{what}: expected {kind.__name__}, got {type(error).__name__}: {error}"
        ) from error
    raise AssertionError(f"{what}: expected {kind.__name__}, got no error")


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))
