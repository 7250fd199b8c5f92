"""After a fault: whether all that was acknowledged is there exactly once, whoever of the members is asked.

Nothing here trusts the parties' own word: journals are hashed again, receipts verified by a policy that asks every
member's endpoint, and the events of the contract counted at each of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from faults.load import Party
from faults.watch import ask
from tallystick.chain import anchor_reader
from tallystick.errors import TallystickError
from tallystick.network import Member
from tallystick.node import CardFile, make_policy
from tallystick.proof import (
    AnchorClaim,
    AnchorPolicy,
    AnchorReading,
    Endpoint,
    Policy,
    journal_id,
    keccak256,
    verify,
)

__all__ = ["Verdict", "check"]

_TOPIC = "0x" + keccak256(b"Anchored(bytes32,uint64,uint64,bytes32,uint64,uint64)").hex()
_PAGE = 5_000  # blocks; endpoints answer about 10,000 at most


@dataclass(slots=True)
class Verdict:
    """What was found.

    Args:
        said: acknowledged statements.
        anchors: on chain.
        lost: acknowledged and not there, or not verified to a final anchor.
        duplicated: there more than once, or sent more often than needed.
        wrong: what else must not be.
    """

    said: int = 0
    anchors: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: tuple[str, ...] = ()

    def tell(self, what: str) -> None:
        """Remember something that must not be; the first few tell enough."""
        if len(self.wrong) < 5 and what not in self.wrong:
            self.wrong += (what,)


def check(members: Sequence[Member], parties: Sequence[Party], *, since: int = 0) -> Verdict:
    """Check all parties against all members' endpoints, when the network is whole and nobody is at work.

    Args:
        members: of the network; all of them must answer, and agree.
        parties: with what they were promised.
        since: receipts of acknowledged statements before this one, in each party's order, were verified before; that
            they stand in the journal is checked again all the same.
    """
    verdict = Verdict()
    urls = [member.rpc_url for member in members]
    _check_agreement(urls, verdict)
    for party in parties:
        if party.wrong:
            verdict.tell(party.wrong)
        try:
            _check_journal(party, verdict)
            _check_chain(party, urls, verdict)
            _check_receipts(party, members, verdict, since)
        except (TallystickError, OSError, ValueError) as error:
            verdict.lost += 1
            verdict.tell(f"a check ended with {type(error).__name__}: {error}")
    return verdict


def _check_agreement(urls: Sequence[str], verdict: Verdict) -> None:
    """All endpoints must have one hash at the height that all of them have."""
    try:
        height = min(int(ask(url, "eth_blockNumber"), 16) for url in urls)
        hashes = {ask(url, "eth_getBlockByNumber", hex(height), False)["hash"] for url in urls}
    except (OSError, ValueError, TypeError, KeyError) as error:
        verdict.tell(f"an endpoint does not answer: {error}")
        return
    if height < 1 or len(hashes) != 1:
        verdict.tell(f"{len(hashes)} different blocks at height {height}")


def _check_journal(party: Party, verdict: Verdict) -> None:
    """Every acknowledged statement stands once in the journal, at the place that was told; the journal hashes."""
    party.node.journal.verify()
    found = Counter(entry.id for entry in party.node.journal.entries())
    verdict.said += len(party.acknowledged)
    verdict.duplicated += sum(count - 1 for count in found.values())
    verdict.duplicated += len(party.acknowledged) - len({index for index, _ in party.acknowledged})
    for index, name in party.acknowledged:
        if found[name] < 1 or party.node.journal.entry(index).id != name:
            verdict.lost += 1
            verdict.tell("an acknowledged statement is not in the journal")


def _check_chain(party: Party, urls: Sequence[str], verdict: Verdict) -> None:
    """Every promised anchor stands once on the chain, at each endpoint alike, and nothing was mined without need."""
    told = [_anchorings(party, url) for url in urls]
    if any(one != told[0] for one in told):
        verdict.tell("endpoints tell different anchors")
    events = told[0]
    verdict.anchors += len(events)
    sizes = Counter(size for size, _ in events)
    verdict.duplicated += sum(count - 1 for count in sizes.values())
    for promise in party.promised.items():
        if promise not in events:
            verdict.lost += 1
            verdict.tell("an anchor that was reported final is not on the chain")
    sent = {int(ask(url, "eth_getTransactionCount", party.account, "latest"), 16) for url in urls}
    if sent != {party.deployments + len(events)}:
        verdict.duplicated += abs(max(sent) - party.deployments - len(events))
        verdict.tell(f"{max(sent) - party.deployments} transactions were mined for {len(events)} anchors")


def _anchorings(party: Party, url: str) -> list[tuple[int, bytes]]:
    """Sizes and roots of all the party's anchorings that an endpoint tells of, in their order."""
    settings = party.node.settings.chain
    assert settings is not None
    journal = "0x" + journal_id(party.node.party.origin).hex()
    top = int(ask(url, "eth_blockNumber"), 16)
    found: list[tuple[int, bytes]] = []
    for first in range(0, top + 1, _PAGE):
        wanted = {
            "address": settings.anchors,
            "fromBlock": hex(first),
            "toBlock": hex(min(first + _PAGE - 1, top)),
            "topics": [_TOPIC, journal],
        }
        found += [
            (int(log["topics"][2], 16), bytes.fromhex(log["data"][2:66]))
            for log in ask(url, "eth_getLogs", wanted, timeout_s=20)
        ]
    return found


def _check_receipts(party: Party, members: Sequence[Member], verdict: Verdict, since: int) -> None:
    """Every acknowledged statement verifies, and its anchor is final at every member's endpoint."""
    policy, asked = _policy(party, members), dict[bytes, list[AnchorReading]]()
    read = anchor_reader([member.rpc_url for member in members])

    def read_once(claim: AnchorClaim, journal: bytes) -> list[AnchorReading]:
        if claim.root not in asked:
            asked[claim.root] = list(read(claim, journal))
        return asked[claim.root]

    for index, _ in party.acknowledged[since:]:
        try:
            verify(party.node.receipt(index).format(), policy=policy, read_anchor=read_once)
        except TallystickError as error:
            verdict.lost += 1
            verdict.tell(f"an acknowledged statement does not verify: {error}")


def _policy(party: Party, members: Sequence[Member]) -> Policy:
    settings = party.node.settings.chain
    assert settings is not None
    genesis = ask(members[0].rpc_url, "eth_getBlockByNumber", hex(0), False)
    claims = party.node.claims
    anchor = AnchorPolicy(
        settings.profile.chain_id or 0,
        claims[-1].genesis if claims else str(genesis["hash"] if genesis else ""),
        settings.anchors,
        False,
        len(members),
        tuple(Endpoint(member.name, member.rpc_url) for member in members),
    )
    return make_policy(
        "all members", [CardFile(party.node.party.cards)], anchor=anchor, ask=("party", "anchor")
    )
