"""A nursery of servers: imports everything once, then forks one server for every line that it reads.

    python killed_fraud_server.py WORKSPACE   lines "start" on stdin; answers "PID URL", then "ended PID CODE"

Forking makes a restart as quick as opening the workspace, so that fifty kills do not take minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.payments import Payment
from tallystick.apps.fraud.serving import FraudSettings, Serving
from tallystick.node import Node
from tallystick.proof import STANDARD_KINDS
from tallystick.server import FraudService, Keys, Served, ServerSettings, create_app, serve

PASSPHRASE = "four words are better"
KINDS = STANDARD_KINDS.extended(APP.kinds)


def tell(text: str) -> None:
    os.write(1, f"{text}\n".encode())  # one write, so that parent and child cannot mix their lines


def run(workspace: Path) -> None:
    """Serve one workspace until the end, as `tallystick fraud serve` does."""
    with Node.open(workspace, passphrase=PASSPHRASE, kinds=KINDS) as node:
        serving = Serving(node, FraudSettings.read(workspace), features=Windows())
        serving.start(verify=False)
        try:
            service = FraudService(
                serving.engine,
                node,
                serving.standing,
                cases=serving.cases,
                appeals=node.oversight,
                decided=serving.decided,
            )
            settings = ServerSettings(keys=Keys.read(workspace / "keys.toml"))

            def started(place: Served) -> None:
                tell(f"{os.getpid()} {place.url}")

            serve(create_app(service, settings), port=0, started=started)
        finally:
            serving.close()


def warm() -> None:
    """Load once, before the first fork, what the first decision would load."""
    import uvicorn.lifespan.on
    import uvicorn.protocols.http.httptools_impl  # noqa: F401

    with tempfile.TemporaryDirectory() as place:
        workspace = Path(place) / "warm"
        with Node.init(workspace, name="Warm", passphrase=PASSPHRASE, kinds=KINDS, scrypt_n=2) as node:
            serving = Serving(node, FraudSettings(), features=Windows())
            serving.engine.decide(Payment("p", 1_790_000_000_000_000, 5, "EUR", "c", "m"))
            serving.close()


def main() -> None:
    workspace = Path(sys.argv[1])
    warm()
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(workspace)
                code = 0
            except BaseException as error:  # noqa: BLE001 - a child must never go on as its parent
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        tell(f"ended {child} {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
