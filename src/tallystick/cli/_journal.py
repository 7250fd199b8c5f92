"""`tallystick record`, `log`, `anchor`, `receipt`, `disclose`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import known_kinds, open_node
from tallystick.cli._output import Output, at, short, utc, write_out

if TYPE_CHECKING:
    from tallystick.proof import Receipt

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

Into = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.")]
Fields = Annotated[list[str], typer.Option("--field", help="Open this field of the payload; again for more.")]


@command(
    app,
    "record",
    example='tallystick record document.recorded --set title="protocol 7" --payload protocol.pdf\n'
    "tallystick record data.registered --set rows=251-500 --set schema=heart/1 --payload rows.csv\n"
    "tallystick record decision.made --set model=9f… --set level=L0 --fields decision.json --subject 4711",
)
def record(
    out: Output,
    kind: Annotated[str, typer.Argument(help="What kind of statement, noun.verb.")],
    values: Annotated[list[str], typer.Option("--set", help="NAME=VALUE of the body; again for more.")] = [],  # noqa: B006
    body: Annotated[str, typer.Option("--body", help="The whole body as a JSON object.")] = "",
    payload: Annotated[
        Path | None, typer.Option("--payload", help="A file to commit to; kept encrypted.")
    ] = None,
    fields: Annotated[
        Path | None, typer.Option("--fields", help="A JSON file to commit to field by field.")
    ] = None,
    media: Annotated[
        str, typer.Option("--media", help="Media type of the payload.")
    ] = "application/octet-stream",
    links: Annotated[list[str], typer.Option("--link", help="LABEL=STATEMENT-ID; again for more.")] = [],  # noqa: B006
    subject: Annotated[
        str, typer.Option("--subject", help="Whom the payload is about; her key salts it.")
    ] = "",
    workspace: Workspace = Path(),
) -> None:
    """State something; it is durable when this returns.

    Nothing personal goes into the body: that is what --payload and --fields are for.
    """
    from tallystick.cli._verify import read_bytes

    said = _body(kind, values, body)
    linked: dict[str, list[str]] = {}
    for label, found in (_pair(item, "--link") for item in links):
        linked.setdefault(label, []).append(found)
    record_of = None if fields is None else _json(read_bytes(fields).decode("utf-8", "replace"), "--fields")
    with open_node(workspace) as node:
        entry = node.record(
            kind,
            said,
            links=linked or None,
            payload=None if payload is None else read_bytes(payload),
            fields=record_of,
            media=media,
            subject=subject,
        )
    out.line(entry.id)
    out.line(f"stands at {entry.index:,} of this journal, durable")
    out.next(f"tallystick receipt {entry.id[:12]} -w {workspace}")
    out.result({"at": entry.statement.at, "id": entry.id, "index": entry.index, "kind": kind})


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint=option)
    return name, value


def _json(text: str, option: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"expected JSON: {error}", param_hint=option) from error
    if not isinstance(value, dict):
        raise typer.BadParameter("expected a JSON object", param_hint=option)
    return value


def _body(kind: str, values: list[str], body: str) -> dict[str, Any]:
    """Read the body from the command line; a value becomes what the kind's schema says it is."""
    said = _json(body, "--body") if body else {}
    types: Mapping[str, str] = next((known.fields for known in known_kinds() if known.name == kind), {})
    for name, text in (_pair(item, "--set") for item in values):
        wanted = types.get(name, "text").rstrip("?")
        if wanted in ("text", "digest", "decimal"):
            said[name] = text
        else:
            said[name] = _json(f'{{"value":{text}}}', f"--set {name}")["value"]
    return said


@command(
    app,
    "log",
    example="tallystick log\ntallystick log --kind decision. --since 2026-11-01\ntallystick log --limit 0 --json",
)
def log(
    out: Output,
    kind: Annotated[str, typer.Option("--kind", help="Only this kind; `noun.` takes all its verbs.")] = "",
    since: Annotated[str, typer.Option("--since", help="From this UTC date or time on, as claimed.")] = "",
    until: Annotated[str, typer.Option("--until", help="Before this UTC date or time, as claimed.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The last so many; 0 shows all.")] = 20,
    workspace: Workspace = Path(),
) -> None:
    """List what was stated, the newest last. Times are what this party claims, UTC."""
    with open_node(workspace, read_only=True) as node:
        first, last = _moment(since, "--since") or 0, _moment(until, "--until")
        shown = list(node.log(kind=kind, since=first, until=last, last=limit))
        size = node.journal.size
    rows = [
        [
            f"{entry.index:,}",
            at(entry.statement.at),
            entry.statement.kind,
            entry.id[:12],
            _brief(entry.statement.body),
        ]
        for entry in shown
    ]
    out.table(["index", "claimed time, UTC", "kind", "id", "body"], rows)
    out.line(f"{len(shown):,} shown, {size:,} in all")
    out.result(
        [
            {
                "at": entry.statement.at,
                "body": dict(entry.statement.body),
                "id": entry.id,
                "index": entry.index,
                "kind": entry.statement.kind,
                "links": dict(entry.statement.links),
            }
            for entry in shown
        ]
    )


def _brief(body: Any) -> str:
    return ", ".join(f"{name}={short(str(value), 16)}" for name, value in body.items())


def _moment(text: str, option: str) -> int | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a date such as 2026-11-22, got {text!r}", param_hint=option
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)


@command(app, "anchor", example="tallystick anchor\ntallystick anchor --if-due")
def anchor(
    out: Output,
    if_due: Annotated[
        bool, typer.Option("--if-due", help="Only when count or age of the settings ask for it.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the chain.")] = 60.0,
    workspace: Workspace = Path(),
) -> None:
    """Put the journal's newest head on the chain; safe to run again at any time.

    Where the settings name witnesses (`tallystick node witnesses`), they are asked first, and asked to attest the
    anchor afterwards. A head that needs cosignatures waits until it has them: then this fails, and nothing is lost.
    """
    from tallystick.cli._node_ask import show_gathered, written_gathered
    from tallystick.errors import QuorumError

    with open_node(workspace) as node:
        if if_due and not node.anchor_due():
            out.line("not due yet")
            out.result({"anchors": []})
            return
        try:
            with out.waiting("waiting for the chain"):
                fresh = node.anchor(timeout_s=timeout)
        except QuorumError:
            show_gathered(out, node.gathered)
            raise
    show_gathered(out, node.gathered)
    for claim in fresh:
        out.line(f"size {claim.size:,} stands in block {claim.block:,} of chain {claim.chain_id}")
    if not fresh:
        out.line("the newest head stands on the chain already")
    out.next(f"tallystick receipt ID -w {workspace}")
    out.result(
        {
            "anchors": [
                {"block": c.block, "chain_id": c.chain_id, "contract": c.contract, "size": c.size}
                for c in fresh
            ],
            "gathered": written_gathered(node.gathered),
        }
    )


@command(
    app, "receipt", example="tallystick receipt 41207 -o decision.receipt.json\ntallystick receipt 9f2c41d07a"
)
def receipt(
    out: Output,
    statement: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, the beginning of it, or its index.")
    ],
    output: Into = None,
    open_all: Annotated[bool, typer.Option("--open", help="Open the whole payload in it.")] = False,
    workspace: Workspace = Path(),
) -> None:
    """Write the receipt of a statement: one file that proves it to anybody, offline."""
    with open_node(workspace, read_only=True) as node:
        entry = node.find(statement)
        made = node.receipt(entry.index, disclose=[] if open_all else None)
    _write(out, made, output)


@command(
    app,
    "disclose",
    example="tallystick disclose decision.receipt.json --field amount --field reasons[0] -o shown.receipt.json",
)
def disclose(
    out: Output,
    statement: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="A statement of yours, or its receipt.")
    ],
    field: Fields = [],  # noqa: B006
    output: Into = None,
    workspace: Workspace = Path(),
) -> None:
    """Open chosen fields of a payload in a receipt; all others stay hidden.

    Without --field the whole payload is opened.
    """
    from tallystick.cli._verify import read_bytes
    from tallystick.proof import parse_receipt

    path = Path(statement)
    wanted = parse_receipt(read_bytes(path)).statement.id if path.is_file() else statement
    with open_node(workspace, read_only=True) as node:
        made = node.receipt(node.find(wanted).index, disclose=list(field))
    _write(out, made, output)


def _write(out: Output, made: Receipt, output: Path | None) -> None:
    path = output or Path(f"{made.statement.id[:16]}.receipt.json")
    write_out(path, made.format())
    out.line(
        f"{path}: {made.statement.kind} of {utc(made.statement.at)}, at {made.index:,} of {made.checkpoint.size:,}"
    )
    out.next(f"tallystick verify {path}")
    out.result(
        {"file": str(path), "id": made.statement.id, "index": made.index, "size": made.checkpoint.size}
    )
