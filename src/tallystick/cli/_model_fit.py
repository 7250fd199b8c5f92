"""`tallystick model fit`: from a CSV file to a model file, with what its integers cost and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import command
from tallystick.cli._model_files import Into, model
from tallystick.cli._output import Output, write_out

if TYPE_CHECKING:
    from tallystick.models import Fidelity
    from tallystick.node import Judged

__all__ = ["model"]


@command(
    model,
    "fit",
    example="tallystick model fit trees --data heart.csv --target illness -o heart.tsm\n"
    "tallystick model fit linear --data loans.csv --target late --positive '>30' --site branch -o late.tsm",
)
def fit_model(
    out: Output,
    family: Annotated[str, typer.Argument(help="trees, linear or perceptron.")],
    data: Annotated[Path, typer.Option("--data", help="A CSV file with a header.")],
    target: Annotated[str, typer.Option("--target", help="Its yes-or-no column to learn.")],
    output: Into,
    name: Annotated[
        str, typer.Option("--name", help="A short noun; the output file's name by default.")
    ] = "",
    positive: Annotated[str, typer.Option("--positive", help="What means yes: a value, or >NUMBER.")] = "",
    site: Annotated[
        str, typer.Option("--site", help="Its column of the organisation; not learned from.")
    ] = "",
    trees: Annotated[int, typer.Option("--trees", min=1, help="How many trees.")] = 50,
    depth: Annotated[
        int, typer.Option("--depth", min=1, max=8, help="Their depth; to 4 for a contract.")
    ] = 4,
    hidden: Annotated[int, typer.Option("--hidden", min=1, help="Hidden units of a perceptron.")] = 16,
    held_out: Annotated[
        int, typer.Option("--held-out", min=5, max=80, help="Percent of the rows to judge by.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same rows and seed, same model.")] = 0,
) -> None:
    """Fit a model on your own table; the rows stay on this machine, and the model file holds none of them."""
    from tallystick.models import load_csv
    from tallystick.node import fit

    options: dict[str, dict[str, Any]] = {
        "trees": {"depth": depth, "trees": trees},
        "perceptron": {"hidden": hidden},
    }
    table = load_csv(data, target=target, site=site, positive=positive or None)
    with out.waiting("fitting"):
        fitted, judged = fit(
            family,
            table,
            held_out=held_out / 100,
            seed=seed,
            name=name or output.stem,
            **options.get(family, {}),
        )
    write_out(output, fitted.model.bytes)
    for note in (*table.notes, *fitted.notes):
        out.note(note)
    out.line(f"{output}: {family} on {len(table) - judged.rows:,} rows, judged by {judged.rows:,} others")
    _say(out, fitted.fidelity, judged)
    out.line(f"hash      {fitted.model.hash}")
    out.next(f"tallystick model publish {output} --name {fitted.model.name} -w DIR")
    out.result(
        {
            "family": family,
            "fidelity": {
                "equal_decisions": fitted.fidelity.equal_decisions,
                "largest_logit_error": fitted.fidelity.largest_logit_error,
                "rows": fitted.fidelity.rows,
            },
            "figures": judged.figures(),
            "file": str(output),
            "hash": fitted.model.hash,
            "notes": [*table.notes, *fitted.notes],
            "target": fitted.model.target,
        }
    )


def _say(out: Output, fidelity: Fidelity, judged: Judged) -> None:
    out.line(
        f"fidelity  {fidelity.equal_decisions:,} of {fidelity.rows:,} decisions as with real numbers,"
        f" logits within {fidelity.largest_logit_error:.4f}"
    )
    for figure, title in (("auroc", "AUROC"), ("accuracy", "accuracy"), ("brier", "Brier")):
        out.line(f"{title:<9} {judged.figures()[figure]}")
