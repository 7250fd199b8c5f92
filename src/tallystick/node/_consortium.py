"""Several parties: a policy that pins them, and a whole consortium in one process for tests and pilots."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tallystick.errors import ChainUnreachableError, ConfigurationError
from tallystick.proof import (
    STANDARD_KINDS,
    AnchorClaim,
    AnchorPolicy,
    Clock,
    Kinds,
    PinnedParty,
    Policy,
    WitnessPolicy,
    system_clock,
    verify,
)

from ._founding import found, found_models, found_oracle
from ._grounds import EmbeddedGround, Ground
from ._node import Node
from ._peers import CardFile, format_card_file
from ._settings import ChainSettings

if TYPE_CHECKING:
    from tallystick.chain import Chain

__all__ = ["Consortium", "make_policy"]

PILOT_SCRYPT_N = 2**12
_LOOK_S = 0.2
MEMBER_LIMIT = 64


def make_policy(
    name: str,
    parties: Sequence[CardFile],
    *,
    need: int | None = None,
    anchor: AnchorPolicy | None = None,
    ask: Sequence[str] = ("party",),
) -> Policy:
    """Make a policy that pins these parties, each of them a witness of the others.

    Args:
        name: whose policy it is.
        parties: known parties.
        need: how many other parties must have witnessed; by default the smallest number of which no two
            histories can both have so many.
        anchor: the chain that counts.
        ask: what must be proved.
    """
    names = Counter(party.name for party in parties)
    # A name is whatever its owner wrote: who shares one with somebody is told apart by the fingerprint.
    pinned = tuple(
        PinnedParty(
            party.name if names[party.name] == 1 else f"{party.name} ({party.fingerprint[:9]})", party.cards
        )
        for party in parties
    )
    witnesses = None
    if len(parties) > 1:
        others = len(parties) - 1
        witnesses = WitnessPolicy(tuple(party.id for party in parties), need or others // 2 + 1)
    return Policy(name, pinned, witnesses, anchor, tuple(ask))


class Consortium:
    """Several nodes in one process over one chain: every member knows and witnesses every other.

    Args:
        directory: holds one workspace per member, and the embedded chain.
        names: legal names; or how many members of the names Hospital A, Hospital B, ...
        ground: where the chain stands; embedded in `directory`, run by one operator, when None.
        clock: microseconds since the epoch.
        kinds: kinds that may be recorded.
        heads: where the journals' heads are remembered; beside the workspaces when None.
        passphrase: of all key files; a consortium in one process is for tests and pilots.

    Raises:
        ConfigurationError: fewer than one member, or a directory that is in use.
        MissingExtraError: the chain extra is not installed.

    Example:
        >>> with Consortium(3, directory=tmp_path) as consortium:              # doctest: +SKIP
        ...     consortium.nodes[0].record("document.recorded", {"title": "protocol"})
        ...     consortium.witness(); consortium.anchor(); consortium.audit()
    """

    def __init__(
        self,
        names: int | Sequence[str],
        *,
        directory: Path,
        ground: Ground | None = None,
        clock: Clock = system_clock,
        kinds: Kinds = STANDARD_KINDS,
        heads: Path | None = None,
        passphrase: str = "a consortium in one process",  # noqa: S107 - protects nothing: all keys lie in one directory
    ) -> None:
        members = [f"Hospital {chr(65 + n)}" for n in range(names)] if isinstance(names, int) else list(names)
        if not members or len(set(members)) != len(members) or len(members) > MEMBER_LIMIT:
            raise ConfigurationError(
                f"a consortium must have 1 to {MEMBER_LIMIT} members of different names, got {len(members)}"
            )
        self.directory = directory
        self.nodes: list[Node] = []
        directory.mkdir(parents=True, exist_ok=True)
        self.ground: Ground = ground or EmbeddedGround(directory / "chain.sqlite", clock=clock)
        self._chains: list[Chain] = []
        self._attested: set[tuple[str, int, str]] = set()  # whose anchor of which size who has signed
        self.chain: Chain = self._open(members[0])
        heads = heads or directory / "heads"
        try:
            for name in members:
                node = Node.init(
                    directory / _place(name, {node.workspace.path.name for node in self.nodes}),
                    name=name,
                    passphrase=passphrase,
                    clock=clock,
                    kinds=kinds,
                    scrypt_n=PILOT_SCRYPT_N,
                    heads=heads,
                )
                self.nodes.append(node)
            self._introduce()
        except BaseException:
            self.close()
            raise

    def _open(self, member: str) -> Chain:
        chain = self.ground.open(member)
        if chain not in self._chains:
            self._chains.append(chain)
        return chain

    def _introduce(self) -> None:
        for node in self.nodes:
            for other in self.nodes:
                if other is not node:
                    node.import_card(format_card_file(other.party.cards))
            if not self.ground.local:
                self.fund(node)
        members, anchors = found(self.nodes[0], self.chain, self.cards, threshold=len(self.nodes) // 2 + 1)
        for node in self.nodes:
            name = node.party.card.name
            node.set_chain(ChainSettings(self.ground.profile(name), members, anchors))
            node.share_chain(self.chain if node is self.nodes[0] else self._open(name))

    def fund(self, node: Node, wei: int | None = None) -> None:
        """Give a member's account coins to spend; some when None."""
        from tallystick.chain import Account

        self.ground.fund(self.chain, Account(node.party.secret("chain")).address, wei)

    def offered(self) -> AbstractContextManager[str]:
        """A url at which somebody outside can ask the chain meanwhile."""
        return self.ground.offered(self.chain)

    def found_models(self, *, approvals: int | None = None) -> str:
        """Deploy the contract `Models` and set it for all members.

        Args:
            approvals: how many members other than the publisher must approve a model; a majority of them when None.

        Returns:
            Its address.
        """
        settings = self._settings(self.nodes[0])
        needed = (len(self.nodes) - 1) // 2 + 1 if approvals is None else approvals
        models = found_models(self.nodes[0], self.chain, members=settings.members, approvals=needed)
        self._set(models=models)
        return models

    def found_oracle(self) -> str:
        """Deploy the contract `Oracle`, which asks `Models`, and set it for all members; its address."""
        if not self._settings(self.nodes[0]).models:
            self.found_models()
        settings = self._settings(self.nodes[0])
        oracle = found_oracle(self.nodes[0], self.chain, models=settings.models)
        self._set(oracle=oracle)
        return oracle

    def _settings(self, node: Node) -> ChainSettings:
        settings = node.settings.chain
        assert settings is not None
        return settings

    def _set(self, **contracts: str) -> None:
        """Tell every member of a contract; each keeps its own way to the chain."""
        for node in self.nodes:
            node.set_chain(replace(self._settings(node), **contracts))  # type: ignore[arg-type]

    @property
    def cards(self) -> list[CardFile]:
        """All members' cards."""
        return [CardFile(node.party.cards) for node in self.nodes]

    def witness(self) -> None:
        """Let every member witness every other member's newest head."""
        for node in self.nodes:
            for other in self.nodes:
                if other is not node:
                    seen = other.witness.size(node.origin)
                    node.add_cosignatures(other.cosign(node.ask_witness(seen=[seen])).note)

    def anchor(self, *, without: Collection[Node] = ()) -> int:
        """Anchor every member's newest head; how many are new.

        On a network every other member then looks at its own node, and signs that each new anchor stands there.

        Args:
            without: members that cannot be reached now; they anchor, and sign for the others, at a later call.
        """
        present = [node for node in self.nodes if node not in without]
        fresh = sum(len(node.anchor(chain=node.shared_chain)) for node in present)
        if not self.ground.local:
            for node in present:
                self._attest(node, [other for other in present if other is not node])
        return fresh

    def _attest(self, node: Node, others: Sequence[Node]) -> None:
        from tallystick.chain import connect

        for size in sorted({claim.size for claim in node.claims}):
            receipt = node.receipt(size - 1)
            claim = receipt.anchor
            assert claim is not None
            for other in others:
                if (node.origin, claim.size, other.origin) not in self._attested:
                    with connect(self._settings(other).profile.own()) as own:
                        _wait_for_block(own, claim.block, other.party.card.name)
                        node.add_anchor_note(other.attest(receipt, chain=own))
                    self._attested.add((node.origin, claim.size, other.origin))

    def gas_of(self, claim: AnchorClaim) -> int:
        """What an anchor cost: the gas of all transactions to its contract in its block, shared among them."""
        receipts = self.chain.ask("eth_getBlockReceipts", hex(claim.block))
        used = [
            int(item["gasUsed"], 16) for item in receipts if str(item.get("to")).lower() == claim.contract
        ]
        return sum(used) // max(1, len(used))

    def policy(self, name: str = "everybody here", *, ask: Sequence[str] = ("party",)) -> Policy:
        """A policy that pins all members and this chain; an embedded one counts as one operator's."""
        contract, ground = self._settings(self.nodes[0]).anchors, self.ground
        anchor = AnchorPolicy(
            self.chain.chain_id, self.chain.genesis, contract, ground.local, ground.need, ground.endpoints
        )
        return make_policy(name, self.cards, anchor=anchor, ask=ask)

    def audit(self, *, check: Callable[[Any], None] | None = None) -> int:
        """Verify everything again: every hash of every journal, every head on the chain, every receipt.

        Args:
            check: called with each report.

        Returns:
            How many receipts were verified.

        Raises:
            DamagedError: a journal does not hash to what was signed.
            RollbackError: a journal is not the continuation of its head on the chain.
            VerificationError: a receipt does not verify.
        """
        policy, count = self.policy(), 0
        for node in self.nodes:
            node.journal.verify()
            way = node.anchoring(chain=node.shared_chain)
            try:
                way.check()
            finally:
                way.close()
            for index in range(node.journal.size):
                report = verify(node.receipt(index).format(), policy=policy)
                count += 1
                if check is not None:
                    check(report)
        return count

    def close(self) -> None:
        """Close all nodes and the chain."""
        for node in self.nodes:
            node.close()
        for chain in self._chains:
            chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wait_for_block(chain: Chain, number: int, name: str) -> None:
    """Wait until a member's own node has a block that another's has.

    Raises:
        ChainUnreachableError: it has not in the time that the profile gives a transaction.
    """
    deadline = time.monotonic() + chain.profile.wait_s
    while chain.head().number < number:
        if time.monotonic() > deadline:
            raise ChainUnreachableError(
                f"{name}'s own node does not have block {number}",
                hint="is it connected with the others? see `tallystick network status`",
            )
        time.sleep(_LOOK_S)


def _place(name: str, taken: set[str]) -> str:
    """A directory's name for a party: letters, digits and hyphens, different from those that are taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "member"
    return next(
        found for found in (plain, *(f"{plain}-{n}" for n in range(2, 99))) if found not in taken | {"heads"}
    )
