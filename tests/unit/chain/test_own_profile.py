"""A profile of one's own endpoint alone, for what only one's own node can vouch for."""

from __future__ import annotations

from pathlib import Path

from tallystick.chain import Profile


def test_one_asks_ones_own_endpoint_alone() -> None:
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")
    several = Profile("network", urls=urls, members=("a", "b", "c"), agree=2, chain_id=7)
    own = several.own()
    assert (own.urls, own.members, own.agree, own.chain_id) == (urls[:1], ("a",), 1, 7)


def test_an_embedded_chain_is_ones_own() -> None:
    local = Profile("chain", path=Path("chain.sqlite"))
    assert local.own() == local
