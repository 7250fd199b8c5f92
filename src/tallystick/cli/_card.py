"""`tallystick card show|import|list|rotate`: who a party is, and with which keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, fitted, write_out

if TYPE_CHECKING:
    from tallystick.proof import PublicRole

__all__ = ["app"]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Cards: show yours, import others', rotate keys."
)


@command(app, "show", example="tallystick card show -o clinic.card.json")
def show(
    out: Output,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it, to send to others.")
    ] = None,
    workspace: Workspace = Path(),
) -> None:
    """Show your card; with -o write the file that others import."""
    from tallystick.node import CardFile, format_card_file

    with open_node(workspace, read_only=True) as node:
        mine = CardFile(node.party.cards)
        keys = {role: key.hex() for role, key in node.party.card.keys.items()}
    out.line(f"{mine.name}, card {len(mine.cards)}")
    out.line(f"party        {mine.id}")
    out.line(f"fingerprint  {mine.fingerprint}")
    for role, key in sorted(keys.items()):
        out.line(f"{role:<12} {key[:32]}…")
    if output is not None:
        write_out(output, format_card_file(mine.cards))
        out.next(f"send {output}; the other party types: tallystick card import {output}")
    out.result(
        {
            "card": len(mine.cards),
            "fingerprint": mine.fingerprint,
            "id": mine.id,
            "keys": keys,
            "name": mine.name,
        }
    )


@command(app, "import", example="tallystick card import bank-b.card.json")
def import_card(
    out: Output,
    files: Annotated[list[Path], typer.Argument(help="Other parties' card files.")],
    workspace: Workspace = Path(),
) -> None:
    """Know another party from now on. Compare the fingerprint over another way, such as the telephone."""
    from tallystick.cli._verify import read_bytes

    known = []
    with open_node(workspace, read_only=True) as node:
        for file in files:
            peer = node.import_card(read_bytes(file))
            out.line(fitted(f"{peer.name},", f"card {len(peer.cards)}"))
            out.line(f"fingerprint  {peer.fingerprint}   <- read it out to each other")
            known.append({"fingerprint": peer.fingerprint, "id": peer.id, "name": peer.name})
    out.next("tallystick policy new")
    out.result({"parties": known})


@command(app, "list", example="tallystick card list")
def list_cards(out: Output, workspace: Workspace = Path()) -> None:
    """List the parties that this workspace knows."""
    with open_node(workspace, read_only=True) as node:
        peers = list(node.peers)
    out.table(["name", "card", "fingerprint"], [[p.name, str(len(p.cards)), p.fingerprint] for p in peers])
    out.result([{"fingerprint": p.fingerprint, "id": p.id, "name": p.name} for p in peers])


@command(
    app,
    "rotate",
    example="tallystick card rotate --role log\ntallystick card rotate --role log --role chain --compromised",
)
def rotate(
    out: Output,
    roles: Annotated[
        list[str], typer.Option("--role", help="author, card, chain, log, seal or witness.")
    ] = [],  # noqa: B006
    name: Annotated[str, typer.Option("--name", help="A new legal name.")] = "",
    compromised: Annotated[
        bool, typer.Option("--compromised", help="The old keys may be in wrong hands.")
    ] = False,
    workspace: Workspace = Path(),
) -> None:
    """Replace keys by a new card, signed by the present card key.

    Run again after a crash, it goes on where it stopped.
    """
    from tallystick.cli._passphrase import passphrase
    from tallystick.node import Settings
    from tallystick.node import rotate as replace_keys

    Settings.read(workspace)
    done = replace_keys(
        workspace,
        cast("list[PublicRole]", roles),
        passphrase=passphrase(),
        name=name or None,
        compromised=compromised,
    )
    out.line(f"card {done.card.number} of {done.card.name}, from size {done.card.since:,} on")
    for advice in done.advice:
        out.line(f"now: {advice}")
    out.result({"advice": list(done.advice), "card": done.card.hash, "number": done.card.number})
