"""Founding: deploying the contracts that a consortium shares, each once, whoever is killed in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tallystick.proof import chain_address, journal_id

from ._node import Node
from ._peers import CardFile
from ._workspace import Workspace

if TYPE_CHECKING:
    from tallystick.chain import Chain, Outbox, Seat
    from tallystick.proof import Card

__all__ = ["found", "found_models", "found_oracle", "seat_of"]


def seat_of(cards: Sequence[Card]) -> Seat:
    """The seat of a party in the contract `Members`: hashes of its id, journal and newest card, and its account."""
    from tallystick.chain import Keys, Seat, hashed_id

    card = cards[-1]
    account = chain_address(card.keys["chain"])
    return Seat(
        hashed_id(card.party), journal_id(card.origin), Keys(account, account, bytes.fromhex(card.hash))
    )


def found(
    node: Node,
    chain: Chain,
    members: Sequence[CardFile],
    *,
    threshold: int,
    delay_s: int = 0,
    delay_blocks: int = 0,
    workspace: Workspace | None = None,
) -> tuple[str, str]:
    """Deploy `Members` with these founders, and `Anchors` that asks it.

    Running it again after a crash goes on where it stopped: the outbox sends each contract once.

    Args:
        node: pays and signs; usually one of the founders.
        chain: where.
        members: the founders' cards, the node's own included if it takes part.
        threshold: how many members must approve, a majority.
        delay_s: seconds between enough approvals and execution; 0 leaves no time for a veto, fit for a pilot.
        delay_blocks: blocks in between too, so that a halt cannot eat the delay.
        workspace: where the outbox is kept; the node's own when None.

    Returns:
        Addresses of `Members` and `Anchors`.
    """
    from tallystick.chain import Anchors, Members

    seats = [seat_of(member.cards) for member in members]
    with _outbox(node, chain, workspace) as outbox:
        founding = Members.deploy_call(seats, threshold=threshold, delay_s=delay_s, delay_blocks=delay_blocks)
        contract = outbox.send("found/members", founding).contract
        return contract, outbox.send("found/anchors", Anchors.deploy_call(contract)).contract


def found_models(node: Node, chain: Chain, *, members: str, approvals: int) -> str:
    """Deploy `Models`, which asks `Members`, with the blueprints of its executors; its address.

    Args:
        node: pays and signs; it gets no rights by it.
        chain: where.
        members: address of `Members`.
        approvals: how many members other than the publisher must approve a model, 1 to 64.
    """
    from tallystick.models import deploy_models

    with _outbox(node, chain) as outbox:
        return deploy_models(outbox, chain.web3, members=members, approvals_needed=approvals).address


def found_oracle(node: Node, chain: Chain, *, models: str) -> str:
    """Deploy `Oracle`, which asks `Models`; its address.

    Args:
        node: pays and signs; it gets no rights by it.
        chain: where.
        models: address of `Models`.
    """
    from tallystick.decisions import Oracle

    with _outbox(node, chain) as outbox:
        return outbox.send(f"found/oracle/{models}", Oracle.deploy_call(models)).contract


@contextmanager
def _outbox(node: Node, chain: Chain, workspace: Workspace | None = None) -> Iterator[Outbox]:
    from tallystick.chain import Account, Outbox

    account = Account(node.party.secret("chain"))
    if chain.is_local and chain.balance(account.address) == 0:
        chain.fund(account.address)
    path = (workspace or node.workspace).outbox(account.address)
    with Outbox(path, chain, account=account) as outbox:
        yield outbox
