"""`tallystick model show|import|export|score`: models as files, without a workspace."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output, write_out
from tallystick.cli._verify import read_bytes
from tallystick.errors import ModelFileError, TallystickError

if TYPE_CHECKING:
    from tallystick.models import IntegerModel, Scored

__all__ = ["model", "open_model", "say_reasons"]

MODEL_LIMIT = 512 * 2**20  # bytes

model = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Models: fit or bring one, look at it, score, publish, judge, promote, retire.",
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A model file.")]
Into = Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")]


def open_model(path: Path) -> Any:
    """Read a model file of any kind: the product's own, an ONNX file that was imported, an external scorer's."""
    from tallystick.models import load_foreign, parse_model

    data = read_bytes(path, limit=MODEL_LIMIT)
    if data.startswith(b'{"digest":'):
        return parse_model(data)
    return load_foreign("external" if data.startswith(b"{") else "opaque", data)


def find_model(what: str, workspace: Path) -> Any:
    """Read a model file, or the model of that name in the workspace."""
    if Path(what).is_file():
        return open_model(Path(what))
    from tallystick.cli._node import open_node

    with open_node(workspace, read_only=True) as node:
        return node.models.model(what)


@command(model, "show", example="tallystick model show heart.tsm\ntallystick model show heart@1 -w clinic")
def show(
    out: Output,
    what: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A model file, or a published model.")],
    workspace: Workspace = Path(),
) -> None:
    """Show what a model reads, what it answers, and whether a contract can execute it."""
    from tallystick.models import IntegerModel

    found = find_model(what, workspace)
    own = isinstance(found, IntegerModel)
    out.line(f"{found.name}: {found.family}, answers {' or '.join(found.labels[:8])}")
    out.line(f"hash     {found.hash}")
    described: dict[str, Any] = {
        "family": found.family,
        "hash": found.hash,
        "labels": list(found.labels),
        "name": found.name,
        "reexecutable": bool(found.reexecutable),
    }
    if own:
        described |= _show_integer(out, found)
    else:
        out.line(found.words)
    out.result(described)


def _show_integer(out: Output, found: IntegerModel) -> dict[str, Any]:
    parts = 0 if found.packed is None else len(found.packed.parts)
    executable = found.packed is not None
    out.line(f"means    {found.target}")
    out.line(f"reads    {len(found.quantiser.features)} columns as {found.quantiser.width} whole numbers")
    if found.heads == 1:
        out.line(
            f"decides  {found.labels[1]} from a score of {found.threshold:,} on; {found.unit:,} are one logit"
        )
    if executable:
        out.line(f"chain    a contract can execute it: {parts} part(s) of parameters")
    else:
        out.line("chain    no contract can execute it: register it by its hash alone")
    rows = []
    for feature in found.quantiser.features:
        kind = feature.fields()["kind"]
        rows.append([feature.name, str(kind), feature.outside, feature.title])
    out.table(["column", "kind", "outside", "title"], rows)
    return {
        "columns": [feature.fields() for feature in found.quantiser.features],
        "digest": found.digest,
        "executable": executable,
        "target": found.target,
        "threshold": found.threshold,
        "unit": found.unit,
        "width": found.quantiser.width,
    }


@command(
    model,
    "export",
    example="tallystick model export heart.tsm --onnx -o heart.onnx",
)
def export(
    out: Output,
    file: File,
    output: Into,
    onnx: Annotated[bool, typer.Option("--onnx", help="As ONNX with integer operators.")] = True,
) -> None:
    """Write a model for other tools; the ONNX file gives the same scores bit for bit."""
    from tallystick.models import IntegerModel, to_onnx

    found = open_model(file)
    if not isinstance(found, IntegerModel):
        raise ModelFileError(f"only integer models are exported, this one is {found.family}")
    data = to_onnx(found) if onnx else found.bytes
    write_out(output, data)
    out.line(f"{output}: {len(data):,} bytes, the same scores as {found.hash[:12]}…")
    out.result({"bytes": len(data), "file": str(output), "hash": found.hash})


@command(
    model,
    "score",
    example="tallystick model score heart.tsm --row patient.json\n"
    "tallystick model score heart.tsm --csv patients.csv -o scored.csv",
)
def score(
    out: Output,
    file: File,
    row: Annotated[Path | None, typer.Option("--row", help="One row: a JSON object.")] = None,
    rows: Annotated[Path | None, typer.Option("--csv", help="Many rows: a CSV file with a header.")] = None,
    reasons: Annotated[int, typer.Option("--reasons", min=1, max=4, help="How many reasons.")] = 3,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write decisions and scores as CSV.")
    ] = None,
) -> None:
    """Score rows with a model file; nothing is recorded, and nothing leaves this machine.

    An external scorer is the exception: it gets the row.
    """
    if (row is None) == (rows is None):
        raise typer.BadParameter("give either --row or --csv", param_hint="--row")
    found = open_model(file)
    if row is not None:
        _score_one(out, found, row, reasons)
    elif rows is not None:
        _score_many(out, found, rows, output)


def _score_one(out: Output, found: Any, row: Path, count: int) -> None:
    from tallystick.cli._rows import own_cells, read_row
    from tallystick.models import IntegerModel, ask_row

    cells = own_cells(found, read_row(row))
    said = ask_row(found, cells)
    own = isinstance(found, IntegerModel)
    reasons = found.reasons(cells, count) if own and found.explains else ()
    flags = found.quantiser.flags(cells) if own else ()
    out.line(f"{said.decision}{_chance(said)}")
    say_reasons(out, reasons, flags)
    if not own:
        out.line(found.words)
    out.result(
        {
            "decision": said.decision,
            "flags": list(flags),
            "model": found.hash,
            "probability": said.probability,
            "reasons": [
                {"contribution": r.contribution, "feature": r.feature, "text": r.text} for r in reasons
            ],
            "scores": list(said.scores),
        }
    )


def _chance(said: Scored) -> str:
    scores = ", ".join(f"{score:,}" for score in said.scores[:8])
    chance = "" if said.probability is None else f", probability {said.probability:.3f}"
    return f": score {scores}{chance}"


def say_reasons(out: Output, reasons: Sequence[Any], flags: Sequence[str]) -> None:
    """Write why a score is what it is, and which cells the model did not take as they were."""
    for reason in reasons:
        out.line(f"  {reason.contribution:>+10,}  {reason.text}")
    if flags:
        out.line(f"clipped or unknown to the model: {', '.join(flags)}")


def _score_many(out: Output, found: Any, rows: Path, output: Path | None) -> None:
    from tallystick.cli._rows import own_cells
    from tallystick.models import ask_row, load_rows

    _, body = load_rows(rows)
    said: list[Scored] = []
    with out.progress("scoring") as show:
        for number, cells in enumerate(body, start=2):
            try:
                said.append(ask_row(found, own_cells(found, cells)))
            except TallystickError as error:
                error.add_note(f"row {number} of {rows}")
                raise
            show(number - 1, len(body))
    if output is not None:
        write_out(output, _as_csv(said))
        out.line(f"{output}: {len(said):,} rows, in the order of {rows}")
    counts = Counter(one.decision for one in said)
    out.table(["decision", "rows"], [[label, f"{count:,}"] for label, count in counts.most_common()])
    out.result(
        {
            "model": found.hash,
            "rows": [
                {"decision": s.decision, "probability": s.probability, "scores": list(s.scores)} for s in said
            ],
        }
    )


def _as_csv(said: Sequence[Scored]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["decision", "probability", "score"])
    for one in said:
        chance = "" if one.probability is None else f"{one.probability:.6f}"
        writer.writerow([one.decision, chance, " ".join(map(str, one.scores))])
    return text.getvalue().encode()
