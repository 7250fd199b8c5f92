"""Anchoring: a journal's heads go to the contract `Anchors`, each exactly once, through crashes and restarts.

- An intent's id is `anchor/<size>/<root>`: the same head is never kept twice, whoever tries again. Only where the chain
  lost it from sight, in a new epoch or under another contract, the same head goes there again as `.../2`.
- One anchor is on its way at a time: a consistency proof starts at the head that the chain has now, and every anchor
  of ours that is mined after the proof was made turns it stale. What an earlier run left behind is finished first.
- An intent that is stale all the same is rebuilt; a head that the chain has already, or is beyond, is not needed.
- What is mined is written to `anchors.json`; losing that file loses nothing, because the chain tells it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.errors import (
    ChainError,
    ConfigurationError,
    DamagedError,
    EncodingError,
    NotFoundError,
    ReceiptError,
    RevertError,
    RollbackError,
)
from tallystick.proof import (
    AnchorClaim,
    AnchorPolicy,
    Clock,
    Endpoint,
    Journal,
    Party,
    check_format,
    format_anchor,
    format_json,
    journal_id,
    parse_anchor,
    parse_json,
)

from ._settings import ChainSettings
from ._workspace import Workspace, read_small, write_small

if TYPE_CHECKING:
    from tallystick.chain import Anchors, Call, Chain, Intent

__all__ = ["Anchoring", "anchor_policy", "collect_claims", "read_claims", "with_proof", "write_claims"]

_FORMAT = "tallystick/anchors"
_PREFIX = "anchor/"


def read_claims(path: Path) -> list[AnchorClaim]:
    """Read the anchored heads of a workspace, ascending by size; without proofs.

    Raises:
        DamagedError: the file is not what was written.
        UnknownFormatError: a later version wrote it.
    """
    data = read_small(path)
    if data is None:
        return []
    try:
        document = check_format(parse_json(data.removesuffix(b"\n")), _FORMAT)
        return sorted((parse_anchor(item) for item in document["anchors"]), key=lambda claim: claim.size)
    except (EncodingError, ReceiptError, KeyError, TypeError) as error:
        raise DamagedError(
            "anchors.json is damaged", hint="delete it: `tallystick anchor` reads the chain again"
        ) from error


def write_claims(path: Path, claims: Sequence[AnchorClaim]) -> None:
    """Write the anchored heads of a workspace."""
    document = {"anchors": [format_anchor(claim) for claim in claims], "type": _FORMAT, "v": 1}
    write_small(path, format_json(document) + b"\n")


class Anchoring:
    """The anchors of one journal on one chain.

    Args:
        workspace: where outbox and anchored heads are kept.
        settings: the chain and its contracts.
        party: its chain key signs and pays.
        journal: whose heads are anchored.
        clock: microseconds since the epoch.
        chain: an open chain to share; otherwise one is opened by the settings and closed by `close`.

    Raises:
        ConfigurationError: the settings name no contract.
        MissingExtraError: the chain extra is not installed.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: ChainSettings,
        party: Party,
        journal: Journal,
        *,
        clock: Clock,
        chain: Chain | None = None,
    ) -> None:
        if not settings.anchors:
            raise ConfigurationError(
                "the settings name no Anchors contract",
                hint="run `tallystick members found`, or set chain.members and chain.anchors in tallystick.toml",
            )
        # Imported here: the door of this room opens on the base install.
        from tallystick.chain import Account, Anchors, Outbox, connect

        self._workspace, self._journal = workspace, journal
        self._own = chain is None
        self.chain: Chain = connect(settings.profile, clock=clock) if chain is None else chain
        self._anchors = Anchors(self.chain.web3, settings.anchors)
        self._id = journal_id(journal.origin)
        self.account = Account(party.secret("chain"))
        self._outbox = Outbox(
            workspace.outbox(self.account.address),
            self.chain,
            account=self.account,
            rebuild=self._rebuild,
            clock=clock,
        )

    def close(self) -> None:
        """Close the outbox, and the chain if this opened it."""
        self._outbox.close()
        if self._own:
            self.chain.close()

    def head(self) -> tuple[int, bytes] | None:
        """Return size and root of the journal's head on the chain; None when nothing is anchored."""
        head = self._anchors.heads(self._id)
        return None if head is None else (head.size, head.root)

    def check(self) -> None:
        """Hold the journal against its head on the chain.

        Raises:
            RollbackError: the journal stands below the chain's head, or has another root there.
        """
        head = self.head()
        if head is not None and (head[0] > self._journal.size or self._journal.root(head[0]) != head[1]):
            raise RollbackError(
                f"the chain has this journal's head at size {head[0]}, the journal here is not its continuation",
                hint="this looks like a restored backup: fetch the newer journal, or ask the members for a new epoch",
            )

    def anchor(self, *, size: int | None = None, timeout_s: float | None = None) -> list[AnchorClaim]:
        """Finish what an earlier run began, then anchor a head of the journal.

        Args:
            size: of the head; the newest when None, and with 0 only what was begun is finished.
            timeout_s: for all of it together; the profile's `wait_s` when None.

        Returns:
            The anchors that are new, ascending; empty when the head stands on the chain already.

        Raises:
            ChainError: the contract refused, or it is not mined in time (it is kept and goes on later).
            ChainUnreachableError: nobody answers; the intent is kept.
            FundsError: the account cannot pay.
            RollbackError: see `check`.
        """
        deadline = time.monotonic() + (self.chain.profile.wait_s if timeout_s is None else timeout_s)
        self.check()
        if self.chain.is_local and self.chain.balance(self.account.address) == 0:
            self.chain.fund(self.account.address)
        if self._outbox.pending():
            self._outbox.flush(timeout_s=max(deadline - time.monotonic(), 0))
            self.check()
        wanted = self._want(self._journal.size if size is None else size)
        if wanted:
            self._outbox.flush(timeout_s=max(deadline - time.monotonic(), 0))
            self._check_done(wanted)
        return self._collect()

    def _want(self, size: int) -> str:
        """Keep the anchor of a head; its intent's id, empty when the chain has that head or a later one."""
        head = self.head()
        if not size or (head is not None and head[0] >= size):
            return ""
        root = self._journal.root(size)
        if self._outbox.pending():
            # Put now, its proof would start at a head that is about to change.
            raise ChainError(
                "what was sent to the chain earlier is not mined yet",
                hint="it is kept: `tallystick anchor` goes on with it",
            )
        first = f"{_PREFIX}{size}/{root.hex()}"
        wanted = first
        for number in count(2):
            try:
                state = self._outbox.intent(wanted).state
            except NotFoundError:
                self._outbox.put(wanted, self._call(size, root, head))
                break
            if state not in ("mined", "dropped"):
                # What was refused before may be mended now, for instance by a vote of the members.
                self._outbox.retry(wanted)
                break
            wanted = f"{first}/{number}"
        return wanted

    def _check_done(self, intent_id: str) -> None:
        intent = self._outbox.intent(intent_id)
        if intent.state == "failed":
            raise RevertError(
                f"the contract refused the anchor: {intent.reason}",
                hint="is this party an active member? see `tallystick members`",
                reason=intent.reason,
            )
        if intent.state in ("waiting", "signed"):
            raise ChainError(
                "the anchor is not mined yet", hint="it is kept: `tallystick anchor` goes on with it"
            )

    def _call(self, size: int, root: bytes, head: tuple[int, bytes] | None) -> Call:
        proof = self._journal.consistency(head[0], size) if head else []
        return self._anchors.anchor(self._id, size=size, root=root, proof=proof)

    def _rebuild(self, intent: Intent) -> Call | None:
        if not intent.id.startswith(_PREFIX):
            # The account's votes and deployments share its outbox; those fit as they are, or not at all.
            return intent.call
        _, size_text, root_text, *_ = intent.id.split("/")
        size, head = int(size_text), self.head()
        if head is not None and head[0] >= size:
            return None
        return self._call(size, bytes.fromhex(root_text), head)

    def _collect(self) -> list[AnchorClaim]:
        return collect_claims(self._workspace, self.chain, self._anchors, self._id)


def collect_claims(workspace: Workspace, chain: Chain, anchors: Anchors, journal: bytes) -> list[AnchorClaim]:
    """Write down what the chain has and `anchors.json` has not; what is new, ascending by size.

    One head may stand on two chains: what another chain has of this journal says nothing about this one.
    """
    known = read_claims(workspace.anchors)
    place = (chain.chain_id, chain.genesis, anchors.address)
    sizes = {claim.size for claim in known if (claim.chain_id, claim.genesis, claim.contract) == place}
    fresh = []
    for anchoring in anchors.history(journal):
        if anchoring.size in sizes:
            break
        claim = AnchorClaim(
            chain_id=chain.chain_id,
            genesis=chain.genesis,
            contract=anchors.address,
            block=anchoring.block,
            block_hash=chain.block(anchoring.block).hash,
            size=anchoring.size,
            root=anchoring.root,
            consistency=(),
        )
        fresh.append(claim)
    if fresh:
        write_claims(workspace.anchors, sorted([*known, *fresh], key=lambda claim: claim.size))
    return fresh[::-1]


def with_proof(
    claims: Sequence[AnchorClaim], journal: Journal, *, index: int, size: int
) -> AnchorClaim | None:
    """Choose the anchor of a receipt, with the proof between it and the receipt's head.

    Args:
        claims: ascending by size.
        journal: makes the proof.
        index: of the statement.
        size: of the receipt's head.

    Returns:
        An anchor of that very head if there is one, else the first that covers the statement, else None; one on
        the chain of the newest anchor before one on a chain that the journal moved away from.
    """
    # A restored journal may stand below what the chain has of it: from there no proof can be made.
    covering = [claim for claim in claims if index < claim.size <= journal.size]
    if not covering:
        return None
    # The first anchor after a move has the size of the last one before it, and stands behind it in the file.
    newest = covering[-1]
    covering = [claim for claim in covering if _same_chain(claim, newest)]
    claim = next((claim for claim in covering if claim.size == size), covering[0])
    old, new = sorted((claim.size, size))
    return replace(claim, consistency=() if old == new else tuple(journal.consistency(old, new)))


def _same_chain(one: AnchorClaim, other: AnchorClaim) -> bool:
    return (one.chain_id, one.genesis, one.contract) == (other.chain_id, other.genesis, other.contract)


def anchor_policy(settings: ChainSettings | None, endpoints: Mapping[str, str]) -> AnchorPolicy | None:
    """What a policy says of a chain; None when nothing is anchored.

    Args:
        settings: of a workspace.
        endpoints: name -> url of endpoints that the verifier trusts; most of them must agree.
    """
    if settings is None or not settings.anchors:
        return None
    from tallystick.chain import connect

    with connect(settings.profile) as chain:
        trusted = tuple(Endpoint(name, url) for name, url in endpoints.items())
        return AnchorPolicy(
            chain.chain_id, chain.genesis, settings.anchors, chain.is_local, len(endpoints) // 2 + 1, trusted
        )
