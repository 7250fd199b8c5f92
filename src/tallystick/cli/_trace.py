"""`tallystick trace`: from a decision back to the data and the permission behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output, colour, fitted, plain, short
from tallystick.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tallystick.proof import Hop, Receipt

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

WIDTH = 80


@command(
    app,
    "trace",
    example="tallystick trace bundle.zip --id 9f2c41d07a --policy mine.json\n"
    "tallystick trace decision.receipt.json --bundle bundle.zip --policy mine.json\n"
    "tallystick trace 41207 -w clinic",
)
def trace_links(
    out: Output,
    start: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="A receipt, a bundle, or a statement of yours.")
    ],
    wanted: Annotated[
        str, typer.Option("--id", help="Where to begin in a bundle; the beginning of an id will do.")
    ] = "",
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Where linked receipts are found.")] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", "-p", envvar="TALLYSTICK_POLICY", help="Whom you trust: your own file."),
    ] = None,
    depth: Annotated[int, typer.Option("--depth", min=1, help="How many links deep to show.")] = 4,
    workspace: Workspace = Path(),
) -> None:
    """Follow the links back, and say at every hop what was shown.

    recorded: both statements are proved and the link is exact; re-executed: computed again from what was opened;
    claimed: somebody's word; missing: nobody handed it over.
    """
    from tallystick.apps import installed_apps
    from tallystick.proof import Policy, trace

    mine = None if policy is None else Policy.read(policy)
    checks = {key: check for app_found in installed_apps() for key, check in app_found.checks().items()}
    first, resolve, close = _start(start, wanted, bundle, workspace)
    try:
        with out.waiting("following the links"):
            hop = trace(first, resolve=resolve, checks=checks, policy=mine)
    finally:
        close()
    remarks = {key: text for app_found in installed_apps() for key, text in app_found.remarks.items()}
    _show(out, hop, depth, remarks)
    counts: dict[str, int] = {}
    for one in {one.statement_id: one for one in hop.walk()}.values():
        counts[one.standing] = counts.get(one.standing, 0) + 1
    out.line(", ".join(f"{count:,} {standing}" for standing, count in sorted(counts.items())))
    out.result(_document(hop))
    if "missing" in counts and out.json is False:
        out.line("hand over more receipts with --bundle to have missing hops shown")


def _start(
    start: str, wanted: str, bundle: Path | None, workspace: Path
) -> tuple[Receipt, Callable[[str], Receipt | None], Callable[[], None]]:
    from tallystick.cli._verify import read_bytes
    from tallystick.proof import Bundle, parse_bundle, parse_receipt

    def nothing() -> None:
        pass

    found = Bundle({}, {}) if bundle is None else parse_bundle(read_bytes(bundle))
    path = Path(start)
    if not path.is_file():
        return _own(start, workspace)
    data = read_bytes(path)
    if data[:2] != b"PK":
        return parse_receipt(data), found.resolve, nothing
    found = parse_bundle(data)
    fits = [receipt for key, receipt in sorted(found.receipts.items()) if key.startswith(wanted)]
    if not wanted:
        # A bundle's reader most often asks about a decision; the opened ones show the most.
        decisions = [receipt for receipt in fits if receipt.statement.kind == "decision.made"]
        fits = sorted(decisions or fits, key=lambda receipt: receipt.opening is None)[:1]
    if len(fits) != 1:
        raise NotFoundError(
            f"expected one receipt {wanted}… in the bundle, got {len(fits)}", hint="give more digits"
        )
    return fits[0], found.resolve, nothing


def _own(start: str, workspace: Path) -> tuple[Receipt, Callable[[str], Receipt | None], Callable[[], None]]:
    from tallystick.cli._node import open_node

    node = open_node(workspace, read_only=True)

    def resolve(statement_id: str) -> Receipt | None:
        try:
            return node.receipt(statement_id)
        except NotFoundError:
            return None

    return node.receipt(node.find(start).index), resolve, node.close


def _show(out: Output, hop: Hop, depth: int, remarks: Mapping[tuple[str, str], str]) -> None:
    out.line(fitted(f"{hop.kind} {short(hop.statement_id, 8)} {hop.by}"))
    _children(out, hop, "", depth, remarks)


def _children(out: Output, hop: Hop, lead: str, depth: int, remarks: Mapping[tuple[str, str], str]) -> None:
    for number, child in enumerate(hop.hops):
        last = number == len(hop.hops) - 1
        text = f"{lead}{'└─' if last else '├─'} {child.label}: {child.kind or '?'} {short(child.statement_id, 8)} {plain(child.by)}"
        standing = colour(
            {"recorded": "proved", "re-executed": "proved"}.get(child.standing, child.standing),
            child.standing,
        )
        out.line(f"{short(text, WIDTH - 16):<{WIDTH - 14}} {standing}")
        below = lead + ("   " if last else "│  ")
        said = child.text or remarks.get((hop.kind, child.label), "").format(by=child.by)
        if said:
            out.line(short(f"{below}  {said}", WIDTH - 1))
        if depth > 1:
            _children(out, child, below, depth - 1, remarks)
        elif child.hops:
            out.line(f"{below}  … {len(child.hops)} more behind it (--depth)")


def _document(hop: Hop) -> dict[str, Any]:
    """The trace as nested plain data; what hangs in several places is told once."""
    seen: set[str] = set()

    def of(one: Hop) -> dict[str, Any]:
        node = {
            "by": one.by,
            "id": one.statement_id,
            "kind": one.kind,
            "label": one.label,
            "standing": one.standing,
        }
        node["text"] = one.text
        if one.statement_id in seen:
            return node
        seen.add(one.statement_id)
        return {**node, "hops": [of(child) for child in one.hops]}

    return of(hop)
