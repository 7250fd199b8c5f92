"""`tallystick node serve|watch`: a party's node towards the other members."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallystick.errors import TallystickError
    from tallystick.node import Gathered, Node, Sighting
    from tallystick.server import Served

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "serve",
    example="tallystick node serve -w bank-a\n"
    "tallystick node serve -w bank-a --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
)
def serve(
    out: Output,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for any that is free.")] = 8490,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, PEM.")] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="Lines of JSON, without personal data; - for stderr.")
    ] = None,
    open_metrics: Annotated[bool, typer.Option("--open-metrics", help="/metrics needs no key.")] = False,
    per_second: Annotated[
        int, typer.Option("--per-second", min=1, help="Requests of one key, or of one address without.")
    ] = 200,
    asks: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask the witnesses that the settings name, every so often.")
    ] = True,
    anchors: Annotated[
        bool, typer.Option("--anchor", help="Anchor too, when it is due and cosigned as the settings say.")
    ] = False,
    workspace: Workspace = Path(),
) -> None:
    """Show your journal as tiles, and witness the journals of parties whose card you imported.

    Hashes and heads are anybody's; entries and receipts need a key with the role audit or member (`tallystick fraud
    keys add`). Where the settings name witnesses (`tallystick node witnesses`), they are asked for their lines under
    your newest head and your anchors. Runs beside whatever writes the journal. Ends with Ctrl-C or SIGTERM.
    """
    from tallystick.cli._fraud_serve import _Log
    from tallystick.server import JournalService, KeysFile, ServerSettings, create_journal_app
    from tallystick.server import serve as run

    with open_node(workspace, read_only=True) as node, _Log(log) as written:
        known = KeysFile(workspace / "keys.toml", wrong=written.keys_wrong)
        rounds = _Rounds(out, node, anchors=anchors) if asks and node.settings.witnesses.urls else None
        service = JournalService(node, gathered=None if rounds is None else rounds.last)
        settings = ServerSettings(
            keys=known, requests_per_s=float(per_second), open_metrics=open_metrics, log=written.write
        )

        def started(place: Served) -> None:
            _say(out, place, node, len(known.keys))
            if rounds is not None:
                rounds.start()

        try:
            run(
                create_journal_app(service, settings),
                host=host,
                port=port,
                tls_cert=tls_cert,
                tls_key=tls_key,
                started=started,
            )
        finally:
            if rounds is not None:
                rounds.stop()
    out.line("ended")


class _Rounds:
    """The rounds of a node that serves, told to a person: what changed since the last one, never the same twice."""

    def __init__(self, out: Output, node: Node, *, anchors: bool) -> None:
        from tallystick.node import Rounds

        self._out = out
        self._said: list[str] = []
        self._rounds = Rounds(node, anchors=anchors, told=self._tell)
        self.start, self.stop = self._rounds.start, self._rounds.stop

    def last(self) -> Gathered | None:
        return self._rounds.last

    def _tell(self, outcome: Gathered | TallystickError) -> None:
        from tallystick.errors import TallystickError

        if isinstance(outcome, TallystickError):
            said = [f"the witnesses could not be asked: {outcome.message}"]
        else:
            said = [f"no line of {who}: {why}" for who, why in outcome.missing.items()]
            if outcome.waiting:
                said.append(f"{outcome.waiting:,} statements wait for the cosignatures that are wanted")
        if said != self._said:
            for line in said or ["all witnesses have signed again"] if self._said else said:
                self._out.note(line)
            self._said = said


def _say(out: Output, place: Served, node: Node, keys: int) -> None:
    out.line(f"listening at {place.url}")
    if place.is_exposed:
        out.note("other machines can read what is sent: give --tls-cert and --tls-key, or a proxy")
    out.line(f"journal of {node.name}, {node.journal.size:,} statements; witness of {len(node.peers)} others")
    if not node.peers:
        out.next("import the others' cards: tallystick card import FILE")
    out.result({"keys": keys, "origin": node.origin, "peers": len(node.peers), "url": place.url})
    sys.stdout.flush()


@command(
    app,
    "watch",
    example="tallystick node watch https://bank-b.example:8490 https://bank-c.example:8490 -w bank-a\n"
    "tallystick node watch --once https://bank-b.example:8490 -w bank-a",
)
def watch(
    out: Output,
    logs: Annotated[list[str], typer.Argument(help="Where other members' nodes listen.")],
    once: Annotated[bool, typer.Option("--once", help="Look once; fails when something is wrong.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between looks.")] = 30.0,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for one answer.")] = 10.0,
    workspace: Workspace = Path(),
) -> None:
    """Follow other members' logs: each head must follow the one before, and what others were shown.

    What fits, what does not and what convicts is stated in your journal; evidence goes to evidence/ in the workspace,
    and `tallystick verify` explains it. The workspace is open only while it looks. Ends with Ctrl-C.
    """
    from tallystick.errors import LockedError

    while True:
        try:
            found, absent = _look(out, workspace, logs, timeout_s)
        except LockedError as error:
            if once:
                raise
            out.note(f"{error.message}; looking again in {every_s:g} s")
            found, absent = [], {}
        if once:
            break
        sys.stdout.flush()
        try:
            time.sleep(every_s)
        except KeyboardInterrupt:
            return
    out.result({"absent": absent, "logs": [_plain(sighting) for sighting in found]})
    # A log that nobody could look at is not in order either.
    if absent or any(one.is_alarm or one.found == "silent" for one in found):
        raise typer.Exit(1)


def _look(
    out: Output, workspace: Path, urls: list[str], timeout_s: float
) -> tuple[list[Sighting], dict[str, str]]:
    from tallystick.node import Monitor, find_witnesses

    with open_node(workspace) as node:
        logs, absent = find_witnesses(node.peers, urls, timeout_s=timeout_s)
        for url, why in absent.items():
            out.note(f"{url}: {why}")
        found = Monitor(
            node.workspace, node.peers, logs, record=node.record, anchored=_chain_of(node, out)
        ).look()
    for one in found:
        if one.is_alarm:
            out.note(f"ALARM {one.name}: {one.why}")
            if one.evidence:
                out.next(f"tallystick verify {one.evidence}")
        elif one.why:
            out.note(f"{one.name}: {one.why}")
        elif one.found == "checked":
            out.line(f"{one.name}: {one.since:,} to {one.size:,} entries, all in order")
    return found, absent


def _chain_of(node: Node, out: Output) -> Callable[[str], tuple[int, bytes] | None] | None:
    """How the last anchored head of a journal is read, when the workspace has a chain."""
    settings = node.settings.chain
    if settings is None or not settings.anchors:
        return None

    def anchored(origin: str) -> tuple[int, bytes] | None:
        from tallystick.chain import Anchors, connect
        from tallystick.errors import ChainUnreachableError
        from tallystick.proof import journal_id

        try:
            chain = connect(settings.profile)
            try:
                head = Anchors(chain.web3, settings.anchors).heads(journal_id(origin))
            finally:
                chain.close()
        except ChainUnreachableError:
            # The log is followed all the same; the statement says no anchored size, so it claims no comparison.
            out.note("the chain cannot be reached: anchors were not compared")
            return None
        return None if head is None else (head.size, head.root)

    return anchored


def _plain(one: Sighting) -> dict[str, object]:
    evidence = str(one.evidence) if one.evidence else None
    return {
        "compared": one.compared,
        "evidence": evidence,
        "found": one.found,
        "name": one.name,
        "party": one.party,
        "since": one.since,
        "size": one.size,
        "why": one.why or None,
    }
