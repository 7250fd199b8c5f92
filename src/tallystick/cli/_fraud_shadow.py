"""`tallystick fraud shadow`: your present scorer goes on deciding; its decisions are stated, ours are compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._fraud_train import history_mapping
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, write_out
from tallystick.errors import DataError

if TYPE_CHECKING:
    from tallystick.apps.fraud.shadow import Comparison, PresentScorer

__all__ = ["app", "read_file", "say_comparison"]

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "shadow",
    example="tallystick fraud shadow --data bank.csv --scores bank.csv --score-column score --alert-from 0.9 -w bank-a\n"
    "tallystick fraud shadow --data bank.csv --dump xgboost.json --days 30 -w bank-a\n"
    "tallystick fraud shadow --data bank.csv --external scorer.json --model fraud.tsm -w bank-a",
)
def shadow(
    out: Output,
    data: Annotated[Path, typer.Option("--data", help="Your payments with labels, sorted by time.")],
    scores: Annotated[Path | None, typer.Option("--scores", help="CSV of what your scorer said.")] = None,
    id_column: Annotated[str, typer.Option("--id-column", help="Its column of payment ids.")] = "id",
    score_column: Annotated[str, typer.Option("--score-column", help="Its column of scores.")] = "score",
    alert_column: Annotated[str, typer.Option("--alert-column", help="Its column of alerts: 0 or 1.")] = "",
    alert_from: Annotated[
        float | None, typer.Option("--alert-from", help="The least score that is an alert.")
    ] = None,
    dump: Annotated[
        Path | None, typer.Option("--dump", help="Or your XGBoost or LightGBM trees over our features.")
    ] = None,
    external: Annotated[
        Path | None, typer.Option("--external", help="Or the description of your scorer behind HTTP.")
    ] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Ours; trained when not named.")] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="The last days, that are played.")
    ] = 14,
    columns: Annotated[str, typer.Option("--columns", help="As for `fraud train`.")] = "",
    label: Annotated[str, typer.Option("--label", help="The column of labels.")] = "fraud",
    delay_days: Annotated[
        int, typer.Option("--delay-days", min=0, max=365, help="Until a label is known.")
    ] = 7,
    output: Annotated[Path, typer.Option("--out", "-o", help="The comparison, JSON.")] = Path("shadow.json"),
    workspace: Workspace = Path(),
) -> None:
    """State what your present scorer decided over its last days, and compare ours at the same false alerts.

    Nothing of your system changes. Each decision becomes a statement under your scorer's own hash; ours stands beside
    it, sealed, and decides nothing.
    """
    from tallystick.apps.fraud.shadow import shadow_history
    from tallystick.apps.fraud.training import read_history
    from tallystick.models import parse_model

    if sum(source is not None for source in (scores, dump, external)) != 1:
        raise DataError("your scorer must be named in one way: --scores, --dump or --external")
    ours = None if model is None else parse_model(read_file(model))
    with out.waiting("reading"):
        history = read_history(data, history_mapping(columns, label, "", ""), delay_days=delay_days)

    def present(names: tuple[str, ...]) -> PresentScorer:
        from tallystick.apps.fraud.shadow import AskedScorer, DumpedScorer, read_scores
        from tallystick.models import ExternalModel, from_dump, parse_external

        if scores is not None:
            return read_scores(
                scores,
                id_column=id_column,
                score_column=score_column,
                alert_column=alert_column,
                alert_from=alert_from,
            )
        if dump is not None:
            return DumpedScorer(from_dump(read_file(dump)).model, names=names)
        assert external is not None
        return AskedScorer(ExternalModel(parse_external(read_file(external))))

    with open_node(workspace) as node, out.progress("playing") as on_progress:
        run = shadow_history(
            node, history, present, days=days, model=ours, clock=node.clock, on_progress=on_progress
        )
    found = {**run.comparison.plain(), "learned_from": run.learned_from, "model": run.model.hash}
    write_out(output, orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    say_comparison(out, run.comparison, stated=len(run.observed))
    out.next(f"tallystick log -w {workspace} --kind decision.made")
    out.result(found)


def say_comparison(out: Output, found: Comparison, *, stated: int) -> None:
    """Tell a comparison as a table.

    Args:
        out: where.
        found: the comparison.
        stated: decisions of the present scorer that it is over, with or without a known outcome.
    """
    out.line(f"{stated:,} decisions of your present scorer stated; {found.payments:,} have a known outcome")
    if found.assumed:
        out.line(f"{found.assumed:,} of them count as genuine: nobody has said otherwise for so long")
    out.table(
        ["scorer", "frauds caught", "value caught", "false alerts"],
        [
            [name, f"{one.frauds:,} of {found.frauds:,}", f"{one.value / 100:,.2f}", f"{one.false_alerts:,}"]
            for name, one in (("present", found.present), ("ours, same false alerts", found.ours))
        ],
    )
    out.line(f"only yours caught {found.only_present:,} frauds, only ours {found.only_ours:,}")
    if found.gain is None:
        out.note(found.why_not)
    else:
        value, low, high = found.gain
        out.line(
            f"ours catches {value:+.1%} of the fraud value [{low:+.1%}, {high:+.1%}], threshold set in hindsight"
        )


def read_file(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
