"""The program: its commands by name, its global options, and what an error looks like."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from typing import Annotated, Any, Final

import typer

from tallystick.cli._command import CURRENT, lazy_group
from tallystick.cli._output import Output, show_error

__all__ = ["COMMANDS", "app", "run"]

USAGE: Final = 2  # the exit code of a command line that cannot be read
HEARD: Final = 8_192  # characters

_HERE = "tallystick.cli"
# Command -> module, in the order of a first day. A module is imported when its command is used.
COMMANDS = {
    "init": f"{_HERE}._workspace",
    "record": f"{_HERE}._journal",
    "log": f"{_HERE}._journal",
    "anchor": f"{_HERE}._journal",
    "receipt": f"{_HERE}._journal",
    "disclose": f"{_HERE}._journal",
    "verify": f"{_HERE}._verify",
    "trace": f"{_HERE}._trace",
    "witness": f"{_HERE}._witness",
    "node": f"{_HERE}._node_group",
    "card": f"{_HERE}._card",
    "policy": f"{_HERE}._policy",
    "members": f"{_HERE}._chain",
    "chain": f"{_HERE}._chain",
    "migrate": f"{_HERE}._migrate",
    "network": f"{_HERE}._network",
    "model": f"{_HERE}._model",
    "ask": f"{_HERE}._ask",
    "review": f"{_HERE}._oversight",
    "appeal": f"{_HERE}._oversight",
    "control": f"{_HERE}._oversight",
    "retention": f"{_HERE}._retention",
    "oracle": f"{_HERE}._oracle",
    "fraud": f"{_HERE}._fraud",
    "export": f"{_HERE}._export",
    "backup": f"{_HERE}._workspace",
    "restore": f"{_HERE}._workspace",
    "doctor": f"{_HERE}._doctor",
    "pilot": f"{_HERE}._pilot",
}

app = typer.Typer(
    name="tallystick",
    cls=lazy_group(COMMANDS),
    help="Record, share, learn, decide - and prove from one file what happened.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong use; verify also 3: intact, but you named nobody.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "auto_envvar_prefix": "TALLYSTICK",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 80,
    },
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tallystick {version('tallystick')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", envvar="TALLYSTICK_QUIET", help="Only errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", envvar="TALLYSTICK_VERBOSE", help="Show stacks behind errors.")
    ] = False,
) -> None:
    CURRENT.output = Output(quiet=quiet, verbose=verbose)


class _Heard:
    """Standard error that remembers its last words: what the option parser says is for people, and `--json` wants it too."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._text = stream, ""

    def write(self, text: str) -> int:
        self._text = (self._text + text)[-HEARD:]
        written: int = self._stream.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def message(self) -> str:
        """What was wrong with the command line."""
        return " ".join(self._text.rpartition("Error: ")[2].split())

    @property
    def hint(self) -> str:
        """Where help is."""
        return next((line for line in self._text.splitlines() if line.startswith("Try ")), "")


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: words after the program's name; those of this process when None.
    """
    words = sys.argv[1:] if arguments is None else arguments
    # Looked at here too: an error may come before the options are read.
    CURRENT.output = Output(verbose="--verbose" in words or "-v" in words)
    heard = _Heard(sys.stderr)
    try:
        program: Any = app
        hearing: AbstractContextManager[Any] = redirect_stderr(heard) if "--json" in words else nullcontext()
        with hearing:
            program(args=arguments, prog_name="tallystick")
    except SystemExit as left:
        if left.code == USAGE and "--json" in words:
            Output(json=True).result(
                {"error": {"code": "usage", "hint": heard.hint, "message": heard.message}}
            )
        return left.code if isinstance(left.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the last line of defence: no stack reaches a person unasked
        show_error(error, CURRENT.output)
        return 1
    return 0
