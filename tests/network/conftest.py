"""What the tests over a real network share: its engine, a running network, and one loud line when there is no engine."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.errors import NotFoundError
from tallystick.network import Network, find_engine, make_bundle, open_bundle

MISSING = "the network's engine is not built, so nothing was tried over a real network: run `make network`"


@pytest.fixture(scope="session")
def engine() -> Path:
    """The engine's binary."""
    try:
        return find_engine()
    except NotFoundError:
        if os.environ.get("TALLYSTICK_REQUIRE_NETWORK") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def network(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Four validators that run for the whole session: for tests that do no harm to them."""
    bundle = make_bundle(tmp_path_factory.mktemp("network") / "four", 4, binary=engine)
    with Network(bundle) as running:
        running.up()
        yield running


@pytest.fixture(scope="session")
def laid_out(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Lays a network out, once a session for the same wish: making keys takes seconds, a copy none."""
    made: dict[str, Path] = {}

    def make(copy: int, *words: object, **settings: object) -> Path:
        wish = repr((copy, words, sorted(settings.items())))
        if wish not in made:
            path = tmp_path_factory.mktemp("laid-out") / "network"
            made[wish] = make_bundle(path, *words, binary=engine, **settings).path  # type: ignore[arg-type]
        return made[wish]

    return make


@pytest.fixture
def harmable_network(laid_out: Callable[..., Path], tmp_path: Path) -> Iterator[Callable[..., Network]]:
    """Makes networks of a test's own, not started yet: `harmable_network(4, block_time_s=0.5)`; they end with it."""
    made: list[Network] = []

    def make(*words: object, **settings: object) -> Network:
        copy = tmp_path / f"network-{len(made)}"
        shutil.copytree(laid_out(len(made), *words, **settings), copy)
        made.append(Network(open_bundle(copy)))
        _wait_for_ports(made[-1])
        return made[-1]

    yield make
    for one in made:
        one.down()


def _wait_for_ports(network: Network) -> None:
    """Wait until an earlier copy's validators, which end a moment after whoever started them, have let their ports go."""
    until = time.monotonic() + 30
    for member in network.bundle.members:
        for url in (member.rpc_url, member.comet_url):
            while not _is_free(int(url.rpartition(":")[2])):
                assert time.monotonic() < until, f"{url} is taken"
                time.sleep(0.05)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
