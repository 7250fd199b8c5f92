"""A bank for benches: its model is trained on SIMULATED payments, its service runs in a process of its own.

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

TOP = Path(__file__).resolve().parents[1]
PASSPHRASE = "a bench"
PAYMENTS = 30_000
START_S = 60.0
SCRYPT_N = 2**12


@dataclass(frozen=True, slots=True)
class RunningBank:
    """A service that runs.

    Args:
        url: where.
        key: with the role ``decide``.
        process: ended by whoever started it.
    """

    url: str
    key: str
    process: subprocess.Popen[bytes]


def make_bank(directory: Path, *, payments: int = PAYMENTS) -> str:
    """Make a workspace with a trained champion; returns a key with the role ``decide``."""
    import numpy as np

    from tallystick.apps.fraud import APP
    from tallystick.apps.fraud.deciding import DecisionPolicy
    from tallystick.apps.fraud.features import Windows
    from tallystick.apps.fraud.simulator import SimulatorSettings, simulate
    from tallystick.apps.fraud.training import fit_detector, make_features
    from tallystick.node import Node
    from tallystick.proof import STANDARD_KINDS
    from tallystick.server import Keys

    made = simulate(SimulatorSettings(banks=1, payments=payments, days=30))
    matrix, names = make_features(made.payments(0), made.labels(0), Windows())
    model = fit_detector(matrix, made.fraud[made.rows(0)], names).model
    own = matrix[:, [names.index(name) for name in model.quantiser.names]]
    inputs = model.quantiser.inputs_of_array(own)
    scores = [model.scores_inputs_many(part)[:, 0] for part in np.array_split(inputs, 20)]
    policy = DecisionPolicy.for_budget(np.concatenate(scores))
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
        "[policy]",
        *(f"{name} = {value}" for name, value in policy.record().items() if type(value) is int),
    ]
    (directory / "fraud.toml").write_text("\n".join(lines) + "\n")
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
        yield RunningBank(_url(process), key, process)
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
        serving = Serving(node, FraudSettings.read(directory), features=Windows(), audit=audit)
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
