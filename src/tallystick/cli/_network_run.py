"""`tallystick network build|new|up|down|status`: a whole network on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import command
from tallystick.cli._output import Output, short
from tallystick.errors import ConfigurationError

if TYPE_CHECKING:
    from tallystick.network import Network, ValidatorStatus

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The network's directory.")]
_ENGINES = ("cosmos", "besu-qbft")
_WATCH_S = 1.0
_SKEW_S = 5.0  # that a block may be ahead of this clock: its makers' clocks differ by so much, kept by NTP
_STALE_S = 60.0
_MIB = 1024 * 1024


@command(app, "build", example="tallystick network build")
def build(out: Output) -> None:
    """Build the engine that validators run, once: some minutes, with Go and a C compiler. Then it is found at once."""
    from tallystick.network import build_engine

    began = time.monotonic()
    found = build_engine(out.note)
    out.line(f"engine  {found}")
    out.result({"engine": str(found), "seconds": round(time.monotonic() - began, 1)})


@command(
    app,
    "new",
    example="tallystick network new net --members 4\n"
    "tallystick network new net --members bank-a,bank-b,bank-c,bank-d --ports 21000\n"
    "tallystick network new besu-net --engine besu-qbft",
)
def new(
    out: Output,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory.")],
    members: Annotated[str, typer.Option("--members", help="How many, or their names with commas.")] = "4",
    engine: Annotated[
        str,
        typer.Option("--engine", help="cosmos runs here; besu-qbft is generated, not executed by our tests."),
    ] = "cosmos",
    ports: Annotated[
        int, typer.Option("--ports", min=0, max=65000, help="The first; a member takes 8. 0 takes free ones.")
    ] = 0,
    faults: Annotated[
        int, typer.Option("--faults", min=-1, help="How many may fail; 3 f + 1 members. -1 takes the most.")
    ] = -1,
    block_s: Annotated[
        float, typer.Option("--block-s", min=0.2, max=60.0, help="Seconds between two blocks, about.")
    ] = 1.0,
) -> None:
    """Lay out a network of several members on this machine, for a pilot: all keys are made here.

    Members who are separate organisations use `network join` and `network assemble` instead.
    """
    if engine not in _ENGINES:
        raise ConfigurationError(f"an engine is one of {', '.join(_ENGINES)}, got {engine!r}")
    if engine == "besu-qbft":
        from tallystick.cli._network_besu import besu

        besu(
            out,
            directory,
            members=members,
            chain_id=262144,
            host="127.0.0.1",
            p2p=ports or 30303,
            rpc=(ports or 8445) + 100,
            block_s=max(1, round(block_s)),
        )
        return
    from tallystick.network import make_bundle

    with out.waiting("making keys and a genesis"):
        bundle = make_bundle(
            directory,
            int(members) if members.isdigit() else members.split(","),
            ports=ports or None,
            faults=None if faults < 0 else faults,
            block_time_s=block_s,
        )
    out.table(["member", "account", "JSON-RPC"], [[m.name, m.address, m.rpc_url] for m in bundle.members])
    out.line(f"chain    {bundle.chain_id}, bears {bundle.faults} faulty of {len(bundle.members)} validators")
    out.line(f"genesis  {bundle.genesis_hash}")
    out.next(f"tallystick network up {directory}")
    out.result(
        {
            "chain_id": bundle.chain_id,
            "directory": str(directory),
            "faults": bundle.faults,
            "genesis": bundle.genesis_hash,
            "members": [{"address": m.address, "name": m.name, "rpc_url": m.rpc_url} for m in bundle.members],
        }
    )


def _open(directory: Path) -> Network:
    from tallystick.network import Network, open_bundle

    return Network(open_bundle(directory), detached=True)


@command(app, "up", example="tallystick network up net")
def up(
    out: Output,
    directory: Directory,
    timeout_s: Annotated[float, typer.Option("--timeout-s", min=1, help="Until all are at height 2.")] = 60.0,
) -> None:
    """Start the network's validators on this machine; they go on in the background until `network down`."""
    network = _open(directory)
    began = time.monotonic()
    network.up(out.status, timeout_s)
    out.status("")
    _show(out, network.status())
    out.line(f"up in {time.monotonic() - began:.1f} s")
    out.next(f"tallystick network status {directory} --watch")
    out.result({"pids": {one.name: one.pid for one in network.status()}})


@command(app, "down", example="tallystick network down net")
def down(out: Output, directory: Directory) -> None:
    """End the validators that `network up` started, and nothing else."""
    network = _open(directory)
    running = [one.name for one in network.status() if one.pid is not None]
    with out.waiting("ending the validators"):
        network.down()
    out.line(f"ended: {', '.join(running)}" if running else "no validator ran")
    out.result({"ended": running})


@command(app, "status", example="tallystick network status net --watch")
def status(
    out: Output,
    directory: Directory,
    watch: Annotated[bool, typer.Option("--watch", help="Again every second, until Ctrl-C.")] = False,
) -> None:
    """Show heights, peers, finality, agreement, disk and process ids. Ends with 1 when the network does not go on."""
    network = _open(directory)
    while True:
        found = network.status()
        verdict, good = _verdict(network, found)
        _show(out, found)
        out.line(verdict)
        if warned := _clock(found):
            out.note(warned)
        if not watch:
            break
        try:
            time.sleep(_WATCH_S)
        except KeyboardInterrupt:
            break
        out.line()
    out.result(
        {
            "good": good,
            "validators": [
                {
                    "age_s": None if one.age_s is None else round(one.age_s, 1),
                    "catching_up": one.catching_up,
                    "disk_bytes": one.disk_bytes,
                    "hash": one.hash,
                    "height": one.height,
                    "name": one.name,
                    "peers": one.peers,
                    "pid": one.pid,
                }
                for one in found
            ],
            "verdict": verdict,
        }
    )
    if not good:
        raise typer.Exit(1)


def _show(out: Output, found: list[ValidatorStatus]) -> None:
    rows = [
        [
            one.name,
            str(one.pid or "-"),
            f"{one.height:,}" if one.answers else "-",
            str(one.peers),
            f"{one.disk_bytes / _MIB:.0f} MB",
            "catching up" if one.catching_up else short(one.hash, 18) if one.answers else "silent",
        ]
        for one in found
    ]
    out.table(["member", "process", "height", "peers", "disk", "newest block"], rows)


def _clock(found: list[ValidatorStatus]) -> str:
    """Say when this machine's clock and the network's cannot both be right; validators agree on the middle of theirs."""
    ages = [one.age_s for one in found if one.age_s is not None]
    if not ages:
        return ""
    if min(ages) < -_SKEW_S:
        return f"this machine's clock is {-min(ages):.0f} s behind the network's: set it by NTP"
    if min(ages) > _STALE_S:
        return f"the newest block is {min(ages):.0f} s old: the network stands still, or this machine's clock is ahead"
    return ""


def _verdict(network: Network, found: list[ValidatorStatus]) -> tuple[str, bool]:
    """Say in one line whether the network goes on, and whether that is well."""
    total, answering = len(found), [one for one in found if one.answers]
    if not answering:
        return "down: no validator answers", False
    common = min(one.height for one in answering)
    if not network.agree(common):
        return f"NOT the same block at height {common:,}: keep all homes, and ask each member", False
    told = f"final and the same at all {len(answering)} that answer up to height {common:,}"
    if 3 * len(answering) <= 2 * total:
        return f"{told}; halted: {len(answering)} of {total} answer, more than two thirds are needed", False
    spare = (total - 1) // 3 - (total - len(answering))
    return f"{told}; {spare} more may fail", True
