"""Rotation: the next card, on the disk, on the chain and in the journal, so that a crash at any point can go on.

1. the party with the new keys is saved beside the old key file;
2. the contract `Members` learns the new card and account, signed with the old account, when there is a chain;
3. the new keys are written over the old key file;
4. a replaced witness key gets an empty state of its own;
5. the journal states the new card;
6. the saved file goes.

A crash between any two leaves the saved file: nothing is written in that workspace (see `Node.open`) until the
rotation is run again, which takes the saved file up and does what is left, each step once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.errors import ConfigurationError
from tallystick.proof import Card, Journal, Party, PublicRole, Witness, chain_address

from ._node import SCRYPT_N, Node
from ._workspace import Workspace, head_file

if TYPE_CHECKING:
    from tallystick.chain import Chain

__all__ = ["Rotated", "rotate"]


@dataclass(frozen=True, slots=True)
class Rotated:
    """A finished rotation: the new card, and what still has to be done by people."""

    card: Card
    advice: tuple[str, ...]


def rotate(
    path: Path,
    roles: Collection[PublicRole],
    *,
    passphrase: str,
    name: str | None = None,
    compromised: bool = False,
    scrypt_n: int = SCRYPT_N,
) -> Rotated:
    """Replace keys of a workspace.

    Args:
        path: the workspace; nobody may have it open.
        roles: whose keys are replaced.
        passphrase: of the key file; the new one keeps it.
        name: a new legal name.
        compromised: the old keys may be in wrong hands: the card lists them as revoked.
        scrypt_n: cost of the key file's passphrase.

    Raises:
        LockedError: another process writes here.
        ConfigurationError: nothing to rotate.
    """
    workspace = Workspace(path)
    saved = workspace.next_keys
    with Node.open(path, passphrase=passphrase, rotating=True) as node:
        if saved.exists():
            new = Party.load(saved, passphrase)
            _check_fits(node, new)
        elif roles or name:
            # From the next head on: receipts of the present one are in people's hands, signed with the old key.
            size = node.journal.size + 1
            new = node.party.rotate(roles, size=size, name=name, compromised=compromised)
            new.save(saved, passphrase, n=scrypt_n)
        else:
            raise ConfigurationError("nothing to rotate", hint="name a role with --role, or a new --name")
        advice = _tell_members(node, new)
        before = new.cards[-2].keys
        replaced = {role for role, key in new.card.keys.items() if before[role] != key}
        # The new log key signs from this statement on, so a journal of that size has it.
        stated = node.journal.size >= new.card.since
        kinds_head = head_file(new.origin)
    new.save(workspace.keys, passphrase, n=scrypt_n)
    if not stated:
        if "witness" in replaced or not workspace.witness.exists():
            workspace.witness.unlink(missing_ok=True)
            Witness.create(new, workspace.witness)
        with Journal.open(workspace.journal, party=new, head_file=kinds_head) as journal:
            journal.append("card.issued", {"card": new.card.hash, "number": new.card.number})
    saved.unlink()
    return Rotated(new.card, (*advice, "send the new card to your peers: `tallystick card show -o FILE`"))


def _check_fits(node: Node, new: Party) -> None:
    """Refuse to go on where heads were signed with the old key that the new card takes from it.

    Raises:
        ConfigurationError: statements were written since the rotation began, or another key file lies here.
    """
    done = node.party.card == new.card
    begun = len(new.cards) == len(node.party.cards) + 1 and new.cards[:-1] == node.party.cards
    if not done and not (begun and node.journal.size < new.card.since):
        raise ConfigurationError(
            "statements were written, or keys changed, since the saved rotation began",
            hint="keep keys.next.json safe, and ask the members for a vote when Members knows its card already",
        )


def _tell_members(node: Node, new: Party) -> tuple[str, ...]:
    settings = node.settings.chain
    if settings is None or not settings.members:
        return ()
    from tallystick.chain import Account, Keys, Members, Outbox, connect, hashed_id

    account = Account(node.party.secret("chain"))
    fresh = chain_address(new.card.keys["chain"])
    with connect(settings.profile) as chain:
        members = Members(chain.web3, settings.members)
        known = members.party(hashed_id(new.id))
        if known is not None and known.card.hex() == new.card.hash:
            # an earlier run came so far, or the members voted; the key file may hold the new account already
            return _to_pay(chain, chain_address(new.cards[-2].keys["chain"]), fresh)
        if known is None or known.account != account.address:
            return ("this party's account is no member's: ask the members for a vote on the new keys",)
        if chain.is_local:
            chain.fund(account.address)
        keys = Keys(fresh, fresh, bytes.fromhex(new.card.hash))
        with Outbox(node.workspace.outbox(account.address), chain, account=account) as outbox:
            wanted = f"rotate/{new.card.hash}"
            outbox.put(wanted, members.rotate(keys))
            outbox.retry(wanted)  # refused before, and right now, when the members voted meanwhile
            outbox.send(wanted, members.rotate(keys))
        return _to_pay(chain, account.address, fresh)


def _to_pay(chain: Chain, old: str, fresh: str) -> tuple[str, ...]:
    """Say that a new account has nothing to pay with, where nobody hands money out."""
    if fresh == old or chain.is_local or chain.balance(fresh):
        return ()
    return (
        f"the new account {fresh} has nothing to pay with: send it some, the old one {old} is used no more",
    )
