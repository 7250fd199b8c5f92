"""`tallystick policy new|show`: whom a verifier trusts, and what must be proved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, write_out

__all__ = ["app"]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Policies: your own list of whom you trust."
)


@command(
    app,
    "new",
    example="tallystick policy new -o mine.json\ntallystick policy new --need 3 --ask party --ask anchor",
)
def new(
    out: Output,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path("policy.json"),
    name: Annotated[str, typer.Option("--name", help="Whose policy it is.")] = "",
    need: Annotated[
        int, typer.Option("--need", min=0, help="Witnesses that must have signed; 0 picks a majority.")
    ] = 0,
    ask: Annotated[
        list[str], typer.Option("--ask", help="party, witnesses, anchor or payload; again for more.")
    ] = [],  # noqa: B006
    endpoint: Annotated[
        list[str], typer.Option("--endpoint", help="NAME=URL of a chain endpoint you trust.")
    ] = [],  # noqa: B006
    workspace: Workspace = Path(),
) -> None:
    """Write a policy that pins yourself and every party whose card you imported."""
    from tallystick.errors import StorageError
    from tallystick.node import CardFile, anchor_policy, make_policy
    from tallystick.proof import format_policy

    endpoints = dict(item.partition("=")[::2] for item in endpoint)
    with open_node(workspace, read_only=True) as node:
        parties = [CardFile(node.party.cards), *node.peers]
        asked = tuple(ask) or (("party", "witnesses") if len(parties) > 1 else ("party",))
        policy = make_policy(
            name or node.name,
            parties,
            need=need or None,
            anchor=anchor_policy(node.settings.chain, endpoints),
            ask=asked,
        )
    if output.exists():
        raise StorageError(
            f"{output} is there already", hint="name a new file with -o: a policy is edited by hand"
        )
    write_out(output, format_policy(policy))
    out.line(f"{output}: {len(policy.parties)} parties, asks {', '.join(policy.ask)}")
    if policy.witnesses is not None:
        out.line(f"{policy.witnesses.need} other parties must have witnessed")
    out.next(f"tallystick verify FILE --policy {output}")
    out.result(
        {"ask": list(policy.ask), "file": str(output), "parties": [party.name for party in policy.parties]}
    )


@command(app, "show", example="tallystick policy show mine.json")
def show(out: Output, file: Annotated[Path, typer.Argument(help="A policy.")]) -> None:
    """Say in words what a policy asks, with the fingerprints that it pins."""
    from tallystick.proof import Policy, fingerprint

    policy = Policy.read(file)
    out.line(f"{policy.name} asks {', '.join(policy.ask)}")
    out.table(
        ["party", "cards", "fingerprint"],
        [[p.name, str(len(p.cards)), fingerprint(p.id)] for p in policy.parties],
    )
    if policy.witnesses is not None:
        count = len(policy.witnesses.parties)
        out.line(f"{policy.witnesses.need} of {count} witnesses, of whom {policy.witnesses.faulty} may lie")
    if policy.anchor is not None:
        kind = "embedded, one operator's" if policy.anchor.local else "a network"
        out.line(f"chain {policy.anchor.chain_id} ({kind}), contract {policy.anchor.contract}")
    out.result(
        {
            "ask": list(policy.ask),
            "name": policy.name,
            "parties": [
                {"fingerprint": fingerprint(p.id), "id": p.id, "name": p.name} for p in policy.parties
            ],
        }
    )
