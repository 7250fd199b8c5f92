"""An anchoring that ends between any two of its steps: the next one finishes it, and the chain has each head once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tallystick.node._anchoring as anchoring
from tallystick.chain import Account, Anchors, Chain, Members, Outbox
from tallystick.chain._intents import IntentStore
from tallystick.chain._localchain import LocalChain
from tallystick.errors import ChainError, RevertError
from tallystick.node import CardFile, Consortium, Node, found
from tallystick.node._anchoring import read_claims
from tallystick.node._founding import seat_of
from tallystick.proof import journal_id

# more than an intent may be rebuilt or signed anew
MANY = 9
TITLE = {"title": "protocol"}


class Killed(BaseException):
    """Stands for the end of the process: nothing in the code under test may catch it and go on."""


# step: what it is part of, its name there, and whether the process ends before or after it
POINTS: dict[str, tuple[Any, str, bool]] = {
    "before the intent is kept": (IntentStore, "put", False),
    "intent kept": (IntentStore, "put", True),
    "gas known, nothing signed": (IntentStore, "lease", False),
    "nonce leased and bytes kept": (IntentStore, "lease", True),
    "about to be sent": (Chain, "send", False),
    "block being sealed": (LocalChain, "_seal", False),
    "block sealed, not answered": (LocalChain, "_seal", True),
    "mined, not marked": (IntentStore, "finish_all", False),
    "marked": (IntentStore, "finish_all", True),
    "anchors not written down": (anchoring, "write_claims", False),
    "anchors written down": (anchoring, "write_claims", True),
}
REBUILDING = {
    "stale, not rebuilt": (IntentStore, "release", False),
    "rebuilt, not signed": (IntentStore, "release", True),
}


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    with Consortium(1, directory=tmp_path) as made:
        yield made


def killed(node: Node, chain: Chain, point: tuple[Any, str, bool]) -> None:
    """Anchor, and end at the first pass of a point."""
    owner, name, after = point
    step: Callable[..., Any] = getattr(owner, name)

    def ends(*args: Any, **named: Any) -> Any:
        if after:
            step(*args, **named)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, ends)
        with pytest.raises(Killed):
            node.anchor(chain=chain)


def contract_of(node: Node, chain: Chain) -> Anchors:
    settings = node.settings.chain
    assert settings is not None
    return Anchors(chain.web3, settings.anchors)


def outbox_of(node: Node, chain: Chain) -> Outbox:
    account = Account(node.party.secret("chain"))
    return Outbox(node.workspace.outbox(account.address), chain, account=account)


def assert_whole(node: Node, chain: Chain) -> None:
    """The newest head stands on the chain, every head once, nothing waits, and the list of anchors is complete."""
    history = [one.size for one in contract_of(node, chain).history(journal_id(node.origin))][::-1]
    assert history == sorted(set(history))
    assert history[-1] == node.journal.size
    assert [claim.size for claim in read_claims(node.workspace.anchors)] == history
    assert all(node.journal.root(claim.size) == claim.root for claim in node.claims)
    with outbox_of(node, chain) as outbox:
        assert (outbox.pending(), outbox.failed()) == ([], [])


def refused(chain: Chain) -> int:
    """How many transactions the chain holds that a contract refused."""
    blocks = range(1, chain.head().number + 1)
    receipts = [one for number in blocks for one in chain.ask("eth_getBlockReceipts", hex(number))]
    return sum(one["status"] == "0x0" for one in receipts)


@pytest.mark.parametrize("recorded_again", [False, True])
@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_an_end_at_any_point_is_made_good(
    consortium: Consortium, point: tuple[Any, str, bool], recorded_again: bool
) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    node.record("document.recorded", TITLE)
    node.anchor(chain=chain)
    node.record("document.recorded", TITLE)
    killed(node, chain, point)
    if recorded_again:
        node.record("document.recorded", TITLE)
    node.anchor(chain=chain)
    assert_whole(node, chain)
    assert refused(chain) == 0


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_ends_in_a_row_pile_nothing_up(consortium: Consortium, point: tuple[Any, str, bool]) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    pending = 0
    for _ in range(MANY):
        node.record("document.recorded", TITLE)
        killed(node, chain, point)
        with outbox_of(node, chain) as outbox:
            pending = max(pending, len(outbox.pending()))
    node.anchor(chain=chain)
    assert_whole(node, chain)
    assert pending <= 1
    assert refused(chain) == 0


def leave_behind(node: Node, chain: Chain, *, signed: bool) -> None:
    """Keep anchors of many heads, all with proofs from the same head of the chain."""
    node.record("document.recorded", TITLE)
    node.anchor(chain=chain)
    anchors, old = contract_of(node, chain), node.journal.size
    with outbox_of(node, chain) as outbox:
        for _ in range(MANY):
            size = node.record("document.recorded", TITLE).index + 1
            root, proof = node.journal.root(), node.journal.consistency(old, size)
            call = anchors.anchor(journal_id(node.origin), size=size, root=root, proof=proof)
            outbox.put(f"anchor/{size}/{root.hex()}", call)
        if signed:
            outbox._sign_waiting()
        assert len(outbox.pending()) == MANY


@pytest.mark.parametrize("recorded_again", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_a_queue_of_stale_anchors_is_worked_off(
    consortium: Consortium, signed: bool, recorded_again: bool
) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    leave_behind(node, chain, signed=signed)
    if recorded_again:
        node.record("document.recorded", TITLE)
    node.anchor(chain=chain)
    assert_whole(node, chain)
    # what was signed for one head goes out together; nothing else is sent before it is known to fit
    assert refused(chain) == (MANY - 1 if signed else 0)


@pytest.mark.parametrize("point", REBUILDING.values(), ids=REBUILDING)
@pytest.mark.parametrize("signed", [False, True])
def test_an_end_while_a_stale_anchor_is_rebuilt_is_made_good(
    consortium: Consortium, point: tuple[Any, str, bool], signed: bool
) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    leave_behind(node, chain, signed=signed)
    for _ in range(MANY - 1):
        killed(node, chain, point)
    node.anchor(chain=chain)
    assert_whole(node, chain)


def test_a_stale_anchor_of_the_newest_head_is_the_anchor_of_that_head(consortium: Consortium) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    leave_behind(node, chain, signed=False)
    # the last one is refused for good: somebody without the means to rebuild it flushed it, say a vote
    with outbox_of(node, chain) as outbox:
        outbox.flush()
        assert len(outbox.failed()) == MANY - 1
    assert [claim.size for claim in node.anchor(chain=chain)] == [2, node.journal.size]
    with outbox_of(node, chain) as outbox:
        assert outbox.pending() == []


def test_no_anchor_is_put_behind_one_that_is_not_mined(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    with monkeypatch.context() as patch:
        patch.setattr(Chain, "send", lambda self, raw: None)
        node.record("document.recorded", TITLE)
        with pytest.raises(ChainError, match="the anchor is not mined yet"):
            node.anchor(chain=chain, timeout_s=0)
        node.record("document.recorded", TITLE)
        with pytest.raises(ChainError, match="earlier is not mined yet"):
            node.anchor(chain=chain, timeout_s=0)
    assert [claim.size for claim in node.anchor(chain=chain)] == [1, 2]
    assert_whole(node, chain)


def test_a_vote_in_the_same_outbox_is_left_as_it_is(consortium: Consortium) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    settings = node.settings.chain
    assert settings is not None
    with outbox_of(node, chain) as outbox:
        outbox.put("approve/99/1", Members(chain.web3, settings.members).approve(99))
    node.record("document.recorded", TITLE)
    assert [claim.size for claim in node.anchor(chain=chain)] == [1]
    with outbox_of(node, chain) as outbox:
        assert [intent.id for intent in outbox.failed()] == ["approve/99/1"]


def test_the_same_head_goes_to_another_contract_too(consortium: Consortium, tmp_path: Path) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    node.record("document.recorded", TITLE)
    node.anchor(chain=chain)
    node.record("document.recorded", TITLE)
    node.anchor(chain=chain)
    settings = node.settings.chain
    assert settings is not None
    deploy = Anchors.deploy_call(settings.members)
    with outbox_of(node, chain) as outbox:
        node.set_chain(type(settings)(settings.profile, settings.members, outbox.send("x", deploy).contract))
    for _ in range(2):
        node.anchor(chain=chain)
        assert [one.size for one in contract_of(node, chain).history(journal_id(node.origin))] == [2]


def test_the_same_head_goes_to_a_new_epoch_too(consortium: Consortium) -> None:
    node, chain = consortium.nodes[0], consortium.chain
    for _ in range(2):
        node.record("document.recorded", TITLE)
        node.anchor(chain=chain)
    settings, journal = node.settings.chain, journal_id(node.origin)
    assert settings is not None
    members = Members(chain.web3, settings.members)
    seat = seat_of(node.party.cards)
    with outbox_of(node, chain) as outbox:
        outbox.send("propose", members.propose_epoch(seat.party, seat.keys))
        outbox.send("execute", members.execute(members.proposal_count()))
    assert contract_of(node, chain).heads(journal) is None
    for _ in range(2):
        node.anchor(chain=chain)
        assert [one.size for one in contract_of(node, chain).history(journal)] == [2]


def test_an_anchor_that_is_really_refused_is_said_so_and_goes_when_it_is_mended(tmp_path: Path) -> None:
    with (
        Consortium(1, directory=tmp_path / "c") as consortium,
        Node.init(tmp_path / "b", name="B", passphrase="x", scrypt_n=2**4, heads=tmp_path / "heads") as other,
    ):
        chain, settings = consortium.chain, consortium.nodes[0].settings.chain
        assert settings is not None
        other.set_chain(settings)
        for _ in range(2):
            other.record("document.recorded", TITLE)
            with pytest.raises(RevertError, match="not the writer"):
                other.anchor(chain=chain)
        members, anchors = found(other, chain, [CardFile(other.party.cards)], threshold=1)
        other.set_chain(type(settings)(settings.profile, members, anchors))
        assert [claim.size for claim in other.anchor(chain=chain)] == [2]
