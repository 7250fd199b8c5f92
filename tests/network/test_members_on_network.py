"""Votes of a consortium's members on four validators, each member through its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.governing import Where, check_governance, check_rotation, check_two_proposals_at_once, governed

from tallystick.network import Network, funded
from tallystick.node import Node

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def where(network: Network) -> Where:
    bundle = network.bundle
    profiles = {name: bundle.profile(name) for name in bundle.names}
    return Where(profiles, lambda address, wei: funded(bundle, address, wei), lambda: time.sleep(0.5))


@pytest.fixture(scope="module")
def nodes(where: Where, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with governed(tmp_path_factory.mktemp("governed"), where) as made:
        yield made


def test_who_takes_part_is_decided_by_delayed_votes_through_four_endpoints(
    where: Where, nodes: list[Node], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_two_proposals_at_once(nodes)
    check_governance(where, nodes)
    check_rotation(nodes[1], where, nodes[1].workspace.path.parent / "heads", monkeypatch)
