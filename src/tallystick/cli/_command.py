"""How a function becomes a command: shared options, and groups whose commands are imported when used."""

from __future__ import annotations

import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import typer
from typer.core import TyperGroup

from tallystick.cli._output import Output

__all__ = ["CURRENT", "PayloadFile", "Workspace", "command", "lazy_group"]

Workspace = Annotated[
    Path, typer.Option("--workspace", "-w", envvar="TALLYSTICK_WORKSPACE", help="The workspace's directory.")
]
PayloadFile = Annotated[Path | None, typer.Option("--payload", help="A file that was committed to.")]

_SHARED: list[tuple[str, Any]] = [
    ("json", Annotated[bool, typer.Option("--json", envvar="TALLYSTICK_JSON", help="One JSON document.")]),
    ("quiet", Annotated[bool, typer.Option("--quiet", "-q", envvar="TALLYSTICK_QUIET", help="Only errors.")]),
    (
        "verbose",
        Annotated[bool, typer.Option("--verbose", "-v", envvar="TALLYSTICK_VERBOSE", help="Show stacks.")],
    ),
]

Function = TypeVar("Function", bound=Callable[..., None])


class Current:
    """What the running command was told about its output; read by the error handler."""

    output: ClassVar[Output] = Output()


CURRENT = Current


def command(app: typer.Typer, name: str, *, example: str = "") -> Callable[[Function], Function]:
    """Register a function `f(out, ...)` as a command that also takes --json, --quiet and --verbose.

    Args:
        app: where to register.
        name: the word that is typed.
        example: lines for the end of the help text.
    """

    def register(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for key, kind in _SHARED
        ]

        @functools.wraps(function)
        def run(**values: Any) -> None:
            flags = {key: values.pop(key) for key, _ in _SHARED}
            flags = {key: flag or getattr(CURRENT.output, key) for key, flag in flags.items()}
            CURRENT.output = Output(**flags)
            function(CURRENT.output, **values)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        epilog = _examples(example) if example else None
        app.command(name, epilog=epilog)(run)
        return function

    return register


def _examples(text: str) -> str:
    """Lay examples out so that they can be copied from a narrow terminal; the leading backspace keeps the lines apart."""
    lines = []
    for line in text.splitlines():
        parts = textwrap.wrap(
            line, 74, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        lines += [f"  {part} \\" for part in parts[:-1]] + [f"  {parts[-1]}"]
    return "\b\nExamples:\n" + "\n".join(lines)


def lazy_group(where: dict[str, str]) -> type[TyperGroup]:
    """Make a group class whose commands live in modules that are imported when a command is used.

    Args:
        where: command name -> module of this package that defines it in its `app`.
    """

    class LazyGroup(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(where)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in where:
                return None
            module = importlib.import_module(where[cmd_name])
            group: Any = typer.main.get_group(module.app)
            found = group.commands.get(cmd_name)
            if found is None:  # a sub-group of its own, such as `card`
                group.name = cmd_name
                return group
            return found

    return LazyGroup
