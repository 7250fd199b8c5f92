"""`tallystick retention ...`: how long entries are kept, legal holds, disposal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, utc

if TYPE_CHECKING:
    from tallystick.node import Hold, Plan

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)
retention = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="How long entries are kept; legal holds; disposal."
)
app.add_typer(retention, name="retention")

_days = re.compile(r"(0|[1-9][0-9]{0,4})d").fullmatch

Person = Annotated[str, typer.Option("--by", help="Who does this; sealed in the statement.")]
Why = Annotated[str, typer.Option("--reason", help="Why, in general words that everybody may read.")]
OlderThan = Annotated[
    str, typer.Option("--older-than", help="Such as 400d; by the days of the settings when left out.")
]


@command(retention, "show", example="tallystick retention show\ntallystick retention show --older-than 400d")
def show(out: Output, older: OlderThan = "", workspace: Workspace = Path()) -> None:
    """Show what is there, which legal holds stand, and what could be disposed of now."""
    with open_node(workspace, read_only=True) as node:
        plan = node.retention.plan(older_than_days=_read_days(older))
        holds = node.retention.holds()
        size, disposed = node.journal.size, node.journal.disposed
        days = node.settings.retention.days()
    out.line(f"{size:,} entries, of which {disposed:,} were disposed of")
    for name, number in days.items():
        out.line(f"{name} may go after {number} days")
    if not days:
        out.line("the settings dispose of nothing: [retention] gives no days")
    for hold in holds:
        _say_hold(out, hold)
    if not holds:
        out.line("no legal hold stands")
    _say_plan(out, plan)
    out.result(
        {
            "days": days,
            "disposed": disposed,
            "holds": [_hold(hold) for hold in holds],
            "plan": _plan(plan),
            "size": size,
        }
    )


@command(
    retention,
    "dispose",
    example="tallystick retention dispose --older-than 400d --dry-run\n"
    "tallystick retention dispose --older-than 400d\n"
    "tallystick retention dispose",
)
def dispose(
    out: Output,
    older: OlderThan = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    workspace: Workspace = Path(),
) -> None:
    """Dispose of old entries for ever; their hashes stay, and every receipt still verifies.

    Only whole segments (files of 64 MiB of entries, about 120,000 decisions) go that an anchor or a witness covers and no
    legal hold touches. Models, controls, consents and
    what persons said stay readable.
    """
    with open_node(workspace, read_only=dry) as node:
        plan = node.retention.plan(older_than_days=_read_days(older))
        if dry:
            _say_plan(out, plan)
            out.result({"disposed": None, "plan": _plan(plan)})
            return
        with out.progress("disposing") as progress:
            done = node.retention.dispose(older_than_days=_read_days(older), progress=progress)
    if done.segments:
        gone = done.stop - done.first - done.kept
        out.line(f"{gone:,} entries are gone, {done.kept:,} between them stay readable")
        out.line(f"{done.bytes:,} bytes are free; proofs and receipts stay good")
    else:
        _say_plan(out, plan)
    out.result({"disposed": _segments(done), "plan": _plan(plan)})


@command(
    retention,
    "hold",
    example='tallystick retention hold --reason "court order 12/26" --by counsel-3\n'
    'tallystick retention hold --reason "audit of March" --first 1000 --last 90000 --by counsel-3',
)
def hold(
    out: Output,
    reason: Why,
    by: Person,
    first: Annotated[int, typer.Option("--first", min=0, help="First entry that it covers.")] = 0,
    last: Annotated[
        int | None, typer.Option("--last", min=0, help="Last entry; all, also later ones, when left out.")
    ] = None,
    lasts: Annotated[
        str, typer.Option("--for", help="Such as 180d; until two persons release it when left out.")
    ] = "",
    workspace: Workspace = Path(),
) -> None:
    """Place a legal hold: nothing that it covers is disposed of, and no subject is erased."""
    days = _read_days(lasts, "--for")
    with open_node(workspace) as node:
        until = None if days is None else node.clock() + days * 86_400_000_000
        placed = node.retention.hold(reason, by=by, first=first or None, last=last, until=until)
    _say_hold(out, placed)
    out.next(f"tallystick retention show -w {workspace}")
    out.result(_hold(placed))


@command(
    retention,
    "release",
    example='tallystick retention release 9f2c41d07a --reason "the case is closed" --by counsel-3 --second dr-8',
)
def release(
    out: Output,
    statement: Annotated[str, typer.Argument(metavar="ID", help="The hold's statement.")],
    reason: Why,
    by: Person,
    second: Annotated[str, typer.Option("--second", help="Another person who agrees; sealed.")],
    workspace: Workspace = Path(),
) -> None:
    """End a legal hold; it takes two different persons."""
    with open_node(workspace) as node:
        found = node.find(statement).id
        said = node.retention.release(found, reason=reason, by=by, second=second)
        left = len(node.retention.holds())
    out.line(f"{found[:12]}  released; legal holds that still stand: {left}")
    out.line(f"statement  {said}")
    out.result({"hold": found, "standing": left, "statement": said})


def _read_days(text: str, option: str = "--older-than") -> int | None:
    if not text:
        return None
    found = _days(text)
    if found is None:
        raise typer.BadParameter(f"expected days such as 400d, got {text!r}", param_hint=option)
    return int(found[1])


def _say_hold(out: Output, hold: Hold) -> None:
    covers = "all entries" if hold.last is None and not hold.first else f"entries from {hold.first:,}"
    if hold.last is not None:
        covers += f" to {hold.last:,}"
    ends = "" if hold.until is None else f", until {utc(hold.until)}"
    out.line(f"{hold.statement[:12]}  legal hold on {covers}{ends}")
    out.line(f"  {hold.reason}")


def _say_plan(out: Output, plan: Plan) -> None:
    segments = plan.segments
    if not segments.segments:
        out.line("nothing can be disposed of now")
        out.line(f"entries below {plan.aged:,} are old enough, below {plan.covered:,} anchored or witnessed;")
        out.line("only whole segments go, and never the one that is written to")
        return
    out.line(f"could go: entries {segments.first:,} to {segments.stop - 1:,}, {segments.bytes:,} bytes")
    out.line(f"  of the classes {', '.join(plan.classes)}; all others stay readable")
    if plan.hold is not None:
        out.line(f"refused by the legal hold {plan.hold.statement[:12]}")


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "first": hold.first,
        "last": hold.last,
        "reason": hold.reason,
        "statement": hold.statement,
        "until": hold.until,
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "aged": plan.aged,
        "classes": list(plan.classes),
        "covered": plan.covered,
        "hold": plan.hold.statement if plan.hold else None,
        "segments": _segments(plan.segments),
    }


def _segments(found: Any) -> dict[str, Any] | None:
    if not found.segments:
        return None
    return {
        "bytes": found.bytes,
        "first": found.first,
        "kept": found.kept,
        "last": found.stop - 1,
        "segments": found.segments,
    }
