"""`tallystick ask`: one row, one answer, durable before it is shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output, utc, write_out

if TYPE_CHECKING:
    from tallystick.decisions import Answer
    from tallystick.node import Node

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

_AUTHORISATION = "TALLYSTICK_SCORER_AUTHORIZATION"


@command(
    app,
    "ask",
    example="tallystick ask heart --row patient.json\n"
    "tallystick ask heart --row patient.json --permit 9f2c41d07a --subject 4711 -o decision.receipt.json",
)
def ask(
    out: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="heart, heart@2, or a hash.")],
    row: Annotated[Path, typer.Option("--row", help="The row: a JSON object of column and cell.")],
    permit: Annotated[str, typer.Option("--permit", help="The statement that permits it.")] = "",
    subject: Annotated[str, typer.Option("--subject", help="Whom it is about; her key seals it.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who asks; cannot confirm or review it.")] = "",
    reasons: Annotated[int, typer.Option("--reasons", min=1, max=4, help="How many reasons.")] = 3,
    level: Annotated[str, typer.Option("--level", help="Assurance level; a node by itself gives L0.")] = "L0",
    reveal: Annotated[
        list[str], typer.Option("--reveal", help="Who may see the input or the weights; again for more.")
    ] = [],  # noqa: B006
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the answer's receipt, payload closed.")
    ] = None,
    workspace: Workspace = Path(),
) -> None:
    """Ask a model: the answer is shown only after its statement is durable.

    Input, scores and reasons are sealed; everybody may read the model's hash, the level and the permit.
    """
    from tallystick.cli._node import open_node
    from tallystick.cli._rows import own_cells, read_row

    cells = read_row(row)
    with open_node(workspace) as node, out.waiting("asking"):
        _credentials(node)
        answer = node.ask(
            name,
            own_cells(node.models.model(name), cells),
            permit=node.find(permit).id if permit else None,
            subject=subject,
            by=by,
            k=reasons,
            level=level,
            reveal=reveal,
        )
        receipt = None if output is None else node.receipt(answer.statement)
    if output is not None and receipt is not None:
        write_out(output, receipt.format())
    _say(out, answer)
    if output is not None:
        out.line(f"receipt    {output}")
    short = answer.statement[:12]
    if answer.is_pending:
        out.next(f"tallystick review confirm {short} --by PERSON -w {workspace}")
    else:
        out.next(f"tallystick receipt {short} -w {workspace}")
    out.result(_plain(answer))


def _credentials(node: Node) -> None:
    """Take an external scorer's credentials from the environment: never from the command line, never from a file of ours."""
    given = os.environ.get(_AUTHORISATION)
    if given:
        node.models.headers = lambda: {"Authorization": given}


def _say(out: Output, answer: Answer) -> None:
    from tallystick.cli._model_files import say_reasons

    chance = "" if answer.probability is None else f", probability {answer.probability:.3f}"
    if answer.until is not None:
        out.line(f"{answer.proposal}{chance}: proposed, a person has to confirm it until {utc(answer.until)}")
    else:
        out.line(f"{answer.decision}{chance}")
    say_reasons(out, answer.reasons, answer.flags)
    out.line(f"level      {answer.level}: {answer.words}")
    out.line(f"who sees   {answer.who_sees.text}")
    out.line(f"model      {answer.model or 'none: a written rule decided'}")
    out.line(f"statement  {answer.statement}")


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "decision": answer.decision,
        "flags": list(answer.flags),
        "is_pending": answer.is_pending,
        "level": answer.level,
        "model": answer.model,
        "probability": answer.probability,
        "proposal": answer.proposal,
        "reasons": [
            {"contribution": reason.contribution, "feature": reason.feature, "text": reason.text}
            for reason in answer.reasons
        ],
        "scores": list(answer.scores),
        "statement": answer.statement,
        "until": answer.until,
        "who_sees": {"input": list(answer.who_sees.input), "weights": list(answer.who_sees.weights)},
        "words": answer.words,
    }
