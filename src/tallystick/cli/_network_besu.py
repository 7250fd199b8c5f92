"""`tallystick network besu`: the same network on Hyperledger Besu, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli._command import command
from tallystick.cli._output import Output

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@command(app, "besu", example="tallystick network besu besu-net --members bank-a,bank-b,bank-c,bank-d")
def besu(
    out: Output,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory.")],
    members: Annotated[str, typer.Option("--members", help="How many, or their names with commas.")] = "4",
    chain_id: Annotated[int, typer.Option("--chain-id", min=1, help="EIP-155 chain id.")] = 262144,
    host: Annotated[str, typer.Option("--host", help="IPv4 address of all nodes.")] = "127.0.0.1",
    p2p: Annotated[int, typer.Option("--p2p-port", min=1, max=65535, help="Of the first node.")] = 30303,
    rpc: Annotated[int, typer.Option("--rpc-port", min=1, max=65535, help="Of the first node.")] = 8545,
    block_s: Annotated[int, typer.Option("--block-s", min=1, help="Seconds between two blocks.")] = 1,
) -> None:
    """Write the files of a Besu QBFT network: generated, not executed by our tests.

    Genesis, static nodes, a configuration and a systemd unit for each member, a compose file. All keys are made on
    this machine, which fits a pilot.
    """
    import hashlib
    import os
    import time

    from tallystick.network import BESU_LABEL, BesuTerms, make_besu

    names = [f"member-{n}" for n in range(1, int(members) + 1)] if members.isdigit() else members.split(",")
    terms = BesuTerms(chain_id=chain_id, at=int(time.time()), block_time_s=block_s)
    parts = make_besu(
        directory, names, terms=terms, randomness=os.urandom, host=host, p2p_port=p2p, rpc_port=rpc
    )
    genesis = hashlib.sha256((directory / "genesis.json").read_bytes()).hexdigest()
    out.table(
        ["member", "validator", "JSON-RPC"], [[p.name, p.address, f"127.0.0.1:{p.rpc_port}"] for p in parts]
    )
    out.line(f"genesis  {genesis}")
    out.line(f"{BESU_LABEL}: try it with your Besu before anything depends on it")
    out.next(f"docker compose -f {directory / 'compose.yml'} up -d")
    out.result(
        {
            "directory": str(directory),
            "executed": False,
            "genesis": genesis,
            "members": [{"address": p.address, "name": p.name, "rpc_port": p.rpc_port} for p in parts],
        }
    )
