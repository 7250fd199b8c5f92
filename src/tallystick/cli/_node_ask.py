"""`tallystick node witnesses|ask`: whose lines a party wants under its heads and anchors, and asking for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, utc

if TYPE_CHECKING:
    from tallystick.node import Gathered, WitnessAnswer

__all__ = ["app", "show_gathered", "written_gathered"]

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "witnesses",
    example="tallystick node witnesses https://b.example:8490 https://c.example:8490 https://d.example:8490 "
    "--before-anchor\ntallystick node witnesses",
)
def witnesses(
    out: Output,
    urls: Annotated[
        list[str], typer.Argument(help="Where other members' nodes listen; none to show the settings.")
    ] = [],  # noqa: B006
    need: Annotated[
        int,
        typer.Option(
            "--need",
            min=0,
            help="Lines that are wanted; 0: so many that no two histories can both have them.",
        ),
    ] = 0,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", "-p", help="Take the number of lines from this policy's witnesses."),
    ] = None,
    before_anchor: Annotated[
        bool, typer.Option("--before-anchor", help="A head needs them before it is anchored.")
    ] = False,
    nobody: Annotated[bool, typer.Option("--none", help="Ask nobody any more.")] = False,
    workspace: Workspace = Path(),
) -> None:
    """Say once whose lines you want: `anchor` and `node serve` then ask for them by themselves.

    A receipt carries what they sign. With enough of them under its anchor's note, the anchor is proved offline.
    """
    from tallystick.node import RemoteNode, WitnessSettings

    if policy is not None:
        need = _need_of(policy)
    with open_node(workspace, read_only=not (urls or nobody)) as node:
        if urls or nobody:
            for url in urls:
                RemoteNode(url)  # refuses what is no address, before anything is written
            node.set_witnesses(WitnessSettings(tuple(urls), need), before_anchor=before_anchor)
        asked, cosigned = node.settings.witnesses, node.settings.anchor.cosigned
    for url in asked.urls:
        out.line(url)
    out.line(f"{asked.wanted} of {len(asked.urls)} lines are wanted" if asked.urls else "nobody is asked")
    if cosigned:
        out.line(f"a head needs {cosigned} cosignatures before it is anchored")
    out.result(
        {"before_anchor": cosigned, "need": asked.need, "urls": list(asked.urls), "wanted": asked.wanted}
    )


def _need_of(path: Path) -> int:
    """How many witnesses a policy needs.

    Raises:
        ConfigurationError: it names none.
    """
    from tallystick.errors import ConfigurationError
    from tallystick.proof import Policy

    quorum = Policy.read(path).witnesses
    if quorum is None:
        raise ConfigurationError("this policy names no witnesses", hint="say how many with --need")
    return quorum.need


def show_gathered(out: Output, found: Gathered) -> None:
    """Tell a person what the witnesses gave."""
    if found.head is not None:
        _show_answers(out, f"saw size {found.head.checkpoint.size:,}", found.head.answers)
    for size, attested in found.notes.items():
        _show_answers(out, f"read the anchor of size {size:,} on its own node", attested.answers)
    for who, why in found.absent.items():
        out.note(f"{who}: {why}")


def _show_answers(out: Output, what: str, answers: tuple[WitnessAnswer, ...]) -> None:
    for answer in answers:
        if answer.gave:
            out.line(f"{answer.name} {what} at {utc(answer.time_s * 1_000_000)}")
        else:
            out.note(f"{answer.name}: {answer.why}")


def written_gathered(found: Gathered) -> dict[str, object]:
    """The same for programs."""
    return {
        "absent": dict(found.absent),
        "answers": [] if found.head is None else _plain(found.head.answers),
        "notes": {str(size): _plain(attested.answers) for size, attested in found.notes.items()},
        "waiting": found.waiting,
    }


def _plain(answers: tuple[WitnessAnswer, ...]) -> list[dict[str, object]]:
    return [{"name": one.name, "party": one.party, "time": one.time_s, "why": one.why} for one in answers]


def _by_settings(out: Output, workspace: Path) -> None:
    """One round by the settings."""
    from tallystick.errors import ConfigurationError
    from tallystick.node import gather

    with open_node(workspace) as node:
        if not node.settings.witnesses.urls:
            raise ConfigurationError(
                "nobody to ask: the settings name no witnesses",
                hint="name them: `tallystick node witnesses URL…`",
            )
        found = gather(node)
    show_gathered(out, found)
    short = found.waiting or not all(attested.is_enough for attested in found.notes.values())
    if not found.missing and not short:
        out.line("every line that is wanted is there")
    out.result(written_gathered(found))
    if short:
        out.note("fewer signed than were wanted; what was given is kept")
        raise typer.Exit(1)


@command(
    app,
    "ask",
    example="tallystick node ask -w bank-a\n"
    "tallystick node ask https://bank-b.example:8490 https://bank-c.example:8490 --need 2 -w bank-a",
)
def ask(
    out: Output,
    urls: Annotated[
        list[str], typer.Argument(help="Where other members' nodes listen; none for those of the settings.")
    ] = [],  # noqa: B006
    need: Annotated[int, typer.Option("--need", min=0, help="Fail when fewer cosign; 0: all of them.")] = 0,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for one answer.")] = 10.0,
    workspace: Workspace = Path(),
) -> None:
    """Have other members' witnesses cosign your newest head, and keep their lines for your receipts.

    Without addresses those of the settings are asked, and your anchors are attested too.
    """
    from tallystick.node import ask_witnesses, find_witnesses

    if not urls:
        _by_settings(out, workspace)
        return
    with open_node(workspace) as node:
        known, absent = find_witnesses(node.peers, urls, timeout_s=timeout_s)
        told = ask_witnesses(node, known, need=need or len(urls), timeout_s=2.5 * timeout_s)
        if told.given:
            node.add_cosignatures(told.checkpoint.note)
        for url, why in absent.items():
            out.note(f"{url}: {why}")
        _show_answers(out, f"saw size {told.checkpoint.size:,}", told.answers)
    out.result(
        {
            "absent": absent,
            "answers": _plain(told.answers),
            "given": told.given,
            "need": told.need,
            "size": told.checkpoint.size,
        }
    )
    if not told.is_enough:
        out.note(f"{told.need} were wanted, {told.given} cosigned; what was given is kept")
        raise typer.Exit(1)
