"""A workspace moves to another chain: one head on two chains, nothing lost, whoever is killed in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import Account, Anchors, LocalChain, Outbox, Profile, connect, read_anchor, serve
from tallystick.errors import ChainMismatchError, ConfigurationError, TallystickError
from tallystick.node import (
    CardFile,
    ChainSettings,
    Node,
    Settings,
    Workspace,
    anchor_policy,
    found,
    found_elsewhere,
    make_policy,
    migrate,
    moving_to,
)
from tallystick.node import _migrating as moving
from tallystick.proof import journal_id, verify

PASSPHRASE = "correct horse"
TITLE = {"title": "protocol"}


@dataclass(frozen=True, slots=True)
class Network:
    """A second chain, reached as a network is: by a url."""

    url: str
    target: ChainSettings


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    profile = Profile("chain", path=tmp_path / "embedded.chain")
    with Node.init(tmp_path / "a", name="Hospital A", passphrase=PASSPHRASE, scrypt_n=2**4) as made:
        with connect(profile, create=True) as chain:
            made.set_chain(
                ChainSettings(profile, *found(made, chain, [CardFile(made.party.cards)], threshold=1))
            )
        made.record("document.recorded", TITLE)
        yield made


@contextmanager
def another_chain(path: Path, chain_id: int = 262144) -> Iterator[str]:
    with LocalChain(path, chain_id=chain_id) as local, serve(local, port=0) as served:
        yield served.url


@pytest.fixture
def network(node: Node, tmp_path: Path) -> Iterator[Network]:
    with another_chain(tmp_path / "network.chain") as url:
        profile = Profile("chain", urls=(url,))
        target = found_elsewhere(node, profile, [CardFile(node.party.cards)], threshold=1)
        yield Network(url, target)


def reopened(node: Node) -> Node:
    node.close()
    return Node.open(node.workspace.path, passphrase=PASSPHRASE)


def test_the_last_old_head_is_the_first_new_anchor(node: Node, network: Network) -> None:
    node.anchor()
    node.record("document.recorded", TITLE)
    moved = migrate(node, network.target)
    assert moved.old is not None
    assert moved.new is not None
    assert (moved.old.size, moved.old.root) == (moved.new.size, moved.new.root) == (2, node.journal.root(2))
    assert (moved.old.chain_id, moved.new.chain_id) == (node.claims[0].chain_id, 262144)
    assert moved.entry is not None
    assert moved.entry.statement.body["chain"]["genesis"] == moved.new.genesis
    assert moved.entry.statement.body["was"]["genesis"] == moved.old.genesis
    with connect(network.target.profile) as chain:
        history = list(Anchors(chain.web3, network.target.anchors).history(journal_id(node.origin)))
    assert [anchoring.size for anchoring in history] == [2]


def test_the_next_anchor_goes_to_the_new_chain_only_with_a_proof_from_the_old_head(
    node: Node, network: Network
) -> None:
    migrate(node, network.target)
    (claim,) = node.anchor()
    assert (claim.chain_id, claim.size) == (262144, 2)  # the document and the statement of the move
    assert node.settings.chain is not None
    assert node.settings.chain.profile.genesis == claim.genesis
    assert node.settings.chain.profile.chain_id == 262144
    assert Settings.read(node.workspace.path).chain == node.settings.chain


def test_a_receipt_of_before_verifies_as_it_did_and_a_new_one_names_the_new_chain(
    node: Node, network: Network
) -> None:
    node.anchor()
    before = make_policy(
        "before", [CardFile(node.party.cards)], anchor=anchor_policy(node.settings.chain, {})
    )
    receipt = node.receipt(0).format()
    told = verify(receipt, policy=before).lines
    migrate(node, network.target)
    assert verify(receipt, policy=before).lines == told
    fresh = node.receipt(0)
    assert fresh.anchor is not None
    assert fresh.anchor.chain_id == 262144
    assert fresh.anchor.size == 1
    after = make_policy("after", [CardFile(node.party.cards)], anchor=anchor_policy(node.settings.chain, {}))
    report = verify(
        fresh.format(),
        policy=after,
        read_anchor=lambda claim, journal: [read_anchor(network.url, claim, journal_id=journal)],
    )
    assert any("1 of your endpoints says" in line.text for line in report.lines)


def test_claims_of_both_chains_are_found_again(node: Node, network: Network) -> None:
    moved = migrate(node, network.target)
    with reopened(node) as again:
        assert [claim.chain_id for claim in again.claims] == [moved.old.chain_id, 262144]  # type: ignore[union-attr]
        assert [claim.size for claim in again.claims] == [1, 1]
        assert not again.workspace.moving.exists()
        assert len(list(again.workspace.path.glob("outbox-*-moved-1.sqlite"))) == 1


def test_a_journal_that_was_never_anchored_moves(node: Node, network: Network) -> None:
    assert node.settings.chain is not None
    node.set_chain(replace(node.settings.chain, members="", anchors=""))
    moved = migrate(node, network.target)
    assert moved.old is None
    assert moved.new is not None
    assert moved.entry is not None
    assert moved.entry.statement.body["was"] == {}


def test_an_empty_journal_moves_without_a_statement(tmp_path: Path) -> None:
    with (
        Node.init(tmp_path / "b", name="B", passphrase=PASSPHRASE, scrypt_n=2**4) as node,
        another_chain(tmp_path / "n.chain") as url,
    ):
        profile = Profile("chain", urls=(url,))
        target = found_elsewhere(node, profile, [CardFile(node.party.cards)], threshold=1)
        moved = migrate(node, target)
        assert (moved.old, moved.new, moved.entry, node.journal.size) == (None, None, None, 0)
        node.record("document.recorded", TITLE)
        assert [claim.size for claim in node.anchor()] == [1]


def test_a_move_to_the_same_chain_is_refused(node: Node) -> None:
    node.anchor()
    assert node.settings.chain is not None
    with pytest.raises(ConfigurationError, match="uses this chain already"):
        migrate(node, node.settings.chain)
    assert moving_to(node) is None


def test_a_move_by_a_party_that_is_no_member_there_leaves_everything_as_it_was(
    node: Node, tmp_path: Path, network: Network
) -> None:
    with Node.init(tmp_path / "b", name="B", passphrase=PASSPHRASE, scrypt_n=2**4) as stranger:
        stranger.record("document.recorded", TITLE)
        with pytest.raises(ConfigurationError, match="may not anchor this journal"):
            migrate(stranger, network.target)
        assert stranger.settings.chain is None
        assert (moving_to(stranger), stranger.journal.size) == (None, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"anchors": ""}, "must name the contracts"),
        ({"anchors": "0x" + "12" * 20}, "no contract stands at chain.anchors"),
        ({"models": "0x" + "12" * 20}, "no contract stands at chain.models"),
    ],
)
def test_contracts_that_do_not_fit_are_refused_before_anything_is_written(
    node: Node, network: Network, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        migrate(node, replace(network.target, **change))
    assert (moving_to(node), node.journal.size, node.claims) == (None, 1, [])


def test_anchors_of_another_consortium_are_refused(node: Node, network: Network) -> None:
    swapped = replace(network.target, members=network.target.anchors)
    with pytest.raises(ConfigurationError, match="asks another contract Members"):
        migrate(node, swapped)


def test_a_chain_with_another_genesis_than_was_named_is_refused(node: Node, network: Network) -> None:
    profile = replace(network.target.profile, genesis="0x" + "00" * 32)
    with pytest.raises(ChainMismatchError, match="expected genesis"):
        migrate(node, replace(network.target, profile=profile))
    assert moving_to(node) is None


STEPS = ("_begin", "_anchor_on_both", "_stated", "_take_outbox", "write_claims", "write_small")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_move_that_is_killed_between_two_steps_goes_on_and_does_nothing_twice(
    node: Node, network: Network, step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(moving, step)

    def killed(*args: object, **named: object) -> object:
        if after:
            real(*args, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(moving, step, killed)
        with pytest.raises(KeyboardInterrupt):
            migrate(node, network.target)
    with reopened(node) as again:
        moved = migrate(again, network.target)
        assert moved.new is not None
        assert [entry.statement.kind for entry in again.log()] == ["document.recorded", "chain.moved"]
        assert [claim.chain_id for claim in again.claims][-1] == 262144
        assert len(again.claims) == 2
        (claim,) = again.anchor()
        assert claim.size == 2
        with connect(network.target.profile) as chain:
            account = Account(again.party.secret("chain"))
            assert chain.nonce(account.address) == 4  # two contracts, two anchors: none of them twice


def test_a_move_that_is_not_over_is_not_turned_to_a_third_chain(
    node: Node, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(moving, "_anchor_on_both", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            migrate(node, network.target)
    assert moving_to(node) is not None
    with another_chain(tmp_path / "third.chain", 4221) as url:
        profile, place = Profile("chain", urls=(url,)), Workspace(tmp_path)
        with connect(profile) as chain:
            addresses = found(node, chain, [CardFile(node.party.cards)], threshold=1, workspace=place)
        third = ChainSettings(profile, *addresses)
        with pytest.raises(ConfigurationError, match="was begun here"):
            migrate(node, third)
        # what its hint says: given up, the workspace goes elsewhere
        shutil.rmtree(node.workspace.moving)
        moved = migrate(node, third)
        assert moved.new is not None
        assert moved.new.chain_id == 4221


def test_contracts_are_founded_once_also_when_a_move_was_killed_at_its_end(
    node: Node, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = Profile("chain", urls=(network.url,))
    with monkeypatch.context() as patched:
        patched.setattr(node, "set_chain", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            migrate(node, network.target)
    again = found_elsewhere(node, profile, [CardFile(node.party.cards)], threshold=1)
    assert again == network.target
    assert migrate(node, again).new is not None
    assert node.settings.chain == network.target


def test_what_waits_for_the_old_chain_is_sent_before_the_move(node: Node, network: Network) -> None:
    assert node.settings.chain is not None
    with connect(node.settings.chain.profile) as chain:
        account = Account(node.party.secret("chain"))
        with Outbox(node.workspace.outbox(account.address), chain, account=account) as outbox:
            vote = Anchors(chain.web3, node.settings.chain.anchors)
            outbox.put("a vote", vote.deploy_call(node.settings.chain.members))
    migrate(node, network.target)
    (old,) = node.workspace.path.glob("outbox-*-moved-1.sqlite")
    with (
        connect(Profile("chain", path=node.workspace.path.parent / "embedded.chain")) as chain,
        Outbox(old, chain, account=account) as outbox,
    ):
        assert outbox.intent("a vote").state == "mined"


def test_a_network_that_does_not_answer_changes_nothing(node: Node, network: Network) -> None:
    dead = replace(network.target, profile=replace(network.target.profile, urls=("http://127.0.0.1:1",)))
    with pytest.raises(TallystickError):
        migrate(node, dead)
    assert (moving_to(node), node.journal.size) == (None, 1)
