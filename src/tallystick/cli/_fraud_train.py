"""`tallystick fraud simulate` and `tallystick fraud train`: payments to try it with, and a detector of your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from tallystick.cli._command import command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, write_out
from tallystick.errors import ConfigurationError, DataError, StorageError

if TYPE_CHECKING:
    from tallystick.apps.fraud.payments import ColumnMapping
    from tallystick.apps.fraud.training import Trained

__all__ = ["app", "history_mapping"]

app = typer.Typer(rich_markup_mode=None)
# What `fraud simulate` writes.
OWN_FIELDS: Final = (
    "id", "at", "amount", "currency", "customer", "payee", "channel", "card", "terminal", "device",
)  # fmt: skip
SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
CHAIN_DEPTH: Final = 4  # up to which a contract executes trees
SUMMARY: Final = "SIMULATED.json"
_Days = {"min": 1, "max": 3650}


@command(app, "simulate", example="tallystick fraud simulate --payments 200000 --banks 3 --out simulated")
def simulate(
    out: Output,
    payments: Annotated[int, typer.Option("--payments", help="Of all banks together.")] = 200_000,
    banks: Annotated[int, typer.Option("--banks", help="That share shops and payees.")] = 3,
    days: Annotated[int, typer.Option("--days", help="That they are spread over.")] = 60,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same payments.")] = 0,
    place: Annotated[Path, typer.Option("--out", "-o", help="A directory.")] = Path("simulated"),
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier run wrote there.")] = False,
) -> None:
    """Make SIMULATED payments of several banks, one CSV each, with what they turned out to be."""
    from tallystick.apps.fraud.simulator import SimulatorSettings
    from tallystick.apps.fraud.simulator import simulate as make

    if not force and (place / SUMMARY).exists():
        raise ConfigurationError(
            f"{place} holds SIMULATED payments already", hint="name another directory with --out, or --force"
        )
    made = make(SimulatorSettings(banks=banks, payments=payments, days=days, seed=seed))
    files = []
    try:
        place.mkdir(parents=True, exist_ok=True)
        with out.progress("writing") as on_progress:
            for bank, name in enumerate(made.bank_names):
                file = place / f"{name.lower().replace(' ', '-')}.csv"
                made.write_csv(file, bank=bank)
                files.append(str(file))
                on_progress(bank + 1, banks)
    except OSError as error:
        raise StorageError(f"{place} could not be written: {error.strerror}") from error
    summary = {**made.summary(), "files": files}
    write_out(place / SUMMARY, orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    out.line(f"{len(made):,} SIMULATED payments of {banks} banks, {int(made.fraud.sum()):,} of them fraud")
    out.table(["kind of fraud", "payments"], [[k, f"{n:,}"] for k, n in summary["frauds"].items()])
    out.line(f"{place}: one CSV for each bank; SIMULATED.json says how they were made")
    out.next(f"tallystick fraud train --data {files[0]} -o fraud.tsm")
    out.result(summary)


@command(
    app,
    "train",
    example="tallystick fraud train --data simulated/bank-a.csv -o fraud.tsm\n"
    "tallystick fraud train --data mine.csv --columns "
    "at=When,amount=Amount,customer=Account,payee=Merchant,currency==EUR --label Fraud\n"
    "tallystick fraud train --data steps.csv --columns at=step,amount=amount,customer=nameOrig,payee=nameDest"
    " --label isFraud --time-unit hour --time-start 2026-01-01",
)
def train(
    out: Output,
    data: Annotated[Path, typer.Option("--data", help="CSV, JSON lines or Parquet, sorted by time.")],
    columns: Annotated[
        str, typer.Option("--columns", help="field=column or field==constant, by commas.")
    ] = "",
    label: Annotated[str, typer.Option("--label", help="The column of labels: 0 or 1, yes or no.")] = "fraud",
    time_unit: Annotated[
        str, typer.Option("--time-unit", help="Times are steps of a second, minute, hour or day.")
    ] = "",
    time_start: Annotated[
        str, typer.Option("--time-start", help="When step 0 was: 2026-01-01.")
    ] = "2026-01-01",
    train_days: Annotated[int, typer.Option("--train-days", **_Days, help="Learned from.")] = 7,
    delay_days: Annotated[
        int, typer.Option("--delay-days", min=0, max=365, help="Until a label is known.")
    ] = 7,
    test_days: Annotated[int, typer.Option("--test-days", **_Days, help="Judged by, the last ones.")] = 7,
    keep_known: Annotated[
        bool, typer.Option("--keep-known", help="Keep customers of known frauds in the test.")
    ] = False,
    trees: Annotated[int, typer.Option("--trees", min=1, max=2000, help="How many.")] = 50,
    depth: Annotated[int, typer.Option("--depth", min=1, max=8, help="Of a tree; chains take up to 4.")] = 4,
    budget: Annotated[
        float, typer.Option("--budget", help="Share of payments that may raise alerts.")
    ] = 0.005,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same table and seed, same model.")] = 0,
    output: Annotated[Path, typer.Option("--out", "-o", help="The model file.")] = Path("fraud.tsm"),
    publish: Annotated[bool, typer.Option("--publish", help="State model and evaluation.")] = False,
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", envvar="TALLYSTICK_WORKSPACE", help="For --publish.")
    ] = Path(),
) -> None:
    """Train a detector on your own payments and judge it by later ones; no row leaves this machine.

    Days to learn from, days until labels are known, days to judge by, never a random split.
    """
    from dataclasses import replace

    from tallystick.apps.fraud.training import DEEP, Growth, Protocol, read_history, train_detector

    growth = replace(Growth() if depth <= CHAIN_DEPTH else DEEP, trees=trees, depth=depth)
    protocol = Protocol(train_days, delay_days, test_days, not keep_known)
    mapping = history_mapping(columns, label, time_unit, time_start)
    if not output.parent.is_dir():  # said before the long work
        raise StorageError(
            f"there is no directory {output.parent}", hint="make it, or name another with --out"
        )
    with out.waiting("reading"):
        history = read_history(data, mapping, delay_days=delay_days)
    with out.waiting("computing features, training"):
        trained = train_detector(
            history, protocol=protocol, growth=growth, name="fraud", budget=budget,
            seed=seed,
        )  # fmt: skip
    report = {**trained.report(), **_policy(trained, budget), "file": str(output), "skipped": history.skipped}
    write_out(output, trained.fitted.model.bytes)
    write_out(output.with_suffix(".json"), orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    published = _publish(out, trained, workspace) if publish else ""
    beside = workspace / "fraud.reference.json" if published else output.with_suffix(".reference.json")
    write_out(beside, _reference(trained))
    _say(out, trained, report, output)
    if published:
        out.line(f"published {published}, with its evaluation")
    _write_settings(out, report, published, output, workspace, beside.name)
    place = workspace if published else output.parent
    out.next(
        f"tallystick fraud serve -w {place}"
        if published or _is_workspace(place)
        else f"tallystick model publish {output} --name fraud -w DIR"
    )
    out.result({**report, "published": published})


def history_mapping(columns: str, label: str, unit: str, start: str) -> ColumnMapping:
    """Read which column is which field; the fields' own names when nothing is said."""
    from tallystick.apps.fraud.payments import ColumnMapping

    if unit and unit not in SECONDS:
        raise DataError(f"a time unit must be {', '.join(SECONDS)}", hint="or name a column of timestamps")
    if not columns:
        parts = [*(f"{name}={name}" for name in OWN_FIELDS), "time==unix-us", "amounts==minor"]
    else:
        parts = [part.strip() for part in columns.split(",")]
    named = {part.partition("=")[0].strip() for part in parts}
    if "fraud" not in named:
        parts.append(f"fraud={label}")
    if "currency" not in named:
        parts.append("currency==EUR")
    if unit:
        moment = start if "T" in start else f"{start}T00:00:00Z"
        parts += [f"time==step:{SECONDS[unit]}", f"start=={moment}"]
    return ColumnMapping.parse(",".join(parts))


def _is_workspace(place: Path) -> bool:
    return (place / "tallystick.toml").exists()


def _policy(trained: Trained, budget: float) -> dict[str, Any]:
    from tallystick.apps.fraud.deciding import DecisionPolicy

    found = DecisionPolicy.for_budget(trained.test_scores, alert_budget=budget)
    return {
        "policy": {
            "decline_score": found.decline_score,
            "hold_score": found.hold_score,
            "review_score": found.review_score,
        }
    }


def _reference(trained: Trained) -> bytes:
    """Say what payments looked like that the model was judged by: drift of the service is measured from them."""
    from tallystick.apps.fraud.deciding import Reference

    model = trained.fitted.model
    inputs = model.quantiser.inputs_of_array(trained.test_features)
    return Reference.of(model.hash, model.quantiser.names, inputs, trained.test_scores).format()


def _publish(out: Output, trained: Trained, workspace: Path) -> str:
    with open_node(workspace) as node, out.waiting("publishing"):
        labels = trained.test_fraud.astype(int).tolist()
        judged = node.models.evaluate(trained.fitted, trained.test_features, labels, cohort=trained.cohort)
        return str(node.models.publish(trained.fitted, "fraud", evaluation=judged).label)


def _say(out: Output, trained: Trained, report: dict[str, Any], output: Path) -> None:
    quality = trained.quality
    if trained.simulated:
        out.line("SIMULATED payments: figures of the simulator, not of your customers")
    if report["skipped"]:
        out.note(f"{report['skipped']:,} rows have no label and were left out")
    out.line(
        f"{output}: learned from {report['learned_from']:,} payments, {report['frauds_learned']:,} of them fraud"
    )
    out.line(
        f"judged by {quality.payments:,} later ones, {quality.frauds:,} of them fraud;"
        f" {report['dropped']:,} of customers with known frauds left out"
    )
    out.table(["measure", "value [95% interval]"], [list(line) for line in quality.lines()])
    if quality.why_not:
        out.note(quality.why_not)
    out.line(f"hash  {trained.fitted.model.hash}")


def _write_settings(
    out: Output, report: dict[str, Any], published: str, output: Path, workspace: Path, reference: str
) -> None:
    """Write the settings by which the service decides with this model, where there are none yet.

    A published model's go where the service looks for them; others stand beside the model.
    """
    named = [f'champion = "{published}"']
    if not published:
        named = [f'champion_file = "{output.name}"', f'champion_hash = "{report["model"]}"']
    named.append(f'reference = "{reference}"')
    policy = [f"{name} = {value}" for name, value in sorted(report["policy"].items(), reverse=True)]
    lines = ["version = 1", "", "[models]", *named, "", "[policy]", *policy]
    file = workspace / "fraud.toml" if published else output.with_suffix(".toml")
    if file.exists():
        out.note(f"{file} is there already and stays; the thresholds stand in {output.with_suffix('.json')}")
        return
    write_out(file, ("\n".join(lines) + "\n").encode())
    hint = f"; a workspace has it as fraud.toml, beside {output.name} and {reference}"
    if published or _is_workspace(file.parent):
        hint = ""
    out.line(f"{file}: model and thresholds for the service{hint}")
