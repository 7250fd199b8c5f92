"""`tallystick verify`: what a receipt or a bundle proves under the caller's policy."""

from __future__ import annotations

import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli._command import command
from tallystick.cli._node import kinds_for
from tallystick.cli._output import Output, fitted, show_error, write_out
from tallystick.errors import (
    ForkError,
    InputError,
    NotFoundError,
    StorageError,
    SurroundingsError,
    TallystickError,
)

if TYPE_CHECKING:
    from tallystick.proof import Policy, ReadAnchor, Receipt, Report

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

FALSE, WRONG_USE, NOBODY_NAMED = 1, 2, 3
PIPE_LIMIT = 64 * 1024 * 1024  # bytes: a pipe does not say how much will come


def anchor_reader(out: Output, rpc: str, policy: Policy | None) -> ReadAnchor | None:
    """Make the function that reads anchors from the caller's own endpoints; none when none are named.

    An endpoint is a URL, or the name of one in the policy. One that does not answer is said and left out.
    """
    if not rpc:
        return None
    from tallystick.chain import anchor_reader as make

    named = (
        {} if policy is None or policy.anchor is None else {e.name: e.url for e in policy.anchor.endpoints}
    )
    words = [word.strip() for word in rpc.split(",") if word.strip()]
    unknown = [word for word in words if "://" not in word and word not in named]
    if unknown:
        known = ", ".join(named) or "none"
        raise NotFoundError(
            f"no endpoint {unknown[0]!r}", hint=f"give a URL, or a name of the policy's: {known}"
        )
    silent: set[str] = set()

    def failed(url: str, error: TallystickError) -> None:
        if url not in silent:
            silent.add(url)
            out.note(error.message)

    names = {url: name for name, url in named.items()}
    read: ReadAnchor = make([named.get(word, word) for word in words], names=names, failed=failed)
    return read


def read_bytes(path: Path, *, limit: int = 1024 * 1024 * 1024) -> bytes:
    """Read a file, or a pipe such as a shell makes, that the caller named; never more than `limit` bytes."""
    if path.is_dir():
        raise NotFoundError(f"{path} is a directory", hint="name a file")
    try:
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            # A device may go on for ever.
            raise NotFoundError(f"{path} is neither a file nor a pipe", hint="name a file")
        with path.open("rb") as file:
            data = file.read(limit + 1 if stat.S_ISREG(kind) else min(limit, PIPE_LIMIT) + 1)
        if len(data) > (limit if stat.S_ISREG(kind) else min(limit, PIPE_LIMIT)):
            raise StorageError(f"{path} holds more than can be read here", hint="is this the right file?")
        return data
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise StorageError(f"{path} could not be read: {error.strerror}") from error


@command(
    app,
    "verify",
    example="tallystick verify decision.receipt.json --policy mine.json\n"
    "tallystick verify bundle.zip --policy mine.json --rpc http://a:8545,http://b:8545",
)
def verify_files(
    out: Output,
    files: Annotated[
        list[Path], typer.Argument(help="Receipts, bundles or evidence of forks.", show_default=False)
    ],
    policy: Annotated[
        Path | None,
        typer.Option("--policy", "-p", envvar="TALLYSTICK_POLICY", help="Whom you trust: your own file."),
    ] = None,
    rpc: Annotated[
        str, typer.Option("--rpc", envvar="TALLYSTICK_RPC", help="Endpoints of yours, separated by commas.")
    ] = "",
    payload: Annotated[Path | None, typer.Option("--payload", help="The file that was committed to.")] = None,
    evidence: Annotated[
        Path | None, typer.Option("--evidence", help="Where proof of two histories goes.")
    ] = None,
) -> None:
    """Say what receipts prove under your policy, what they only claim, what is missing.

    Exit codes: 0 everything your policy asks is proved, 1 something is false
    (evidence of a fork that holds is such a case), 2 wrong use, 3 intact, but
    without a policy nobody you named vouches for it.
    """
    try:
        code = _verified(out, files, policy, rpc, payload=payload, evidence=evidence)
    except InputError as error:
        # 1 says that evidence is false, or that something failed; this is neither.
        show_error(error, out)
        code = WRONG_USE
    raise typer.Exit(code)


def _verified(
    out: Output,
    files: list[Path],
    policy: Path | None,
    rpc: str,
    *,
    payload: Path | None,
    evidence: Path | None,
) -> int:
    mine = _policy(policy)
    opened = read_bytes(payload) if payload else None
    if opened is not None and len(files) != 1:
        raise typer.BadParameter("--payload goes with exactly one receipt", param_hint="--payload")
    reader = anchor_reader(out, rpc, mine)
    results = [_one(out, path, mine, reader, opened) for path in files]
    failed = any(not result["intact"] for result in results)
    split = _compare(out, [receipt for result in results for receipt in result.pop("receipts")], evidence)
    code = FALSE if failed or split else 0 if mine else NOBODY_NAMED
    if code == NOBODY_NAMED:
        out.line("intact, but you named nobody: give a policy with --policy to have names proved")
    out.result({"exit_code": code, "files": results, "fork": split})
    return code


def _policy(path: Path | None) -> Policy | None:
    from tallystick.proof import Policy

    return None if path is None else Policy.read(path)


def _one(
    out: Output, path: Path, policy: Policy | None, reader: ReadAnchor | None, payload: bytes | None
) -> Any:
    """Verify one file and show what was found; what is false is shown and counted, so the others are seen too."""
    try:
        data = read_bytes(path)
        if data[:2] == b"PK":
            return _bundle(out, path, data, policy, reader)
        if b'"type":"tallystick/fork"' in data[-200:]:
            return _fork(out, path, data, policy)
        return _receipt(out, path, data, policy, reader, payload)
    except (InputError, SurroundingsError):
        raise
    except TallystickError as error:
        return _false(out, path, error)


def _false(out: Output, path: Path, error: TallystickError) -> dict[str, Any]:
    report = getattr(error, "report", None)
    # What proves too little is not false, and is not called so.
    out.line(f"{path.name}: {'FALSE' if report is None else 'less than your policy asks'}")
    if report is not None:
        _show(out, report)
    show_error(error, out, document=False)
    return {
        "code": error.code,
        "file": str(path),
        "hint": error.hint,
        "intact": False,
        "lines": [] if report is None else _lines(report),
        "message": error.message,
        "receipts": [],
    }


def _lines(report: Report) -> list[dict[str, str]]:
    return [{"standing": line.standing, "text": line.text, "topic": line.topic} for line in report.lines]


def _show(out: Output, report: Report) -> None:
    mark = "(unconfirmed)"
    by = report.by.removesuffix(mark)
    out.line(fitted(f"{report.kind} by {by}", mark if by != report.by else ""))
    for line in report.lines:
        out.standing(line.standing, line.text)


def _receipt(
    out: Output,
    path: Path,
    data: bytes,
    policy: Policy | None,
    reader: ReadAnchor | None,
    payload: bytes | None,
) -> dict[str, Any]:
    from tallystick.proof import parse_receipt, verify

    receipt = parse_receipt(data)
    kinds = kinds_for([receipt])
    report = verify(receipt, policy=policy, read_anchor=reader, payload=payload, kinds=kinds)
    _show(out, report)
    found: dict[str, Any] = {"file": str(path), "intact": True, "kind": report.kind, "lines": _lines(report)}
    return found | {"by": report.by, "id": report.statement_id, "receipts": [receipt]}


def _fork(out: Output, path: Path, data: bytes, policy: Policy | None) -> dict[str, Any]:
    from tallystick.proof import fingerprint, read_fork

    fork = read_fork(data)
    known = None if policy is None else policy.by_id.get(fork.party)
    whom = "is not in your policy" if policy is not None and known is None else ""
    whom = f"is {known.name} of your policy" if known is not None else whom
    out.line(f"{path.name}: evidence of a fork: {fork.sentence}")
    out.line(f"  who      {fork.name}, as its own card says{f'; {whom}' if whom else ''}")
    out.line(f"  journal  {fork.origin}")
    for number, half in enumerate(fork.halves):
        out.line(f"  {'signed' if number == 0 else 'and'}   {half}")
    out.line(
        "Both bear that journal's own signature, so nobody else can have made them, and one history cannot hold both: "
        "different readers were shown different things."
    )
    out.line(
        f"Read the fingerprint {fingerprint(fork.party)} out to the members, give them this file, and take nothing of "
        "this journal on its own word."
    )
    # The evidence holds, so one of two histories is false; and it never shows what a policy asks.
    found: dict[str, Any] = {"evidence": fork.sentence, "file": str(path), "intact": False, "receipts": []}
    return found | {
        "halves": list(fork.halves),
        "name": fork.name,
        "origin": fork.origin,
        "party": fork.party,
        "pinned_as": None if known is None else known.name,
        "what": fork.what,
    }


def _bundle(
    out: Output, path: Path, data: bytes, policy: Policy | None, reader: ReadAnchor | None
) -> dict[str, Any]:
    from tallystick.proof import parse_bundle, verify_bundle

    bundle = parse_bundle(data)
    with out.progress("verify") as progress:
        kinds_known = kinds_for(bundle.receipts.values())
        reports = verify_bundle(
            bundle, policy=policy, kinds=kinds_known, read_anchor=reader, progress=progress
        )
    counts = Counter(line.standing for report in reports for line in report.lines)
    kinds = Counter((report.kind, report.by) for report in reports)
    out.line(f"{path.name}: {len(reports):,} receipts, all intact")
    for standing in ("proved", "claimed", "missing"):
        topics = Counter(
            line.topic for report in reports for line in report.lines if line.standing == standing
        )
        said = ", ".join(f"{count:,} {topic}" for topic, count in topics.most_common())
        out.standing(standing, f"{counts[standing]:,} lines{': ' if said else ''}{said}")
    out.table(
        ["count", "kind", "by"], [[f"{count:,}", kind, by] for (kind, by), count in sorted(kinds.items())]
    )
    statements = [
        {"by": report.by, "id": report.statement_id, "kind": report.kind, "lines": _lines(report)}
        for report in reports
    ]
    return {
        "counts": dict(counts),
        "file": str(path),
        "intact": True,
        "receipts": list(bundle.receipts.values()),
        "statements": statements,
    }


def _compare(out: Output, receipts: list[Receipt], evidence: Path | None) -> str | None:
    """Look for two histories of one journal among everything that was given; say what was found."""
    from tallystick.proof import compare_receipts

    places: dict[tuple[str, str, int], Receipt] = {}
    for receipt in receipts:
        origin, size = receipt.checkpoint.origin, receipt.checkpoint.size
        for key in ((origin, "size", size), (origin, "index", receipt.index)):
            try:
                compare_receipts(places.setdefault(key, receipt), receipt)
            except ForkError as error:
                _keep(error, evidence)
                show_error(error, out, document=False)
                return error.message
    return None


def _keep(error: ForkError, evidence: Path | None) -> None:
    """Write the evidence down where the caller wants it, and say what it is good for."""
    if evidence is None:
        error.hint = (
            "both files together convict the journal's operator: --evidence FILE makes one file of them"
        )
        return
    write_out(evidence, error.evidence)
    error.hint = f"`tallystick verify {evidence}` explains the evidence to anybody"
