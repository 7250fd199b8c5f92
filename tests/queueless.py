"""A network of nodes without a transaction queue, in this process: the rules of Cosmos EVM, over an embedded chain.

* A node takes a transaction only when its nonce is the next one by the node's own check state; what lies ahead or
  behind is refused ("invalid nonce; got 313, expected 308") and forgotten.
* The same bytes again are "tx already in mempool", while they wait and after they were mined.
* After a block the check state starts again at the committed nonces, and what is left in the pool is checked again:
  at once, or late (`late_recheck`: until the next block the pool keeps what the check state no longer counts).
* A receipt that is not there is an error ("ethereum tx not found"), and the index may lag behind the state.
* "pending" counts at most thirty waiting transactions. Each node has a pool of its own; gossip may lose what another
  node's check state refuses. A node that stands still answers from an old block; one that restarts forgets its pool.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tallystick.chain import LocalChain
from tallystick.chain._transactions import SignedTransaction, parse_transaction
from tallystick.errors import ChainUnreachableError

__all__ = ["QueuelessNetwork", "QueuelessNode"]

Answer = dict[str, Any]
_COUNTED = 30


class QueuelessNode:
    """One endpoint. A provider as ``Chain`` takes it."""

    def __init__(self, network: QueuelessNetwork) -> None:
        self.network = network
        self.session = self
        self.pool: list[SignedTransaction] = []
        self.cache: set[bytes] = set()
        self.checked: dict[bytes, int] = {}
        self.height = network.local.head().number
        self.is_down = False
        self.stands_still = False
        self.is_full = False
        self.late_recheck = False
        self.index_lag = 0
        self.asked = 0
        self.refused: list[str] = []
        self.before: Callable[[str, list[Any]], None] | None = None
        self.after: Callable[[str, list[Any]], None] | None = None

    def close(self) -> None:
        """Nothing: the test owns the network."""

    def restart(self) -> None:
        """Forget all that was not in a block."""
        self.pool, self.cache, self.checked = [], set(), {}
        self.is_down = False

    # -- JSON-RPC -----------------------------------------------------------------------------------------

    def make_request(self, method: str, params: list[Any]) -> Answer:
        self.asked += 1
        if self.before is not None:
            self.before(method, params)
        if self.is_down:
            raise ChainUnreachableError(f"{method}: node does not answer")
        self.network.tick(self)
        answer = self._answer(method, list(params))
        if "error" in answer:
            answer["error"] = {**answer["error"], "code": -32000}
        if self.after is not None:
            self.after(method, params)
        return answer

    def _answer(self, method: str, params: list[Any]) -> Answer:
        if method == "web3_clientVersion":
            return _result("Version dev ()")
        if method == "eth_blockNumber":
            return _result(hex(self.height))
        if method == "eth_sendRawTransaction":
            return self._take(bytes.fromhex(params[0][2:]))
        if method == "eth_getTransactionCount":
            return self._count(params)
        if method == "eth_getTransactionReceipt":
            return self._receipt(params[0])
        if method == "eth_getBlockReceipts" and int(params[0], 16) > self.height - self.index_lag:
            return _error("block not found")
        return self.network.local.make_request(method, [self._place(value) for value in params])

    def _place(self, value: Any) -> Any:
        if value in ("latest", "pending", "safe", "finalized"):
            return hex(self.height)
        return value

    def _count(self, params: list[Any]) -> Answer:
        if params[1] != "pending":
            return self.network.local.make_request(
                "eth_getTransactionCount", [params[0], self._place(params[1])]
            )
        sender = bytes.fromhex(params[0][2:])
        waiting = sum(one.sender == sender for one in self.pool[:_COUNTED])
        return _result(hex(self.committed(sender) + waiting))

    def _receipt(self, transaction_hash: str) -> Answer:
        found = self.network.local.make_request("eth_getTransactionReceipt", [transaction_hash])
        receipt = found.get("result")
        if receipt is None or int(receipt["blockNumber"], 16) > self.height - self.index_lag:
            return _error("ethereum tx not found")
        return found

    # -- the pool -----------------------------------------------------------------------------------------

    def committed(self, sender: bytes) -> int:
        address, place = "0x" + sender.hex(), hex(self.height)
        answer = self.network.local.make_request("eth_getTransactionCount", [address, place])
        return int(answer["result"], 16)

    def _take(self, raw: bytes) -> Answer:
        transaction = parse_transaction(raw, chain_id=self.network.local.chain_id)
        if self.is_full:
            return self._refuse(
                "mempool is still rechecking after a new committed block, so it is considered as full"
            )
        if transaction.hash in self.cache:
            return self._refuse("tx already in mempool")
        words = self._check(transaction)
        if words:
            return self._refuse(words)
        self._add(transaction)
        for other in self.network.nodes:
            if other is not self:
                other.hear(transaction)
        return _result("0x" + transaction.hash.hex())

    def hear(self, transaction: SignedTransaction) -> None:
        """Take by gossip what fits; nobody is told of what does not."""
        if self.is_down or self.stands_still or self.is_full or transaction.hash in self.cache:
            return
        if not self._check(transaction):
            self._add(transaction)

    def _check(self, transaction: SignedTransaction) -> str:
        expected = self.checked.get(transaction.sender, self.committed(transaction.sender))
        if transaction.nonce != expected:
            return f"invalid nonce; got {transaction.nonce}, expected {expected}: invalid sequence"
        return ""

    def _add(self, transaction: SignedTransaction) -> None:
        self.pool.append(transaction)
        self.cache.add(transaction.hash)
        self.checked[transaction.sender] = transaction.nonce + 1

    def _refuse(self, words: str) -> Answer:
        self.refused.append(words)
        return _error(words)

    def see_block(self, mined: set[bytes], dropped: set[bytes]) -> None:
        """Go on to the newest block: what is in it leaves the pool, what is left is checked again."""
        if self.is_down or self.stands_still:
            return
        self.height = self.network.local.head().number
        # the cache keeps what was mined, and lets go of what was in a block without being carried out
        self.cache = (self.cache | mined) - dropped
        left = [one for one in self.pool if one.hash not in mined | dropped]
        self.pool, self.checked = [], {}
        if self.late_recheck:
            self.pool = left
            return
        for transaction in left:
            if self._check(transaction):
                self.cache.discard(transaction.hash)
            else:
                self._add(transaction)

    def catch_up(self) -> None:
        """Go on after standing still: the blocks that were missed hold what the pool still has."""
        self.stands_still = False
        mined = {one.hash for one in self.pool if self.network.is_mined(one.hash)}
        self.see_block(mined, set())


class QueuelessNetwork:
    """Nodes over one chain of blocks. A block is made by `block()`, and by itself after every so many requests.

    Args:
        local: holds the blocks; its own sender's rules are not reached.
        nodes: how many.
        seed: of who proposes.
        every: requests between two blocks; 0 makes blocks by hand only.
        most: transactions in one block.
    """

    def __init__(
        self, local: LocalChain, *, nodes: int = 2, seed: int = 1, every: int = 0, most: int = 1_000
    ) -> None:
        self.local = local
        self.dice = Random(seed)
        self.every, self.most = every, most
        self.halted = False
        self._asked = 0
        self.nodes = [QueuelessNode(self) for _ in range(nodes)]

    def tick(self, _node: QueuelessNode) -> None:
        self._asked += 1
        if self.every and self._asked % self.every == 0:
            self.block()

    def is_mined(self, transaction_hash: bytes) -> bool:
        asked = ["0x" + transaction_hash.hex()]
        return self.local.make_request("eth_getTransactionReceipt", asked)["result"] is not None

    def fund(self, address: str) -> None:
        self.local.fund(address)
        for node in self.nodes:
            node.see_block(set(), set())

    def block(self, proposer: int | None = None) -> None:
        """Make a block of what one node has in its pool; an empty pool makes none."""
        able = [node for node in self.nodes if not node.is_down and not node.stands_still]
        if self.halted or not able:
            return
        node = self.dice.choice(able) if proposer is None else self.nodes[proposer]
        batch = node.pool[: self.most]
        if not batch:
            return
        answers = self.local.send_many([one.raw for one in batch])
        mined = {one.hash for one, said in zip(batch, answers, strict=True) if isinstance(said, bytes)}
        dropped = {one.hash for one in batch} - mined
        for other in self.nodes:
            other.see_block(mined, dropped)


def _result(value: Any) -> Answer:
    return {"jsonrpc": "2.0", "id": 1, "result": value}


def _error(words: str) -> Answer:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": words}}
