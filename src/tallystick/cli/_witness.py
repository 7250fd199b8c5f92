"""`tallystick witness ask|sign|add`: heads of one party, seen and cosigned by another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, utc, write_out
from tallystick.node import ANCHOR_NOTE

__all__ = ["app"]

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Have others see your head, and see theirs: ask, sign, add, attest.",
)


@command(
    app, "ask", example="tallystick witness ask -o ask.json\ntallystick witness ask --seen 41000 -o ask.json"
)
def ask(
    out: Output,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path("ask.json"),
    seen: Annotated[
        list[int], typer.Option("--seen", help="A size that the witness has seen; again for more.")
    ] = [],  # noqa: B006
    workspace: Workspace = Path(),
) -> None:
    """Write what a witness needs to cosign your newest head."""
    from tallystick.node import format_ask

    with open_node(workspace, read_only=True) as node:
        made = node.ask_witness(seen=seen)
    write_out(output, format_ask(made))
    out.line(f"{output}: size {made.checkpoint.size:,}, proofs from {len(made.proofs)} earlier sizes")
    out.next(f"send it; the witness types: tallystick witness sign {output} -o head.checkpoint")
    out.result({"file": str(output), "proofs": sorted(made.proofs), "size": made.checkpoint.size})


@command(app, "sign", example="tallystick witness sign ask.json -o head.checkpoint")
def sign(
    out: Output,
    file: Annotated[Path, typer.Argument(help="What the other party asks.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path(
        "head.checkpoint"
    ),
    evidence: Annotated[Path, typer.Option("--evidence", help="Where a fork's evidence goes.")] = Path(
        "fork.json"
    ),
    workspace: Workspace = Path(),
) -> None:
    """Check another party's head against all you have seen of it, remember it, and cosign it.

    Only parties whose card you imported are witnessed. A head that contradicts an earlier one convicts its author:
    the evidence is written to a file that `tallystick verify` explains.
    """
    from tallystick.cli._verify import read_bytes
    from tallystick.errors import ForkError
    from tallystick.node import parse_ask

    with open_node(workspace) as node:
        wanted = parse_ask(read_bytes(file))
        try:
            signed = node.cosign(wanted)
        except ForkError as error:
            if error.evidence:
                write_out(evidence, error.evidence)
                error.hint = f"the evidence is in {evidence}: `tallystick verify {evidence}` explains it"
            raise
        name = node.peers.get(signed.origin).name
    write_out(output, signed.note)
    out.line(f"{output}: the head of {name} at size {signed.size:,}, cosigned")
    out.next(f"send it back; {name} types: tallystick witness add {output}")
    out.result({"file": str(output), "origin": signed.origin, "size": signed.size})


@command(app, "attest", example="tallystick witness attest decision.receipt.json -o anchor.note")
def attest(
    out: Output,
    file: Annotated[Path, typer.Argument(help="A receipt of the other party, with its anchor.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path("anchor.note"),
    workspace: Workspace = Path(),
) -> None:
    """Read another party's anchor on your own chain endpoint, and sign that it stands there.

    With enough such lines a receipt's anchor is proved offline.
    """
    from tallystick.cli._verify import read_bytes
    from tallystick.proof import parse_receipt

    receipt = parse_receipt(read_bytes(file))
    with open_node(workspace) as node:
        note = node.attest(receipt)
        name = node.peers.get(receipt.checkpoint.origin).name
    write_out(output, note)
    out.line(f"{output}: the anchor of {name} stands on the chain that this workspace uses")
    out.next(f"send it back; {name} types: tallystick witness add {output}")
    out.result({"file": str(output), "origin": receipt.checkpoint.origin})


@command(app, "add", example="tallystick witness add head.checkpoint")
def add(
    out: Output,
    files: Annotated[list[Path], typer.Argument(help="Cosigned heads and anchor notes of yours.")],
    workspace: Workspace = Path(),
) -> None:
    """Keep what witnesses signed; receipts carry it from now on."""
    from tallystick.cli._verify import read_bytes

    kept = []
    with open_node(workspace) as node:
        for file in files:
            data = read_bytes(file)
            is_anchor = data.startswith(ANCHOR_NOTE)
            given = node.add_anchor_note(data) if is_anchor else node.add_cosignatures(data)
            what = "this anchor" if is_anchor else "this head"
            for party, seconds in given.items():
                out.line(f"{node.peers.get(party).name} saw {what} at {utc(seconds * 1_000_000)}")
                kept.append({"party": party, "time": seconds})
            if not given:
                out.line(f"{file}: no line by a party whose card was imported")
    out.next("tallystick receipt ID")
    out.result({"cosignatures": kept})
