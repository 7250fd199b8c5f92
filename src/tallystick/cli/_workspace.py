"""`tallystick init`, `backup`, `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output

if TYPE_CHECKING:
    from tallystick.node import ChainSettings, Node

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "init",
    example='tallystick init clinic --name "Clinic North"\n'
    'tallystick init clinic --name "Clinic North" --chain pilot.chain\n'
    "tallystick init clinic --name Clinic --chain http://node:8545 --anchors 0x…",
)
def init(
    out: Output,
    directory: Annotated[Path, typer.Argument(help="A new directory.")],
    name: Annotated[str, typer.Option("--name", help="Legal name of the party.")],
    journal: Annotated[str, typer.Option("--journal", help="Name of its journal.")] = "main",
    chain: Annotated[
        str,
        typer.Option(
            "--chain", help="Where to anchor: a URL, or the file of an embedded chain, made if new."
        ),
    ] = "",
    members: Annotated[str, typer.Option("--members", help="Address of the Members contract there.")] = "",
    anchors: Annotated[str, typer.Option("--anchors", help="Address of the Anchors contract there.")] = "",
    models: Annotated[str, typer.Option("--models", help="Address of the Models contract there.")] = "",
    oracle: Annotated[str, typer.Option("--oracle", help="Address of the Oracle contract there.")] = "",
) -> None:
    """Make a workspace: keys, an empty journal, and where to anchor.

    A new embedded chain gets its contracts at once, with this party as the first member.
    """
    from tallystick.cli._passphrase import passphrase
    from tallystick.node import Node

    settings = _chain(chain, members=members, anchors=anchors, models=models, oracle=oracle)
    with Node.init(
        directory, name=name, journal=journal, passphrase=passphrase(new=True), chain=settings
    ) as node:
        if settings is not None and not anchors and settings.profile.path is not None:
            _found_alone(node, out)
        out.line(f"made {directory} for {node.name}")
        out.line(f"party        {node.id}")
        out.line(f"fingerprint  {_fingerprint(node)}")
        out.line("keep the passphrase and a backup of keys.json apart from each other")
        out.next(f"tallystick record document.recorded --set title=protocol -w {directory}")
        out.result(
            {"directory": str(directory), "fingerprint": _fingerprint(node), "id": node.id, "name": node.name}
        )


def _chain(place: str, **contracts: str) -> ChainSettings | None:
    if not place:
        if any(contracts.values()):
            raise typer.BadParameter("addresses of contracts go with --chain", param_hint="--chain")
        return None
    from tallystick.chain import Profile
    from tallystick.node import ChainSettings

    return ChainSettings(Profile.of(place, name="chain"), **contracts)


def _found_alone(node: Node, out: Output) -> None:
    """Give a new embedded chain its contracts, this party being the first member."""
    from tallystick.chain import connect
    from tallystick.node import CardFile, ChainSettings, found

    assert node.settings.chain is not None
    profile = node.settings.chain.profile
    assert profile.path is not None
    if profile.path.exists():
        out.line("the chain is there already: set its contracts in tallystick.toml, see `tallystick members`")
        return
    with connect(profile, create=True) as chain:
        members, anchors = found(node, chain, [CardFile(node.party.cards)], threshold=1)
        node.set_chain(ChainSettings(profile, members, anchors))
        out.line(f"made the embedded chain {chain.chain_id} in {profile.path}: one operator's, for pilots")
        out.line(f"members      {members}")
        out.line(f"anchors      {anchors}")


def _fingerprint(node: Node) -> str:
    from tallystick.proof import fingerprint

    return fingerprint(node.id)


@command(app, "backup", example="tallystick backup clinic-2026-11-22.backup -w clinic")
def backup(
    out: Output,
    file: Annotated[Path, typer.Argument(help="A new file, outside of the workspace.")],
    workspace: Workspace = Path(),
) -> None:
    """Write the workspace into one file; the keys in it stay encrypted.

    Witness state is left out: a restored witness retires its key.
    """
    from tallystick.cli._node import open_node
    from tallystick.node import backup as write

    with open_node(workspace) as node, out.waiting("writing the backup"):
        made = write(node, file)
    out.line(f"{file}: {made.size:,} statements, {made.files} files, {made.bytes:,} bytes before compression")
    out.line("keep the passphrase somewhere else")
    out.next(f"tallystick restore {file} DIR")
    out.result(
        {
            "bytes": made.bytes,
            "file": str(file),
            "files": made.files,
            "origin": made.origin,
            "size": made.size,
        }
    )


@command(app, "restore", example="tallystick restore clinic-2026-11-22.backup clinic-again")
def restore(
    out: Output,
    file: Annotated[Path, typer.Argument(help="A backup.")],
    directory: Annotated[Path, typer.Argument(help="A new directory.")],
) -> None:
    """Restore a backup into a new directory.

    A journal that stands below a head that this machine or the chain remembers opens for reading and refuses to sign.
    """
    from tallystick.errors import TallystickError
    from tallystick.node import ask_chain
    from tallystick.node import restore as read

    with out.waiting("restoring"):
        found = read(file, directory)
    out.line(f"{directory}: {found.size:,} statements of")
    out.line(found.origin)
    anchored = None
    try:
        anchored = ask_chain(directory, found.origin)
    except TallystickError as error:
        out.note(f"the chain could not be asked for its newest head of this journal: {error.message}")
    if anchored is not None and anchored > found.size:
        out.line(f"the chain has size {anchored:,}: this copy can be read, and refuses to go on")
    out.line("before it signs, compare that number with your witnesses: an old copy must not go on")
    out.line("its witness state was not in the backup: replace that key before you witness others")
    out.next(f"tallystick card rotate --role witness -w {directory}")
    out.result(
        {
            "anchored": anchored,
            "directory": str(directory),
            "files": found.files,
            "origin": found.origin,
            "size": found.size,
        }
    )
