"""A bank for benches: its model is trained on SIMULATED payments, its service runs in a process of its own.

What is sent to it are payments of the same customers on the days that follow, so as many of them are alerts as the bank
asked for, and its windows hold what came before, as a bank's do.

python -m benchmarks.fraud_bank serve DIR [--no-statements]
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.apps.fraud.payments import Payment

TOP = Path(__file__).resolve().parents[1]
PASSPHRASE = "a bench"
HISTORY = 60_000  # payments that the model is trained on and the windows begin with
LATER = 400_000  # payments that can be sent
START_S = 120.0
SCRYPT_N = 2**12


@dataclass(frozen=True, slots=True)
class RunningBank:
    """A service that runs.

    Args:
        url: where.
        key: with the role ``decide``.
        process: ended by whoever started it.
        payments: JSON lines that can be sent to it.
    """

    url: str
    key: str
    process: subprocess.Popen[bytes]
    payments: Path


def make_bank(directory: Path, *, history: int = HISTORY, later: int = LATER) -> str:
    """Make a workspace with a trained champion, and payments to send; returns a key with the role ``decide``."""
    import orjson

    from benchmarks.fraud_engine import make_trade
    from tallystick.apps.fraud import APP
    from tallystick.node import Node
    from tallystick.proof import STANDARD_KINDS
    from tallystick.server import Keys

    trade = make_trade(later, history=history)
    model, policy = trade.model, trade.policy
    node = Node.init(
        directory,
        name="Bank of the bench",
        passphrase=PASSPHRASE,
        kinds=STANDARD_KINDS.extended(APP.kinds),
        scrypt_n=SCRYPT_N,
    )
    node.close()
    (directory / "fraud.model").write_bytes(model.bytes)
    lines = [
        "version = 1",
        "",
        "[models]",
        'champion_file = "fraud.model"',
        f'champion_hash = "{model.hash}"',
    ]
    lines += [
        "",
        "[engine]",
        'times = "named"',
        "",
        "[policy]",
        *(f"{name} = {value}" for name, value in policy.record().items() if type(value) is int),
    ]
    (directory / "fraud.toml").write_text("\n".join(lines) + "\n")
    for name, payments in (("history", trade.history), ("payments", trade.payments)):
        lines_of = b"\n".join(orjson.dumps(one.record()) for one in payments)
        (directory / f"{name}.jsonl").write_bytes(lines_of)
    keys, token = Keys().added("bench", ["decide", "audit"], per_second=1_000_000)
    keys.write(directory / "keys.toml")
    return token


@contextmanager
def running(directory: Path, key: str, *, statements: bool = True) -> Iterator[RunningBank]:
    """Run the bank's service until the block ends, then stop it by SIGTERM."""
    words = [sys.executable, "-m", "benchmarks.fraud_bank", "serve", str(directory)]
    words += [] if statements else ["--no-statements"]
    process = subprocess.Popen(words, cwd=TOP, stdout=subprocess.PIPE, env=_environment(directory))
    try:
        yield RunningBank(_url(process), key, process, directory / "payments.jsonl")
    finally:
        process.terminate()
        try:
            code = process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.stdout is not None
        process.stdout.close()
    if code != 0:
        raise RuntimeError(f"the service ended with {code}")


def _environment(directory: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TALLYSTICK_PASSPHRASE": PASSPHRASE,
        "TALLYSTICK_STATE": str(directory.parent / "state"),
    }


def _url(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if select.select([process.stdout], [], [], 0.2)[0]:
            line = process.stdout.readline()
            if not line:
                break
            found: str = json.loads(line)["url"]
            return found
    process.kill()
    raise RuntimeError("the service did not start")


def _history(directory: Path) -> list[Payment]:
    import orjson

    from tallystick.apps.fraud.payments import make_payment

    return [
        make_payment(orjson.loads(line)) for line in (directory / "history.jsonl").read_bytes().splitlines()
    ]


def main() -> int:
    """Serve one bank; the same as `tallystick fraud serve`, and statements can be left out to measure their cost."""
    from tallystick.apps.fraud import APP
    from tallystick.apps.fraud.deciding import Audit
    from tallystick.apps.fraud.features import Windows
    from tallystick.apps.fraud.serving import FraudSettings, Serving
    from tallystick.node import Node
    from tallystick.proof import STANDARD_KINDS
    from tallystick.server import FraudService, Keys, ServerSettings, create_app, serve

    directory = Path(sys.argv[2])
    audit = Audit.OFF_FOR_MEASURING if "--no-statements" in sys.argv else Audit.ON
    with Node.open(directory, passphrase=PASSPHRASE, kinds=STANDARD_KINDS.extended(APP.kinds)) as node:
        windows = Windows()
        windows.take(_history(directory))
        serving = Serving(node, FraudSettings.read(directory), features=windows, audit=audit)
        serving.start()
        try:
            service = FraudService(
                serving.engine, node, serving.standing, cases=serving.cases, decided=serving.decided
            )
            app = create_app(service, ServerSettings(keys=Keys.read(directory / "keys.toml")))
            serve(app, port=0, started=lambda place: print(json.dumps({"url": place.url}), flush=True))
        finally:
            serving.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
