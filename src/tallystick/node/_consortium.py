"""Several parties: a policy that pins them, and a whole consortium in one process for tests and pilots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tallystick.errors import ConfigurationError
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
from ._node import Node
from ._peers import CardFile, format_card_file
from ._settings import ChainSettings

if TYPE_CHECKING:
    from tallystick.chain import Chain, Profile

__all__ = ["Consortium", "make_policy"]

PILOT_SCRYPT_N = 2**12
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
    """Several nodes in one process over one embedded chain: every member knows and witnesses every other.

    Args:
        directory: holds one workspace per member, and the chain.
        names: legal names; or how many members of the names Hospital A, Hospital B, ...
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
        clock: Clock = system_clock,
        kinds: Kinds = STANDARD_KINDS,
        heads: Path | None = None,
        passphrase: str = "a consortium in one process",  # noqa: S107 - protects nothing: all keys lie in one directory
    ) -> None:
        from tallystick.chain import LocalChain, Profile, connect

        members = [f"Hospital {chr(65 + n)}" for n in range(names)] if isinstance(names, int) else list(names)
        if not members or len(set(members)) != len(members) or len(members) > MEMBER_LIMIT:
            raise ConfigurationError(
                f"a consortium must have 1 to {MEMBER_LIMIT} members of different names, got {len(members)}"
            )
        self.directory = directory
        self.nodes: list[Node] = []
        profile: Profile = Profile("chain", path=directory / "chain.sqlite")
        directory.mkdir(parents=True, exist_ok=True)
        LocalChain(directory / "chain.sqlite", clock=clock).close()
        self.chain: Chain = connect(profile, clock=clock)
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
            self._introduce(profile)
        except BaseException:
            self.close()
            raise

    def _introduce(self, profile: Profile) -> None:
        for node in self.nodes:
            for other in self.nodes:
                if other is not node:
                    node.import_card(format_card_file(other.party.cards))
        members, anchors = found(self.nodes[0], self.chain, self.cards, threshold=len(self.nodes) // 2 + 1)
        for node in self.nodes:
            node.set_chain(ChainSettings(profile, members, anchors))
            node.share_chain(self.chain)

    def found_models(self, *, approvals: int | None = None) -> str:
        """Deploy the contract `Models` and set it for all members.

        Args:
            approvals: how many members other than the publisher must approve a model; a majority of them when None.

        Returns:
            Its address.
        """
        settings = self._settings()
        needed = (len(self.nodes) - 1) // 2 + 1 if approvals is None else approvals
        models = found_models(self.nodes[0], self.chain, members=settings.members, approvals=needed)
        for node in self.nodes:
            node.set_chain(replace(settings, models=models))
        return models

    def found_oracle(self) -> str:
        """Deploy the contract `Oracle`, which asks `Models`, and set it for all members; its address."""
        if not self._settings().models:
            self.found_models()
        settings = self._settings()
        oracle = found_oracle(self.nodes[0], self.chain, models=settings.models)
        for node in self.nodes:
            node.set_chain(replace(settings, oracle=oracle))
        return oracle

    def _settings(self) -> ChainSettings:
        settings = self.nodes[0].settings.chain
        assert settings is not None
        return settings

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

    def anchor(self) -> int:
        """Anchor every member's newest head; how many are new."""
        return sum(len(node.anchor(chain=self.chain)) for node in self.nodes)

    def gas_of(self, claim: AnchorClaim) -> int:
        """What an anchor cost: the gas of all transactions to its contract in its block, shared among them."""
        receipts = self.chain.ask("eth_getBlockReceipts", hex(claim.block))
        used = [
            int(item["gasUsed"], 16) for item in receipts if str(item.get("to")).lower() == claim.contract
        ]
        return sum(used) // max(1, len(used))

    def policy(self, name: str = "everybody here", *, ask: Sequence[str] = ("party",)) -> Policy:
        """A policy that pins all members and this chain, which one operator runs."""
        settings = self._settings()
        anchor = AnchorPolicy(self.chain.chain_id, self.chain.genesis, settings.anchors, local=True)
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
            way = node.anchoring(chain=self.chain)
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
        self.chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _place(name: str, taken: set[str]) -> str:
    """A directory's name for a party: letters, digits and hyphens, different from those that are taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "member"
    return next(
        found for found in (plain, *(f"{plain}-{n}" for n in range(2, 99))) if found not in taken | {"heads"}
    )
