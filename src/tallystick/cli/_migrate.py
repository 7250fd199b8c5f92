"""`tallystick migrate`: a workspace moves from one chain to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output, short

if TYPE_CHECKING:
    from tallystick.chain import Profile
    from tallystick.node import ChainSettings, Moved, Node

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "migrate",
    example="tallystick migrate http://node-a:8545 --found b.card.json --found c.card.json\n"
    "tallystick migrate http://node-b:8545 --members 0x… --anchors 0x…\n"
    "tallystick migrate b=http://b:8545 c=http://c:8545 --agree 2 --members 0x… --anchors 0x…",
)
def migrate(
    out: Output,
    chain: Annotated[
        list[str],
        typer.Argument(help="Endpoints of the new chain, your own first; or an embedded one's file."),
    ],
    members: Annotated[str, typer.Option("--members", help="Address of the Members contract there.")] = "",
    anchors: Annotated[str, typer.Option("--anchors", help="Address of the Anchors contract there.")] = "",
    models: Annotated[str, typer.Option("--models", help="Address of the Models contract there.")] = "",
    oracle: Annotated[str, typer.Option("--oracle", help="Address of the Oracle contract there.")] = "",
    founders: Annotated[
        list[Path], typer.Option("--found", metavar="CARD", help="Found the contracts with this party.")
    ] = [],  # noqa: B006
    threshold: Annotated[
        int, typer.Option("--threshold", min=0, help="Who must approve; 0 takes a majority.")
    ] = 0,
    chain_id: Annotated[int, typer.Option("--chain-id", min=0, help="What it must answer.")] = 0,
    genesis: Annotated[str, typer.Option("--genesis", help="Hash of its block 0, told by the others.")] = "",
    agree: Annotated[int, typer.Option("--agree", min=1, help="Members whose endpoints must agree.")] = 1,
    workspace: Workspace = Path(),
) -> None:
    """Move a workspace to another chain.

    The newest head is anchored on the old chain, then on the new one. Receipts that others have go on to
    verify by the old chain. After a crash the same command goes on.
    """
    from tallystick.cli._node import open_node
    from tallystick.node import ChainSettings
    from tallystick.node import migrate as move

    if bool(founders) == bool(members or anchors):
        raise typer.BadParameter(
            "give --found (one founder does), or --members and --anchors (all others)", param_hint="--found"
        )
    profile = _profile(chain, chain_id=chain_id, genesis=genesis, agree=agree)
    with open_node(workspace) as node:
        if founders:
            target = _found(node, profile, founders, threshold, out)
        else:
            target = ChainSettings(profile, members, anchors, models, oracle)
        before = node.settings.chain
        with out.waiting("anchoring on both chains"):
            moved = move(node, target)
        assert node.settings.chain is not None
        now = node.settings.chain
    _show(out, moved, now.profile)
    left = [
        name for name in ("models", "oracle") if before and getattr(before, name) and not getattr(now, name)
    ]
    if left:
        out.note(f"the new chain has no contract {' and '.join(left)} yet: set it in tallystick.toml")
    out.next(f"tallystick anchor -w {workspace}")
    out.result(
        {
            "anchors": now.anchors,
            "chain_id": now.profile.chain_id,
            "genesis": now.profile.genesis,
            "members": now.members,
            "new_block": moved.new.block if moved.new else None,
            "old_block": moved.old.block if moved.old else None,
            "size": moved.new.size if moved.new else 0,
            "statement": moved.entry.id if moved.entry else None,
        }
    )


def _profile(places: list[str], *, chain_id: int, genesis: str, agree: int) -> Profile:
    from dataclasses import replace

    from tallystick.chain import Profile

    if len(places) == 1 and "=" not in places[0].partition("://")[0]:
        named = Profile.of(places[0], name="chain")
    elif all("://" in place for place in places):
        # `bank-a=http://…` says whose endpoint it is
        parted = [place.partition("=") for place in places]
        whose = tuple(name for name, _, url in parted if url and "://" not in name)
        if len(whose) not in (0, len(places)):
            raise typer.BadParameter("name the member of every url, or of none", param_hint="chain")
        urls = tuple(url for _, _, url in parted) if whose else tuple(places)
        named = Profile("chain", urls=urls, members=whose)
    else:
        raise typer.BadParameter("give urls, or one file", param_hint="chain")
    return replace(named, chain_id=chain_id or None, genesis=genesis, agree=agree)


def _found(node: Node, profile: Profile, cards: list[Path], threshold: int, out: Output) -> ChainSettings:
    from tallystick.cli._verify import read_bytes
    from tallystick.node import CardFile, found_elsewhere, parse_card_file

    others = [parse_card_file(read_bytes(card)) for card in cards]
    own = CardFile(node.party.cards)
    parties = [own, *(peer for peer in others if peer.id != node.id)]
    for peer in parties[1:]:
        node.peers.add(peer)
    target = found_elsewhere(node, profile, parties, threshold=threshold or len(parties) // 2 + 1)
    out.line(f"members  {target.members}")
    out.line(f"anchors  {target.anchors}")
    out.line("the others move with these two addresses")
    return target


def _show(out: Output, moved: Moved, profile: Profile) -> None:
    if moved.new is None:
        out.line(f"moved to chain {profile.chain_id}; the journal is empty, so nothing is anchored yet")
    else:
        out.line(f"size {moved.new.size:,}, root {short(moved.new.root.hex(), 16)}")
        if moved.old is not None:
            out.line(f"stands on chain {moved.old.chain_id} in block {moved.old.block:,}")
        out.line(f"stands on chain {moved.new.chain_id} in block {moved.new.block:,}, its first anchor there")
    out.line(f"genesis  {profile.genesis}")
