"""`tallystick chain status|serve` and `tallystick members ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output, short, utc
from tallystick.errors import ConfigurationError

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)
chain = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The chain that heads are anchored to.")
app.add_typer(chain, name="chain")


@command(chain, "status", example="tallystick chain status")
def status(out: Output, workspace: Workspace = Path()) -> None:
    """Show the workspace's chain, its contracts, and this journal's head on it."""
    from tallystick.cli._node import open_node

    with open_node(workspace, read_only=True) as node:
        way = node.anchoring()
        try:
            way.check()
            head, newest = way.head(), way.chain.head()
            found = {
                "account": way.account.address,
                "anchored": None if head is None else head[0],
                "anchors": node.settings.chain.anchors if node.settings.chain else "",
                "balance_wei": str(way.chain.balance(way.account.address)),
                "block": newest.number,
                "chain_id": way.chain.chain_id,
                "genesis": way.chain.genesis,
                "local": way.chain.is_local,
                "members": node.settings.chain.members if node.settings.chain else "",
                "models": node.settings.chain.models if node.settings.chain else "",
                "oracle": node.settings.chain.oracle if node.settings.chain else "",
                "size": node.journal.size,
            }
        finally:
            way.close()
    kind = "embedded: one operator's, a pilot" if found["local"] else "a network"
    out.line(f"chain {found['chain_id']} ({kind})")
    out.line(f"genesis  {found['genesis']}")
    out.line(f"block {newest.number:,} of {utc(newest.time * 1_000_000)}")
    out.line(f"members  {found['members'] or 'not set'}")
    out.line(f"anchors  {found['anchors']}")
    for name in ("models", "oracle"):
        if found[name]:
            out.line(f"{name:<8} {found[name]}")
    out.line(f"account  {found['account']}, {found['balance_wei']} wei")
    out.line(f"journal  {found['size']:,} statements, anchored up to {found['anchored'] or 0:,}")
    out.result(found)


@command(chain, "serve", example="tallystick chain serve pilot.chain --port 8545")
def serve(
    out: Output,
    file: Annotated[Path, typer.Argument(help="The file of an embedded chain.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8545,
    create: Annotated[
        bool, typer.Option("--create", help="Make a new chain when the file is not there.")
    ] = False,
) -> None:
    """Offer an embedded chain as JSON-RPC on 127.0.0.1, so that several workspaces share it. Ends with Ctrl-C."""
    import threading

    from tallystick.chain import LocalChain
    from tallystick.chain import serve as offer

    if not file.exists() and not create:
        raise ConfigurationError(f"there is no chain {file}", hint="add --create to make a new one")
    with LocalChain(file) as local, offer(local, port=port) as served:
        out.line(f"chain {local.chain_id} at {served.url}, for programs on this machine; end with Ctrl-C")
        out.next(f'tallystick init DIR --name "…" --chain {served.url}')
        out.result({"chain_id": local.chain_id, "url": served.url})
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            out.line("closed")


members = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Who takes part: list, found, propose, approve, veto, execute.",
)
app.add_typer(members, name="members")


@command(members, "list", example="tallystick members list")
def list_members(out: Output, workspace: Workspace = Path()) -> None:
    """List the contract's parties and open proposals."""
    from tallystick.cli._node import open_node
    from tallystick.node import Membership

    with open_node(workspace, read_only=True) as node, Membership(node) as membership:
        parties, proposals = membership.parties(), membership.proposals()
        threshold = membership.threshold()
    out.table(["name", "standing", "account"], [[p["name"], p["standing"], p["account"]] for p in parties])
    out.line(f"{threshold} must approve a proposal")
    rows = [
        [
            str(p["number"]),
            p["action"],
            p["about"],
            p["proposer"],
            p["status"],
            str(p["approvals"]),
            _until(p),
        ]
        for p in proposals
    ]
    if rows:
        out.table(["no", "action", "about", "proposed by", "status", "approvals", "when"], rows)
    out.result({"parties": parties, "proposals": proposals, "threshold": threshold})


def _until(proposal: dict[str, Any]) -> str:
    """Say from when an approved proposal can be executed, and until when an open one lives."""
    if proposal["status"] == "approved":
        return f"execute from {utc(proposal['not_before'] * 1_000_000)} and block {proposal['not_before_block']:,}"
    return f"until {utc(proposal['expires_at'] * 1_000_000)}" if proposal["status"] == "open" else ""


@command(members, "found", example="tallystick members found bank-b.card.json bank-c.card.json --threshold 2")
def found_members(
    out: Output,
    cards: Annotated[list[Path], typer.Argument(metavar="[CARD]...", help="The other founders' cards.")] = [],  # noqa: B006
    threshold: Annotated[
        int, typer.Option("--threshold", min=0, help="Who must approve; 0 takes a majority.")
    ] = 0,
    delay: Annotated[
        int, typer.Option("--delay", min=0, help="Seconds between enough approvals and execution.")
    ] = 0,
    delay_blocks: Annotated[
        int, typer.Option("--delay-blocks", min=0, help="Blocks in between too: a halt cannot eat the delay.")
    ] = 0,
    workspace: Workspace = Path(),
) -> None:
    """Deploy the contracts, with yourself and these parties as founders."""
    from tallystick.chain import connect
    from tallystick.cli._node import open_node
    from tallystick.cli._verify import read_bytes
    from tallystick.node import CardFile, ChainSettings, found

    with open_node(workspace) as node:
        if node.settings.chain is None:
            raise ConfigurationError("this workspace has no chain", hint="set [chain] in tallystick.toml")
        founders = [CardFile(node.party.cards), *(node.import_card(read_bytes(card)) for card in cards)]
        profile = node.settings.chain.profile
        with connect(profile, create=profile.path is not None) as reached:
            addresses = found(
                node,
                reached,
                founders,
                threshold=threshold or len(founders) // 2 + 1,
                delay_s=delay,
                delay_blocks=delay_blocks,
            )
        node.set_chain(ChainSettings(profile, *addresses))
    out.line(f"members  {addresses[0]}")
    out.line(f"anchors  {addresses[1]}")
    out.line("every founder sets both in tallystick.toml under [chain]")
    out.next(f"tallystick anchor -w {workspace}")
    out.result({"anchors": addresses[1], "members": addresses[0]})


@command(
    members,
    "propose",
    example="tallystick members propose join bank-d.card.json --threshold 3\n"
    "tallystick members propose threshold --threshold 3",
)
def propose(
    out: Output,
    action: Annotated[
        str,
        typer.Argument(
            help="join, leave, suspend, reinstate, rotate (new keys), epoch (a new one) or threshold (of all votes)."
        ),
    ],
    card: Annotated[
        Path | None, typer.Argument(help="Card of the party that it is about; none for threshold.")
    ] = None,
    threshold: Annotated[int, typer.Option("--threshold", min=0, help="Threshold after it; 0 keeps it.")] = 0,
    workspace: Workspace = Path(),
) -> None:
    """Propose a change of who takes part; the others approve it, then anybody executes it.

    What you proposed already and is still open is told again, not proposed twice.
    """
    from tallystick.cli._node import open_node
    from tallystick.cli._verify import read_bytes
    from tallystick.node import Membership, parse_card_file

    peer = None if card is None else parse_card_file(read_bytes(card))
    with open_node(workspace) as node, Membership(node) as membership:
        number = membership.propose(action, peer, threshold=threshold)
    about = f"{peer.name} ({short(peer.fingerprint, 19)})" if peer else str(threshold)
    out.line(f"proposal {number}: {action} {about}")
    out.next(f"the others type: tallystick members approve {number}")
    out.result({"number": number})


def _vote(out: Output, workspace: Path, number: int, word: str, done: str) -> None:
    from tallystick.cli._node import open_node
    from tallystick.node import Membership

    with open_node(workspace) as node, Membership(node) as membership:
        fresh = membership.vote(word, number)
    out.line(f"proposal {number} {done}" if fresh else f"proposal {number} was {done} already")
    out.result({"already": not fresh, "number": number, "done": done})


Number = Annotated[int, typer.Argument(min=1, help="Number of the proposal.")]


@command(members, "approve", example="tallystick members approve 3")
def approve(out: Output, number: Number, workspace: Workspace = Path()) -> None:
    """Approve a proposal."""
    _vote(out, workspace, number, "approve", "approved")


@command(members, "veto", example="tallystick members veto 3")
def veto(out: Output, number: Number, workspace: Workspace = Path()) -> None:
    """Refuse a rotation of your own keys that others proposed."""
    _vote(out, workspace, number, "veto", "vetoed")


@command(members, "execute", example="tallystick members execute 3")
def execute(out: Output, number: Number, workspace: Workspace = Path()) -> None:
    """Carry out an approved proposal after its delay."""
    _vote(out, workspace, number, "execute", "executed")
