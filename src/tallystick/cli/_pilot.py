"""`tallystick pilot NAME`: an application's pilot, with a line for every step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli._command import command
from tallystick.cli._output import Output

__all__ = ["app"]

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Run a whole pilot on this machine, on real or on your own data.",
)


@command(
    app,
    "healthcare",
    example="tallystick pilot healthcare\n"
    "tallystick pilot healthcare --out trial --seed 7\n"
    "tallystick pilot healthcare --data rows.csv --site clinic --target readmitted",
)
def healthcare(
    out: Output,
    place: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path(
        "tallystick-pilot"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier pilot there.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same figures; keys and times differ.")] = 0,
    data: Annotated[Path | None, typer.Option("--data", help="Your own table, a CSV file.")] = None,
    site: Annotated[str, typer.Option("--site", help="Its column of the organisation.")] = "",
    target: Annotated[str, typer.Option("--target", help="Its yes-or-no column to learn.")] = "",
    positive: Annotated[str, typer.Option("--positive", help="What means yes: a value, or >NUMBER.")] = "",
) -> None:
    """Four hospitals learn together on real data, decide, and prove every decision.

    With --data the same runs on your own table. Everything stays on this machine.
    """
    from tallystick.apps import find_pilot

    if data is None:
        out.line("four hospitals, 920 patients, no row leaves its hospital")
    summary: dict[str, Any] = find_pilot("healthcare")(
        on_step=lambda step: out.step(step.name, step.text, step.seconds, good=step.good),
        out=place,
        force=force,
        seed=seed,
        data=data,
        site=site,
        target=target,
        positive=positive or None,
    )
    forged = summary["forgeries"]
    out.line()
    out.table(
        ["", "forgery", "caught by"],
        [["✓" if f["caught"] else "✗", f["name"], _brief(f["by"])] for f in forged],
    )
    out.line()
    out.line(f"open {place / 'report.html'}")
    for name, what in (
        ("bundle.zip", "all receipts in one file"),
        ("policy.json", "a real verifier gets it another way"),
        ("decision.receipt.json", "one decision, opened"),
        ("receipts/", "one file per decision"),
        ("forged/", "the forgeries"),
        ("summary.json", "every figure of the report"),
    ):
        out.line(f"     {place / name}  {what}")
    out.next(f"tallystick verify {place / 'bundle.zip'} --policy {place / 'policy.json'}")
    out.result(summary)
    if not all(item["caught"] for item in forged):
        raise typer.Exit(1)


def _brief(reason: str) -> str:
    """What a narrow table has room for: of an unmet policy, what is not proved."""
    return f"policy not met, {reason.rpartition('; ')[2]}" if "; not proved: " in reason else reason
