"""Anchors attested over real HTTP by members who read their own nodes; down, slow, strange and lying ones named."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.serving import PASSPHRASE, introduce, listening, made_node
from tests.unit.node.test_remote import answering, said

from tallystick.errors import ConfigurationError, NotFoundError, OverloadedError, VerificationError
from tallystick.node import Consortium, Node, RemoteNode, ask_attestations, find_witnesses
from tallystick.proof import AnchorClaim, Policy, anchor_note_text, format_note, verify
from tallystick.server import JournalService
from tallystick.server._journal_service import ATTESTING_AT_ONCE

TITLE = {"title": "protocol"}


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    with Consortium(4, directory=tmp_path / "four", passphrase=PASSPHRASE) as made:
        made.nodes[0].record("document.recorded", TITLE)
        made.anchor()
        yield made


def as_a_network(consortium: Consortium) -> Policy:
    """The same chain, as a verifier sees one that several operators run."""
    policy = consortium.policy(ask=("party",))
    assert policy.anchor is not None
    return replace(policy, anchor=replace(policy.anchor, local=False), ask=("party", "anchor"))


def served(opened: ExitStack, consortium: Consortium, *nodes: Node) -> dict[str, RemoteNode]:
    return {
        node.id: RemoteNode(opened.enter_context(listening(JournalService(node, chain=consortium.chain))))
        for node in nodes
    }


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


def test_enough_lines_over_http_prove_an_anchor_offline(consortium: Consortium) -> None:
    node, b, c, d = consortium.nodes
    policy = as_a_network(consortium)
    with ExitStack() as opened:
        remotes = served(opened, consortium, b, c, d)
        (claim,) = node.claims
        one = ask_attestations(node, claim, {b.id: remotes[b.id]}, need=2)
        assert (one.given, one.is_enough) == (1, False)
        node.add_anchor_note(one.note)
        with pytest.raises(VerificationError, match="not proved: anchor"):
            verify(node.receipt(0).format(), policy=policy)
        # Who has signed is not asked again.
        (claim,) = node.claims
        more = ask_attestations(node, claim, remotes, need=2)
        assert [answer.name for answer in more.answers] == [c.name, d.name]
        assert (more.had, more.given, more.is_enough) == (1, 3, True)
        node.add_anchor_note(more.note)
    report = verify(node.receipt(0).format(), policy=policy)
    assert report.standing("anchor") == "proved"


def test_who_is_down_slow_strange_or_lies_is_named_and_the_others_count(consortium: Consortium) -> None:
    node, b, c, d = consortium.nodes
    (claim,) = node.claims
    text = anchor_note_text(replace(claim, block=claim.block + 1), node.origin)
    signed = c.witness.attest_anchor(replace(claim, block=claim.block + 1), node.origin)
    with ExitStack() as opened:
        remotes = served(opened, consortium, b)
        # c signs another anchor than the one that it was asked for, d says one byte at a time.
        line = format_note(text, [signed])[len(text.encode()) + 1 :]
        remotes[c.id] = RemoteNode(opened.enter_context(answering(said(line))))
        remotes[d.id] = RemoteNode(
            opened.enter_context(answering(said(b"x" * 1000), pause_s=0.2)), timeout_s=1
        )
        told = ask_attestations(node, claim, remotes, need=2, timeout_s=5)
        why = {answer.name: answer.why for answer in told.answers}
        assert (told.given, told.is_enough, why[b.name]) == (1, False, "")
        assert "does not verify" in why[c.name]
        assert why[d.name] == "the node gave no answer in 1 s"
        assert node.add_anchor_note(told.note).keys() == {b.id}
        down = ask_attestations(node, claim, {c.id: RemoteNode(nobody())}, need=1)
        assert [answer.why for answer in down.answers] == ["the node cannot be reached"]
        assert down.note == b""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda claim: {"root": bytes(32)}, "does not have this anchor"),
        (lambda claim: {"block_hash": "0x" + "00" * 32}, "does not have this anchor"),
        (lambda claim: {"block": claim.block - 1}, "does not have this anchor"),
        (lambda claim: {"size": claim.size + 1}, "does not have this anchor"),
        (lambda claim: {"chain_id": claim.chain_id + 1}, "another chain or contract"),
        (lambda claim: {"genesis": "0x" + "11" * 32}, "another chain or contract"),
        (lambda claim: {"contract": "0x" + "11" * 20}, "another chain or contract"),
        (lambda claim: {"block": claim.block + 10_000}, "cannot read this on its own node"),
    ],
)
def test_what_does_not_stand_on_the_witnesss_own_chain_is_not_attested(
    consortium: Consortium, change: Callable[[AnchorClaim], dict[str, object]], why: str
) -> None:
    node, b, *_ = consortium.nodes
    (claim,) = node.claims
    false = replace(claim, **change(claim))  # type: ignore[arg-type]
    with ExitStack() as opened:
        told = ask_attestations(node, false, served(opened, consortium, b), need=1, timeout_s=1)
    assert (told.given, told.note) == (0, b"")
    assert why in told.answers[0].why


def test_a_witness_without_a_chain_or_of_strangers_attests_nothing(
    consortium: Consortium, tmp_path: Path
) -> None:
    node, b, *_ = consortium.nodes
    (claim,) = node.claims
    with made_node(tmp_path, "e") as e, ExitStack() as opened:
        introduce(node, e)
        stranger = opened.enter_context(listening(JournalService(e)))
        told = ask_attestations(node, claim, {e.id: RemoteNode(stranger)}, need=1)
        assert "attests no anchors" in told.answers[0].why
        remotes = served(opened, consortium, b)
        theirs = ask_attestations(e, claim, {}, need=0)
        assert (theirs.answers, theirs.is_enough) == ((), True)
        with pytest.raises(NotFoundError):
            ask_attestations(e, claim, remotes, need=1)


def test_whoever_listens_is_found_by_its_card_and_the_others_are_told(consortium: Consortium) -> None:
    node, b, c, _ = consortium.nodes
    gone = nobody()
    with ExitStack() as opened:
        urls = [remote.url for remote in served(opened, consortium, b, c, node).values()]
        known, absent = find_witnesses(node.peers, [gone, *urls])
        assert {party: remote.url for party, remote in known.items()} == {b.id: urls[0], c.id: urls[1]}
        assert absent[gone] == "the node cannot be reached"
        assert "nobody whose card was imported" in absent[urls[2]]
    with pytest.raises(ConfigurationError):
        find_witnesses(node.peers, ["ftp://a"])


def test_only_so_many_anchors_are_looked_for_at_once_and_the_others_come_again(
    consortium: Consortium,
) -> None:
    node, b, *_ = consortium.nodes
    (claim,) = node.claims
    service = JournalService(b, chain=consortium.chain)
    text = anchor_note_text(claim, node.origin).encode()
    for _ in range(ATTESTING_AT_ONCE):
        assert service._attesting.acquire(blocking=False)
    with pytest.raises(OverloadedError):
        service.attest_anchor(text)
    service._attesting.release()
    for _ in range(2 * ATTESTING_AT_ONCE):
        assert service.attest_anchor(text).startswith("\u2014 ".encode())  # each gives its place back
    false = anchor_note_text(replace(claim, root=bytes(32)), node.origin).encode()
    for _ in range(2 * ATTESTING_AT_ONCE):
        with pytest.raises(VerificationError):
            service.attest_anchor(false)
