"""Follow 100,000 events of a contract by paging: over four validators, the embedded chain and anvil, same run.

The follower reads by pages whose size adapts to the node's caps (10,000 blocks, 10,000 rows), is made anew from its
cursor after every third page, and over the network compares what two members' endpoints say; half way, the
validator behind its first endpoint is killed with -9 and started again. What counts is that no event is missed or seen twice.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rows import Row

if TYPE_CHECKING:
    from tallystick.chain import Chain

EVENTS = 100_000
IN_ONE_CALL = 2_000
GAS = 4_000_000
WEI = 10**20
TOPIC = "0x" + "bb" * 32
# logs each number from the first word of its data up to the second, under TOPIC
COUNTER = bytes.fromhex(
    "603c8060095f395ff35f355b806020351115603a57805f527f" + "bb" * 32 + "60205fa16001016002565b00"
)

Fund = Callable[["Chain", str], object]
Restart = Callable[[], None]


def network_follow(scale: float = 1.0) -> list[Row]:
    """Measure following against its reach.

    Args:
        scale: below 1 follows fewer events.
    """
    events = max(int(EVENTS * scale) // IN_ONE_CALL, 2) * IN_ONE_CALL
    rates, wrong = {}, {}
    for name, reach in (("network", _network), ("LocalChain", _local), ("anvil", _anvil)):
        with tempfile.TemporaryDirectory() as folder, reach(Path(folder)) as (chain, fund, restart):
            if chain is not None:
                rates[name], wrong[name] = _follow(chain, fund, restart, events, Path(folder))
    own, others = wrong.pop("network"), wrong
    rate = rates.pop("network")
    return [
        Row(
            f"network-follow wrong-of-{events}",
            float(own),
            "events",
            0,
            "<=",
            {n: float(w) for n, w in others.items()},
        ),
        Row("network-follow", rate, "events/s", 0, ">=", rates),
    ]


Reached = Iterator[tuple["Chain | None", Fund, Restart]]


@contextmanager
def _network(folder: Path) -> Reached:
    from tallystick.chain import connect
    from tallystick.network import Network, find_engine, funded, make_bundle

    bundle = make_bundle(folder / "four", 4, binary=find_engine())
    with Network(bundle) as network:
        network.up()

        def restart() -> None:
            network.kill(0)
            network.start(0)

        with connect(bundle.profile()) as chain:
            yield chain, lambda _, address: funded(bundle, address, WEI), restart


@contextmanager
def _local(folder: Path) -> Reached:
    from tallystick.chain import connect

    with connect(str(folder / "a.chain"), create=True) as chain:
        yield chain, lambda one, address: one.fund(address, WEI), lambda: None


@contextmanager
def _anvil(_: Path) -> Reached:
    from tallystick.chain import connect
    from tallystick.testing import anvil, find_anvil, fund_on_anvil

    binary = find_anvil()
    with ExitStack() as stack:
        if binary is None:
            yield None, fund_on_anvil, lambda: None
            return
        chain = stack.enter_context(connect(stack.enter_context(anvil(binary))))
        yield chain, fund_on_anvil, lambda: None


def _follow(chain: Chain, fund: Fund, restart: Restart, events: int, folder: Path) -> tuple[float, int]:
    """Return events a second, and how many were missed or came twice."""
    from tallystick.chain import FileCursor, Follower

    contract, start = _emit(chain, fund, events, folder)
    cursor, pages = FileCursor(folder / "cursor"), 0
    seen: list[int] = []
    began, away = time.monotonic(), 0.0
    while len(seen) < events:
        before = len(seen)
        for page in Follower(chain, cursor, address=contract, topics=[TOPIC], start=start, blocks=4).pages():
            seen += [int(log["data"], 16) for log in page.logs]
            pages += 1
            if before < events // 2 <= len(seen):
                at = time.monotonic()
                restart()
                away += time.monotonic() - at
            Follower(chain, cursor, address=contract).keep(page)
            if pages % 3 == 0:
                break
        else:
            break
    missed = len(set(range(events)) - set(seen))
    return events / (time.monotonic() - began - away), missed + len(seen) - len(set(seen))


def _emit(chain: Chain, fund: Fund, events: int, folder: Path) -> tuple[str, int]:
    """Let a new contract log the numbers below ``events``; its address and block."""
    import secrets

    from tallystick.chain import Account, Call, Outbox

    account = Account(secrets.token_bytes(32))
    fund(chain, account.address)
    with Outbox(folder / "outbox.db", chain, account=account) as outbox:
        made = outbox.send("counter", Call(None, COUNTER))
        for first in range(0, events, IN_ONE_CALL):
            words = first.to_bytes(32, "big") + (first + IN_ONE_CALL).to_bytes(32, "big")
            outbox.put(f"numbers/{first}", Call(made.contract, words), gas=GAS)
        while outbox.pending():
            outbox.flush(timeout_s=60)
        if outbox.failed():
            raise RuntimeError(f"the contract refused: {outbox.failed()[0].reason}")
    return made.contract, made.block
