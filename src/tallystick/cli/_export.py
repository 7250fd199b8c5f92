"""`tallystick export bundle|tiles`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, write_out

__all__ = ["app"]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Write what others may have: bundles, hash tiles."
)


@command(
    app,
    "bundle",
    example="tallystick export bundle -o november.zip --kind decision.\ntallystick export bundle 41207 41208 --open",
)
def bundle(
    out: Output,
    statements: Annotated[list[str], typer.Argument(metavar="[ID]...", help="Which; all by default.")] = [],  # noqa: B006
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path("bundle.zip"),
    kind: Annotated[str, typer.Option("--kind", help="Only this kind; `noun.` takes all its verbs.")] = "",
    opened: Annotated[bool, typer.Option("--open", help="Open all payloads in it.")] = False,
    workspace: Workspace = Path(),
) -> None:
    """Write many receipts into one file."""
    with open_node(workspace, read_only=True) as node:
        if statements:
            wanted = [node.find(statement).index for statement in statements]
        else:
            wanted = [entry.index for entry in node.log(kind=kind)]
        with out.waiting(f"making {len(wanted):,} receipts"):
            data = node.bundle(
                wanted, disclose=lambda entry: [] if opened and entry.statement.payload else None
            )
    write_out(output, data)
    out.line(f"{output}: {len(wanted):,} receipts, {len(data):,} bytes")
    out.next(f"tallystick verify {output}")
    out.result({"bytes": len(data), "file": str(output), "receipts": len(wanted)})


@command(app, "tiles", example="tallystick export tiles public/log")
def tiles(
    out: Output,
    directory: Annotated[Path, typer.Argument(help="Where to write them.")],
    workspace: Workspace = Path(),
) -> None:
    """Write the journal's hash tiles (C2SP tlog-tiles): what anybody may see, and no statement."""
    from tallystick.proof import export_tiles

    with open_node(workspace, read_only=True) as node, out.waiting("writing tiles"):
        count = export_tiles(node.journal, directory)
        size = node.journal.size
    out.line(f"{directory}: {count:,} files for size {size:,}; serve them as they are")
    out.result({"directory": str(directory), "files": count, "size": size})
