"""A node states which members' endpoints lied to it, and keeps quiet about those that merely were away."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.network.hostile_proxy import hostile_proxy

from tallystick.chain import EndpointReport, LocalChain, Profile, connect, serve
from tallystick.errors import RevertError
from tallystick.node import CardFile, ChainSettings, Membership, Node, found
from tallystick.node._endpoint_stating import report_drafts
from tallystick.proof import STANDARD_KINDS, chain_address


def test_what_is_stated_fits_its_kind_and_stands_once() -> None:
    report = EndpointReport("bank-b", "192.0.2.1:8545", "differs", "another receipt", 7, 60.0)
    away = EndpointReport("bank-c", "192.0.2.2:8545", "unreachable", "no answer", None, 1.0)
    unnamed = EndpointReport("", "192.0.2.3:8545", "behind", "9 blocks behind", None, 1.5)
    drafts = report_drafts([report, away, report, unnamed])
    assert [draft.body["endpoint"] for draft in drafts] == ["192.0.2.1:8545", "192.0.2.3:8545"]
    for draft in drafts:
        STANDARD_KINDS.check(draft.kind, draft.body)


@pytest.mark.parametrize(("mode", "reason"), [("forged logs", "differs"), ("forged head", "ahead")])
def test_a_lying_endpoint_is_stated_and_the_anchor_stands_all_the_same(
    tmp_path: Path, mode: str, reason: str
) -> None:
    with (
        LocalChain(tmp_path / "a.chain") as local,
        serve(local, port=0) as served,
        hostile_proxy(served.url) as first,
        hostile_proxy(served.url) as second,
        hostile_proxy(served.url) as third,
        Node.init(tmp_path / "node", name="Bank A", passphrase="long enough", scrypt_n=2**4) as node,
    ):
        urls = (first.url, second.url, third.url)
        profile = Profile("net", urls=urls, members=("bank-a", "bank-b", "bank-c"), agree=2)
        with connect(profile) as chain:
            chain.fund(chain_address(node.party.cards[-1].keys["chain"]))
            members, anchors = found(node, chain, [CardFile(node.party.cards)], threshold=1)
        node.set_chain(ChainSettings(profile, members, anchors))
        node.record("document.recorded", {"title": "one"})
        first.mode = mode
        assert [claim.size for claim in node.anchor()] == [1]
        told = [
            entry.statement
            for entry in node.journal.entries()
            if entry.statement.kind == "endpoint.quarantined"
        ]
        assert [(said.body["member"], said.body["reason"]) for said in told] == [("bank-a", reason)]
        first.mode = ""
        assert [claim.size for claim in node.anchor()] == [2]
        second.mode = "forged head"  # a vote that is refused asks for no receipt and no log
        with pytest.raises(RevertError), Membership(node) as membership:
            membership.propose("suspend", CardFile(node.party.cards))  # the only member
        last = [entry.statement for entry in node.journal.entries(kinds=("endpoint.quarantined",))][-1]
        assert (last.body["member"], last.body["reason"]) == ("bank-b", "ahead")
