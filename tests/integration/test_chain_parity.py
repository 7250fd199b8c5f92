"""One behaviour suite over the embedded chain, the embedded chain behind HTTP, and foundry's anvil."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.chain import Chain, LocalChain, Profile, connect, serve
from tallystick.testing import CHAIN_CHECKS, anvil, check_chain, find_anvil, fund_on_anvil

ROOT = Path(__file__).parents[2]
MISSING = "anvil is not installed, so the chain was held against no second engine: run scripts/install_anvil.sh (needs npm)"


Reached = tuple[Callable[[], Chain], Callable[[Chain, str], None] | None]


@pytest.fixture(scope="module", params=["embedded", "served", "anvil"])
def reached(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    path = str(tmp_path_factory.mktemp("chain") / "a.chain")
    if request.param == "embedded":
        yield lambda: connect(path, create=True), None
    elif request.param == "served":
        with LocalChain(path) as chain, serve(chain, port=0) as served:
            yield lambda: connect(served.url), None
    else:
        binary = find_anvil(ROOT)
        if binary is None:
            if os.environ.get("CI") == "true":
                pytest.fail(MISSING)
            pytest.skip(MISSING)
        with anvil(binary) as url:
            yield lambda: connect(url), fund_on_anvil


@pytest.mark.parametrize("name", CHAIN_CHECKS)
def test_every_chain_behaves_alike(reached: Reached, name: str) -> None:
    reach, fund = reached
    check_chain(reach, fund=fund, only=[name])


def test_the_suite_runs_without_pytest(tmp_path: Path) -> None:
    check_chain(lambda: connect(str(tmp_path / "a.chain"), create=True))


def test_the_suite_names_the_check_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chain, "balance", lambda *_: 7)
    with pytest.raises(AssertionError, match="mines a transfer: the sender's balance: expected"):
        check_chain(lambda: connect(str(tmp_path / "a.chain"), create=True))


def test_the_suite_refuses_a_network_that_funds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Chain, "fund", lambda *_: False)
    with pytest.raises(AssertionError, match="funds accounts"):
        check_chain(lambda: connect(Profile("pilot", path=tmp_path / "a.chain"), create=True))
