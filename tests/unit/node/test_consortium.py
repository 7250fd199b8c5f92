"""Several nodes over one embedded chain; everything is verified again after each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.chain import LocalChain, Profile, connect, serve
from tallystick.errors import (
    ChainError,
    ChainMismatchError,
    ChainUnreachableError,
    ConfigurationError,
    NoteError,
    PolicyError,
    ReceiptError,
    RevertError,
    RollbackError,
    VerificationError,
)
from tallystick.node import CardFile, Consortium, Node, found, make_policy
from tallystick.proof import Party, Policy, verify

TITLE = {"title": "protocol"}


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    with Consortium(3, directory=tmp_path) as made:
        yield made


def test_the_whole_loop_holds_after_every_step(consortium: Consortium) -> None:
    for _ in range(3):
        for node in consortium.nodes:
            node.record("document.recorded", TITLE, payload=b"text")
        consortium.audit()
        consortium.witness()
        consortium.audit()
        assert consortium.anchor() == 3
        consortium.audit()
    assert consortium.audit() == 9


def test_anchoring_the_same_head_again_sends_nothing(consortium: Consortium) -> None:
    consortium.nodes[0].record("document.recorded", TITLE)
    assert consortium.anchor() == 1
    before = consortium.chain.head().number
    assert consortium.anchor() == 0
    assert consortium.chain.head().number == before


def test_a_receipt_proves_party_and_witnesses_and_claims_its_anchor(consortium: Consortium) -> None:
    entry = consortium.nodes[0].record("document.recorded", TITLE)
    consortium.witness()
    consortium.anchor()
    report = verify(
        consortium.nodes[0].receipt(entry.id).format(), policy=consortium.policy(ask=("party", "witnesses"))
    )
    assert [report.standing(topic) for topic in ("party", "witnesses", "anchor")] == [
        "proved",
        "proved",
        "claimed",
    ]


def test_an_anchor_of_a_chain_with_one_operator_can_never_be_asked_for(consortium: Consortium) -> None:
    with pytest.raises(PolicyError):
        consortium.policy(ask=("anchor",))


def test_losing_the_list_of_anchors_loses_nothing(consortium: Consortium) -> None:
    node = consortium.nodes[0]
    for _ in range(2):
        node.record("document.recorded", TITLE)
        node.anchor(chain=consortium.chain)
    before = node.claims
    node.workspace.anchors.unlink()
    assert node.anchor(chain=consortium.chain) == before


def test_losing_the_outbox_sends_nothing_twice(consortium: Consortium) -> None:
    node = consortium.nodes[1]
    node.record("document.recorded", TITLE)
    node.anchor(chain=consortium.chain)
    for path in node.workspace.path.glob("outbox-*"):
        path.unlink()
    assert node.anchor(chain=consortium.chain) == []


def test_a_journal_behind_its_head_on_the_chain_is_refused(consortium: Consortium, tmp_path: Path) -> None:
    node = consortium.nodes[0]
    node.record("document.recorded", TITLE)
    node.anchor(chain=consortium.chain)
    chain, size = node.settings.chain, node.journal.size
    assert chain is not None
    assert size == 1

    class Younger:
        """The same journal, as an old backup would show it."""

        origin, size = node.origin, 0

    way = node.anchoring(chain=consortium.chain)
    way._journal = Younger()  # type: ignore[assignment]
    try:
        with pytest.raises(RollbackError):
            way.check()
    finally:
        way.close()


def test_a_party_that_is_no_member_cannot_anchor(consortium: Consortium, tmp_path: Path) -> None:
    with Node.init(tmp_path / "stranger", name="Stranger", passphrase="x", scrypt_n=2**4) as stranger:
        settings = consortium.nodes[0].settings.chain
        assert settings is not None
        stranger.set_chain(settings)
        stranger.record("document.recorded", TITLE)
        for _ in range(2):  # trying again tries again, and does not pass over it in silence
            with pytest.raises(RevertError, match="not the writer"):
                stranger.anchor(chain=consortium.chain)


def test_a_workspace_of_one_chain_refuses_another(consortium: Consortium, tmp_path: Path) -> None:
    node = consortium.nodes[0]
    node.record("document.recorded", TITLE)
    node.anchor(chain=consortium.chain)
    LocalChain(tmp_path / "other").close()
    with connect(str(tmp_path / "other")) as other, pytest.raises(ChainMismatchError):
        node.anchor(chain=other)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Consortium(["A", "A"], directory=tmp_path)


def test_a_policy_for_everybody_can_be_met(consortium: Consortium) -> None:
    policy = consortium.policy(ask=("party", "witnesses"))
    assert isinstance(policy, Policy)
    assert policy.witnesses is not None
    assert policy.witnesses.need == 2


def test_an_anchor_waits_while_the_chain_is_down_and_goes_on_when_it_is_back(consortium: Consortium) -> None:
    node, chain = consortium.nodes[0], consortium.chain.provider
    settings = node.settings.chain
    assert settings is not None
    assert isinstance(chain, LocalChain)
    node.record("document.recorded", TITLE)
    with serve(chain, port=0) as served:
        url = served.url
        node.set_chain(replace(settings, profile=Profile("served", urls=(url,), timeout_s=2)))
        assert len(node.anchor()) == 1
    node.record("document.recorded", TITLE)
    with pytest.raises(ChainUnreachableError):
        node.anchor()
    assert node.journal.size == 2
    with serve(chain, port=int(url.rpartition(":")[2])):
        assert [claim.size for claim in node.anchor()] == [2]


def test_an_address_without_a_contract_is_said_so(consortium: Consortium) -> None:
    node = consortium.nodes[0]
    settings = node.settings.chain
    assert settings is not None
    node.set_chain(replace(settings, anchors="0x" + "11" * 20))
    node.record("document.recorded", TITLE)
    with pytest.raises(ChainError, match="contract Anchors was expected"):
        node.anchor(chain=consortium.chain)


def test_contracts_are_founded_once_even_when_it_is_tried_again(consortium: Consortium) -> None:
    settings = consortium.nodes[0].settings.chain
    assert settings is not None
    again = found(consortium.nodes[0], consortium.chain, consortium.cards, threshold=2)
    assert again == (settings.members, settings.anchors)


def as_a_network(consortium: Consortium) -> Policy:
    """The same chain, as a verifier sees one that several operators run."""
    policy = consortium.policy(ask=("party",))
    assert policy.anchor is not None
    return replace(policy, anchor=replace(policy.anchor, local=False), ask=("party", "anchor"))


def test_an_anchor_is_proved_offline_by_witnesses_who_read_their_own_nodes(consortium: Consortium) -> None:
    node, *others = consortium.nodes
    entry = node.record("document.recorded", TITLE)
    consortium.anchor()
    policy = as_a_network(consortium)
    with pytest.raises(VerificationError, match="not proved: anchor"):
        verify(node.receipt(entry.id).format(), policy=policy)
    for other in others:
        given = node.add_anchor_note(other.attest(node.receipt(entry.id), chain=consortium.chain))
        assert other.id in given
    report = verify(node.receipt(entry.id).format(), policy=policy)
    assert report.standing("anchor") == "proved"
    node.record("document.recorded", TITLE)
    consortium.anchor()
    # The notes stay with the anchor that they speak of.
    assert [bool(claim.note) for claim in node.claims] == [True, False]


def test_nobody_attests_an_anchor_that_is_not_there(consortium: Consortium) -> None:
    node, other, _ = consortium.nodes
    entry = node.record("document.recorded", TITLE)
    with pytest.raises(ReceiptError, match="no anchor"):
        other.attest(node.receipt(entry.id), chain=consortium.chain)
    consortium.anchor()
    receipt = node.receipt(entry.id)
    assert receipt.anchor is not None
    for change in (
        {"block": receipt.anchor.block - 1},
        {"root": bytes(32)},
        {"block_hash": "0x" + "00" * 32},
    ):
        forged = replace(receipt, anchor=replace(receipt.anchor, **change))  # type: ignore[arg-type]
        with pytest.raises(VerificationError):
            other.attest(forged, chain=consortium.chain)
    with pytest.raises(ChainMismatchError):
        other.attest(replace(receipt, anchor=replace(receipt.anchor, chain_id=1)), chain=consortium.chain)


def test_a_note_about_another_anchor_is_not_kept(consortium: Consortium) -> None:
    first, second, third = consortium.nodes
    for node in (first, second):
        node.record("document.recorded", TITLE)
    consortium.anchor()
    note = third.attest(first.receipt(0), chain=consortium.chain)
    with pytest.raises(NoteError, match="no anchor of this journal"):
        second.add_anchor_note(note)
    broken = bytearray(note)
    broken[-20] = ord("A") if broken[-20] != ord("A") else ord("B")
    with pytest.raises(VerificationError):
        first.add_anchor_note(bytes(broken))
    assert not any(claim.note for claim in first.claims)


def test_a_stranger_who_takes_a_known_name_does_not_block_a_policy() -> None:
    parties = [CardFile(Party.create("Bank A").cards), CardFile(Party.create("Bank A").cards)]
    names = [party.name for party in make_policy("mine", parties).parties]
    assert len(set(names)) == 2
    assert all(
        name.startswith("Bank A (") and party.fingerprint.startswith(name[8:-1])
        for name, party in zip(names, parties, strict=True)
    )


def test_the_outbox_is_for_its_owner_only(consortium: Consortium) -> None:
    consortium.nodes[0].record("document.recorded", {"title": "x"})
    consortium.anchor()
    found_ones = list(consortium.nodes[0].workspace.path.glob("outbox-*.sqlite"))
    assert found_ones
    assert all(path.stat().st_mode & 0o077 == 0 for path in found_ones)
