"""An outsider: `tallystick verify` in a fresh process that has the base install's modules and no network.

The child refuses every import that the base install does not bring, and every connection. It reports which
third-party packages it did load, so that the claim can be checked and not only made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.errors import DefectError

__all__ = ["Verdict", "verify_outside", "verify_plainly"]

TIMEOUT_S = 120
# What `pip install tallystick` brings, and what those packages need themselves.
BASE_INSTALL = (
    "_cffi_backend", "annotated_doc", "annotated_types", "cffi", "click", "cryptography", "markdown_it", "mdurl",
    "orjson", "pycparser", "pydantic", "pydantic_core", "pygments", "rich", "shellingham", "tallystick", "typer",
    "typing_extensions", "typing_inspection",
)  # fmt: skip
_CHILD = """
import json, socket, sys
allowed = set(json.loads(sys.argv[1])) | set(sys.stdlib_module_names)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError("not in the base install: " + name, name=name)
def refuse(*_args, **_more):
    raise OSError("no network here")
sys.meta_path.insert(0, Refuse())
socket.socket.connect = refuse
for wanted in ("numpy", "web3", "sklearn", "eth"):
    try:
        __import__(wanted)
    except ModuleNotFoundError:
        continue
    raise SystemExit("the refusal does not work: " + wanted)
from tallystick.cli import main
sys.argv = ["tallystick", *sys.argv[2:]]
try:
    main()
finally:
    own = {"__main__", "_distutils_hack"}
    loaded = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - own
    loaded = {name for name in loaded if not name.startswith("_sysconfigdata")}
    print("loaded " + json.dumps(sorted(loaded)), file=sys.stderr)
"""
_PLAIN = "from tallystick.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `tallystick verify` said.

    Args:
        code: its exit code.
        document: its JSON document; empty when there was none.
        error: the first line of its complaint, empty when it had none.
        loaded: third-party packages that the child had loaded, where it was asked.
    """

    code: int
    document: dict[str, Any]
    error: str
    loaded: tuple[str, ...] = ()


def verify_outside(files: Sequence[Path], policy: Path) -> Verdict:
    """Verify with the base install's modules only and no network."""
    return _run([_CHILD, json.dumps(BASE_INSTALL)], files, policy, ())


def verify_plainly(files: Sequence[Path], policy: Path | None, *more: str) -> Verdict:
    """Verify with the program as it is installed; `more` are further options."""
    return _run([_PLAIN], files, policy, more)


def _run(program: Sequence[str], files: Sequence[Path], policy: Path | None, more: Sequence[str]) -> Verdict:
    # -I: the caller's environment and working directory must not decide what the child imports.
    options = [*(("--policy", str(policy)) if policy else ()), "--json", *more]
    words = [sys.executable, "-I", "-c", *program, "verify", *map(str, files), *options]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DefectError(f"the verifying process did not end: {type(error).__name__}") from error
    lines = done.stderr.splitlines()
    loaded = next((line[7:] for line in lines if line.startswith("loaded ")), "[]")
    said = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), "")
    try:
        document = json.loads(done.stdout) if done.stdout.strip() else {}
    except ValueError as error:
        raise DefectError("the verifying process gave no JSON") from error
    if not said and done.returncode not in (0, 3):
        said = lines[-1] if lines else ""
    return Verdict(done.returncode, document, said, tuple(json.loads(loaded)))
