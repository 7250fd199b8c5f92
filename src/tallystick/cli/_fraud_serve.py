"""`tallystick fraud serve` and `tallystick fraud keys add|list|remove`: the service, and who may call it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._node import open_node
from tallystick.cli._output import Output, utc

if TYPE_CHECKING:
    from tallystick.apps.fraud.serving import FraudSettings, Serving
    from tallystick.apps.fraud.sharing import Sharing
    from tallystick.errors import TallystickError
    from tallystick.node import Node
    from tallystick.server import Keys, KeysFile, Served, ServerSettings

__all__ = ["app"]

KEYS_FILE: Final = "keys.toml"
app = typer.Typer(rich_markup_mode=None)
keys = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Who may call the service: add, list, remove."
)
app.add_typer(keys, name="keys")


@command(
    app,
    "serve",
    example="tallystick fraud serve -w bank-a\n"
    "tallystick fraud serve -w bank-a --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
)
def serve(
    out: Output,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for any that is free.")] = 8480,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, PEM.")] = None,
    anchor_s: Annotated[
        int, typer.Option("--anchor-seconds", min=0, help="Between anchors; 0: as tallystick.toml says.")
    ] = 0,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Hash the whole journal again behind the start.")
    ] = True,
    log: Annotated[
        Path | None, typer.Option("--log", help="Lines of JSON, without personal data; - for stderr.")
    ] = None,
    open_metrics: Annotated[bool, typer.Option("--open-metrics", help="/metrics needs no key.")] = False,
    per_second: Annotated[
        int, typer.Option("--per-second", min=1, help="Requests of one key, where it has no limit.")
    ] = 5000,
    share: Annotated[
        Path | None,
        typer.Option("--share", help="share.toml: ask and answer other banks, see `fraud share`."),
    ] = None,
    workspace: Workspace = Path(),
) -> None:
    """Decide payments over HTTP. Ends with Ctrl-C or SIGTERM, and loses nothing.

    Reads fraud.toml in the workspace: models, thresholds, rules. Without it the default rules decide alone.
    """
    from tallystick.apps.fraud.serving import FraudSettings
    from tallystick.cli._fraud_share import shared
    from tallystick.server import KeysFile, ServerSettings
    from tallystick.server import serve as run

    settings = FraudSettings.read(workspace)
    with (
        open_node(workspace) as node,
        _Log(log) as written,
        shared(
            out,
            node,
            share,
            workspace,
            label_delay_s=settings.features.label_delay_s,
            log=written.write,
        ) as sharing,
    ):
        known = KeysFile(workspace / KEYS_FILE, wrong=written.keys_wrong)
        serving = _make_serving(out, node, settings, sharing)
        try:
            serving.start(verify=verify, anchor_s=anchor_s or None)
            bounds = ServerSettings(
                keys=known, requests_per_s=float(per_second), open_metrics=open_metrics, log=written.write
            )
            run(
                _make_app(serving, node, bounds, sharing),
                host=host,
                port=port,
                tls_cert=tls_cert,
                tls_key=tls_key,
                started=lambda place: _say(out, place, serving, known, workspace),
            )
        finally:
            serving.close()
    out.line("ended: everything that was answered is in the journal")


def _make_serving(out: Output, node: Node, settings: FraudSettings, sharing: Sharing | None) -> Serving:
    from tallystick.apps.fraud.serving import Serving, with_shared_rules

    with out.waiting("bringing the windows up to date"):
        features = settings.features.open()
        if sharing is None:
            return Serving(node, settings, features=features)
        names = (*features.names, *sharing.signals.names)
        settings = with_shared_rules(settings, sharing.settings, names=names)
        return Serving(node, settings, features=features, signals=sharing.signals)


def _make_app(serving: Serving, node: Node, bounds: ServerSettings, sharing: Sharing | None) -> Any:
    from dataclasses import replace

    from tallystick.cli._fraud_share import hold_desk
    from tallystick.server import FraudService, add_control, add_payees, create_app

    standing = serving.standing
    if sharing is not None:
        standing = lambda: replace(serving.standing(), sharing=sharing.standing())  # noqa: E731
    service = FraudService(
        serving.engine,
        node,
        standing,
        cases=serving.cases,
        appeals=serving,
        effects=node.oversight,
        decided=serving.decided,
    )
    app = add_control(create_app(service, bounds), node.oversight)
    if sharing is None:
        return app
    return add_payees(app, sharing, holds=hold_desk(node, sharing))


class _Log:
    """Where lines of the log go."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __enter__(self) -> _Log:
        is_file = self._path is not None and str(self._path) != "-"
        self._file = self._path.open("ab", buffering=0) if is_file and self._path is not None else None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            self._file.close()

    def keys_wrong(self, error: TallystickError) -> None:
        """Note that the file of keys cannot be read any more: those of before go on to count."""
        line = {"at": time.time_ns() // 1_000_000, "error": error.code, "what": KEYS_FILE}
        self.write(json.dumps(line).encode() + b"\n")

    def write(self, lines: bytes) -> None:
        if self._file is not None:
            self._file.write(lines)
        elif self._path is not None:
            sys.stderr.buffer.write(lines)
            sys.stderr.buffer.flush()


def _say(out: Output, place: Served, serving: Serving, known: KeysFile, workspace: Path) -> None:
    said = serving.standing()
    out.line(f"listening at {place.url}")
    if said.mode == "rules":
        out.line(said.why or "rules decide alone: a person switched the models off")
    if place.is_exposed:
        out.note(
            "other machines can read what is sent: give --tls-cert and --tls-key, or a proxy that speaks TLS"
        )
    out.line(f"journal {said.journal:,} statements; they are hashed again in the background")
    if not known.keys:
        out.line("nobody may call it yet: it has no keys")
        out.next(f"tallystick fraud keys add --name hub --role decide -w {workspace}")
    else:
        out.next(f"curl -H 'Authorization: Bearer tsk_…' {place.url}/health")
    out.result(
        {
            "keys": len(known.keys),
            "mode": said.mode,
            "statements": said.journal,
            "url": place.url,
            "why": said.why,
        }
    )
    sys.stdout.flush()


# -- keys --------------------------------------------------------------------------------------------------


def _read_keys(workspace: Path) -> Keys:
    from tallystick.node import Settings
    from tallystick.server import Keys

    Settings.read(workspace)  # a workspace, and not any directory
    return Keys.read(workspace / KEYS_FILE)


@command(
    keys,
    "add",
    example="tallystick fraud keys add --name hub --role decide -w bank-a\n"
    "tallystick fraud keys add --name ana --role review --role audit -w bank-a",
)
def add(
    out: Output,
    name: Annotated[str, typer.Option("--name", help="Whose key: a system, or a person.")],
    roles: Annotated[
        list[str], typer.Option("--role", help="audit, decide, member, operate or review; again for more.")
    ],
    per_second: Annotated[
        int, typer.Option("--per-second", min=0, help="Requests that it may make; 0: the service's limit.")
    ] = 0,
    workspace: Workspace = Path(),
) -> None:
    """Make a key and show it once; only its hash is kept. A running service takes it within a second.

    Give every person who judges cases a key: what it says is said in the name it bears.
    """
    known, token = _read_keys(workspace).added(name, roles, per_second=per_second)
    known.write(workspace / KEYS_FILE)
    out.line(token)
    out.line("keep it now: it cannot be shown again")
    out.next(f"tallystick fraud serve -w {workspace}")
    out.result({"key": token, "name": name, "roles": sorted(set(roles))})


@command(keys, "list", example="tallystick fraud keys list -w bank-a")
def list_keys(out: Output, workspace: Workspace = Path()) -> None:
    """List the keys, without what they are."""
    known = _read_keys(workspace)
    rows = [
        [key.id, utc(key.created_at * 1_000_000), ", ".join(sorted(key.roles)), key.name]
        for key in known.keys
    ]
    out.table(["id", "made", "roles", "name"], rows)
    out.result(
        {
            "keys": [
                {"created_at": k.created_at, "id": k.id, "name": k.name, "roles": sorted(k.roles)}
                for k in known.keys
            ]
        }
    )


@command(keys, "remove", example="tallystick fraud keys remove --name hub -w bank-a")
def remove(
    out: Output,
    name: Annotated[str, typer.Option("--name", help="Whose key.")],
    workspace: Workspace = Path(),
) -> None:
    """Remove a key; a running service refuses it within a second."""
    _read_keys(workspace).removed(name).write(workspace / KEYS_FILE)
    out.line(f"removed the key of {name}; a running service refuses it within a second")
    out.result({"removed": name})
