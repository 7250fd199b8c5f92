"""`tallystick review ...`, `appeal`, `control ...`: people in charge of what models decide."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, at, utc

if TYPE_CHECKING:
    from tallystick.decisions import Band, Control, Effect
    from tallystick.node import Node

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)
review = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Decisions that wait for a person, with their deadlines.",
)
control = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="How far models may decide; the kill switch."
)
app.add_typer(review, name="review")
app.add_typer(control, name="control")

_UNITS = {"m": 60, "h": 3600, "d": 86400}
_duration = re.compile(r"([1-9][0-9]{0,5})([mhd])").fullmatch

Decision = Annotated[str, typer.Argument(metavar="ID", help="The decision's statement.")]
Person = Annotated[str, typer.Option("--by", help="Who does this; sealed in the statement.")]
Note = Annotated[str, typer.Option("--note", help="Why, in this case; sealed.")]
Why = Annotated[str, typer.Option("--reason", help="Why, in general words that everybody may read.")]


@command(review, "list", example="tallystick review list")
def list_waiting(out: Output, workspace: Workspace = Path()) -> None:
    """List what waits for a person, the most urgent first."""
    with open_node(workspace, read_only=True) as node:
        waiting = node.oversight.waiting()
        now = node.clock()
    rows = [
        [one.decision[:12], one.asks, str(one.heard), at(one.until), "late" if one.until <= now else ""]
        for one in waiting
    ]
    out.table(["decision", "asks", "heard", "until, UTC", ""], rows)
    if waiting:
        out.next(f"tallystick review show {waiting[0].decision[:12]} -w {workspace}")
    out.result(
        [{"asks": w.asks, "decision": w.decision, "heard": w.heard, "until": w.until} for w in waiting]
    )


@command(review, "show", example="tallystick review show 9f2c41d07a")
def show(out: Output, decision: Decision, workspace: Workspace = Path()) -> None:
    """Show a decision, what it is worth now, and what it was decided on; this opens it on your screen only."""
    from tallystick.errors import DisclosureError

    with open_node(workspace, read_only=True) as node:
        entry = node.find(decision)
        effect = node.oversight.effect(entry.id)
        try:
            sealed: Any = node.journal.payload(entry.id)
        except DisclosureError:
            sealed = None
    said = entry.statement
    out.line(f"{said.kind} of {utc(said.at)}: {effect}")
    opened = sealed if isinstance(sealed, dict) else {}
    if not opened:
        out.line("what was decided cannot be opened any more")
    for name in ("answer", "probability", "score"):
        if name in opened:
            out.line(f"{name:<12} {opened[name]}")
    for reason in opened.get("reasons", []):
        out.line(f"  {reason if isinstance(reason, str) else reason['text']}")
    for name, cell in opened.get("input", {}).items():
        out.line(f"  {name} = {'missing' if cell is None else cell}")
    out.result({"body": dict(said.body), "effect": str(effect), "id": entry.id, "opened": opened})


@command(review, "confirm", example="tallystick review confirm 9f2c41d07a --by dr-7")
def confirm(
    out: Output, decision: Decision, by: Person, note: Note = "", workspace: Workspace = Path()
) -> None:
    """Let what a model proposed come into force, before its deadline; not who asked."""
    with open_node(workspace) as node:
        found = node.find(decision).id
        statement = node.oversight.confirm(found, by=by, note=note)
        _done(out, node, found, statement, "confirmed")


@command(
    review,
    "override",
    example='tallystick review override 9f2c41d07a --by dr-7 --to no --reason "the sample was mixed up"',
)
def override(
    out: Output,
    decision: Decision,
    by: Person,
    to: Annotated[str, typer.Option("--to", help="The answer that counts instead.")],
    reason: Why,
    note: Note = "",
    workspace: Workspace = Path(),
) -> None:
    """Decide otherwise than the model did; after an appeal it takes two persons who say the same."""
    with open_node(workspace) as node:
        found = node.find(decision).id
        if _is_appealed(node.oversight.effect(found)):
            statement = node.oversight.review(found, by=by, to=to, note=note or reason)
        else:
            _refuse_release(node, found, to)
            statement = node.oversight.override(found, by=by, to=to, reason=reason, note=note)
        _done(out, node, found, statement, f"{by} says {to}")


def _refuse_release(node: Node, decision: str, to: str) -> None:
    """Let no single person release a stopped payment, whichever way she comes: the service asks for two as well."""
    from tallystick.errors import AccessDeniedError, DisclosureError

    try:
        sealed: Any = node.journal.payload(decision)
    except DisclosureError:
        return  # erased: there is no payment left to release
    stopped = isinstance(sealed, dict) and "payment" in sealed and sealed.get("answer") in ("hold", "decline")
    if stopped and to == "approve":
        raise AccessDeniedError(
            "a stopped payment goes when two persons say so, not one",
            hint="two keys judge its case (POST /v1/cases/…/judge), or `tallystick appeal`, then two `review override`",
        )


@command(review, "uphold", example="tallystick review uphold 9f2c41d07a --by dr-8")
def uphold(
    out: Output, decision: Decision, by: Person, note: Note = "", workspace: Workspace = Path()
) -> None:
    """Look at an appealed decision again and leave it as it is; it takes two persons."""
    with open_node(workspace) as node:
        found = node.find(decision).id
        statement = node.oversight.review(found, by=by, note=note)
        _done(out, node, found, statement, f"{by} upholds it")


@command(
    app, "appeal", example='tallystick appeal 9f2c41d07a --by "patient 4711" --reason "wrong blood group"'
)
def appeal(
    out: Output,
    decision: Decision,
    by: Person,
    reason: Annotated[str, typer.Option("--reason", help="Why; sealed.")],
    subject: Annotated[str, typer.Option("--subject", help="Under whose key it is sealed.")] = "",
    workspace: Workspace = Path(),
) -> None:
    """Object to a decision; two other persons review it before its deadline, or nobody may act on it."""
    with open_node(workspace) as node:
        found = node.find(decision).id
        statement = node.oversight.appeal(found, by=by, grounds=reason, subject=subject)
        until = next(one.until for one in node.oversight.waiting() if one.decision == found)
        out.line(f"appeal stated; two persons review it until {utc(until)}")
        _done(out, node, found, statement, "appealed")
    out.next(f"tallystick review uphold {found[:12]} --by PERSON -w {workspace}, or: review override")


def _is_appealed(effect: Effect) -> bool:
    return str(effect) in ("appealed", "suspended")


def _done(out: Output, node: Node, decision: str, statement: str, done: str) -> None:
    effect = node.oversight.effect(decision)
    out.line(f"{decision[:12]}  {done}; it is now {effect}")
    out.line(f"statement  {statement}")
    out.result({"decision": decision, "effect": str(effect), "statement": statement})


# -- controls ----------------------------------------------------------------------------------------------


@command(control, "show", example="tallystick control show\ntallystick control show --model heart")
def show_control(
    out: Output,
    name: Annotated[str, typer.Option("--model", help="Of this model; of all models by default.")] = "",
    workspace: Workspace = Path(),
) -> None:
    """Show how far a model may decide now."""
    with open_node(workspace, read_only=True) as node:
        scope = _scope(node, name)
        found = node.oversight.control(scope)
    _say_control(out, found, name)
    out.result({**found.body(scope=scope, reason=""), "statement": found.statement})


@command(
    control,
    "set",
    example='tallystick control set refuse --by dr-7 --reason "drift seen"\n'
    "tallystick control set confirm --model heart --band high:9000: --for 30d --by dr-7 --reason trial\n"
    'tallystick control set normal --by dr-7 --second dr-8 --reason "the sensor was replaced"',
)
def set_control(
    out: Output,
    mode: Annotated[str, typer.Argument(help="normal, confirm, rules or refuse, each stricter.")],
    by: Person,
    reason: Why,
    second: Annotated[str, typer.Option("--second", help="A second person, to make it less strict.")] = "",
    name: Annotated[str, typer.Option("--model", help="For this model; for all by default.")] = "",
    band: Annotated[
        list[str],
        typer.Option("--band", help="NAME:LOW:HIGH of scores to confirm; LOW or HIGH may be empty."),
    ] = [],  # noqa: B006
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 90m, 8h, 30d; then refuse.")] = "",
    workspace: Workspace = Path(),
) -> None:
    """Say how far models may decide from now on; `refuse` is the kill switch and takes one person.

    When its time is over nothing is decided until a person sets it anew.
    """
    from tallystick.decisions import Control

    bands = tuple(_band(text) for text in band)
    with open_node(workspace) as node:
        until = node.clock() + _seconds(lasts) * 1_000_000 if lasts else None
        scope = _scope(node, name)
        wanted = Control(mode, bands, until)
        statement = node.oversight.set_control(wanted, by=by, second=second, reason=reason, scope=scope)
        found = node.oversight.control(scope)
    _say_control(out, found, name)
    out.line(f"statement  {statement}")
    out.result({**found.body(scope=scope, reason=reason), "statement": statement})


def _scope(node: Node, name: str) -> str:
    from tallystick.decisions import EVERY_MODEL

    return node.models.find(name).hash if name else EVERY_MODEL


def _seconds(text: str) -> int:
    found = _duration(text)
    if found is None:
        raise typer.BadParameter(f"expected 90m, 8h or 30d, got {text!r}", param_hint="--for")
    return int(found[1]) * _UNITS[found[2]]


def _band(text: str) -> Band:
    from tallystick.decisions import Band

    name, *bounds = text.split(":")
    try:
        low, high = (int(bound) if bound else None for bound in bounds)
    except ValueError as error:
        raise typer.BadParameter(f"expected NAME:LOW:HIGH, got {text!r}", param_hint="--band") from error
    return Band(name, low, high)


def _say_control(out: Output, found: Control, name: str) -> None:
    words = {
        "normal": "models decide by themselves",
        "confirm": "a person confirms",
        "rules": "a written rule decides in the models' place",
        "refuse": "nothing is decided",
    }[found.mode]
    out.line(f"{found.mode}: {words}{f', for {name}' if name else ''}")
    for band in found.bands:
        low, high = (("" if bound is None else f"{bound:,}") for bound in (band.low, band.high))
        out.line(f"  {band.name}: scores from {low or 'the least'} to below {high or 'any'}")
    if found.until is not None:
        out.line(f"until {utc(found.until)}; then nothing is decided until a person sets it anew")
