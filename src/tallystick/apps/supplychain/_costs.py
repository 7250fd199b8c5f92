"""What a request cost: the gas of every transaction between two blocks, by contract and function."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tallystick.chain import load
from tallystick.proof import keccak256

if TYPE_CHECKING:
    from tallystick.chain import Chain

__all__ = ["gas_between"]

CONTRACTS: Final = (("tallystick.decisions", "Oracle"), ("tallystick.apps.supplychain", "Shipments"))


def gas_between(chain: Chain, *, after: int, until: int) -> dict[str, tuple[int, int]]:
    """Sum up the gas of blocks.

    Args:
        chain: the embedded chain; nobody else sends in between.
        after: the last block that does not count.
        until: the last block that does.

    Returns:
        Function -> how many transactions called it, and their gas together; the dearest first.
    """
    names, count, gas = _selectors(), Counter[str](), Counter[str]()
    for number in range(after + 1, until + 1):
        block = chain.ask("eth_getBlockByNumber", hex(number), True)
        used = {one["transactionHash"]: one for one in chain.ask("eth_getBlockReceipts", hex(number))}
        for transaction in block["transactions"]:
            name = names.get(transaction["input"][:10])
            if name is not None:
                count[name] += 1
                gas[name] += int(used[transaction["hash"]]["gasUsed"], 16)
    return {name: (count[name], spent) for name, spent in gas.most_common()}


def _selectors() -> dict[str, str]:
    found = {}
    for package, contract in CONTRACTS:
        for item in load(package, contract).abi:
            if item["type"] == "function":
                signature = f"{item['name']}({','.join(_type(one) for one in item['inputs'])})"
                found["0x" + keccak256(signature.encode())[:4].hex()] = item["name"]
    return found


def _type(item: Any) -> str:
    if not item["type"].startswith("tuple"):
        return str(item["type"])
    return f"({','.join(_type(one) for one in item['components'])}){item['type'][5:]}"
