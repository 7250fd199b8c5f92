"""`tallystick oracle ...`: ask the contract `Oracle`, answer as one of its signers, watch over its answers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, utc, write_out
from tallystick.errors import ChainError, ChainUnreachableError, ConfigurationError

if TYPE_CHECKING:
    from tallystick.decisions import Following, OracleAnswer
    from tallystick.node import Node, OracleDealings

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)
oracle = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Contracts that ask a model: request, answer, watch.",
)
app.add_typer(oracle, name="oracle")

LOOK_WAIT_S = 30.0  # for what one look sent

Request = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Its id; the beginning will do where its opening is kept.")
]
OpeningsFrom = Annotated[
    Path | None, typer.Option("--openings", help="A directory where requesters put openings.")
]
Once = Annotated[bool, typer.Option("--once", help="Look once, do what is due, and end.")]


@command(oracle, "found", example="tallystick oracle found\ntallystick oracle found --approvals 2")
def found_contracts(
    out: Output,
    approvals: Annotated[
        int, typer.Option("--approvals", min=1, help="Others who must approve a model, if Models is new.")
    ] = 1,
    workspace: Workspace = Path(),
) -> None:
    """Deploy the contracts Models and Oracle, each when the settings do not name it yet."""
    from tallystick.chain import connect
    from tallystick.node import found_models, found_oracle

    with open_node(workspace) as node:
        said = node.settings.chain
        if said is None or not said.members:
            raise ConfigurationError(
                "the settings name no Members contract", hint="run `tallystick members found` first"
            )
        with connect(said.profile) as chain, out.waiting("deploying"):
            models = said.models or found_models(node, chain, members=said.members, approvals=approvals)
            node.set_chain(replace(said, models=models))
            address = said.oracle or found_oracle(node, chain, models=models)
            node.set_chain(replace(said, models=models, oracle=address))
    out.line(f"models   {models}")
    out.line(f"oracle   {address}")
    out.line("every member sets both in tallystick.toml under [chain]")
    out.next(f"tallystick model publish FILE --name NAME -w {workspace}")
    out.result({"models": models, "oracle": address})


@command(
    oracle,
    "panel",
    example="tallystick oracle panel --signer b.card.json --signer c.card.json --need 2\n"
    "tallystick oracle panel --signer b.card.json --signer c.card.json --need 2 \\\n"
    "  --watcher d.card.json --watch-need 1 --bond-wei 1000000 --window-s 600 --window-blocks 20",
)
def panel(
    out: Output,
    signers: Annotated[list[Path], typer.Option("--signer", help="Card of a signer; again for more.")],
    need: Annotated[int, typer.Option("--need", min=1, help="How many of them must answer alike.")],
    watchers: Annotated[
        list[Path], typer.Option("--watcher", help="Card of a watcher; again for more.")
    ] = [],  # noqa: B006
    watch_need: Annotated[
        int, typer.Option("--watch-need", min=0, help="How many of them must hold the opening (L2).")
    ] = 0,
    bond: Annotated[int, typer.Option("--bond-wei", min=0, help="What each signer puts at stake (L2).")] = 0,
    window_s: Annotated[int, typer.Option("--window-s", min=0, help="Least seconds to challenge (L2).")] = 0,
    window_blocks: Annotated[
        int, typer.Option("--window-blocks", min=0, help="Least blocks to challenge (L2).")
    ] = 0,
    workspace: Workspace = Path(),
) -> None:
    """Open a panel: who answers, who watches, what is at stake. It never changes; its id names its content."""
    from tallystick.decisions import Panel

    wanted = Panel(_accounts(signers), need, _accounts(watchers), watch_need, bond, window_s, window_blocks)
    with open_node(workspace) as node, node.oracle() as dealings, out.waiting("opening the panel"):
        name = dealings.open_panel(wanted)
    out.line(f"panel {name}")
    out.line(f"{need} of {len(wanted.signers)} signers, {len(wanted.watchers)} watchers")
    out.line("L2 is served" if wanted.allows_challenges else "L0 and L1 only: no bond, watchers or window")
    out.next(f"every signer types: tallystick oracle run --panel {name} --exchange DIR")
    out.result({"panel": name})


def _accounts(cards: list[Path]) -> tuple[str, ...]:
    from tallystick.cli._verify import read_bytes
    from tallystick.node import parse_card_file
    from tallystick.proof import chain_address

    newest = [parse_card_file(read_bytes(card)).cards[-1] for card in cards]
    return tuple(sorted(chain_address(card.keys["chain"]) for card in newest))


@command(
    oracle,
    "request",
    example="tallystick oracle request risk --row row.json --level L4 --reveal chain\n"
    "tallystick oracle request risk --row row.json --level L1 --panel 9f…64 --reveal signers -o opening.json",
)
def request(
    out: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="heart, heart@2, or a hash.")],
    row: Annotated[Path, typer.Option("--row", help="The row: a JSON object of column and cell.")],
    level: Annotated[str, typer.Option("--level", help="L0, L1, L2 or L4.")],
    who: Annotated[str, typer.Option("--panel", help="Id of the panel that answers; none for L4.")] = "",
    reveal: Annotated[
        list[str], typer.Option("--reveal", help="Who may see input or weights; again for more.")
    ] = [],  # noqa: B006
    fee: Annotated[int, typer.Option("--fee-wei", min=0, help="For whoever answers.")] = 0,
    step_s: Annotated[int, typer.Option("--step-s", min=1, help="Least seconds of each step.")] = 60,
    step_blocks: Annotated[int, typer.Option("--step-blocks", min=1, help="Least blocks of each step.")] = 5,
    unpromoted: Annotated[
        bool, typer.Option("--unpromoted", help="Accept a model that is published only.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the opening, for signers and watchers.")
    ] = None,
    workspace: Workspace = Path(),
) -> None:
    """Ask the contract; on the chain stands only a commitment to the input.

    The opening is kept in the workspace before anything is sent. Give it to those who answer, and nobody else.
    """
    from tallystick.cli._rows import own_cells, read_row
    from tallystick.decisions import format_opening

    with open_node(workspace) as node, node.oracle() as dealings, out.waiting("asking"):
        made = dealings.request(
            name,
            own_cells(node.models.model(name), read_row(row)),
            level=level,
            panel=who,
            reveal=reveal,
            fee=fee,
            step_s=step_s,
            step_blocks=step_blocks,
            unpromoted=unpromoted,
        )
        opening = format_opening(dealings.opening(made))
    if output is not None:
        write_out(output, opening)
        out.line(f"{output}: the input and its salt; for signers and watchers only")
    out.line(f"request {made}")
    if level == "L4":
        out.next(f"tallystick oracle execute {made[:12]} -w {workspace}")
    else:
        out.next(f"tallystick oracle status {made[:12]} -w {workspace}")
    out.result({"level": level, "opening": None if output is None else str(output), "request": made})


@command(oracle, "open", example="tallystick oracle open opening.json")
def take_opening(
    out: Output,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the requester gave you.")],
    workspace: Workspace = Path(),
) -> None:
    """Keep the opening of a request, if it is what the request committed to on the chain."""
    from tallystick.cli._verify import read_bytes
    from tallystick.decisions import parse_opening

    opening = parse_opening(read_bytes(file, limit=64 * 1024))
    with open_node(workspace) as node, node.oracle() as dealings:
        terms = dealings.take(opening)
    out.line(f"kept: it opens request {opening.request[:12]}… at level L{terms.level}")
    out.next(f"tallystick oracle run --once -w {workspace}, or: oracle watch --once")
    out.result({"level": f"L{terms.level}", "model": terms.model, "request": opening.request})


@command(oracle, "status", example="tallystick oracle status 9f2c41d07a")
def status(out: Output, request_id: Request, workspace: Workspace = Path()) -> None:
    """Show how far a request is, what was answered, and what that rests on."""
    with open_node(workspace, read_only=True) as node, node.oracle() as dealings:
        _say(out, node, dealings, _whole(dealings, request_id))


@command(oracle, "execute", example="tallystick oracle execute 9f2c41d07a")
def execute(out: Output, request_id: Request, workspace: Workspace = Path()) -> None:
    """Let the contract execute the model of an L4 request; everybody can read the input then."""
    with open_node(workspace) as node, node.oracle() as dealings, out.waiting("executing"):
        whole = _whole(dealings, request_id)
        dealings.execute(whole)
        _say(out, node, dealings, whole)


@command(oracle, "finish", example="tallystick oracle finish 9f2c41d07a")
def finish(out: Output, request_id: Request, workspace: Workspace = Path()) -> None:
    """End a request whose time is over: finalise its answer, or get the fee back."""
    with open_node(workspace) as node, node.oracle() as dealings, out.waiting("ending"):
        whole = _whole(dealings, request_id)
        dealings.finish(whole)
        _say(out, node, dealings, whole)


def _whole(dealings: OracleDealings, text: str) -> str:
    """Complete the beginning of an id from the openings that are kept here."""
    known = [kept for kept in dealings.openings if kept.startswith(text.lower())] if len(text) >= 6 else []
    return known[0] if len(known) == 1 else text


def _say(out: Output, node: Node, dealings: OracleDealings, request_id: str) -> None:
    from tallystick.decisions import LEVELS

    terms, answer = dealings.terms(request_id), dealings.answer(request_id)
    level = LEVELS[f"L{terms.level}"]
    out.line(f"request  {request_id[:12]}… of {terms.requester}")
    out.line(f"model    {terms.model}")
    out.line(f"status   {_words(answer)}")
    meaning = _meaning(node, terms.model, answer.output) if answer.has_output else ""
    if answer.has_output:
        said = f"{meaning}, score {answer.output:,}" if meaning else f"{answer.output:,}"
        out.line(f"answer   {said}{'' if answer.is_final else ', not final yet'}")
    elif not answer.is_final:
        out.line(f"until    {utc(answer.deadline.second * 1_000_000)} and block {answer.deadline.block:,}")
    out.line(f"level    {level.name}: {level.claim}")
    out.line(f"who sees {level.who_sees.text}")
    out.result(
        {
            "final": answer.is_final,
            "level": level.name,
            "meaning": meaning,
            "model": terms.model,
            "output": str(answer.output) if answer.has_output else None,
            "overturned": answer.is_overturned,
            "request": request_id,
            "signed": sorted(answer.signed),
            "status": answer.status.name.lower(),
        }
    )


def _meaning(node: Node, digest: str, output: int) -> str:
    """What an output means by the model's file, where it is kept here; a chain knows numbers only."""
    from tallystick.errors import TallystickError
    from tallystick.models import IntegerModel

    try:
        found = node.models.model(digest)
    except TallystickError:
        return ""
    if not isinstance(found, IntegerModel):
        return ""
    if found.heads == 1:
        return found.decision((output,))
    # What a quorum answered may be no label at all.
    return found.labels[output] if 0 <= output < len(found.labels) else ""


def _words(answer: OracleAnswer) -> str:
    said = {
        "WAITING": f"watchers have to hold the opening first, {len(answer.acknowledged)} do",
        "OPEN": f"signers answer, {len(answer.committed)} have committed",
        "ANSWERED": f"answered by {len(answer.signed)}, may still be challenged",
        "FINAL": "final",
        "REFUNDED": "no answer in time; the fee went back",
    }[answer.status.name]
    return f"{said}, overturned by a challenge" if answer.is_overturned else said


# -- serving -----------------------------------------------------------------------------------------------


@command(
    oracle,
    "run",
    example="tallystick oracle run --panel 9f…64 --exchange /srv/oracle/answers --openings /srv/oracle/openings",
)
def run(
    out: Output,
    panels: Annotated[
        list[str], typer.Option("--panel", help="A panel that you have joined; again for more.")
    ],
    exchange: Annotated[
        Path, typer.Option("--exchange", help="A directory in which signers show each other their answers.")
    ],
    openings: OpeningsFrom = None,
    least_fee: Annotated[
        int, typer.Option("--least-fee", min=0, help="Wei that your share of a fee must reach.")
    ] = 0,
    once: Once = False,
    workspace: Workspace = Path(),
) -> None:
    """Answer requests as a signer, each once, whatever is killed when. Ends with Ctrl-C.

    What is answered is stated in the journal first. Start it again after a crash: it goes on where it was.
    """
    with open_node(workspace) as node, node.oracle() as dealings:
        service = dealings.signer(panels=panels, exchange=exchange, openings=openings, least_fee=least_fee)
        out.line(f"signer {dealings.account.address} of {len(panels)} panel(s)")
        _follow(out, node, service, once)


@command(oracle, "watch", example="tallystick oracle watch --openings /srv/oracle/openings")
def watch(
    out: Output, openings: OpeningsFrom = None, once: Once = False, workspace: Workspace = Path()
) -> None:
    """Score every L2 answer again and challenge a wrong one. Ends with Ctrl-C.

    The account needs the bond of a challenge in coins; it gets a share of what liars lose.
    """
    with open_node(workspace) as node, node.oracle() as dealings:
        service = dealings.watcher(openings=openings)
        out.line(f"watcher {dealings.account.address}")
        _follow(out, node, service, once)


def _follow(out: Output, node: Node, service: Following, once: bool) -> None:
    from tallystick.decisions import follow

    if once:
        left = service.step(wait_s=LOOK_WAIT_S)
        out.line(f"{left} unfinished request(s)" if left else "nothing is unfinished")
        out.result({"unfinished": left})
        return

    def pause(seconds: float) -> None:
        # This process holds the journal, so nobody else can anchor what it states.
        said = node.settings.chain
        if said is not None and said.anchors and node.anchor_due():
            try:
                node.anchor(timeout_s=LOOK_WAIT_S)
            except (ChainError, ChainUnreachableError) as error:
                out.note(f"not anchored yet: {error.message}")
        time.sleep(seconds)

    try:
        out.line("looking; end with Ctrl-C")
        follow(service, is_stopped=lambda: False, sleep=pause, wait_s=LOOK_WAIT_S)
    except KeyboardInterrupt:
        out.line("ended; start it again and it goes on")


@command(
    oracle,
    "account",
    example="tallystick oracle account\ntallystick oracle account --deposit-wei 1000000\n"
    "tallystick oracle account --withdraw-wei 500000",
)
def account(
    out: Output,
    deposit: Annotated[int, typer.Option("--deposit-wei", min=0, help="Put in, for bonds.")] = 0,
    withdraw: Annotated[int, typer.Option("--withdraw-wei", min=0, help="Take out what is free.")] = 0,
    workspace: Workspace = Path(),
) -> None:
    """Show what you have in the contract, put bonds in, take earnings out."""
    with open_node(workspace) as node, node.oracle() as dealings, out.waiting("waiting for the chain"):
        if deposit:
            dealings.deposit(deposit)
        if withdraw:
            dealings.withdraw(withdraw)
        mine = dealings.account.address
        held: Any = dealings.contract.account(mine)
        coins = dealings.chain.balance(mine)
    out.line(f"account  {mine}")
    out.line(f"free     {held.free} wei in the contract")
    out.line(f"locked   {held.locked} wei at stake")
    out.line(f"coins    {coins} wei outside")
    out.result(
        {"account": mine, "coins_wei": str(coins), "free_wei": str(held.free), "locked_wei": str(held.locked)}
    )
