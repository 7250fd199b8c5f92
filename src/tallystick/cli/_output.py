"""What a command shows: plain lines or one JSON document on stdout; errors and progress on stderr."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import orjson

from tallystick.errors import DefectError, NotFoundError, StorageError, TallystickError

__all__ = ["Output", "at", "short", "show_error", "utc", "write_out"]

WIDTH = 80
PROGRESS_AFTER_S = 1.0
_KEEP_WORDS: Any = {"break_long_words": False, "break_on_hyphens": False}
_COLOUR = re.compile(r"(\x1b\[[0-9]{1,2}m)")  # what `colour` writes
_SETTINGS = "tallystick.toml"
_LIVED_ON = frozenset({_SETTINGS, "keys.json", "keys.next.json", "witness.json", "anchors.json"})
_DIRECTORIES = frozenset({"journal", "models", "moving", "openings", "peers"})
_COLOURS = {"proved": "32", "claimed": "33", "missing": "35", "error": "31", "hint": "36", "caught": "32"}


def utc(microseconds: int) -> str:
    """A time for people, to the second."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def at(microseconds: int) -> str:
    """A time for a table: no zone, because the head of the table names it."""
    return utc(microseconds).removesuffix(" UTC")


def short(identifier: str, length: int = 12) -> str:
    """An identifier cut so that two people can still tell it apart."""
    return identifier if len(identifier) <= length + 1 else f"{identifier[:length]}…"


def plain(text: str) -> str:
    """Text of somebody else in one line that draws nothing: escapes and turning marks are shown, spaces told once."""
    return " ".join(_still(text).split())


def fitted(text: str, end: str = "") -> str:
    """One line that never goes on in the next, where its words could pass for a line of ours."""
    whole, end = plain(text), f" {end}" if end else ""
    return f"{short(whole, WIDTH - len(end) - 1)}{end}"


class Output:
    """Where one command writes.

    Args:
        json: one JSON document on stdout instead of lines.
        quiet: nothing but errors.
        verbose: the stack behind an error.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self.verbose = verbose

    def line(self, text: str = "") -> None:
        """Write one line; a sentence that is wider than a narrow terminal goes on in the next, never inside a word."""
        if self.json or self.quiet:
            return
        text = "".join(part if _COLOUR.fullmatch(part) else _still(part) for part in _COLOUR.split(text))
        whole = len(text) <= WIDTH
        for part in [text] if whole else textwrap.wrap(text, WIDTH, subsequent_indent="  ", **_KEEP_WORDS):
            _write(sys.stdout, part)

    def standing(self, standing: str, text: str) -> None:
        """Write a line of a report: what it is worth, then what it says."""
        for number, line in enumerate(textwrap.wrap(plain(text), WIDTH - 12, **_KEEP_WORDS) or [""]):
            self.line(
                f"  {colour(standing, f'{standing:<9}')} {line}" if number == 0 else f"  {'':<9} {line}"
            )

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table of at most 80 columns; the last column is cut when it is too long."""
        rows = [[_still(cell) for cell in row] for row in rows]
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        widths[-1] = max(8, min(widths[-1], WIDTH - sum(widths[:-1]) - 2 * (len(head) - 1)))
        for row in [head, *rows]:
            cells = [short(cell, widths[i] - 1) for i, cell in enumerate(row)]
            self.line("  ".join(f"{cell:<{widths[i]}}" for i, cell in enumerate(cells)).rstrip())

    def step(self, name: str, text: str, seconds: float, *, good: bool = True) -> None:
        """Write one finished step of a longer run."""
        mark = "✓" if good else "✗"
        self.status("")
        self.line(f"{mark} {name:<10} {short(text, 57):<58} {seconds:>6.1f} s")

    def status(self, text: str) -> None:
        """Show on stderr what is going on, over what was shown before; the next step takes its place."""
        if not (self.json or self.quiet) and sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{short(text, WIDTH - 1)}")
            sys.stderr.flush()

    def note(self, text: str) -> None:
        """Write a remark that is no result, on stderr."""
        if not self.quiet:
            _write(sys.stderr, f"note: {text}")

    def next(self, command: str) -> None:
        """Say what to type next."""
        if not (self.json or self.quiet):
            parts = textwrap.wrap(f"next: {command}", WIDTH - 2, subsequent_indent="  ", **_KEEP_WORDS)
            _write(sys.stdout, " \\\n".join(parts))

    def result(self, document: object) -> None:
        """Write the JSON document, when JSON was asked for."""
        if self.json and not self.quiet:
            _write(sys.stdout, orjson.dumps(document, option=orjson.OPT_INDENT_2, default=_plain).decode())

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Give a function (done, total) that shows progress on stderr once a second has passed."""
        if self.json or self.quiet or not sys.stderr.isatty():
            yield lambda _done, _total: None
            return
        bar = _Bar(label)
        try:
            yield bar.update
        finally:
            bar.close()

    @contextmanager
    def waiting(self, label: str) -> Iterator[None]:
        """Show on stderr what is going on, once it has taken a second; for work whose end is not known."""
        if self.json or self.quiet or not sys.stderr.isatty():
            yield
            return
        line = f"{label} …"
        shown = threading.Event()

        def show() -> None:
            shown.set()
            sys.stderr.write(line)
            sys.stderr.flush()

        timer = threading.Timer(PROGRESS_AFTER_S, show)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            if shown.is_set():
                sys.stderr.write("\r" + " " * len(line) + "\r")


class _Bar:
    """A progress bar that appears only when the work takes longer than a second."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._start = time.monotonic()
        self._close: Callable[[], None] | None = None
        self._update: Callable[[int, int], None] = self._wait

    def _wait(self, done: int, total: int) -> None:
        if time.monotonic() - self._start < PROGRESS_AFTER_S:
            return
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(stderr=True), transient=True)
        task = bar.add_task(self._label, total=total)
        bar.start()
        self._close = bar.stop
        self._update = lambda done, total: bar.update(task, completed=done, total=total)
        self._update(done, total)

    def update(self, done: int, total: int) -> None:
        self._update(done, total)

    def close(self) -> None:
        if self._close is not None:
            self._close()


def colour(kind: str, text: str) -> str:
    """Colour a word on a terminal; plain elsewhere and where NO_COLOR is set."""
    if kind not in _COLOURS or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m"


def show_error(error: Exception, output: Output, *, document: bool = True) -> None:
    """Write an error for a person: message, hint, and the stack only when asked for."""
    if isinstance(error, OSError):
        # The machine's refusal, met where no room expected it; the path is one that the caller named.
        name = f"{error.filename}: " if isinstance(error.filename, str) else ""
        error_shown: TallystickError = StorageError(
            f"{name}{(error.strerror or type(error).__name__).lower()}"
        )
    elif not isinstance(error, TallystickError):
        # The text of a foreign exception may hold a path or a value: show its kind, keep the rest for --verbose.
        error_shown = DefectError(f"unexpected {type(error).__name__}")
    else:
        error_shown = error
    if output.verbose:
        _write(sys.stderr, "".join(traceback.format_exception(error)).rstrip())
    _write(sys.stderr, f"error: {_still(error_shown.message)}")
    for note in getattr(error, "__notes__", []):
        _write(sys.stderr, f"where: {note}")
    if error_shown.hint:
        _write(sys.stderr, f"hint: {_still(error_shown.hint)}")
    if document:
        output.result(
            {"error": {"code": error_shown.code, "hint": error_shown.hint, "message": error_shown.message}}
        )


def write_out(path: Path, data: bytes) -> None:
    """Write a file that the caller named.

    Raises:
        StorageError: it could not be written, or a workspace lives on that file.
    """
    if path.exists() and _is_lived_on(path.resolve()):
        raise StorageError(f"{path} belongs to the workspace, and is not replaced", hint="name another file")
    from tallystick.proof import OsFiles, write_atomically

    try:
        if not path.exists() or path.is_file():
            # A full disk must not leave half a receipt where a whole one was.
            write_atomically(OsFiles(), path.resolve(), data, mode=0o644)
        else:
            path.write_bytes(data)  # a pipe or a terminal
    except NotFoundError as error:
        raise StorageError(f"{path} could not be written: there is no such directory") from error
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from error


def _is_lived_on(path: Path) -> bool:
    """Say whether a file is one that a workspace cannot lose: a typing error must not take the keys."""
    if (path.parent / _SETTINGS).exists() and (path.name in _LIVED_ON or path.suffix == ".sqlite"):
        return True
    return any((top.parent / _SETTINGS).exists() and top.name in _DIRECTORIES for top in path.parents)


def _still(text: str) -> str:
    """The text without what would move a cursor; its spaces stay."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)


def _write(stream: TextIO, text: str) -> None:
    # A terminal that cannot show a character must not turn a result into a traceback.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
