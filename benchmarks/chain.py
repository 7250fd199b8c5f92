"""How fast the embedded chain anchors: one head a block, and 200 heads in one block.

Each transaction is a real one: signature recovered, `Members` asked for the writer, a consistency proof of 6 to 14 hashes
checked by the contract at 5,000 leaves and above, state archived, the block on the disk with an fsync. Figures are
CPU seconds of one core, medians of five; the peer is the same chain with py-evm's own inner loop.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gas import _consistency, _root
from benchmarks.rows import Row

if TYPE_CHECKING:
    from tallystick.chain import Account, LocalChain

LEAVES = 5_000
IN_A_BLOCK = 200
RUNS = 5
ONE_REACH_MS = 10
MANY_REACH = 350
ORIGIN = "did:key:bench/main"
GAS = 150_000


def chain(scale: float = 1.0) -> list[Row]:
    """Measure sealing against its reaches.

    Args:
        scale: below 1 makes shorter runs.
    """
    singles = max(int(50 * scale), 5)
    with tempfile.TemporaryDirectory() as folder:
        anchoring = _Anchoring(Path(folder) / "chain")
        try:
            one = [_cpu_s(anchoring.one_by_one, singles) / singles * 1_000 for _ in range(RUNS)]
            many = [IN_A_BLOCK / _cpu_s(anchoring.in_one_block, IN_A_BLOCK) for _ in range(RUNS)]
            with _plain_loop():
                plain_one = _cpu_s(anchoring.one_by_one, singles) / singles * 1_000
                plain_many = IN_A_BLOCK / _cpu_s(anchoring.in_one_block, IN_A_BLOCK)
        finally:
            anchoring.local.close()
    peer = "py-evm's own loop"
    return [
        Row("chain one-a-block", statistics.median(one), "ms CPU", ONE_REACH_MS, "<=", {peer: plain_one}),
        Row("chain 200-in-a-block", statistics.median(many), "1/s", MANY_REACH, ">=", {peer: plain_many}),
    ]


class _Anchoring:
    """A consortium of one party that anchors a journal which grows by 16 statements a time."""

    def __init__(self, path: Path) -> None:
        from web3 import Web3

        from tallystick.chain import Account, Anchors, Keys, LocalChain, Members, Seat, hashed_id

        self.local: LocalChain = LocalChain(path)
        self.account: Account = Account(sha256(b"bench").digest())
        self.local.fund(self.account.address, 10**20)
        self.nonce, self.size = 0, LEAVES
        keys = Keys(self.account.address, self.account.address, sha256(b"card").digest())
        seat = Seat(hashed_id("did:key:bench"), hashed_id(ORIGIN), keys)
        members = self.deploy(
            Members.deploy_call([seat], threshold=1, delay_s=0, delay_blocks=0, lifetime_s=10_000)
        )
        self.anchors = Anchors(Web3(self.local), self.deploy(Anchors.deploy_call(members)))
        self.journal = hashed_id(ORIGIN)
        self.old = 0
        self.one_by_one(self.ready(1))

    def deploy(self, call: Any) -> str:
        sent = "0x" + self.local.send(self.sign(call, 25_000_000)).hex()
        receipt = self.local.make_request("eth_getTransactionReceipt", [sent])["result"]
        return str(receipt["contractAddress"])

    def sign(self, call: Any, gas: int = GAS) -> bytes:
        raw = self.account.sign(
            call, chain_id=self.local.chain_id, nonce=self.nonce, gas=gas, max_fee=7, max_priority_fee=0
        )
        self.nonce += 1
        return raw

    def ready(self, count: int) -> list[bytes]:
        """Signed anchors of the next heads; making them is the journal's work and not measured here."""
        raws = []
        for _ in range(count):
            proof = _consistency(self.old, 0, self.size, True) if self.old else []
            call = self.anchors.anchor(self.journal, size=self.size, root=_root(0, self.size), proof=proof)
            raws.append(self.sign(call))
            self.old, self.size = self.size, self.size + 16
        return raws

    def one_by_one(self, raws: list[bytes]) -> None:
        for raw in raws:
            self.local.send(raw)

    def in_one_block(self, raws: list[bytes]) -> None:
        self.local.send_many(raws)

    def check(self, count: int) -> None:
        receipts = self.local.make_request("eth_getBlockReceipts", ["latest"])["result"]
        if [receipt["status"] for receipt in receipts] != ["0x1"] * count:
            raise RuntimeError("a block does not hold what was sent")


def _cpu_s(work: Callable[[list[bytes]], None], count: int) -> float:
    anchoring: _Anchoring = work.__self__  # type: ignore[attr-defined]
    raws = anchoring.ready(count)
    before = time.process_time()
    work(raws)
    spent = time.process_time() - before
    anchoring.check(count if work == anchoring.in_one_block else 1)
    return spent


@contextmanager
def _plain_loop() -> Iterator[None]:
    from eth.vm.forks.cancun.computation import CancunComputation

    from tallystick.chain import _executor

    quick = _executor._State.computation_class
    _executor._State.computation_class = CancunComputation
    try:
        yield
    finally:
        _executor._State.computation_class = quick
