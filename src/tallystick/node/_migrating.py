"""Moving a workspace from one chain to another, for instance from the embedded chain to a consortium's network.

The same head stands on both chains afterwards: the last one on the old chain is the first one on the new. What was
handed out before goes on to verify by the old chain; what is handed out from then on names the new one.

1. the new chain is asked for everything that could refuse later: nothing is written before it fits;
2. `moving/tallystick.toml` says where to, `moving/` gets an outbox of its own: the old one belongs to the old chain;
3. the head is anchored on the old chain, then on the new one;
4. `moving/anchored` marks that both stand; from here on the move only goes forward, and asks no chain any more;
5. the journal states the move, the anchored heads and the outbox take their places, and at last the settings.

Each step finds what an earlier run did, so after a crash anywhere the same command goes on. Until 5 is over the
workspace is on the old chain; a crash inside 5 leaves an outbox that refuses the old chain, and loses nothing.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.errors import ChainError, ChainMismatchError, ConfigurationError, NotFoundError, StorageError
from tallystick.proof import AnchorClaim, Entry, journal_id

from ._anchoring import Anchoring, read_claims, write_claims
from ._founding import found
from ._node import Node
from ._peers import CardFile
from ._sending import open_outbox
from ._settings import SETTINGS_FILE, ChainSettings, Settings
from ._workspace import Workspace, read_small, write_small

if TYPE_CHECKING:
    from tallystick.chain import Chain, Profile

__all__ = ["Moved", "found_elsewhere", "migrate", "moving_to"]

_MARK = "anchored"


@dataclass(frozen=True, slots=True)
class Moved:
    """A finished move.

    Attributes:
        old: the last anchor on the old chain; None when nothing was ever anchored.
        new: the first anchor on the new chain; None for an empty journal.
        entry: the statement that says so; None for an empty journal.
    """

    old: AnchorClaim | None
    new: AnchorClaim | None
    entry: Entry | None


def moving_to(node: Node) -> ChainSettings | None:
    """Say where an unfinished move goes; None when there is none."""
    directory = node.workspace.moving
    try:
        return Settings.read(directory).chain
    except NotFoundError:
        return None


def found_elsewhere(
    node: Node, profile: Profile, members: Sequence[CardFile], *, threshold: int
) -> ChainSettings:
    """Deploy `Members` and `Anchors` on a chain that a workspace is about to move to.

    One founder does this; the others name the addresses that it returns. Running it again goes on where it stopped.

    Args:
        node: pays and signs.
        profile: the new chain.
        members: the founders' cards, the node's own included.
        threshold: how many members must approve, a majority.

    Raises:
        ConfigurationError: it is the chain that the workspace uses.
        FundsError: the account has no coins there.
    """
    from tallystick.chain import connect

    begun = moving_to(node)
    if begun is not None and _same_place(begun, replace(begun, profile=profile)):
        return begun  # founded by an earlier run, whose outbox may have taken its place already
    with connect(profile, clock=node.clock) as chain:
        _check_other(node, chain)
        place = Workspace(node.workspace.moving)
        place.path.mkdir(mode=0o700, exist_ok=True)
        addresses = found(node, chain, members, threshold=threshold, workspace=place)
        return _pinned(ChainSettings(profile, *addresses), chain)


def migrate(node: Node, target: ChainSettings, *, timeout_s: float | None = None) -> Moved:
    """Move a workspace to another chain.

    Args:
        node: open for writing.
        target: the new chain and its contracts. Chain id and genesis are written into the settings with it.
        timeout_s: for the anchors on each of the two chains; the profile's `wait_s` when None.

    Raises:
        ConfigurationError: the same chain, contracts that do not fit, or another move is not over.
        ChainError: something that was sent to the old chain is not mined yet.
        ChainMismatchError: the new chain has another head of this journal.
        FundsError: the account cannot pay on the new chain.
        RollbackError: the journal stands below a head on one of the chains.
    """
    begun, marked = moving_to(node), read_small(node.workspace.moving / _MARK)
    if marked is None:
        from tallystick.chain import connect

        with connect(target.profile, clock=node.clock) as chain:
            _check_target(node, target, chain)
            begun = _begin(node, _pinned(target, chain), begun)
            _anchor_on_both(node, begun, chain, timeout_s)
        write_small(node.workspace.moving / _MARK, b"both chains have the head\n")
    elif begun is None or not _same_place(begun, target):
        raise ConfigurationError("a move to another chain is not over", hint="name that chain again")
    assert begun is not None
    return _switch(node, begun)


def _same_place(begun: ChainSettings, target: ChainSettings) -> bool:
    """Compare a kept target with one that was named again, perhaps without chain id and genesis."""

    def plain(settings: ChainSettings) -> ChainSettings:
        profile = replace(settings.profile, chain_id=None, genesis="")
        if profile.path is not None:
            profile = replace(profile, path=profile.path.resolve())
        return replace(settings, profile=profile)

    return plain(begun) == plain(target)


def _pinned(target: ChainSettings, chain: Chain) -> ChainSettings:
    return replace(target, profile=replace(target.profile, chain_id=chain.chain_id, genesis=chain.genesis))


def _check_other(node: Node, chain: Chain) -> None:
    """Refuse a move to where the workspace is: compared by the anchors, because the old chain need not answer yet."""
    known = node.claims
    old = node.settings.chain
    if (old is not None and old.profile.genesis == chain.genesis) or (
        known and (known[-1].chain_id, known[-1].genesis) == (chain.chain_id, chain.genesis)
    ):
        raise ConfigurationError(
            "the workspace uses this chain already", hint="name another chain to move to"
        )


def _check_target(node: Node, target: ChainSettings, chain: Chain) -> None:
    """Hold the contracts of the new chain against this party, before anything is written.

    Raises:
        ConfigurationError: no contracts, contracts of two consortiums, or this party may not anchor there.
    """
    from tallystick.chain import Account, Anchors, Members

    _check_other(node, chain)
    if not (target.anchors and target.members):
        raise ConfigurationError(
            "a move must name the contracts Members and Anchors of the new chain",
            hint="ask the founder for both addresses, or found them: `tallystick migrate --found CARD`",
        )
    for name in ("members", "anchors", "models", "oracle"):
        address = getattr(target, name)
        if address and chain.ask("eth_getCode", address, "latest") == "0x":
            raise ConfigurationError(f"no contract stands at chain.{name} on the new chain")
    if Anchors(chain.web3, target.anchors).members().lower() != target.members:
        raise ConfigurationError("the contract Anchors there asks another contract Members")
    writer = Members(chain.web3, target.members).writer(journal_id(node.origin))
    if writer != Account(node.party.secret("chain")).address:
        raise ConfigurationError(
            "this party's account may not anchor this journal on the new chain",
            hint="is its newest card a member's there? the others propose it: `tallystick members propose join`",
        )


def _begin(node: Node, target: ChainSettings, begun: ChainSettings | None) -> ChainSettings:
    if begun is not None and not _same_place(begun, target):
        raise ConfigurationError(
            "a move to another chain was begun here",
            hint="name its chain again to finish it; or delete the directory `moving` to give it up",
        )
    # Readable as settings by themselves, so paths in them start at `moving/`.
    settings = replace(node.settings, chain=target)
    place = node.workspace.moving
    write_small(place / SETTINGS_FILE, settings.format(place).encode())
    return target


def _anchor_on_both(node: Node, target: ChainSettings, chain: Chain, timeout_s: float | None) -> None:
    if not node.journal.size:
        return
    if node.settings.chain is not None and node.settings.chain.anchors:
        node.anchor(timeout_s=timeout_s)
        _check_nothing_waits(node)
    place = Workspace(node.workspace.moving)
    way = Anchoring(place, target, node.party, node.journal, clock=node.clock, chain=chain)
    try:
        way.anchor(timeout_s=timeout_s)
        if way.head() != (node.journal.size, node.journal.root()):
            raise ChainMismatchError("the new chain has another head of this journal than was sent")
    finally:
        way.close()


def _check_nothing_waits(node: Node) -> None:
    """Votes and models share the outbox with anchors; left behind there, they would never be sent."""
    assert node.settings.chain is not None
    with open_outbox(
        node.workspace, node.settings.chain, node.party, clock=node.clock, chain=node.shared_chain
    ) as (_, _, outbox):
        waiting = len(outbox.pending())
    if waiting:
        raise ChainError(
            f"{waiting} transactions to the old chain are not mined yet",
            hint="they are kept: try again when the old chain has mined them",
        )


def _switch(node: Node, target: ChainSettings) -> Moved:
    place = Workspace(node.workspace.moving)
    was, there = read_claims(node.workspace.anchors), read_claims(place.anchors)
    old = [claim for claim in was if _chain_of(claim) != _place_of(target)]
    # After a move back some of the new chain's anchors are known, perhaps with witnesses' lines: those stay.
    known = {claim.size: claim for claim in was if _chain_of(claim) == _place_of(target)}
    fresh = [known.get(claim.size, claim) for claim in there if _chain_of(claim) == _place_of(target)]
    moved = Moved(old[-1] if old else None, fresh[-1] if fresh else None, _stated(node, old, fresh))
    # Behind the old ones of the same size: `with_proof` takes the newest anchor for the chain of today.
    write_claims(node.workspace.anchors, sorted([*old, *fresh], key=lambda claim: claim.size))
    _take_outbox(node, place)
    node.set_chain(target)
    shutil.rmtree(place.path, ignore_errors=True)
    return moved


def _chain_of(claim: AnchorClaim) -> tuple[int | None, str, str]:
    return (claim.chain_id, claim.genesis, claim.contract)


def _place_of(target: ChainSettings) -> tuple[int | None, str, str]:
    return (target.profile.chain_id, target.profile.genesis, target.anchors)


def _stated(node: Node, old: Sequence[AnchorClaim], fresh: Sequence[AnchorClaim]) -> Entry | None:
    """State the move once; after a crash the statement is found again by what it says."""
    if not fresh:
        return None
    claim = fresh[-1]
    body = {
        "chain": _named(claim),
        "root": claim.root.hex(),
        "size": claim.size,
        "was": _named(old[-1]) if old else {},
    }
    for entry in node.log(kind="chain.moved", last=1):
        if entry.statement.body == body:
            return entry
    return node.record("chain.moved", body)


def _named(claim: AnchorClaim) -> dict[str, Any]:
    return {
        "anchors": claim.contract,
        "block": claim.block,
        "block_hash": claim.block_hash,
        "chain_id": claim.chain_id,
        "genesis": claim.genesis,
    }


def _take_outbox(node: Node, place: Workspace) -> None:
    """Put the new chain's outbox in the old one's place; as long as the new one is in `moving/`, the other is old."""
    from tallystick.chain import Account

    account = Account(node.party.secret("chain")).address
    new, present = place.outbox(account), node.workspace.outbox(account)
    try:
        if not new.exists():
            return
        if present.exists():
            _rename(present, _free_place(present))
        _rename(new, present)
    except (OSError, sqlite3.Error) as error:
        raise StorageError("an outbox could not be moved", hint="run the same command again") from error


def _free_place(present: Path) -> Path:
    names = (present.with_name(f"{present.stem}-moved-{number}.sqlite") for number in range(1, 1_000))
    return next(name for name in names if not name.exists())


def _rename(source: Path, target: Path) -> None:
    # A killed process leaves what it wrote last in a log beside the file: into the file with it, then one name moves.
    connection = sqlite3.connect(source)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    source.replace(target)
