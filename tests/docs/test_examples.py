"""Every example in README and docs/ runs, and prints what the page says it prints.

- A ```python block runs as a program in an empty directory of its page; blocks of a page share names and files.
- A ```console block is typed line by line: `$ ` starts a command, the lines below are its output, in which `…`
  stands for anything. Lines that are not of this project (`make`, `pip`, `git`) are not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
NOT_RUN = ("make", "pip", "git", "cd", "sudo", "open")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, int, str]]:
    text = page.read_text("utf-8")
    found = re.finditer(r"^```(python|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(m[1], text[: m.start()].count("\n") + 2, m[2]) for m in found]


def typed(block: str) -> list[tuple[str, list[str]]]:
    """Split a console block into commands and the output expected of each."""
    steps: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:].split("  #")[0].strip(), []))
        elif steps and steps[-1][0].endswith("\\"):
            command, _ = steps.pop()
            steps.append((command[:-1] + line.strip(), []))
        elif steps and line.strip():
            steps[-1][1].append(line.strip())
    return steps


def fits(expected: str, output: str) -> bool:
    # Over all lines at once: a sentence may go on in the next line of a narrow terminal.
    pattern = " ".join(re.escape(word).replace("…", ".*") for word in expected.split())
    return re.search(pattern, " ".join(output.split())) is not None


def environment(directory: Path) -> dict[str, str]:
    programs = str(Path(sys.executable).parent)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TALLYSTICK_")}
    return kept | {
        "PATH": f"{programs}{os.pathsep}{kept['PATH']}",
        "TALLYSTICK_PASSPHRASE": "an example's passphrase",
        "TALLYSTICK_STATE": str(directory / "state"),
        "PYTHONWARNINGS": "error",
    }


def run_console(block: str, directory: Path, where: str) -> None:
    steps = [(command, expected) for command, expected in typed(block) if command.split()[0] not in NOT_RUN]
    for (command, expected), (after, asked) in zip(steps, [*steps[1:], ("", [])], strict=True):
        if command == "echo $?":
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=directory,
            env=environment(directory),
            capture_output=True,
            text=True,
            timeout=120,
        )
        output = done.stdout + done.stderr
        code = asked[0] if after == "echo $?" else "0"
        assert str(done.returncode) == code, f"{where}: `{command}` ended with {done.returncode}\n{output}"
        for line in expected:
            assert fits(line, output), f"{where}: `{command}` did not print {line!r} but\n{output}"


def run_python(block: str, directory: Path, where: str) -> None:
    # In a process of its own, because an example's import side effects and working directory are part of it.
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{where}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    for language, line, block in blocks(page):
        where = f"{page.name}:{line}"
        if language == "python":
            run_python(block, tmp_path, where)
        else:
            run_console(block, tmp_path, where)


def test_links_inside_the_repository_lead_somewhere() -> None:
    pages = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")]
    links = [(page, target) for page in pages for target in LINK.findall(page.read_text("utf-8"))]
    dead = [
        f"{page.relative_to(TOP)}: {target}" for page, target in links if not (page.parent / target).exists()
    ]
    assert dead == []


def test_every_verb_of_the_makefile_is_explained() -> None:
    done = subprocess.run(
        [shutil.which("make") or "make", "help"], cwd=TOP, capture_output=True, text=True, check=True
    )
    for verb in ("setup", "check", "test", "pilot", "contracts", "bench", "docs", "dist"):
        assert f"make {verb}" in done.stdout


def options_of(page: str) -> dict[str, set[str]]:
    """Command -> its options; how a version of typer lays help out is not compared."""
    parts = re.split(r"^#{2,3} (tallystick.*)$", page, flags=re.MULTILINE)[1:]
    return {
        name: set(re.findall(r"--[a-z][a-z-]+", text))
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_command_line_page_is_what_help_says() -> None:
    scripts = str(TOP / "scripts")
    code = (
        f"import sys; sys.path.insert(0, {scripts!r}); import write_cli_reference as w; print(w.reference())"
    )
    # In a process of its own: the page is written for 80 columns whatever this terminal has.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert options_of(done.stdout) == options_of((TOP / "docs" / "cli.md").read_text("utf-8")), (
        "run `make docs`"
    )
