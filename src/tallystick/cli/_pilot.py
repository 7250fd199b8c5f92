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
    "tallystick pilot healthcare --network\n"
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
    network: Annotated[
        bool,
        typer.Option("--network", help="Four validators, one killed, one cut off; `make network` first."),
    ] = False,
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
        network=network,
        on_progress=out.status,
    )
    _show_forgeries(out, summary)
    _show_files(
        out,
        place,
        ("bundle.zip", "all receipts in one file"),
        ("policy.json", "a real verifier gets it another way"),
        ("decision.receipt.json", "one decision, opened"),
        ("receipts/", "one file per decision"),
        ("forged/", "the forgeries"),
        ("summary.json", "every figure of the report"),
    )
    out.next(f"tallystick verify {place / 'bundle.zip'} --policy {place / 'policy.json'}")
    _finish(out, summary)


@command(
    app,
    "oracle",
    example="tallystick pilot oracle\n"
    "tallystick pilot oracle --out cold --seed 7\n"
    "tallystick pilot oracle --data loggers.csv --columns lot=Batch,time=Zeit,temperature=T1",
)
def oracle(
    out: Output,
    place: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path(
        "tallystick-oracle-pilot"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier pilot there.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same lots and scores; keys differ.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--data", help="Your own readings: CSV of lot, time, temperature in °C.")
    ] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="Its columns of other names: lot=A,time=B,temperature=C.")
    ] = "",
    network: Annotated[
        bool, typer.Option("--network", help="Four validators, one of them killed; `make network` first.")
    ] = False,
) -> None:
    """Let a contract release, hold back and pay for vaccine lots by the answer of seven oracle nodes.

    One of them lies, then four collude, and a watcher overturns them. Lots and model are SIMULATED; with --data the
    readings are your own. Everything stays on this machine.
    """
    from tallystick.apps import find_pilot

    out.line(f"a cold chain decides by itself; lots {'yours, model' if data else 'and model'} SIMULATED")
    summary: dict[str, Any] = find_pilot("oracle")(
        on_step=lambda step: out.step(step.name, step.text, step.seconds, good=step.good),
        out=place,
        force=force,
        seed=seed,
        data=data,
        columns=columns,
        network=network,
        on_progress=out.status,
    )
    _show_levels(out, summary)
    _show_forgeries(out, summary)
    _show_files(
        out,
        place,
        ("bundle.zip", "all receipts in one file"),
        ("policy.json", "a real verifier gets it another way"),
        ("shipment.receipt.json", "what the contract did with one lot"),
        ("forged/", "the forgeries"),
        ("summary.json", "every figure of the report"),
    )
    bundle, policy = place / "bundle.zip", place / "policy.json"
    out.next(f"tallystick trace {place / 'shipment.receipt.json'} --bundle {bundle} --policy {policy}")
    _finish(out, summary)


@command(
    app,
    "fraud",
    example="tallystick pilot fraud\n"
    "tallystick pilot fraud --payments 60000 --seed 7 --out trial\n"
    "tallystick pilot fraud --data cards.csv --columns at=T,amount=A,fraud=F,…",
)
def fraud(
    out: Output,
    place: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path(
        "tallystick-fraud-pilot"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier pilot there.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same payments; keys and times differ.")] = 0,
    payments: Annotated[
        int, typer.Option("--payments", help="SIMULATED payments to replay, at least 30,000.")
    ] = 200_000,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Your own payments in time order: CSV, JSON lines or Parquet."),
    ] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="Which column is which field: amount=A,customer=B,currency==EUR.")
    ] = "",
    network: Annotated[
        bool, typer.Option("--network", help="Four validators, one of them killed; `make network` first.")
    ] = False,
) -> None:
    """Three banks decide payments in real time, and catch together what none sees alone.

    Every decision is signed, explained and durable before its answer leaves. Payments are SIMULATED; with --data they
    are your own. Everything stays on this machine.
    """
    from tallystick.apps import find_pilot

    out.line(
        f"three banks, each with its own journal, models and people; payments {'yours' if data else 'SIMULATED'}"
    )
    summary: dict[str, Any] = find_pilot("fraud")(
        on_step=lambda step: out.step(step.name, step.text, step.seconds, good=step.good),
        on_progress=out.status,
        out=place,
        force=force,
        seed=seed,
        payments=payments,
        data=data,
        columns=columns,
        network=network,
    )
    _show_arms(out, summary)
    _show_forgeries(out, summary)
    _show_files(
        out,
        place,
        ("bundle.zip", "receipts of all banks in one file"),
        ("policy.json", "a real verifier gets it another way"),
        ("decision.receipt.json", "one decision, opened"),
        ("forged/", "the forgeries"),
        ("summary.json", "every figure of the report"),
    )
    bundle, policy = place / "bundle.zip", place / "policy.json"
    out.next(f"tallystick trace {place / 'decision.receipt.json'} --bundle {bundle} --policy {policy}")
    _finish(out, summary)


def _show_arms(out: Output, summary: dict[str, Any]) -> None:
    out.line()
    out.table(
        ["case", "fraud value stopped", "95% interval", "recall at 0.5% alerts"],
        [
            [
                arm["name"],
                f"{arm['value']['value']:.0%}" if arm["value"] else "not enough data",
                f"{arm['value']['low']:.0%} to {arm['value']['high']:.0%}" if arm["value"] else "",
                f"{arm['recall_at_budget']:.0%}",
            ]
            for arm in summary["arms"]
        ],
    )


def _show_levels(out: Output, summary: dict[str, Any]) -> None:
    levels = summary["levels"].values()
    out.line()
    out.table(
        ["level", "lot", "gas", "seconds", "who sees the input"],
        [
            [
                one["level"],
                one["outcome"],
                f"{one['gas']:,}",
                f"{one['seconds']:.1f}",
                ", ".join(one["who_sees"]["input"]),
            ]
            for one in levels
        ],
    )
    for one in levels:
        out.line(f"{one['level']} may claim: {one['claim']}")


def _show_forgeries(out: Output, summary: dict[str, Any]) -> None:
    out.line()
    out.table(
        ["", "forgery", "caught by"],
        [["✓" if f["caught"] else "✗", f["name"], _brief(f["by"])] for f in summary["forgeries"]],
    )


def _show_files(out: Output, place: Path, *files: tuple[str, str]) -> None:
    out.line()
    out.line(f"open {place / 'report.html'}")
    for name, what in files:
        out.line(f"     {place / name}  {what}")


def _finish(out: Output, summary: dict[str, Any]) -> None:
    out.result(summary)
    if not all(item["caught"] for item in summary["forgeries"]):
        raise typer.Exit(1)


def _brief(reason: str) -> str:
    """What a narrow table has room for: of an unmet policy, what is not proved."""
    return f"policy not met, {reason.rpartition('; ')[2]}" if "; not proved: " in reason else reason
