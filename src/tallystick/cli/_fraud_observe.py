"""`tallystick fraud observe|compare`: shadow mode live, and what both scorers would have caught by now."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._fraud_shadow import read_file, say_comparison
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, write_out
from tallystick.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from tallystick.apps.fraud.shadow import AskedScorer, LiveAnchors, LiveShadow, SaidScorer
    from tallystick.node import Node
    from tallystick.server import KeysFile, Served

__all__ = ["app"]

KEYS_FILE: Final = "keys.toml"
AUTHORISATION: Final = "TALLYSTICK_SCORER_AUTHORIZATION"
STATE: Final = "shadow"  # directory of its snapshots in a workspace
NAME: Final = "present scorer"
app = typer.Typer(rich_markup_mode=None)

External = Annotated[
    Path | None, typer.Option("--external", help="The description of your scorer behind HTTP: it is asked.")
]
ScorerName = Annotated[
    str, typer.Option("--scorer-name", help="Which scorer, in words; another name is another scorer.")
]


@command(
    app,
    "observe",
    example='tallystick fraud observe --model fraud.tsm --scorer-name "our scorer v7" -w bank-a\n'
    "tallystick fraud observe --model fraud.tsm --external scorer.json -w bank-a\n"
    "tallystick fraud observe --model fraud.tsm --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem -w bank-a",
)
def observe(
    out: Output,
    model: Annotated[Path, typer.Option("--model", help="Ours, that scores beside yours.")],
    external: External = None,
    scorer_name: ScorerName = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for any that is free.")] = 8485,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, PEM.")] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="Lines of JSON, without personal data; - for stderr.")
    ] = None,
    open_metrics: Annotated[bool, typer.Option("--open-metrics", help="/metrics needs no key.")] = False,
    per_second: Annotated[
        int, typer.Option("--per-second", min=1, help="Observations of one key, where it has no limit.")
    ] = 5000,
    workspace: Workspace = Path(),
) -> None:
    """Take each decision of your present scorer over HTTP as it is made, state it, and score beside it.

    Your scorer goes on deciding; this decides nothing. Either each request brings what it decided, or (--external) it is
    asked from here. An answer leaves when its statement is durable. Reads the windows' bounds from fraud.toml, keys as
    `fraud serve` does; heads go to the chain behind it. Ends with Ctrl-C or SIGTERM, and loses nothing.
    """
    from tallystick.cli._fraud_serve import _Log
    from tallystick.models import parse_model
    from tallystick.server import KeysFile, ServerSettings, ShadowService, create_shadow_app
    from tallystick.server import serve as run

    ours, present = parse_model(read_file(model)), _present(external, scorer_name)
    with open_node(workspace) as node, _Log(log) as written:
        known = KeysFile(workspace / KEYS_FILE, wrong=written.keys_wrong)
        with closing(_open(out, node, ours, present)) as shadow, ExitStack() as behind:
            anchors = _anchors(node, behind)
            bounds = ServerSettings(
                keys=known, requests_per_s=float(per_second), open_metrics=open_metrics, log=written.write
            )
            service = ShadowService(
                shadow,
                node,
                present.hash,
                ours.hash,
                anchor_error=None if anchors is None else lambda: anchors.error,
            )
            run(
                create_shadow_app(service, bounds),
                host=host,
                port=port,
                tls_cert=tls_cert,
                tls_key=tls_key,
                started=lambda place: _say(out, place, shadow, known, workspace),
            )
    out.line("ended: everything that was answered is in the journal")


def _present(external: Path | None, name: str) -> SaidScorer | AskedScorer:
    from tallystick.apps.fraud.shadow import AskedScorer, SaidScorer
    from tallystick.models import ExternalModel, parse_external

    if external is None:
        return SaidScorer(name or NAME)
    if name:
        raise DataError("a scorer behind HTTP has its name in its description", hint="drop --scorer-name")
    # Credentials come from the environment: never from the command line, never from a file of ours.
    given = os.environ.get(AUTHORISATION)
    headers = {"Authorization": given} if given else {}
    return AskedScorer(ExternalModel(parse_external(read_file(external)), headers=lambda: headers))


def _open(out: Output, node: Node, ours: object, present: SaidScorer | AskedScorer) -> LiveShadow:
    from tallystick.apps.fraud.serving import FraudSettings
    from tallystick.apps.fraud.shadow import LiveShadow
    from tallystick.models import IntegerModel

    if not isinstance(ours, IntegerModel):
        raise DataError("the model beside yours must be an integer model", hint="tallystick fraud train")
    # The journal brings these windows back, so they are kept in this process whatever the service itself uses.
    features = replace(FraudSettings.read(node.workspace.path).features, redis="").open()
    with out.waiting("bringing the windows up to date"):
        return LiveShadow(
            node,
            present=present,
            model=ours,
            features=features,
            published=_published(node, present.hash),
            beside=_published(node, ours.hash),
            clock=node.clock,
            directory=node.workspace.path / STATE,
        )


def _anchors(node: Node, behind: ExitStack) -> LiveAnchors | None:
    """Send heads to the chain while the service runs, where the workspace has one."""
    from tallystick.apps.fraud.shadow import LiveAnchors

    chain = node.settings.chain
    if chain is None or not chain.anchors:
        return None
    return behind.enter_context(LiveAnchors(node))


def _published(node: Node, model_hash: str) -> str:
    """Return the statement that published a model or a description here; empty when none did."""
    try:
        return node.models.registry.find(model_hash).published
    except NotFoundError:
        return ""


def _say(out: Output, place: Served, shadow: LiveShadow, known: KeysFile, workspace: Path) -> None:
    said = shadow.stats()
    out.line(f"listening at {place.url}")
    if place.is_exposed:
        out.note(
            "other machines can read what is sent: give --tls-cert and --tls-key, or a proxy that speaks TLS"
        )
    out.line(f"{said.remembered:,} observations of this scorer are remembered; it goes on deciding")
    if known.keys:
        out.next(f"curl -H 'Authorization: Bearer tsk_…' {place.url}/v1/comparison?days=14")
    else:
        out.line("nobody may call it yet: it has no keys")
        out.next(f"tallystick fraud keys add --name hub --role decide -w {workspace}")
    out.result(
        {
            "keys": len(known.keys),
            "model": shadow.model,
            "observations": said.remembered,
            "scorer": shadow.present.hash,
            "url": place.url,
        }
    )
    sys.stdout.flush()


@command(
    app,
    "compare",
    example="tallystick fraud compare -w bank-a\n"
    "tallystick fraud compare --days 30 --genuine-after 14 --out shadow.json -w bank-a",
)
def compare(
    out: Output,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="The last days, by the statements.")
    ] = 14,
    genuine_after: Annotated[
        int,
        typer.Option(
            "--genuine-after",
            min=0,
            max=3650,
            help="Days after which a payment without a label counts as genuine; 0: never.",
        ),
    ] = 0,
    external: External = None,
    scorer_name: ScorerName = "",
    output: Annotated[Path | None, typer.Option("--out", "-o", help="The comparison, JSON.")] = None,
    workspace: Workspace = Path(),
) -> None:
    """Compare what your present scorer caught with what ours would have, at no more false alerts.

    Reads the journal alone: observed decisions, and the labels that were stated since. Of the scorer that was observed
    last, where none is named. Runs beside `fraud observe` too.
    """
    from tallystick.apps.fraud.shadow import compare_stated, find_scorer

    wanted = _present(external, scorer_name).hash if external or scorer_name else ""
    with open_node(workspace, read_only=True) as node, out.waiting("reading the journal"):
        who = find_scorer(node.journal, scorer=wanted)
        found = compare_stated(
            node.journal,
            scorer=who.scorer,
            model=who.model,
            days=days,
            now=node.clock(),
            genuine_after_days=genuine_after or None,
        )
    said = {**found.plain(), "model": who.model, "scorer": who.scorer}
    if output is not None:
        write_out(output, orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n")
    say_comparison(out, found, stated=found.observed)
    if not found.payments:
        out.next("state what payments turned out to be: POST /v1/labels of `fraud observe`")
    out.result(said)
