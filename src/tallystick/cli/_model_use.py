"""`tallystick model list|publish|evaluate|approve|promote|override|retire|card|deploy`: a workspace's registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._model_files import model, open_model
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, short, write_out
from tallystick.cli._verify import read_bytes
from tallystick.errors import DataError, VerificationError

if TYPE_CHECKING:
    from tallystick.models import Gate, Version
    from tallystick.node import Judged, Node

__all__ = ["model"]

GATE_LIMIT = OVERRIDE_LIMIT = 64 * 1024  # bytes
_OVERRIDE = "tallystick/override"

Name = Annotated[str, typer.Argument(metavar="NAME", help="heart, heart@2, or the beginning of a hash.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in words that everybody may read.")]


def _plain(version: Version) -> dict[str, Any]:
    return {
        "evaluations": list(version.evaluations),
        "family": version.family,
        "hash": version.hash,
        "name": version.name,
        "number": version.number,
        "parent": version.parent,
        "passed": list(version.passed),
        "published": version.published,
        "stage": version.stage,
    }


def _say(out: Output, version: Version, done: str) -> None:
    out.line(f"{version.label} {done}")
    out.line(f"hash       {version.hash}")
    out.line(f"statement  {version.promoted or version.published}")


@command(model, "list", example="tallystick model list\ntallystick model list --name heart")
def list_models(
    out: Output,
    name: Annotated[str, typer.Option("--name", help="Only versions of this name.")] = "",
    workspace: Workspace = Path(),
) -> None:
    """List the versions that were published here, the newest last."""
    with open_node(workspace, read_only=True) as node:
        versions = node.models.versions(name)
    rows = [
        [
            version.label,
            version.family,
            version.stage,
            f"{len(version.passed)} of {len(version.evaluations)}",
            version.hash[:12],
        ]
        for version in versions
    ]
    out.table(["model", "family", "stage", "passed", "hash"], rows)
    out.result([_plain(version) for version in versions])


@command(model, "publish", example="tallystick model publish heart.tsm --name heart --link data=9f2c41d07a")
def publish(
    out: Output,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file.")],
    name: Annotated[str, typer.Option("--name", help="As it is asked for.")],
    parent: Annotated[str, typer.Option("--parent", help="The version that it replaces.")] = "",
    links: Annotated[
        list[str], typer.Option("--link", help="LABEL=STATEMENT it comes from; again for more.")
    ] = [],  # noqa: B006
    workspace: Workspace = Path(),
) -> None:
    """State that a model exists, and keep its file under its hash."""
    found = open_model(file)
    with open_node(workspace) as node, out.waiting("publishing"):
        linked: dict[str, list[str]] = {}
        for text in links:
            label, separator, statement = text.partition("=")
            if not separator or not label:
                raise typer.BadParameter(f"expected LABEL=STATEMENT, got {text!r}", param_hint="--link")
            linked.setdefault(label, []).append(node.find(statement).id)
        version = node.models.publish(found, name, links=linked or None, parent=parent or None)
    _say(out, version, "is published")
    out.next(f"tallystick model evaluate {version.name} --data FILE.csv --target COLUMN -w {workspace}")
    out.result(_plain(version))


@command(
    model,
    "evaluate",
    example="tallystick model evaluate heart --data held-out.csv --target illness\n"
    "tallystick model evaluate heart --data held-out.csv --target illness --group sex --gate gate.json",
)
def evaluate(
    out: Output,
    name: Name,
    data: Annotated[Path, typer.Option("--data", help="CSV rows that it has not learned from.")],
    target: Annotated[str, typer.Option("--target", help="The column of what turned out.")],
    positive: Annotated[str, typer.Option("--positive", help="What means yes: a value, or >NUMBER.")] = "",
    group: Annotated[
        str, typer.Option("--group", help="A column of groups that are to be treated alike.")
    ] = "",
    gate: Annotated[
        Path | None, typer.Option("--gate", help="Limits to keep, a file of `model gate`.")
    ] = None,
    cohort: Annotated[str, typer.Option("--cohort", help="Which rows these are, in words.")] = "",
    workspace: Workspace = Path(),
) -> None:
    """Judge a model by rows, and state the figures; what passes a gate may be promoted."""
    from tallystick.models import parse_gate

    with open_node(workspace) as node, out.waiting("judging"):
        version = node.models.find(name)
        limits = None if gate is None else parse_gate(read_bytes(gate, limit=GATE_LIMIT).rstrip())
        judged = judge_rows(
            node,
            version,
            data,
            target,
            positive=positive,
            group=group,
            gate=limits,
            cohort=cohort or data.name,
        )
        version = node.models.report(version, judged)
    figures = judged.figures()
    for figure, value in (figures | figures.get("fairness", {})).items():
        if isinstance(value, str):
            out.line(f"{figure:<30} {value}")
    for line in [] if judged.verdict is None else judged.verdict.lines:
        out.line(f"gate: {line.text()}")
    out.line(f"{'statement':<30} {version.evaluations[-1][:12]}")
    if judged.passed is not None:
        out.line("passed" if judged.passed else "not passed: it may not come into use by this evaluation")
    out.next(f"tallystick model promote {version.label} -w {workspace}")
    out.result({"figures": judged.figures(), "passed": judged.passed, "version": _plain(version)})


def judge_rows(
    node: Node,
    version: Version,
    data: Path,
    target: str,
    *,
    positive: str,
    group: str,
    gate: Gate | None,
    cohort: str,
) -> Judged:
    from tallystick.models import load_rows, read_targets

    found = node.models.model(version)
    header, rows = load_rows(data)
    for name in (target, group) if group else (target,):
        if name not in header:
            raise DataError(
                f"the file has no column {name!r}", hint=f"its columns are: {', '.join(header[:20])}"
            )
    kept = [row for row in rows if row[target] is not None]
    cells = [row[target] or "" for row in kept]
    truth: list[Any] = list(cells)
    if len(found.labels) == 2 and not set(cells) <= set(found.labels):
        truth = list(read_targets(cells, target, positive or None)[0])
    groups = [row[group] or "missing" for row in kept] if group else None
    return node.models.evaluate(found, kept, truth, groups=groups, gate=gate, cohort=cohort)


@command(
    model,
    "gate",
    example="tallystick model gate --limit auroc=0.8 --limit equal_opportunity_difference=0.1 -o gate.json",
)
def make_gate(
    out: Output,
    limits: Annotated[list[str], typer.Option("--limit", help="MEASURE=LIMIT, 0 to 1; again for more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")],
    least: Annotated[int, typer.Option("--least", min=5, help="Rows a rate needs in every group.")] = 20,
) -> None:
    """Write down the limits that a model must keep, before anybody judges it.

    What counts is the worse end of the 95% interval; "not enough data" is never a pass.
    """
    from tallystick.models import Gate

    said = {}
    for text in limits:
        measure, separator, limit = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"expected MEASURE=LIMIT, got {text!r}", param_hint="--limit")
        said[measure] = limit
    made = Gate.of(said, least=least)
    write_out(output, made.bytes)
    for measure, limit in made.limits:
        out.line(f"{measure:<30} {limit}")
    out.line(f"hash      {made.hash}")
    out.next(f"tallystick model evaluate NAME --data FILE.csv --target COLUMN --gate {output}")
    out.result({"file": str(output), "hash": made.hash, "limits": dict(made.limits)})


@command(model, "approve", example="tallystick model approve heart@1")
def approve(out: Output, name: Name, workspace: Workspace = Path()) -> None:
    """Approve another party's model: publish its file here first, so that you know what you approve."""
    with open_node(workspace) as node, out.waiting("approving"):
        version = node.models.find(name)
        statement = node.models.approve(version)
    out.line(f"{version.label} approved")
    out.line(f"statement  {statement}")
    out.result({"hash": version.hash, "statement": statement})


@command(
    model,
    "promote",
    example="tallystick model promote heart@1\ntallystick model promote heart@1 --override a.json --override b.json",
)
def promote(
    out: Output,
    name: Name,
    override: Annotated[
        list[Path],
        typer.Option("--override", help="What a party signed with `model override`; two of them."),
    ] = [],  # noqa: B006
    workspace: Workspace = Path(),
) -> None:
    """Bring a version into use: an evaluation passed its gate, or two parties signed for it.

    With a contract, the contract is asked first: what it refuses is not promoted.
    """
    signed = [_read_override(path) for path in override]
    reasons = {reason for _, reason in signed}
    if len(reasons) > 1:
        raise VerificationError(
            "the parties signed different reasons", hint="agree on one, and sign it again"
        )
    with open_node(workspace) as node, out.waiting("promoting"):
        version = node.models.promote(
            name, override=[part for part, _ in signed], reason=next(iter(reasons), "")
        )
    _say(out, version, "is in use")
    out.next(f"tallystick ask {version.name} --row row.json -w {workspace}")
    out.result(_plain(version))


@command(
    model,
    "override",
    example='tallystick model override 9f2c41…64 digits --for bank-a.card.json --reason "only one" -o b.json',
)
def override(
    out: Output,
    what: Annotated[str, typer.Argument(metavar="NAME|HASH", help="A model here, or its whole hash.")],
    reason: Reason,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write what you signed.")],
    card: Annotated[
        Path | None, typer.Option("--for", help="Card of the party that promotes; yourself by default.")
    ] = None,
    workspace: Workspace = Path(),
) -> None:
    """Sign that a model may come into use although no evaluation of it passed; two parties have to."""
    from tallystick.node import parse_card_file

    with open_node(workspace) as node:
        origin = node.origin if card is None else parse_card_file(read_bytes(card)).origin
        digest = what if len(what) == 64 else node.models.find(what).hash
        signed = node.models.sign_override(digest, reason, origin=origin)
    document = {"author": signed, "model": digest, "reason": reason, "type": _OVERRIDE, "v": 1}
    write_out(output, orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    out.line(f"{output}: {node.name} lets {short(digest)} into use: {reason}")
    out.next(f"tallystick model promote {short(digest, 12).rstrip('…')} --override {output} --override OTHER")
    out.result({"file": str(output), "model": digest, "reason": reason})


def _read_override(path: Path) -> tuple[dict[str, str], str]:
    try:
        document = orjson.loads(read_bytes(path, limit=OVERRIDE_LIMIT))
        author, reason = document["author"], document["reason"]
        fits = document["type"] == _OVERRIDE and document["v"] == 1 and isinstance(reason, str)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        fits = False
    if not fits or not isinstance(author, dict):
        raise VerificationError(
            f"{path} is not a signed override", hint="make one with `tallystick model override`"
        )
    return author, reason


@command(model, "retire", example='tallystick model retire heart@1 --reason "heart@2 replaces it"')
def retire(out: Output, name: Name, reason: Reason, workspace: Workspace = Path()) -> None:
    """Take a version out of use, for ever; its answers stay provable."""
    with open_node(workspace) as node, out.waiting("retiring"):
        version = node.models.retire(name, reason)
    _say(out, version, "is retired")
    out.result(_plain(version))


@command(model, "deploy", example="tallystick model deploy heart@1")
def deploy(out: Output, name: Name, workspace: Workspace = Path()) -> None:
    """Put a model on the chain so that contracts can execute it; no compiler is needed."""
    with open_node(workspace) as node, out.waiting("deploying"):
        version = node.models.find(name)
        made = node.models.deploy(version)
        stage = node.models.chain_stage(version)
    out.line(f"{version.label} is executed by {made.executor}")
    out.line(f"{len(made.parts)} part(s) of parameters, {made.gas_used:,} gas; the contract calls it {stage}")
    out.result(
        {
            "executor": made.executor,
            "gas_used": made.gas_used,
            "hash": version.hash,
            "parts": list(made.parts),
            "stage": stage,
        }
    )


@command(model, "settle", example="tallystick model settle")
def settle(out: Output, workspace: Workspace = Path()) -> None:
    """Send what was stated and the contract does not show yet; safe to run again at any time."""
    with open_node(workspace) as node, out.waiting("waiting for the chain"):
        sent = node.models.settle()
    out.line(f"{sent} transaction(s) sent" if sent else "the contract shows everything already")
    out.result({"sent": sent})
