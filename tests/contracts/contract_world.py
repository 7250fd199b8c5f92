"""A chain with a clock that tests move, accounts that can pay, and the founding of a consortium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from eth_account import Account
from reference_tree import Tree
from web3 import Web3

from tallystick.chain import Anchors, Call, Keys, LocalChain, Members, Seat, hashed_id

START_S = 1_795_000_000
GAS = 25_000_000
DELAY_S = 1_000
DELAY_BLOCKS = 3
LIFETIME_S = 10_000


@dataclass(frozen=True, slots=True)
class Done:
    """A transaction that succeeded."""

    gas: int
    block: int
    contract: str


@cache
def account(name: str) -> Account:
    """One account for each name, the same in every run."""
    return Account.from_key(sha256(b"account " + name.encode()).digest())


def address(name: str) -> str:
    return account(name).address.lower()


def card(name: str) -> bytes:
    return sha256(b"card " + name.encode()).digest()


def keys(name: str, *, writer: str = "", card_name: str = "") -> Keys:
    return Keys(address(name), address(writer or name), card(card_name or name))


def party(name: str) -> bytes:
    return hashed_id(f"did:key:{name}")


def journal(name: str) -> bytes:
    return hashed_id(f"did:key:{name}/main")


def seat(name: str) -> Seat:
    return Seat(party(name), journal(name), keys(name))


class World:
    """A LocalChain and what tests do with it."""

    def __init__(self, path: Path) -> None:
        self.now_s = START_S
        self.chain = LocalChain(path, chain_id=4221, clock=lambda: self.now_s * 1_000_000)
        self.web3 = Web3(self.chain)
        self._funded: set[str] = set()

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.chain.close()

    def pass_time(self, seconds: int) -> None:
        self.now_s += seconds

    def pass_blocks(self, number: int) -> None:
        for _ in range(number):
            self.chain.fund(address("nobody in particular"), 1)

    def block(self) -> int:
        return int(self.web3.eth.block_number)

    def fund(self, sender: str) -> None:
        """Give an account money, once; takes a block."""
        if sender not in self._funded:
            self.chain.fund(address(sender), 10**20)
            self._funded.add(sender)

    def send(self, sender: str, call: Call) -> Done:
        """Send a call that must succeed."""
        status, done = self._send(sender, call)
        assert status == 1, self.refusal(sender, call)
        return done

    def refusal(self, sender: str, call: Call) -> str:
        """Ask why the next block would refuse a call; empty when it would not. Sends nothing."""
        question = {"from": account(sender).address, "data": "0x" + call.data.hex(), "gas": hex(GAS)}
        if call.to is not None:
            question["to"] = call.to
        answer = self.chain.make_request("eth_call", [question, "pending"])
        if "error" not in answer:
            return ""
        return str(answer["error"]["message"]).removeprefix("execution reverted: ")

    def refuse(self, sender: str, call: Call) -> str:
        """Send a call that must fail, and tell why it did."""
        reason = self.refusal(sender, call)
        status, _ = self._send(sender, call)
        assert status == 0, "the chain carried out what it should refuse"
        return reason

    def found(self, names: Sequence[str], threshold: int, *, delay_s: int = DELAY_S) -> Members:
        call = Members.deploy_call(
            [seat(name) for name in names],
            threshold=threshold,
            delay_s=delay_s,
            delay_blocks=DELAY_BLOCKS if delay_s else 0,
            lifetime_s=LIFETIME_S,
        )
        return Members(self.web3, self.send("deployer", call).contract)

    def anchors(self, members: Members) -> Anchors:
        return Anchors(self.web3, self.send("deployer", Anchors.deploy_call(members.address)).contract)

    def pass_vote(self, members: Members, call: Call, voters: Sequence[str]) -> int:
        """Propose, approve, wait and execute."""
        self.send(voters[0], call)
        number = members.proposal_count()
        for voter in voters[1:]:
            self.send(voter, members.approve(number))
        self.pass_time(DELAY_S)
        self.pass_blocks(DELAY_BLOCKS)
        self.send("stranger", members.execute(number))
        return number

    def anchor(self, anchors: Anchors, name: str, tree: Tree, size: int, *, old: int = 0) -> Done:
        return self.send(name, anchor_call(anchors, name, tree, size, old=old))

    def _send(self, sender: str, call: Call) -> tuple[int, Done]:
        who = account(sender)
        self.fund(sender)
        signed = who.sign_transaction(
            {
                "chainId": 4221,
                "nonce": self.web3.eth.get_transaction_count(who.address),
                "gas": GAS,
                "maxFeePerGas": 10**9,
                "maxPriorityFeePerGas": 0,
                "value": call.value,
                "data": call.data,
                "type": 2,
                **({} if call.to is None else {"to": Web3.to_checksum_address(call.to)}),
            }
        )
        receipt = self.web3.eth.get_transaction_receipt(
            self.web3.eth.send_raw_transaction(signed.raw_transaction)
        )
        contract = (receipt["contractAddress"] or "").lower()
        return receipt["status"], Done(receipt["gasUsed"], receipt["blockNumber"], contract)


def anchor_call(anchors: Anchors, name: str, tree: Tree, size: int, *, old: int = 0) -> Call:
    return anchors.anchor(
        journal(name), size=size, root=tree.root(size), proof=tree.consistency(old, size) if old else []
    )
