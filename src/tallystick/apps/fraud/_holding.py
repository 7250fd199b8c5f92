"""A pilot's hold on the chain: one bank's provable decision keeps the other banks from paying a payee."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tallystick.apps.fraud.holding import Holds, open_holding
from tallystick.chain import Account, Outbox
from tallystick.errors import DefectError
from tallystick.node import Consortium

from ._history import BANKS
from ._replaying import Replay
from ._together import Together

__all__ = ["HeldOnChain", "hold_on_chain"]

EPOCH: Final = 1
DAYS: Final = 2  # that the hold lasts
DAY: Final = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class HeldOnChain:
    """What came of it.

    Args:
        bank: that asked for the hold.
        statement: its request.
        gas: of placing it.
        contract: address of ``Holds``.
        rows: what the report shows of it.
    """

    bank: str
    statement: str
    gas: int
    contract: str
    rows: tuple[tuple[str, str], ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        rows = [list(row) for row in self.rows]
        return {
            "bank": self.bank,
            "contract": self.contract,
            "gas": self.gas,
            "rows": rows,
            "statement": self.statement,
        }


def hold_on_chain(consortium: Consortium, together: Together, replay: Replay) -> HeldOnChain:
    """Deploy ``Holds``, open its epoch, hold the payee that a bank stopped last, and let another bank read it.

    Raises:
        DefectError: the replay stopped no payment.
    """
    address = _deploy(consortium)
    nodes = consortium.nodes
    now = nodes[0].clock()
    epoch = together.members[0].tokens.epoch
    for node, member in zip(nodes, together.members, strict=True):
        with open_holding(node, address) as holding:
            holding.open_epoch(
                EPOCH,
                agreed=epoch.id,
                since=now,
                until=now + 10 * DAY,
                share=epoch.commitments[member.id],
            )
    number, hold = max(
        ((n, hold) for n, held in enumerate(replay.holds) for hold in held),
        key=lambda pair: pair[1].at,
        default=(-1, None),
    )
    if hold is None:
        raise DefectError("the replay stopped no payment")
    token = together.members[number].tokens.ask([hold.payee], purpose="review")[hold.payee]
    until = nodes[number].clock() + DAYS * DAY
    with open_holding(nodes[number], address) as holding:
        stated = holding.request(
            token,
            epoch=EPOCH,
            until=until,
            links={"decision": [hold.statement]},
            subject=f"payee {token.hex()}",
        )
    other = (number + 1) % len(nodes)
    with open_holding(nodes[other], address) as holding:
        found = holding.held(token)
    if found is None:
        raise DefectError("another bank does not see the hold")
    gas = _gas(consortium, address)
    rows = (
        ("asked for by", BANKS[number]),
        ("payee's token", f"{token.hex()[:16]}…"),
        ("what the contract checked", "the request's bytes stand in the bank's anchored journal"),
        ("who reads it", f"{BANKS[other]}, before it pays"),
        ("ends by itself after", f"{DAYS} days"),
    )
    return HeldOnChain(BANKS[number], stated.id, gas, address, rows)


def _deploy(consortium: Consortium) -> str:
    models = consortium.found_models()
    settings = consortium.nodes[0].settings.chain
    assert settings is not None
    account = Account(consortium.nodes[0].party.secret("chain"))
    call = Holds.deploy_call(anchors=settings.anchors, models=models)
    with Outbox(
        consortium.nodes[0].workspace.outbox(account.address), consortium.chain, account=account
    ) as outbox:
        return outbox.send("found/holds", call).contract


def _gas(consortium: Consortium, contract: str) -> int:
    """Gas of the last transaction to a contract."""
    head = consortium.chain.head().number
    for block in range(head, -1, -1):
        for receipt in consortium.chain.ask("eth_getBlockReceipts", hex(block)):
            if str(receipt.get("to")).lower() == contract.lower():
                return int(receipt["gasUsed"], 16)
    return 0
