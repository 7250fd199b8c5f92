"""`tallystick model import`: models of other tools, as integer models where that can be, else as what they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import command
from tallystick.cli._model_files import MODEL_LIMIT, Into, model
from tallystick.cli._output import Output, write_out
from tallystick.cli._verify import read_bytes
from tallystick.errors import DataError, ModelFileError

if TYPE_CHECKING:
    from tallystick.models import Fitted, ForeignModel, IntegerModel

__all__ = ["model"]


@command(
    model,
    "import",
    example="tallystick model import booster.txt --data held-out.csv --target late -o late.tsm\n"
    "tallystick model import heart.onnx -o heart.tsm\n"
    "tallystick model import any.onnx --name note --label no --label yes --result p -o note.onnx",
)
def import_model(
    out: Output,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="LightGBM text or JSON, XGBoost JSON, or ONNX.")
    ],
    output: Into,
    name: Annotated[str, typer.Option("--name", help="A short noun; the output's name by default.")] = "",
    target: Annotated[str, typer.Option("--target", help="What a yes means, in words.")] = "",
    labels: Annotated[list[str], typer.Option("--label", help="An answer; again for more, in order.")] = [],  # noqa: B006
    columns: Annotated[
        list[str], typer.Option("--column", help="A column, where the file does not name them; in order.")
    ] = [],  # noqa: B006
    data: Annotated[
        Path | None, typer.Option("--data", help="CSV rows to compare real and whole numbers over.")
    ] = None,
    result: Annotated[str, typer.Option("--result", help="Which output of an ONNX file answers.")] = "",
) -> None:
    """Bring a model from another tool.

    Trees of LightGBM and XGBoost become an integer model, without those packages, with what that cost. An ONNX file
    that `model export` wrote is that very model again. Any other ONNX file stays opaque: it is recorded and asked, and
    nobody can re-execute it; its answers say so.
    """
    found = read_bytes(file, limit=MODEL_LIMIT)
    said = {"labels": labels, "name": name or output.stem, "target": target}
    if found.lstrip()[:1] in (b"{", b"[") or found.startswith(b"tree"):
        with out.waiting("converting"):
            fitted = _from_dump(found, data, columns, said)
        made: IntegerModel | ForeignModel = fitted.model
        fidelity, notes = fitted.fidelity if data is not None else None, fitted.notes
    else:
        made, fidelity, notes = _from_onnx(found, columns, result, said), None, ()
    write_out(output, made.bytes)
    out.line(f"{output}: {made.family}")
    out.line(f"hash      {made.hash}")
    if fidelity is not None:
        out.line(
            f"fidelity  {fidelity.equal_decisions:,} of {fidelity.rows:,} decisions as with real numbers,"
            f" logits within {fidelity.largest_logit_error:.4f}"
        )
    for note in notes:
        out.note(note)
    if not made.reexecutable:
        out.line(getattr(made, "words", ""))
    out.next(f"tallystick model show {output}")
    out.result(
        {
            "equal_decisions": None if fidelity is None else fidelity.equal_decisions,
            "family": made.family,
            "file": str(output),
            "hash": made.hash,
            "notes": list(notes),
            "rows": None if fidelity is None else fidelity.rows,
        }
    )


def _from_dump(found: bytes, data: Path | None, columns: list[str], said: dict[str, Any]) -> Fitted:
    """Convert trees; where there are rows, once more over them, because only the trees say which columns they read."""
    from tallystick.models import from_dump

    fitted = from_dump(found, names=columns, **said)
    if data is None:
        return fitted
    return from_dump(found, _numbers(data, fitted.model.quantiser.names), names=columns, **said)


def _numbers(data: Path, names: tuple[str, ...]) -> list[list[float]]:
    from tallystick.models import load_rows, parse_decimal

    header, rows = load_rows(data)
    missing = [name for name in names if rows and name not in rows[0]]
    if missing:
        raise DataError(
            f"the file has no column {missing[0]!r}, which the model reads",
            hint=f"its columns are: {', '.join(header[:20])}; name the model's with --column",
        )
    gap = float("nan")
    cells = [[row[name] for name in names] for row in rows]
    return [[gap if cell is None else float(parse_decimal(cell)) for cell in row] for row in cells]


def _from_onnx(
    found: bytes, columns: list[str], result: str, said: dict[str, Any]
) -> IntegerModel | ForeignModel:
    """Read the product's own ONNX file as the model that it was made from, and any other one as opaque."""
    from tallystick.models import OpaqueDescription, OpaqueModel, describe_onnx, from_onnx

    try:
        return from_onnx(found)
    except ModelFileError:
        if not (said["labels"] and result):
            raise ModelFileError(
                "an ONNX file does not say what its numbers mean",
                hint="name --result and every --label, and --column for rows",
            ) from None
    name, target = said["name"], said["target"] or said["name"]
    description = OpaqueDescription(name, target, tuple(said["labels"]), result, tuple(columns))
    return OpaqueModel(describe_onnx(found, description))
