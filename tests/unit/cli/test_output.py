"""What a person sees while work goes on."""

from __future__ import annotations

import io
import sys
import time

import pytest

from tallystick.cli import _output
from tallystick.cli._output import Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    # Called in a test's body: between set-up and body pytest puts its own capture back in place.
    fake = Terminal()
    monkeypatch.setattr(sys, "stderr", fake)
    monkeypatch.setattr(_output, "PROGRESS_AFTER_S", 0.01)
    return fake


def wait_for(terminal: Terminal, text: str) -> None:
    for _ in range(500):
        if text in terminal.getvalue():
            return
        time.sleep(0.01)


def test_long_work_says_what_is_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    with Output().waiting("writing tiles"):
        wait_for(terminal, "writing tiles")
    assert "writing tiles" in terminal.getvalue()


def test_quick_work_and_programs_that_read_the_output_see_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = terminal_of(monkeypatch)
    for output in (Output(json=True), Output(quiet=True)):
        with output.waiting("writing tiles"):
            time.sleep(0.05)
    monkeypatch.setattr(_output, "PROGRESS_AFTER_S", 60.0)
    with Output().waiting("writing tiles"):
        pass
    assert terminal.getvalue() == ""


def test_work_that_fails_still_ends_the_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)

    def fail_slowly() -> None:
        wait_for(terminal, "writing tiles")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), Output().waiting("writing tiles"):
        fail_slowly()
    assert terminal.getvalue().endswith("\r")
