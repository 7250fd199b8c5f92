"""Parties at work: each records statements and anchors them, again and again, and remembers what it was promised.

A statement is *acknowledged* when `record` returned: it is durable at home. It is *settled* when an anchor that covers
it was reported mined and final. Both are kept outside the journal, so a lost one is found.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.chain import Account, connect
from tallystick.errors import SurroundingsError
from tallystick.network import Bundle, funded
from tallystick.node import CardFile, ChainSettings, Node, found

if TYPE_CHECKING:
    from tallystick.chain import Profile

__all__ = ["Load", "Party", "make_parties"]

RICH = 10**18  # wei
AT_ONCE = 4  # statements between two anchors
ANCHOR_S = 4.0  # one attempt; then more is stated, so that an outage leaves something waiting
PAUSE_S = 0.1
SCRYPT_N, PASSPHRASE = 2**4, "x"  # throw-away keys


@dataclass(slots=True)
class Party:
    """A party's workspace, and what it was promised.

    Args:
        node: its workspace.
        deployments: transactions of its account that are not anchors.
        acknowledged: place and id of every statement, as `record` returned them.
        moments: when each of these was acknowledged.
        promised: size -> root of every anchor that was reported final.
        settled: when an anchor was reported final, and the size that it covers.
        refusals: how often the chain could not be used.
        wrong: what ended the party's work and was none of the surroundings' errors.
    """

    node: Node
    deployments: int = 0
    acknowledged: list[tuple[int, str]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    promised: dict[int, bytes] = field(default_factory=dict)
    settled: list[tuple[float, int]] = field(default_factory=list)
    refusals: int = 0
    wrong: str = ""

    @property
    def account(self) -> str:
        """The address that pays for its anchors."""
        return Account(self.node.party.secret("chain")).address

    def state(self, title: str) -> None:
        """Record one statement and remember that it was acknowledged."""
        entry = self.node.record("document.recorded", {"title": title}, payload=b"text")
        self.acknowledged.append((entry.index, entry.id))
        self.moments.append(time.monotonic())

    def anchor(self, timeout_s: float = ANCHOR_S) -> None:
        """Anchor what is recorded, and remember what was reported final.

        Raises:
            SurroundingsError: the chain cannot be used now; what was begun is kept.
        """
        for claim in self.node.anchor(timeout_s=timeout_s):
            self.promised[claim.size] = claim.root
            self.settled.append((time.monotonic(), claim.size))

    def settled_after(self, moment: float) -> bool:
        """Tell whether a statement that was made after a moment is settled."""
        first = next((place for place, made in enumerate(self.moments) if made > moment), None)
        if first is None or not self.settled:
            return False
        return self.settled[-1][1] > self.acknowledged[first][0]


def make_parties(top: Path, bundle: Bundle, count: int = 2) -> list[Party]:
    """Make workspaces, pay their accounts, and found the contracts on the network.

    Args:
        top: where the workspaces are made.
        bundle: of the network, which runs.
        count: how many parties; the first founds.
    """
    parties = []
    for place in range(count):
        name = f"party-{place}"
        node = Node.init(top / name, name=name, passphrase=PASSPHRASE, scrypt_n=SCRYPT_N, heads=top / "heads")
        parties.append(Party(node))
        funded(bundle, parties[-1].account, RICH)
    cards = [CardFile(party.node.party.cards) for party in parties]
    with connect(bundle.profile()) as chain:
        members, anchors = found(parties[0].node, chain, cards, threshold=count // 2 + 1)
        parties[0].deployments = chain.nonce(parties[0].account)
    for place, party in enumerate(parties):
        # the parties live with different members
        party.node.set_chain(ChainSettings(bundle.profile(-place % len(bundle.members)), members, anchors))
    return parties


class Load:
    """Several parties at work in threads, from `start` to `finish`.

    Args:
        parties: with their contracts in place.
        profiles: how each reaches the network; as its settings say when None.
    """

    def __init__(self, parties: Sequence[Party], profiles: Sequence[Profile] | None = None) -> None:
        self.parties = tuple(parties)
        self._profiles = tuple(profiles) if profiles is not None else (None,) * len(self.parties)
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Let all parties go to work."""
        for party, profile in zip(self.parties, self._profiles, strict=True):
            self._threads.append(threading.Thread(target=self._work, args=(party, profile), daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Let all parties end what they are doing."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def finish(self, timeout_s: float = 60.0) -> None:
        """End the work, then anchor what waits: all that was acknowledged has its anchor, or is lost.

        Args:
            timeout_s: for each party.
        """
        self.stop()
        for party in self.parties:
            deadline = time.monotonic() + timeout_s
            while not party.wrong and time.monotonic() < deadline:
                try:
                    party.anchor(max(deadline - time.monotonic(), 1.0))
                    break
                except SurroundingsError:
                    party.refusals += 1
                    time.sleep(PAUSE_S)

    def settled_after(self, moment: float) -> bool:
        """Tell whether every party has settled a statement that was made after a moment."""
        return all(party.settled_after(moment) for party in self.parties)

    def _work(self, party: Party, profile: Profile | None) -> None:
        try:
            settings = party.node.settings.chain
            assert settings is not None
            with connect(profile or settings.profile) as chain:
                party.node.share_chain(chain)
                try:
                    while not self._ended.is_set():
                        self._turn(party)
                finally:
                    party.node.share_chain(None)
        except Exception as error:  # noqa: BLE001 - told in the row: a party must bear whatever the network does
            party.wrong = f"a party's work ended with {type(error).__name__}: {error}"

    def _turn(self, party: Party) -> None:
        for _ in range(AT_ONCE):
            party.state("under load")
        try:
            party.anchor()
        except SurroundingsError:
            party.refusals += 1
        self._ended.wait(PAUSE_S)
