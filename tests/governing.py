"""What a consortium's votes are held to, on any chain that several endpoints reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tallystick.chain import Account, Members, Profile, connect, hashed_id
from tallystick.errors import RevertError
from tallystick.node import CardFile, ChainSettings, Membership, Node, format_card_file, found, rotate
from tallystick.proof import Party, chain_address

PASSPHRASE = "a long passphrase"
FUEL = 10**18
DELAY_BLOCKS = 2
THRESHOLD = 3  # of four


@dataclass(frozen=True)
class Where:
    """A chain: how each member reaches it, who pays, and what makes time pass."""

    profiles: Mapping[str, Profile]
    pay: Callable[[str, int], object]
    tick: Callable[[], object]


@contextmanager
def governed(place: Path, where: Where) -> Iterator[list[Node]]:
    """Four members and a newcomer, the last; contracts by the first, with a delay counted in blocks."""
    names = list(where.profiles)
    nodes = [
        Node.init(place / name, name=name, passphrase=PASSPHRASE, scrypt_n=2**4, heads=place / "heads")
        for name in (*names, "newcomer")
    ]
    try:
        for node in nodes:
            where.pay(account(node), FUEL)
            for other in nodes:
                if other is not node:
                    node.import_card(format_card_file(other.party.cards))
        founders = [CardFile(node.party.cards) for node in nodes[:4]]
        with connect(where.profiles[names[0]]) as chain:
            addresses = found(nodes[0], chain, founders, threshold=THRESHOLD, delay_blocks=DELAY_BLOCKS)
        for node, name in zip(nodes, (*names, names[0]), strict=True):
            node.set_chain(ChainSettings(where.profiles[name], *addresses))
        yield nodes
    finally:
        for node in nodes:
            node.close()


def account(node: Node) -> str:
    return Account(node.party.secret("chain")).address


def vote(node: Node, word: str, number: int) -> bool:
    with Membership(node) as membership:
        return membership.vote(word, number)


def standing(node: Node) -> dict[str, str]:
    with Membership(node) as membership:
        return {one["name"]: one["standing"] for one in membership.parties()}


def proposal(node: Node, number: int) -> dict[str, object]:
    with Membership(node) as membership:
        return next(one for one in membership.proposals() if one["number"] == number)


def carried(
    where: Where, nodes: Sequence[Node], action: str, about: Node | None, *, threshold: int = 0
) -> int:
    """Propose by the first, approve by the next two, wait for the delay, and let the last one execute."""
    a, b, c, last = nodes
    with Membership(a) as membership:
        number = membership.propose(
            action, None if about is None else CardFile(about.party.cards), threshold=threshold
        )
    assert proposal(b, number)["status"] == "open"
    assert vote(b, "approve", number)
    assert proposal(b, number)["status"] == "open"  # one short of the threshold
    assert not vote(b, "approve", number)
    assert vote(c, "approve", number)
    assert proposal(a, number)["status"] == "approved"
    execute(where, last, number)
    assert proposal(a, number)["status"] == "executed"
    assert not vote(a, "execute", number)
    return number


def execute(where: Where, node: Node, number: int) -> None:
    until = time.monotonic() + 60
    while not _executed(node, number):
        assert time.monotonic() < until
        where.tick()


def _executed(node: Node, number: int) -> bool:
    try:
        return vote(node, "execute", number)
    except RevertError as error:
        if "delay is not over" in error.message:
            return False
        raise


def check_governance(where: Where, nodes: Sequence[Node]) -> None:
    """Join, suspend, reinstate, rotate and remove, each by delayed votes of different members."""
    a, b, c, d, e = nodes
    carried(where, (a, b, c, d), "join", e, threshold=THRESHOLD)
    assert standing(b)["newcomer"] == "active"
    e.record("document.recorded", {"title": "protocol"})
    assert [claim.size for claim in e.anchor()] == [e.journal.size]

    carried(where, (b, c, d, a), "suspend", e)
    assert standing(c)["newcomer"] == "suspended"
    with pytest.raises(RevertError, match="not an active member"), Membership(e) as membership:
        membership.propose("suspend", CardFile(a.party.cards))

    carried(where, (c, d, a, b), "reinstate", e)
    assert standing(d)["newcomer"] == "active"
    carried(where, (d, a, b, e), "threshold", None, threshold=4)
    with Membership(a) as membership:
        assert membership.threshold() == 4
        number = membership.propose("leave", CardFile(e.party.cards), threshold=3)
    for node in (b, c):
        vote(node, "approve", number)
    with pytest.raises(RevertError):  # three of four that it needs now
        vote(d, "execute", number)
    vote(d, "approve", number)
    execute(where, a, number)
    assert standing(a)["newcomer"] == "gone"


def check_two_proposals_at_once(nodes: Sequence[Node]) -> None:
    """Each proposer is told its own number, and the same again is no second proposal."""
    a, b, *_, newcomer = nodes
    with Membership(a) as one, Membership(b) as other:
        first = one.propose("suspend", CardFile(b.party.cards))
        second = other.propose("join", CardFile(newcomer.party.cards))
        again = one.propose("suspend", CardFile(b.party.cards))
    assert first == again != second
    assert (proposal(a, first)["action"], proposal(a, second)["action"]) == ("suspend", "join")
    assert (proposal(a, first)["proposer"], proposal(a, second)["proposer"]) == (a.name, b.name)


def _save_once(die: Callable[..., None]) -> Callable[..., None]:
    save = Party.save

    def saves(party: Party, path: Path, *words: object, **named: object) -> None:
        (save if path.name == "keys.next.json" else die)(party, path, *words, **named)  # type: ignore[arg-type]

    return saves


def check_rotation(node: Node, where: Where, heads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation that is killed after the contract has learned of it goes on, and is told once."""
    place, settings = node.workspace.path, node.settings.chain
    assert settings is not None
    node.close()
    monkeypatch.setenv("TALLYSTICK_STATE", str(heads))

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Party, "save", _save_once(die))
        with pytest.raises(Killed):
            rotate(place, ["chain"], passphrase=PASSPHRASE, scrypt_n=2**4)
    done = rotate(place, [], passphrase=PASSPHRASE, scrypt_n=2**4)
    assert [line for line in done.advice if "no member's" in line] == []
    fresh = chain_address(done.card.keys["chain"])
    with connect(settings.profile) as chain:
        # an embedded chain hands money out by itself
        assert chain.is_local == (
            not [line for line in done.advice if f"{fresh} has nothing to pay with" in line]
        )
        where.pay(fresh, FUEL)
        members = Members(chain.web3, settings.members)
        known = members.party(hashed_id(done.card.party))
        assert known is not None
        assert known.account == fresh
        assert len(members.cards(known.party)) == 2  # once, in spite of the kill
    with Node.open(place, passphrase=PASSPHRASE, heads=heads) as again:
        again.record("document.recorded", {"title": "with the new key"})
        assert [claim.size for claim in again.anchor()] == [again.journal.size]
