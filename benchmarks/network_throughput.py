"""What four validators carry through the outbox: transactions, anchors of distinct parties, statements under them.

All parties, their outboxes and all four validators share this machine's cores; each party sends through one member's
endpoint, as it would at home. A transaction counts when its outbox has seen it mined. The peers do the same work by the
same code on the embedded chain and on foundry's anvil, which seal at once and agree with nobody.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gas import _consistency, _root
from benchmarks.rows import Row

if TYPE_CHECKING:
    from tallystick.chain import Account, Call, Chain
    from tallystick.network import Network

ONE_REACH, TEN_REACH = 60, 100
STATEMENTS_REACH = 300_000
BLOCKS_REACH = 2
ANCHORED = 10_000  # statements below each new anchor
PARTIES = 60
ROUNDS = 4  # anchors that each party sends one after another
LOOKS = 9
RICH = 10**18
WAIT_S = 240.0
GAS = 200_000


@dataclass(frozen=True)
class _Ground:
    """A chain that transactions may be sent to: its endpoints, opened once, and who pays for a start."""

    name: str
    chains: Sequence[Chain]
    fund: Callable[[Sequence[Account]], None]

    def chain(self, place: int) -> Chain:
        return self.chains[place % len(self.chains)]


def network_throughput(scale: float = 1.0) -> list[Row]:
    """Measure the network against its reaches.

    Args:
        scale: below 1 makes shorter runs.
    """
    each = max(int(600 * scale), 20)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        with _network(Path(folder) / "network") as (ground, _):
            found["network"] = _measured(ground, Path(folder) / "n", each)
        with _embedded(Path(folder) / "chain") as ground:
            found["embedded chain"] = _measured(ground, Path(folder) / "e", each)
        with _anvil() as grounds:
            for ground in grounds:
                found["anvil"] = _measured(ground, Path(folder) / "a", each)
    ours = found.pop("network")

    def row(name: str, part: str, unit: str, reach: float) -> Row:
        peers = {peer: figures[part] for peer, figures in found.items()}
        return Row(f"network {name}", ours[part], unit, reach, ">=", peers)

    return [
        row("tx one account", "one", "1/s", ONE_REACH),
        row("tx ten accounts", "ten", "1/s", TEN_REACH),
        row(f"anchors of {PARTIES} parties", "anchors", "1/s", STATEMENTS_REACH / ANCHORED),
        row("statements anchored", "statements", "1/s", STATEMENTS_REACH),
    ]


def network_final(scale: float = 1.0) -> list[Row]:
    """Measure how long a durable statement takes until its anchor is final at two members' endpoints.

    Args:
        scale: below 1 takes fewer statements.
    """
    from tallystick.chain import Account, connect
    from tallystick.network import funded
    from tallystick.node import CardFile, ChainSettings, Node, found

    with tempfile.TemporaryDirectory() as folder, _network(Path(folder) / "network") as (_, network):
        profile = replace(network.bundle.profile(), agree=2, wait_s=WAIT_S)
        with Node.init(Path(folder) / "a", name="A", passphrase="x", heads=Path(folder) / "heads") as node:
            funded(network.bundle, Account(node.party.secret("chain")).address, RICH)
            with connect(profile) as chain:
                members, anchors = found(node, chain, [CardFile(node.party.cards)], threshold=1)
                node.set_chain(ChainSettings(profile, members, anchors))
                first, began = chain.head().number, time.monotonic()
                spans = []
                for turn in range(max(int(LOOKS * scale), 3)):
                    time.sleep(turn * 0.382 % 1)  # statements do not come in step with the blocks
                    node.record("document.recorded", {"title": "x"}, payload=b"text")
                    durable = time.monotonic()
                    node.anchor()
                    spans.append(time.monotonic() - durable)
                a_block = (time.monotonic() - began) / max(chain.head().number - first, 1)
    value = statistics.median(spans) / a_block
    return [
        Row("network statement final", value, "blocks", BLOCKS_REACH, "<=", {"one block, s": a_block}),
    ]


# -- the same work on every ground ------------------------------------------------------------------------


def _measured(ground: _Ground, folder: Path, each: int) -> dict[str, float]:
    anchors = _anchors(ground, folder)
    return {
        "one": _transfers(ground, folder / "one", 1, each),
        "ten": _transfers(ground, folder / "ten", 10, each // 5),
        "anchors": anchors,
        "statements": anchors * ANCHORED,
    }


def _transfers(ground: _Ground, folder: Path, accounts: int, each: int) -> float:
    from tallystick.chain import Call

    senders = [_account(f"{ground.name}/{accounts}/{number}") for number in range(accounts)]
    ground.fund(senders)
    calls: list[list[Call]] = [[Call(sender.address, b"", 1)] * each for sender in senders]
    return accounts * each / _sent(ground, folder, senders, calls, gas=21_000)


def _anchors(ground: _Ground, folder: Path) -> float:
    """Return how many anchors a second distinct parties get through, each sending its next when it saw its last mined."""
    from tallystick.chain import Anchors, Keys, Members, Outbox, Seat, hashed_id

    parties = [_account(f"{ground.name}/party/{number}") for number in range(PARTIES)]
    ground.fund(parties)
    journals = [hashed_id(f"did:key:bench-{number}/main") for number in range(PARTIES)]
    seats = [
        Seat(
            hashed_id(f"did:key:bench-{number}"),
            journals[number],
            Keys(one.address, one.address, journals[number]),
        )
        for number, one in enumerate(parties)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with Outbox(folder / "founder.db", ground.chain(0), account=parties[0]) as outbox:
        founding = Members.deploy_call(seats, threshold=PARTIES // 2 + 1)
        members = outbox.send("members", founding).contract
        contract = outbox.send("anchors", Anchors.deploy_call(members)).contract
    anchors = Anchors(ground.chain(0).web3, contract)
    calls: list[list[Call]] = [[] for _ in parties]
    old = 0
    for _ in range(ROUNDS + 1):
        size = old + ANCHORED
        root, proof = _root(0, size), _consistency(old, 0, size, True) if old else []
        for mine, journal in zip(calls, journals, strict=True):
            mine.append(anchors.anchor(journal, size=size, root=root, proof=proof))
        old = size
    _sent(ground, folder / "first", parties, [mine[:1] for mine in calls], gas=GAS)
    spent = _sent(ground, folder / "next", parties, [mine[1:] for mine in calls], gas=GAS, one_by_one=True)
    return PARTIES * ROUNDS / spent


def _sent(
    ground: _Ground,
    folder: Path,
    senders: Sequence[Account],
    calls: Sequence[Sequence[Call]],
    *,
    gas: int,
    one_by_one: bool = False,
) -> float:
    """Send each sender's calls through an outbox of its own; seconds until the last is seen mined.

    A sender hands over all its calls at once, or each when the one before it was seen mined, as a node anchors.
    """
    from tallystick.chain import Outbox

    folder.mkdir(parents=True)
    ready, wrong = threading.Barrier(len(senders) + 1), []

    def work(place: int) -> None:
        path = folder / f"{place}.db"
        with Outbox(path, ground.chain(place), account=senders[place]) as outbox:
            steps = [[call] for call in calls[place]] if one_by_one else [list(calls[place])]
            mined = 0
            for turn, step in enumerate(steps):
                for number, call in enumerate(step):
                    outbox.put(f"s{turn}.{number}", call, gas=gas)
                if not turn:
                    ready.wait()
                mined += len(outbox.flush(timeout_s=WAIT_S))
            if mined != len(calls[place]):
                wrong.append(f"{mined} of {len(calls[place])} were mined: {outbox.failed()[:1]}")

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(senders))]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - began
    if wrong:
        raise RuntimeError(wrong[0])
    return spent


def _account(name: str) -> Account:
    from tallystick.chain import Account

    return Account(sha256(name.encode()).digest())


# -- the grounds ------------------------------------------------------------------------------------------


@contextmanager
def _network(path: Path) -> Iterator[tuple[_Ground, Network]]:
    from tallystick.chain import Call, Outbox, connect
    from tallystick.network import Network, make_bundle

    with ExitStack() as stack:
        network = stack.enter_context(Network(make_bundle(path, 4)))
        network.up()
        network.wait_height(2)
        profiles = [replace(network.bundle.profile(place), wait_s=WAIT_S) for place in range(4)]
        chains = [
            stack.enter_context(connect(replace(one, urls=one.urls[:1], members=(), agree=1)))
            for one in profiles
        ]
        payer = network.bundle.account(0)
        spare = stack.enter_context(Outbox(path / "spare.db", chains[0], account=payer))

        def fund(accounts: Sequence[Account]) -> None:
            for one in accounts:
                spare.put(one.address, Call(one.address, b"", RICH), gas=21_000)
            spare.flush()

        yield _Ground("network", chains, fund), network


@contextmanager
def _embedded(path: Path) -> Iterator[_Ground]:
    from tallystick.chain import connect

    with connect(str(path), create=True) as chain:

        def fund(accounts: Sequence[Account]) -> None:
            for one in accounts:
                chain.fund(one.address, RICH)

        yield _Ground("embedded", [chain], fund)


@contextmanager
def _anvil() -> Iterator[list[_Ground]]:
    """Yield anvil's ground, none where it is not installed."""
    from tallystick.chain import connect
    from tallystick.testing import anvil, find_anvil, fund_on_anvil

    binary = find_anvil(Path(__file__).resolve().parents[1])
    if binary is None:
        yield []
        return
    with anvil(binary) as url, connect(url) as chain:

        def fund(accounts: Sequence[Account]) -> None:
            for one in accounts:
                fund_on_anvil(chain, one.address)

        yield [_Ground("anvil", [chain], fund)]
