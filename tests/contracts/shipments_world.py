"""A chain with the contract `Shipments` on it, members, and an oracle that answers what it is told.

python tests/contracts/shipments_world.py    # writes the gas snapshot, after a change on purpose
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from contract_world import Done, World, account, address
from eth_utils.crypto import keccak
from oracle_world import compiled, told

from tallystick.apps.supplychain._shipments import LotRecord, LotState, LotTerms, Shipments, lot_id
from tallystick.chain import Call

SNAPSHOT = Path(__file__).with_name("gas_shipments.json")
MODEL = "ab" * 32
INPUT = b"i" * 32
PANEL = b"p" * 32
LOT = lot_id("VX-1")
THRESHOLD = 100
PRICE, FREIGHT, FEE = 5_000, 700, 90
HOUR = 3_600
REASON = b"r" * 32

# Takes requests as `Oracle` does, and does to any contract what the test says.
STAND_IN_ORACLE = """
struct Answer:
    status: uint256
    level: uint256
    output: int256
    final: bool
    overturned: bool
    challenged: bool
    delivery: uint256
    acknowledged: uint256
    committed: uint256
    signed: uint256
    until_s: uint256
    until_block: uint256
    deadline_s: uint256
    deadline_block: uint256
count: public(uint256)
last: public(bytes32)
callback_gas: public(uint256)
statuses: HashMap[bytes32, uint256]
owed: HashMap[address, uint256]
@external
@payable
def __default__():
    pass
@external
@payable
def request(
    model: bytes32, input: bytes32, level: uint8, panel: bytes32, step_s: uint32, step_blocks: uint32,
    callback_gas: uint32, unpromoted: bool,
) -> bytes32:
    assert not unpromoted, "stand-in: a model in use must be asked"
    self.count += 1
    self.last = keccak256(abi_encode(self.count, model, input, level, panel, msg.value))
    self.callback_gas = convert(callback_gas, uint256)
    return self.last
@external
def answer(to: address, request: bytes32, output: int256, level: uint8):
    raw_call(to, abi_encode(request, output, level, method_id=method_id("on_answer(bytes32,int256,uint8)")))
@external
def put(request: bytes32, status: uint256):
    self.statuses[request] = status
@external
@payable
def owe(to: address):
    self.owed[to] += msg.value
@external
@view
def answer_of(request: bytes32) -> Answer:
    found: Answer = empty(Answer)
    found.status = self.statuses[request]
    return found
@external
@view
def account(account: address) -> (uint256, uint256):
    return self.owed[account], 0
@external
def withdraw(amount: uint256):
    self.owed[msg.sender] -= amount
    raw_call(msg.sender, b"", value=amount)
"""


class ShipmentsWorld(World):
    """Members B (buyer), S (seller), C (carrier), Q, R and T; a stand-in oracle; the contract."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.members = self.found("BSCQRT", 4)
        self.oracle = self.send("deployer", Call(None, compiled(STAND_IN_ORACLE))).contract
        call = Shipments.deploy_call(oracle=self.oracle, members=self.members.address, buyer=address("B"))
        self.shipments = Shipments(self.web3, self.send("deployer", call).contract)

    def refusal(self, sender: str, call: Call) -> str:
        """Ask why the next block would refuse a call, with its money."""
        self.fund(sender)
        question = {
            "from": account(sender).address, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(10_000_000),
            "value": hex(call.value),
        }  # fmt: skip
        answer = self.chain.make_request("eth_call", [question, "pending"])
        said = answer.get("error", {}).get("message", "")
        return str(said).removeprefix("execution reverted: ")

    def terms(self, **changes: Any) -> LotTerms:
        fields: dict[str, Any] = {
            "seller": address("S"), "carrier": address("C"), "freight": FREIGHT, "model": MODEL,
            "threshold": THRESHOLD, "level": 1, "panel": PANEL, "step_s": 60, "step_blocks": 3,
            "until_s": self.now_s + HOUR, "until_block": self.block() + 20,
        }  # fmt: skip
        return LotTerms(**{**fields, **changes})

    def book_call(self, lot: bytes = LOT, reviewers: str = "QR", price: int = PRICE, **changes: Any) -> Call:
        accounts = [address(name) for name in reviewers]
        return self.shipments.book(lot, self.terms(**changes), reviewers=accounts, price=price)

    def booked(self, **changes: Any) -> Done:
        return self.send("B", self.book_call(**changes))

    def asked(self, lot: bytes = LOT, **changes: Any) -> bytes:
        """Book and ask; the request's id."""
        self.booked(lot=lot, **changes)
        self.send("B", self.shipments.ask(lot, INPUT, fee=FEE))
        return self.lot(lot).request

    def answer_call(self, request: bytes, output: int, level: int = 1) -> Call:
        signature = "answer(address,bytes32,int256,uint8)"
        return told(self.oracle, signature, self.shipments.address, request, output, level)

    def answered(self, output: int, **changes: Any) -> bytes:
        request = self.asked(**changes)
        self.send("anybody", self.answer_call(request, output))
        return request

    def reviewed(self, name: str, *, release: bool) -> Done:
        return self.send(name, self.shipments.review(LOT, release=release, reason=REASON))

    def lot(self, lot: bytes = LOT) -> LotRecord:
        return self.shipments.lot(lot)

    def state(self, lot: bytes = LOT) -> LotState:
        return self.lot(lot).state

    def credits(self) -> tuple[int, int, int]:
        """What seller, carrier and buyer may withdraw."""
        seller, carrier, buyer = (self.shipments.credit(address(name)) for name in "SCB")
        return seller, carrier, buyer

    def balance(self) -> int:
        return int(self.web3.eth.get_balance(self.web3.to_checksum_address(self.shipments.address)))

    def read(self, signature: str) -> int:
        data = "0x" + keccak(text=signature)[:4].hex()
        answer = self.chain.make_request("eth_call", [{"to": self.oracle, "data": data}, "latest"])
        return int(answer["result"], 16)

    def run_out(self) -> None:
        self.pass_time(HOUR + 1)
        self.pass_blocks(21)


def measure() -> dict[str, int]:
    """Gas of whole transactions of `Shipments`; the stand-in oracle's own share is small and stays the same."""
    with TemporaryDirectory() as place, ShipmentsWorld(Path(place) / "chain") as world:
        other = lot_id("VX-2")
        gas = {"book": world.booked().gas}
        gas["ask"] = world.send("B", world.shipments.ask(LOT, INPUT, fee=FEE)).gas
        gas["answer, released"] = world.send("anybody", world.answer_call(world.lot().request, 0)).gas
        request = world.asked(lot=other)
        gas["answer, quarantined"] = world.send("anybody", world.answer_call(request, THRESHOLD)).gas
        for name, title in (("Q", "review, first voice"), ("R", "review, released")):
            call = world.shipments.review(other, release=True, reason=REASON)
            gas[title] = world.send(name, call).gas
        gas["withdraw"] = world.send("C", world.shipments.withdraw(FREIGHT)).gas
    return gas


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(measure(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
