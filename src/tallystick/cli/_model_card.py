"""`tallystick model card`: a version's model card, each part marked as proved or claimed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._model_files import model
from tallystick.cli._model_use import GATE_LIMIT, Name, judge_rows
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, write_out
from tallystick.cli._verify import read_bytes

__all__ = ["model"]

STANDING = "tallystick:standing:"
Texts = list[str]


@command(
    model,
    "card",
    example='tallystick model card heart --use "triage by a nurse" --not-for children -o heart.cdx.json\n'
    "tallystick model card heart --data held-out.csv --target illness --group sex -o heart.cdx.json",
)
def card(
    out: Output,
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")],
    uses: Annotated[Texts, typer.Option("--use", help="What it is meant for; again for more.")] = [],  # noqa: B006
    users: Annotated[Texts, typer.Option("--user", help="Who is meant to use it; again for more.")] = [],  # noqa: B006
    limits: Annotated[
        Texts, typer.Option("--not-for", help="What it must not be used for; again for more.")
    ] = [],  # noqa: B006
    data: Annotated[Path | None, typer.Option("--data", help="The rows that it was judged by.")] = None,
    target: Annotated[str, typer.Option("--target", help="Their column of what turned out.")] = "",
    positive: Annotated[str, typer.Option("--positive", help="What means yes, as for evaluate.")] = "",
    group: Annotated[str, typer.Option("--group", help="Their column of groups.")] = "",
    gate: Annotated[Path | None, typer.Option("--gate", help="The gate it was held to.")] = None,
    cohort: Annotated[str, typer.Option("--cohort", help="Which rows, as for evaluate.")] = "",
    workspace: Workspace = Path(),
) -> None:
    """Write a model card (CycloneDX 1.7 ML-BOM), each part marked proved, signed claim or unsigned claim.

    With the rows of `model evaluate` its figures are computed again: a signed claim where they were reported.
    """
    from tallystick.models import parse_gate

    if (data is None) != (not target):
        raise typer.BadParameter("--data and --target go together", param_hint="--data")
    with open_node(workspace, read_only=True) as node, out.waiting("writing the card"):
        version = node.models.find(name)
        judged = None
        if data is not None:
            held = None if gate is None else parse_gate(read_bytes(gate, limit=GATE_LIMIT).rstrip())
            judged = judge_rows(
                node,
                version,
                data,
                target,
                positive=positive,
                group=group,
                gate=held,
                cohort=cohort or data.name,
            )
        written = node.models.card(version, judged, uses=uses, users=users, limits=limits)
    write_out(output, written)
    facts = {one["name"]: one["value"] for one in orjson.loads(written)["components"][0]["properties"]}
    standings = {
        name.removeprefix(STANDING): said for name, said in facts.items() if name.startswith(STANDING)
    }
    out.line(f"{output}: card of {version.label}")
    for part, standing in standings.items():
        out.line(f"{part:<11} {standing}")
    out.result({"file": str(output), "hash": version.hash, "standings": standings})
