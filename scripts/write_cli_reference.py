"""Write docs/cli.md from the help of every command; `make docs` runs it, a test compares."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEAD = """# The command line

Written from `tallystick --help` by `make docs`; do not edit. Every option has a default in the environment, named
beside it. Exit codes: 0 done, 1 failed, 2 wrong use; `verify`: 0 proved under the policy, 1 false, 2 wrong use, 3 intact
but no policy. Shell completion: `tallystick --install-completion`.

The passphrase of the key file comes from `TALLYSTICK_PASSPHRASE_FILE`, `TALLYSTICK_PASSPHRASE` or the keyboard.
The newest head of every journal is also remembered outside of its workspace, in `$TALLYSTICK_STATE`, else
`$XDG_STATE_HOME/tallystick`, else `~/.local/state/tallystick`: that is how a restored old copy is noticed.
"""


def help_of(words: list[str]) -> str:
    """The help text of one command, as a terminal of 80 columns shows it."""
    from tallystick.cli._app import run

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        run([*words, "--help"])
    return "\n".join(line.rstrip() for line in shown.getvalue().strip().splitlines())


def pages(words: list[str]) -> list[tuple[list[str], str]]:
    """The help of a command and of all below it."""
    text = help_of(words)
    found = [(words, text)]
    _, has_commands, below = text.partition("Commands:\n")
    for line in below.split("\n\n")[0].splitlines() if has_commands else []:
        if line.startswith("  ") and line[2] != " ":
            found += pages([*words, line.split()[0]])
    return found


def reference() -> str:
    """The whole page."""
    os.environ.update({"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1"})
    parts = [HEAD]
    for words, text in pages([]):
        level = "##" if len(words) < 2 else "###"
        parts.append(f"{level} tallystick {' '.join(words)}".rstrip() + f"\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    sys.exit(0)
