"""`tallystick network join|assemble|attach`: each member makes its own keys, and only public parts travel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import command
from tallystick.cli._output import Output
from tallystick.errors import ConfigurationError, NotFoundError, StorageError, TallystickError

if TYPE_CHECKING:
    from tallystick.network import NetworkPart
    from tallystick.proof import Card

__all__ = ["Engine", "Home", "app", "engine_of", "read_parts"]

app = typer.Typer(rich_markup_mode=None)

Home = Annotated[Path, typer.Argument(metavar="DIR", help="The node's own directory, on its own machine.")]
Engine = Annotated[
    Path | None, typer.Option("--engine", envvar="TALLYSTICK_ENGINE", help="The binary, if not built here.")
]
Parts = Annotated[list[Path], typer.Argument(metavar="PART...", help="All members' part files.")]


def engine_of(named: Path | None) -> Path:
    """The engine that was named, or the one that `make network` built."""
    if named is not None:
        return named
    import tallystick.network as network

    find = getattr(network, "find_engine", None)
    if find is None:
        raise NotFoundError("the network's engine is not built", hint="run `make network`")
    found: Path = find()
    return found


@command(
    app,
    "join",
    example="tallystick network join node --name bank-a --host 192.0.2.1 --card a.card.json\n"
    "tallystick network join node --name bank-a --host 10.1.0.4 --stake 1000 --faults 1",
)
def join(
    out: Output,
    home: Home,
    name: Annotated[str, typer.Option("--name", help="Of this member: letters, digits, hyphens.")],
    host: Annotated[str, typer.Option("--host", help="IPv4 address where the other validators reach it.")],
    card: Annotated[Path | None, typer.Option("--card", help="This party's card file.")] = None,
    p2p: Annotated[int, typer.Option("--p2p-port", min=1, max=65535, help="For the others.")] = 26656,
    rpc: Annotated[int, typer.Option("--rpc-port", min=1, max=65535, help="JSON-RPC, on loopback.")] = 8545,
    comet: Annotated[int, typer.Option("--comet-port", min=1, max=65535, help="On loopback.")] = 26657,
    faults: Annotated[int, typer.Option("--faults", min=0, help="How many may fail; 3 f + 1 members.")] = 1,
    block_ms: Annotated[int, typer.Option("--block-ms", min=100, help="Pause between two blocks.")] = 1000,
    stake: Annotated[int, typer.Option("--stake", min=1, help="Tokens of each validator.")] = 1000,
    engine: Engine = None,
) -> None:
    """Make a node's keys on this machine, and the part that the others get.

    The terms (--faults, --block-ms, --stake) must be the same at all members. Nothing in part.json is secret.
    """
    from tallystick.network import JoinedPorts, NetworkTerms
    from tallystick.network import join as make
    from tallystick.proof import system_clock

    cards = () if card is None else _cards(card)
    # Rounded up: then 2 f + 1 members together can lend a newcomer its stake, and no fewer.
    terms = NetworkTerms(
        faulty=faults, block_time_ms=block_ms, stake=stake, spare=-(-stake // (2 * faults + 1))
    )
    with out.waiting("making keys"):
        part = make(
            home,
            name=name,
            host=host,
            engine=engine_of(engine),
            clock=system_clock,
            terms=terms,
            ports=JoinedPorts(p2p=p2p, rpc=rpc, comet=comet),
            cards=cards,
        )
    out.line(f"made {home} for {part.name}: its keys stay here, readable by you only")
    out.line(f"validator  {part.account}")
    out.line(f"node       {part.node_id}")
    out.line(f"send {home / 'part.json'} to all other members, and collect theirs")
    out.next(f"tallystick network assemble {home} *.part.json")
    out.result(
        {
            "account": part.account,
            "consensus_key": part.consensus_key,
            "directory": str(home),
            "node_id": part.node_id,
            "part": str(home / "part.json"),
        }
    )


def _cards(path: Path) -> tuple[Card, ...]:
    from tallystick.cli._verify import read_bytes
    from tallystick.node import parse_card_file

    return parse_card_file(read_bytes(path)).cards


def read_parts(paths: list[Path]) -> list[NetworkPart]:
    """Read part files; what is wrong with one names it. The same file named twice counts once."""
    from tallystick.cli._verify import read_bytes
    from tallystick.network import parse_part

    parts: list[NetworkPart] = []
    for path in paths:
        try:
            part = parse_part(read_bytes(path))
        except StorageError:
            raise
        except TallystickError as error:
            raise type(error)(f"{path}: {error.message}", hint=error.hint) from error
        if part not in parts:
            parts.append(part)
    return parts


@command(
    app,
    "assemble",
    example="tallystick network assemble node b.part.json c.part.json d.part.json\n"
    "tallystick network assemble node *.part.json --genesis 3f9a…",
)
def assemble(
    out: Output,
    home: Home,
    parts: Parts,
    genesis: Annotated[str, typer.Option("--genesis", help="The hash that all members read out.")] = "",
    engine: Engine = None,
) -> None:
    """Make the genesis of all parts; with --genesis also set this node up for it.

    First without --genesis: compare the hash with every other member, over the telephone. Then with it.
    """
    _set_up(out, home, parts, genesis, engine_of(engine), word="assemble")


@command(
    app,
    "attach",
    example="tallystick network attach node a.part.json b.part.json c.part.json --genesis 3f9a…",
)
def attach(
    out: Output,
    home: Home,
    parts: Parts,
    genesis: Annotated[str, typer.Option("--genesis", help="The running network's hash.")] = "",
    engine: Engine = None,
) -> None:
    """Set a joined node up for a network that runs already; the parts are those that it was made from."""
    _set_up(out, home, parts, genesis, engine_of(engine), word="attach")


def _set_up(out: Output, home: Path, paths: list[Path], genesis: str, engine: Path, *, word: str) -> None:
    from tallystick import network

    parts, own = read_parts(paths), network.own_part(home)
    if word == "assemble" and own not in parts:
        if any(part.name == own.name for part in parts):
            raise ConfigurationError(
                f"there is another part of {own.name} among these", hint="leave the older one out"
            )
        parts.append(own)
    with out.waiting("making the genesis"):
        if genesis:
            do = network.assemble if word == "assemble" else network.attach
            made = do(home, parts, engine=engine, expected=genesis)
        else:
            made = network.preview(parts, engine=engine)
    rows = [[part.name, f"{part.host}:{part.p2p_port}", part.account] for part in made.parts]
    out.table(["member", "address", "validator"], rows)
    out.line(f"{len(made.parts)} validators; {made.parts[0].terms.faulty} may be down or lie")
    out.line(f"genesis  {made.hash}")
    rpc = f"http://127.0.0.1:{network.read_ports(home).rpc}"
    if genesis:
        out.line(f"{home} is set up; JSON-RPC will be at {rpc}")
        try:
            unit = network.write_unit(home, engine)
            out.line("to keep it running, install the unit that lies beside its keys:")
            out.next(f"sudo systemctl enable --now {unit.resolve()}")
        except ConfigurationError as error:
            out.note(f"no unit for systemd was written: {error.message}")
            out.next(f"{engine.name} start --home {home}")
    else:
        out.line("nothing is set up yet: compare this hash with every other member, over another way")
        named = " ".join(str(path) for path in paths)
        out.next(f"tallystick network {word} {home} {named} --genesis {made.hash}")
    out.result(
        {
            "genesis": made.hash,
            "members": [part.name for part in made.parts],
            "rpc": rpc,
            "set_up": bool(genesis),
        }
    )
