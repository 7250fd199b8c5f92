"""Do harm to a real network and see what it loses: `make faults`, or `make faults ONLY=kill-one,pause`.

Prints a table with every fault, and writes it as JSON with `--json FILE`. Ends with 1 when anything acknowledged was
lost or is there twice, or a fault was not borne; with 2 when nothing could be tried.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType

from faults.rows import HEADING, FaultRow, line, plain
from faults.stage import Ground
from tallystick.errors import NotFoundError, TallystickError
from tallystick.network import find_engine

# Name that is typed -> module and function; the order of the table. Faults of one network stand together.
FAULTS = {
    "kill-one": ("validators", "kill_one"),
    "kill-two": ("validators", "kill_two"),
    "pause": ("validators", "pause"),
    "wipe": ("validators", "wipe"),
    "rolling": ("validators", "rolling"),
    "full-disk": ("full_disks", "full_disk"),
    "endpoints": ("endpoints", "endpoints"),
    "killed-party": ("parties", "killed_party"),
    "witnesses": ("witnesses", "witnesses"),
    "halves": ("cuts", "halves"),
    "cut-off": ("cuts", "cut_off"),
}


def main() -> int:
    """Try what was asked for."""
    asked = argparse.ArgumentParser(prog="python -m faults", description=__doc__.splitlines()[0])
    asked.add_argument("--only", default="", help=f"of {', '.join(FAULTS)}; separated by commas")
    asked.add_argument(
        "--json", default="", metavar="FILE", help="write the table there too; - is the standard output"
    )
    options = asked.parse_args()
    names = [name.strip() for name in options.only.split(",") if name.strip()] or list(FAULTS)
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        print(f"error: unknown: {', '.join(unknown)}\nhint: known: {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    try:
        find_engine()
    except NotFoundError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    logging.getLogger("tallystick").setLevel(logging.ERROR)  # endpoints are left alone all the time here
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    rows = run(names)
    _write(rows, options.json)
    return verdict(rows)


def verdict(rows: list[FaultRow]) -> int:
    """Tell by what number the program ends, and say loudly what was not tried."""
    for row in rows:
        if row.skipped:
            tell(f"NOT TRIED: {row.fault}: {row.skipped}")
    if not all(row.holds for row in rows):
        return 1
    return 0 if any(not row.skipped for row in rows) else 2


def run(names: list[str]) -> list[FaultRow]:
    """Try faults one after another, on as few networks as can be; a row for each, whatever happens."""
    rows: list[FaultRow] = []
    with Ground(tell) as ground:
        for name in names:
            began = time.monotonic()
            tell(f"{name} …")
            try:
                found = _fault(name)(ground)
            except Exception as error:  # noqa: BLE001 - told in the row
                if not isinstance(error, TallystickError):
                    traceback.print_exc()
                found = [FaultRow(name, wrong=(f"{type(error).__name__}: {error}",))]
            if not found:
                found = [FaultRow(name, wrong=("the fault gave no row",))]
            if not all(row.holds for row in found):
                ground.clear()  # the next fault shall not suffer from this one
            rows += found
            for row in found:
                tell(f"{line(row)}  ({time.monotonic() - began:.0f} s)")
    return rows


def tell(text: str) -> None:
    """Say what happens, beside the table."""
    print(text, file=sys.stderr, flush=True)


def _fault(name: str) -> Callable[[Ground], list[FaultRow]]:
    module, function = FAULTS[name]
    found: Callable[[Ground], list[FaultRow]] = getattr(import_module(f"faults.{module}"), function)
    return found


def _write(rows: list[FaultRow], place: str) -> None:
    document = json.dumps([plain(row) for row in rows], indent=2) + "\n"
    if place == "-":
        sys.stdout.write(document)
        return
    print(HEADING)
    for row in rows:
        print(line(row))
    if place:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text(document)


def _interrupted(number: int, frame: FrameType | None) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # taking everything away again is not interrupted
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: everything that was started is ended", file=sys.stderr)
        sys.exit(130)
