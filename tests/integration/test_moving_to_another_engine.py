"""A workspace moves from the embedded chain to another engine behind JSON-RPC, and its receipts go on to verify."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.chain import Account, Profile, connect, read_anchor
from tallystick.errors import FundsError
from tallystick.node import (
    CardFile,
    ChainSettings,
    Node,
    anchor_policy,
    found,
    found_elsewhere,
    make_policy,
    migrate,
)
from tallystick.proof import verify
from tallystick.testing import anvil, find_anvil, fund_on_anvil

ROOT = Path(__file__).parents[2]
MISSING = "anvil is not installed, so no workspace moved to a second engine: run scripts/install_anvil.sh (needs npm)"


def test_a_workspace_moves_to_anvil_when_its_account_can_pay_there(tmp_path: Path) -> None:
    binary = find_anvil(ROOT)
    if binary is None:
        pytest.skip(MISSING)
    embedded = Profile("chain", path=tmp_path / "embedded.chain")
    with (
        anvil(binary) as url,
        Node.init(tmp_path / "a", name="Bank A", passphrase="correct horse", scrypt_n=2**4) as node,
    ):
        own = [CardFile(node.party.cards)]
        with connect(embedded, create=True) as chain:
            node.set_chain(ChainSettings(embedded, *found(node, chain, own, threshold=1)))
        node.record("document.recorded", {"title": "protocol"})
        node.anchor()
        before = make_policy("before", own, anchor=anchor_policy(node.settings.chain, {}))
        receipt = node.receipt(0).format()
        told = verify(receipt, policy=before).lines
        there = Profile("chain", urls=(url,))
        with pytest.raises(FundsError):
            found_elsewhere(node, there, own, threshold=1)
        assert node.settings.chain is not None
        assert node.settings.chain.profile == embedded
        with connect(there) as chain:
            fund_on_anvil(chain, Account(node.party.secret("chain")).address)
        moved = migrate(node, found_elsewhere(node, there, own, threshold=1))
        assert moved.old is not None
        assert moved.new is not None
        assert (moved.old.size, moved.old.root) == (moved.new.size, moved.new.root)
        assert [claim.size for claim in node.anchor()] == [2]
        assert verify(receipt, policy=before).lines == told
        fresh = node.receipt(0)
        assert fresh.anchor is not None
        endpoints = {"mine": url}
        after = make_policy(
            "after", own, anchor=anchor_policy(node.settings.chain, endpoints), ask=("party", "anchor")
        )
        verify(
            fresh.format(),
            policy=after,
            read_anchor=lambda claim, journal: [read_anchor(url, claim, journal_id=journal)],
        )
