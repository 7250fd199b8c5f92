"""`tallystick doctor`: what on this machine could be in the way."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli._command import Workspace, command
from tallystick.cli._output import Output

if TYPE_CHECKING:
    from tallystick.node import Node

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

BASE = ("cryptography", "orjson", "rich", "typer")
EXTRAS = {
    "chain": ("coincurve", "eth-account", "py-evm", "web3"),
    "ai": ("jinja2", "numpy"),
}
LEAST_FREE_BYTES = 1024**3

Finding = tuple[str, str, str]  # ok, note or wrong; what; how it is


@command(app, "doctor", example="tallystick doctor\ntallystick doctor --deep -w clinic")
def doctor(
    out: Output,
    deep: Annotated[bool, typer.Option("--deep", help="Hash the whole journal again.")] = False,
    workspace: Workspace = Path(),
) -> None:
    """Look at Python, packages, disk, clock and the workspace; exit code 1 when something is wrong."""
    findings = [*_machine(), *_packages(), *_disk(workspace)]
    if (workspace / "tallystick.toml").exists():
        findings += _workspace(out, workspace, deep=deep)
    else:
        findings.append(("note", "workspace", f"none in {workspace.resolve()}"))
    for standing, what, how in findings:
        out.line(f"{standing:<6} {what:<13} {how}")
    out.result([{"how": how, "standing": standing, "what": what} for standing, what, how in findings])
    if any(standing == "wrong" for standing, _, _ in findings):
        raise typer.Exit(1)


def _machine() -> list[Finding]:
    python = "ok" if sys.version_info >= (3, 11) else "wrong"
    system = "ok" if platform.system() in ("Linux", "Darwin") else "note"
    tested = "" if system == "ok" else ", untested"
    return [
        (python, "python", f"{platform.python_version()} ({sys.executable})"),
        (system, "system", f"{platform.system()} {platform.release()}, {platform.machine()}{tested}"),
        (
            "ok" if time.time() > 1_767_225_600 else "wrong",
            "clock",
            time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        ),
    ]


def _packages() -> list[Finding]:
    found: list[Finding] = [("ok", "tallystick", metadata.version("tallystick"))]
    for group, names in {"base": BASE, **EXTRAS}.items():
        versions = {name: _version(name) for name in names}
        absent = [name for name, version in versions.items() if not version]
        if absent:
            how = f"missing: {', '.join(absent)}; pip install 'tallystick[{group}]'"
            found.append(("wrong" if group == "base" else "note", group, how))
        else:
            found.append(("ok", group, ", ".join(f"{name} {version}" for name, version in versions.items())))
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _disk(place: Path) -> list[Finding]:
    existing = next(path for path in (place.resolve(), *place.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return [
        ("ok" if free >= LEAST_FREE_BYTES else "wrong", "disk", f"{free / 1e9:.1f} GB free at {existing}")
    ]


def _workspace(out: Output, workspace: Path, *, deep: bool) -> list[Finding]:
    from tallystick.cli._node import open_node
    from tallystick.errors import TallystickError
    from tallystick.node import moving_to

    try:
        with open_node(workspace, read_only=True) as node:
            found: list[Finding] = [
                (
                    "ok",
                    "workspace",
                    f"{node.name}, {node.journal.size:,} statements, {len(node.peers)} known parties",
                )
            ]
            if node.journal.size:
                last = node.journal.statement(node.journal.size - 1).at / 1e6
                behind = last - time.time()
                if behind > 1:
                    found.append(("wrong", "clock", f"stands {behind:.0f} s behind the last statement"))
            mode = node.workspace.keys.stat().st_mode & 0o777
            found.append(("ok" if mode == 0o600 else "wrong", "key file", f"mode {mode:o}, must be 600"))
            if deep:
                with out.progress("hash") as progress:
                    node.journal.verify(progress)
                found.append(("ok", "journal", "every hash is what was signed"))
            chain = node.settings.chain
            found.append(("ok" if chain else "note", "chain", chain.profile.name if chain else "none set"))
            if moving_to(node) is not None:
                found.append(("note", "move", "not over: run the same `tallystick migrate` again"))
            return found + _backlog(node)
    except TallystickError as error:
        return [("wrong", "workspace", f"{error.message}; {error.hint}".removesuffix("; "))]


def _backlog(node: Node) -> list[Finding]:
    from tallystick.node import backlog

    waiting = backlog(node)
    ask = "`tallystick node ask`"
    found: list[Finding] = []
    if waiting.statements:
        found.append(
            ("note", "witnesses", f"statements that wait for cosignatures: {waiting.statements:,}; {ask}")
        )
    if waiting.anchors:
        found.append(("note", "anchor notes", f"anchors that wait for lines: {waiting.anchors:,}; {ask}"))
    if waiting.given:
        found.append(
            ("note", "given", f"notes that wait for the process that writes here: {waiting.given:,}")
        )
    return found
