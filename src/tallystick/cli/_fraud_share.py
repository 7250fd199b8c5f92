"""`tallystick fraud share new|admit|check`: what a bank needs before it asks and answers other banks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output, utc, write_out

if TYPE_CHECKING:
    from tallystick.apps.fraud.holding import HoldDesk
    from tallystick.apps.fraud.sharing import Epoch, HoldsReader, Member, PostedLists, ShareSettings, Sharing
    from tallystick.node import Node
    from tallystick.proof import PinnedParty, Policy

__all__ = ["app", "hold_desk", "shared"]

KEYS_FILE = "share-keys.toml"  # members' keys; those of the bank's own systems stand in keys.toml
PER_SECOND = 200.0  # requests of one member

app = typer.Typer(rich_markup_mode=None)
share = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Ask and answer other banks: set it up, look at it."
)
app.add_typer(share, name="share")


@contextmanager
def shared(
    out: Output,
    node: Node,
    file: Path | None,
    workspace: Path,
    *,
    label_delay_s: int,
    log: Callable[[bytes], object],
) -> Iterator[Sharing | None]:
    """Share while the block runs, as a file says; None when there is none."""
    if file is None:
        yield None
        return
    from tallystick.apps.fraud.serving import JournalCounts, recent_payees
    from tallystick.apps.fraud.sharing import ShareSettings, Sharing
    from tallystick.server import Beside, KeysFile, ServerSettings, create_sharing_app

    settings = ShareSettings.read(file)
    counts = JournalCounts(node, delay=label_delay_s * 1_000_000)
    sharing = Sharing(
        node,
        settings,
        holds=_holds(node, settings),
        counts=counts,
        ahead=lambda: recent_payees(node),
        board=_board(node, settings),
        joined=lambda epoch: _vote(node, sharing, epoch),
    )
    bounds = ServerSettings(keys=KeysFile(workspace / KEYS_FILE), requests_per_s=PER_SECOND, log=log)
    try:
        sharing.resume()
        with Beside(
            create_sharing_app(sharing, bounds),
            host=settings.host,
            port=settings.port,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
        ) as beside:
            sharing.start()
            out.line(f"answering {len(settings.peers)} other members at {beside.place.url}")
            if beside.place.is_exposed:
                out.note("other machines can read what members ask: give [listen] a certificate")
            yield sharing
    finally:
        sharing.close()


def hold_desk(node: Node, sharing: Sharing) -> HoldDesk | None:
    """Where this bank's own holds are placed, when its file names a contract."""
    if sharing.settings.holds is None:
        return None
    from tallystick.apps.fraud.holding import HoldDesk

    return HoldDesk(node, sharing.member, sharing.settings.holds.contract)


def _board(node: Node, settings: ShareSettings) -> Callable[[Member], PostedLists] | None:
    """Where the lists' roots are posted, when the file names a contract."""
    holds = settings.holds
    if holds is None:
        return None
    from tallystick.apps.fraud.holding import HoldDesk

    return lambda member: HoldDesk(node, member, holds.contract)


def _vote(node: Node, sharing: Sharing, epoch: Epoch) -> None:
    desk = hold_desk(node, sharing)
    if desk is not None:
        desk.vote(epoch)
        desk.settle()


def _holds(node: Node, settings: ShareSettings) -> HoldsReader | None:
    """How open holds are read, when the file names a contract."""
    if settings.holds is None:
        return None
    from tallystick.apps.fraud.holding import HeldTokens
    from tallystick.chain import connect
    from tallystick.errors import ConfigurationError

    chain = node.settings.chain
    if chain is None:
        raise ConfigurationError("holds need a chain", hint="set [chain] in tallystick.toml")
    return HeldTokens(
        lambda: connect(chain.profile, read_only=True),
        settings.holds.contract,
        start=settings.holds.start_block,
    )


@command(
    share,
    "admit",
    example='tallystick fraud share admit "Bank B" --policy policy.json -o for-bank-b.key -w bank-a',
)
def admit(
    out: Output,
    member: Annotated[str, typer.Argument(help="Its name in the policy, or its party id.")],
    policy: Annotated[Path, typer.Option("--policy", help="Who the members are.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new file for the key; send it to them.")],
    per_second: Annotated[
        int, typer.Option("--per-second", min=0, help=f"Requests that it may make; 0: {PER_SECOND:g}.")
    ] = 0,
    workspace: Workspace = Path(),
) -> None:
    """Make the key by which a member asks this bank. Only its hash is kept; a running service takes it within a second."""
    from tallystick.node import Settings
    from tallystick.proof import Policy
    from tallystick.server import Keys

    Settings.read(workspace)  # a workspace, and not any directory
    party = _member(Policy.read(policy), member)
    keys, token = Keys.read(workspace / KEYS_FILE).added(party.id, ["member"], per_second=per_second)
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(token + "\n")
    keys.write(workspace / KEYS_FILE)
    out.line(f"{party.name} may ask with the key in {output}; send it over a way that nobody reads")
    out.result({"file": str(output), "name": party.name, "party": party.id})


@command(share, "dismiss", example='tallystick fraud share dismiss "Bank B" --policy policy.json -w bank-a')
def dismiss(
    out: Output,
    member: Annotated[str, typer.Argument(help="Its name in the policy, or its party id.")],
    policy: Annotated[Path, typer.Option("--policy", help="Who the members are.")],
    workspace: Workspace = Path(),
) -> None:
    """Take a member's key back; a running service refuses it within a second."""
    from tallystick.proof import Policy
    from tallystick.server import Keys

    party = _member(Policy.read(policy), member)
    Keys.read(workspace / KEYS_FILE).removed(party.id).write(workspace / KEYS_FILE)
    out.line(f"took back the key of {party.name}; a running service refuses it within a second")
    out.result({"name": party.name, "party": party.id})


@command(
    share,
    "new",
    example="tallystick fraud share new --policy policy.json --since 2026-12-01 \\\n"
    '    --member "Bank B=https://bank-b.example:8491" --member "Bank C=https://bank-c.example:8491" -o share.toml',
)
def new(
    out: Output,
    policy: Annotated[Path, typer.Option("--policy", help="Who the members are; the same file for all.")],
    member: Annotated[
        list[str], typer.Option("--member", help="NAME=URL of another member; again for more.")
    ],
    since: Annotated[str, typer.Option("--since", help="Day on which the first epoch begins, UTC.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="Length of an epoch.")] = 30,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="To listen at.")] = 8491,
    contract: Annotated[str, typer.Option("--holds", help="Address of the contract Holds.")] = "",
) -> None:
    """Write share.toml: with whom this bank shares. Epochs must be the same for all members."""
    import datetime

    from tallystick.errors import ConfigurationError
    from tallystick.proof import Policy

    try:
        begins = datetime.date.fromisoformat(since)
    except ValueError as error:
        raise ConfigurationError("--since must be a day such as 2026-12-01") from error
    known = Policy.read(policy)
    lines = ["version = 1", f"policy = {_quoted(str(policy.absolute()))}", ""]
    lines += ["[listen]", 'host = "127.0.0.1"', f"port = {port}", ""]
    lines += ["[epochs]", "number = 1", f"since = {begins.isoformat()}T00:00:00Z", f"days = {days}"]
    if contract:
        lines += ["", "[holds]", f"contract = {_quoted(contract)}"]
    for number, said in enumerate(member, 1):
        name, _, url = said.rpartition("=")
        party = _member(known, name)
        lines += [
            "",
            f"# {party.name}",
            "[[member]]",
            f"party = {_quoted(party.id)}",
            f"url = {_quoted(url)}",
        ]
        lines += [f'key_file = "member-{number}.key"']
    write_out(output, ("\n".join(lines) + "\n").encode())
    out.line(f"written to {output}; put the keys that they give you beside it, readable by you alone")
    out.next(f"tallystick fraud share check {output}")
    out.result({"file": str(output), "members": len(member)})


@command(share, "check", example="tallystick fraud share check share.toml")
def check(
    out: Output,
    file: Annotated[Path, typer.Argument(help="share.toml.")],
) -> None:
    """Ask every member whether it answers, and has opened the present epoch; fails when one has not."""
    from tallystick.apps.fraud.sharing import ShareSettings, links_of
    from tallystick.errors import NotFoundError, TallystickError
    from tallystick.proof import system_clock

    settings = ShareSettings.read(file)
    number = settings.epochs.at(system_clock()) or settings.epochs.number
    since, until = settings.epochs.times(number)
    out.line(f"epoch {number}: {utc(since)} to {utc(until)}")
    told = {}
    for link in links_of(settings):
        name = settings.policy.by_id[link.party].name
        try:
            link.opening(number)
            told[name] = ""
        except NotFoundError:
            told[name] = f"answers, and has not opened epoch {number}"
        except TallystickError as error:
            told[name] = error.message
        finally:
            link.close()
        out.line(f"{name}: {told[name] or 'ready'}")
    out.result({"epoch": number, "members": told})
    if any(told.values()):
        raise typer.Exit(1)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _member(policy: Policy, said: str) -> PinnedParty:
    from tallystick.errors import NotFoundError

    for party in policy.parties:
        if said in (party.name, party.id):
            return party
    raise NotFoundError("the policy pins nobody of this name", hint="see `tallystick policy show`")
