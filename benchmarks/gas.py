"""Gas of whole transactions of ``Members`` and ``Anchors``: exact, the same on every machine.

python -m benchmarks.gas             # print the figures
python -m benchmarks.gas --update    # write them to tests/contracts/gas.json, which the tests hold
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.rows import Row

if TYPE_CHECKING:
    from tallystick.chain import Call, Keys, Seat

SNAPSHOT = Path(__file__).resolve().parent.parent / "tests" / "contracts" / "gas.json"
FIRST_REACH = 80_000
NEXT_REACH = 82_000
LEAVES = 5_000
# Of all sizes below 5,000 this one's proof to 5,000 takes the most hashing: 14 nodes, 24 hashes.
DEAREST = 4_095
CHAIN_ID = 4221
NOW_S = 1_795_000_000


def gas_anchor(scale: float = 1.0) -> list[Row]:
    """Measure anchoring against its reaches.

    Args:
        scale: ignored; gas does not depend on how long one measures.

    Returns:
        The first anchor of a journal, and the dearest next one at 5,000 leaves.
    """
    gas = measure()
    following = {name: value for name, value in gas.items() if name.startswith("anchor next")}
    dearest = max(following, key=lambda name: following[name])
    return [
        Row("gas-anchor first", gas["anchor first"], "gas", FIRST_REACH, "<=", {}),
        Row(f"gas-anchor {dearest.removeprefix('anchor ')}", following[dearest], "gas", NEXT_REACH, "<=", {}),
    ]


def measure() -> dict[str, int]:
    """Send one transaction of each kind on a fresh chain.

    Returns:
        Gas of whole transactions, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        measured = Measured(Path(folder) / "chain")
        try:
            _measure_members(measured)
            _measure_anchors(measured)
        finally:
            measured.chain.close()
    return measured.gas


def _measure_members(measured: Measured) -> None:
    from tallystick.chain import Members

    times = {"delay_s": 0, "delay_blocks": 0, "lifetime_s": 10_000}
    for size in (1, 4, 16):
        founders = [member_seat(f"party {place}") for place in range(size)]
        call = Members.deploy_call(founders, threshold=size // 2 + 1, **times)
        measured.send(f"deploy Members, founders: {size}", "party 0", call)
    address = measured.deploy(
        "party 0",
        Members.deploy_call([member_seat("A"), member_seat("B"), member_seat("C")], threshold=2, **times),
    )
    members = Members(measured.web3, address)
    seat, lost = member_seat("C"), member_seat("C").party
    # Each line is a vote: what is proposed, then approved once more and executed.
    votes = {
        "join": members.propose_join(member_seat("D"), threshold=3),
        "suspend": members.propose_suspend(lost, threshold=2),
        "reinstate": members.propose_reinstate(lost, threshold=3),
        "rotation": members.propose_rotation(lost, _keys("C2")),
        "epoch": members.propose_epoch(lost, _keys("C3")),
        "leave": members.propose_leave(seat.party, threshold=2),
        "threshold": members.propose_threshold(3),
    }
    for number, (name, call) in enumerate(votes.items(), 1):
        measured.send(f"propose {name}", "A", call)
        measured.send(f"approve {name}", "B", members.approve(number))
        if members.threshold() > 2:
            measured.send("", "D", members.approve(number))
        measured.send(f"execute {name}", "A", members.execute(number))
    measured.send("rotate own keys", "A", members.rotate(_keys("A2")))
    measured.send("propose rotation of B", "D", members.propose_rotation(member_seat("B").party, _keys("B2")))
    measured.send("veto", "B", members.veto(len(votes) + 1))


def _measure_anchors(measured: Measured) -> None:
    from tallystick.chain import Anchors, Members, hashed_id

    journals = {old: f"J{old}" for old in (7, DEAREST, 4_096, 4_999)}
    founders = [member_seat(name) for name in journals.values()]
    members = measured.deploy("A", Members.deploy_call(founders, threshold=3))
    anchors = Anchors(measured.web3, measured.deploy("A", Anchors.deploy_call(members), "deploy Anchors"))
    for old, name in journals.items():
        journal = hashed_id(f"{name}/main")
        first = anchors.anchor(journal, size=old, root=_root(0, old))
        measured.send("anchor first" if old == 7 else "", name, first)
        proof = _consistency(old, 0, LEAVES, True)
        following = anchors.anchor(journal, size=LEAVES, root=_root(0, LEAVES), proof=proof)
        measured.send(f"anchor next, {old:,} to {LEAVES:,} leaves", name, following)


class Measured:
    """A chain whose senders can pay, and what was spent so far."""

    def __init__(self, path: Path) -> None:
        from web3 import Web3

        from tallystick.chain import LocalChain

        self.chain = LocalChain(path, chain_id=CHAIN_ID, clock=lambda: NOW_S * 1_000_000)
        self.web3 = Web3(self.chain)
        self.gas: dict[str, int] = {}

    def deploy(self, sender: str, call: Call, name: str = "") -> str:
        return str(self.send(name, sender, call)["contractAddress"]).lower()

    def send(self, name: str, sender: str, call: Call) -> Any:
        account = _account(sender)
        if not self.web3.eth.get_balance(account.address):
            self.chain.fund(account.address, 10**20)
        fields = {
            "chainId": CHAIN_ID,
            "nonce": self.web3.eth.get_transaction_count(account.address),
            "gas": 25_000_000,
            "maxFeePerGas": 10**9,
            "maxPriorityFeePerGas": 0,
            "value": call.value,
            "data": call.data,
            "type": 2,
        }
        if call.to is not None:
            fields["to"] = self.web3.to_checksum_address(call.to)
        signed = account.sign_transaction(fields)
        receipt = self.web3.eth.get_transaction_receipt(
            self.web3.eth.send_raw_transaction(signed.raw_transaction)
        )
        if receipt["status"] != 1:
            raise RuntimeError(f"the transaction was refused: {name or call}")
        if name:
            self.gas[name] = int(receipt["gasUsed"])
        return receipt


@cache
def _account(name: str) -> Any:
    from eth_account import Account

    return Account.from_key(sha256(name.encode()).digest())


def _keys(name: str) -> Keys:
    from tallystick.chain import Keys

    account = _account(name).address.lower()
    return Keys(account, account, sha256(b"card " + name.encode()).digest())


def member_seat(name: str) -> Seat:
    from tallystick.chain import Seat, hashed_id

    return Seat(hashed_id(name), hashed_id(f"{name}/main"), _keys(name))


@cache
def _root(start: int, stop: int) -> bytes:
    if stop - start == 1:
        return sha256(b"\x00" + start.to_bytes(8, "big")).digest()
    middle = start + (1 << ((stop - start - 1).bit_length() - 1))
    return sha256(b"\x01" + _root(start, middle) + _root(middle, stop)).digest()


def _consistency(old: int, start: int, stop: int, whole: bool) -> list[bytes]:
    """RFC 9162, section 2.1.4.1, straight from its definition."""
    if start + old == stop:
        return [] if whole else [_root(start, stop)]
    middle = start + (1 << ((stop - start - 1).bit_length() - 1))
    if start + old <= middle:
        return [*_consistency(old, start, middle, whole), _root(middle, stop)]
    return [*_consistency(start + old - middle, middle, stop, False), _root(start, middle)]


def _main(arguments: list[str]) -> int:
    gas = measure()
    for name, value in gas.items():
        print(f"{value:>12,}  {name}")
    if arguments == ["--update"]:
        SNAPSHOT.write_text(json.dumps(gas, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(f"wrote {SNAPSHOT}")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
