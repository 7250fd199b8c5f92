"""`tallystick network validators|lend|add|remove`: who signs blocks, and how that changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import command
from tallystick.cli._network_join import Engine, Home, engine_of
from tallystick.cli._output import Output

if TYPE_CHECKING:
    from tallystick.network import ValidatorSet

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@command(app, "validators", example="tallystick network validators node")
def show(out: Output, home: Home) -> None:
    """List who signs blocks now, as this node sees it."""
    from tallystick.network import own_part, read_ports, validators

    own = own_part(home)
    found = validators(f"http://127.0.0.1:{read_ports(home).comet}")
    _show(out, found, own.consensus_key)


def _show(out: Output, found: ValidatorSet, own: str) -> None:
    rows = [
        [key, f"{power:,}", "this one" if key == own else ""] for key, power in sorted(found.powers.items())
    ]
    out.table(["validator key", "tokens", ""], rows)
    out.line(f"block {found.height:,}: {len(found.powers)} validators, {found.bears} may be down or lie")
    out.result({"bears": found.bears, "height": found.height, "validators": dict(found.powers)})


@command(app, "lend", example="tallystick network lend node e.part.json --tokens 334")
def lend(
    out: Output,
    home: Home,
    part: Annotated[Path, typer.Argument(metavar="PART", help="The newcomer's part file.")],
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="How many; a part of its stake.")],
    engine: Engine = None,
) -> None:
    """Pay a newcomer a part of its stake: your vote that it may become a validator."""
    from tallystick.cli._network_join import read_parts
    from tallystick.network import lend as pay

    (newcomer,) = read_parts([part])
    with out.waiting("waiting for its block"):
        pay(home, newcomer.account, tokens, engine=engine_of(engine))
    out.line(f"lent {tokens:,} tokens to {newcomer.name}")
    out.result({"account": newcomer.account, "tokens": tokens})


@command(app, "add", example="tallystick network add node")
def add(out: Output, home: Home, engine: Engine = None) -> None:
    """Make this node, which follows the network, one of its validators; its stake must be lent."""
    from tallystick.network import add_validator, own_part

    with out.waiting("catching up and staking"):
        found = add_validator(home, engine=engine_of(engine))
    _show(out, found, own_part(home).consensus_key)


@command(app, "remove", example="tallystick network remove node")
def remove(
    out: Output,
    home: Home,
    even_so: Annotated[
        bool, typer.Option("--even-so", help="Also when the others then bear fewer faults than agreed.")
    ] = False,
    engine: Engine = None,
) -> None:
    """Take this node's validator out; the node goes on following."""
    from tallystick.network import own_part, remove_validator

    with out.waiting("taking the stake back"):
        found = remove_validator(home, engine=engine_of(engine), even_so=even_so)
    _show(out, found, own_part(home).consensus_key)
