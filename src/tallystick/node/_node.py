"""A node: one party's workspace, with its keys, journal, peers, witness and anchors put together.

The only place that chooses back ends: which files, which chain, which kinds. Every method that shows a statement to
somebody relies on the journal's promise that it is durable before it returns.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tallystick.errors import ConfigurationError, KeyFileError, StorageError
from tallystick.proof import (
    STANDARD_KINDS,
    AnchorClaim,
    Checkpoint,
    Clock,
    Journal,
    Kinds,
    Party,
    Randomness,
    Witness,
    system_clock,
)

from ._anchoring import Anchoring, read_claims
from ._deciding import Deciding
from ._endpoint_stating import stating
from ._gathering import Gathered, gather_notes, head_to_anchor, take_given
from ._passphrase import passphrase_given
from ._settings import SETTINGS_FILE, ChainSettings, Settings, WitnessSettings
from ._workspace import Workspace, head_file, read_small, write_small

if TYPE_CHECKING:
    from tallystick.chain import Chain

__all__ = ["Node"]

SCRYPT_N = 2**17


@dataclass(frozen=True, slots=True)
class _Means:
    """What a node works with, handed in by whoever opens it."""

    clock: Clock
    randomness: Randomness
    kinds: Kinds
    heads: Path | None


class Node(Deciding):
    """One party's workspace; made by `init` or `open`, closed by ``with`` or `close`.

    Attributes:
        workspace: where the files stand.
        settings: as read from `tallystick.toml`.
        party, journal, peers: see `Evidence`.
        read_only: opened beside another process that writes.
        gathered: what the witnesses gave when an anchor was last asked for.
    """

    gathered: Gathered = Gathered()
    _means: _Means
    _keys: bytes | None

    @classmethod
    def init(
        cls,
        path: Path | str,
        *,
        name: str,
        passphrase: str,
        journal: str = "main",
        chain: ChainSettings | None = None,
        clock: Clock = system_clock,
        randomness: Randomness = os.urandom,
        kinds: Kinds = STANDARD_KINDS,
        scrypt_n: int = SCRYPT_N,
        heads: Path | None = None,
    ) -> Node:
        """Make a workspace: keys, settings, an empty journal, an empty witness state.

        Args:
            path: a directory that is not there, or is empty.
            name: legal name of the party.
            passphrase: protects the key file.
            journal: name of the journal.
            chain: where to anchor; can be set later.
            clock: as for `open`, like the next two.
            randomness: source of keys and nonces.
            kinds: kinds that may be recorded.
            scrypt_n: cost of the key file's passphrase; lower it in tests and throw-away pilots only.
            heads: where heads are remembered, for throw-away pilots; the user's state directory when None.

        Raises:
            ConfigurationError: something stands there already.
            CardError: a name that cannot stand on a card.
            KeyFileError: an empty passphrase.
        """
        workspace = Workspace(Path(path))
        if workspace.path.exists() and any(workspace.path.iterdir()):
            raise ConfigurationError(
                f"{workspace.path} is not empty", hint="name a new directory, or open this one as it is"
            )
        party = Party.create(name, journal=journal, randomness=randomness)
        settings = Settings(name=name, journal=journal, chain=chain)
        try:
            workspace.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{workspace.path} could not be made: {error.strerror}") from error
        party.save(workspace.keys, passphrase, n=scrypt_n)
        Witness.create(party, workspace.witness, clock=clock)
        # Settings last: without them there is no workspace, so a crash before leaves nothing half made in use.
        write_small(workspace.path / SETTINGS_FILE, settings.format(workspace.path).encode())
        return cls._of(workspace, settings, party, _Means(clock, randomness, kinds, heads), read_only=False)

    @classmethod
    def open(
        cls,
        path: Path | str = ".",
        *,
        passphrase: str | None = None,
        clock: Clock = system_clock,
        randomness: Randomness = os.urandom,
        kinds: Kinds = STANDARD_KINDS,
        read_only: bool = False,
        heads: Path | None = None,
        rotating: bool = False,
    ) -> Node:
        """Open a workspace.

        Args:
            path: its directory.
            passphrase: opens the key file; from the environment when None, see `passphrase_given`.
            clock: microseconds since the epoch.
            randomness: source of nonces.
            kinds: kinds that may be recorded.
            read_only: read beside another process; nothing can be recorded or signed.
            heads: as for `init`.
            rotating: finish a rotation of keys that was begun here; others are refused meanwhile.

        Raises:
            NotFoundError: no workspace here.
            ConfigurationError: settings that do not fit, or a rotation of keys that is not finished.
            KeyFileError: the wrong passphrase, or a damaged key file.
            LockedError: another process writes here.
            RollbackError: the journal stands below a remembered head: a restored backup.
            DamagedError: what stands on the disk is not what was written.
        """
        workspace = Workspace(Path(path))
        settings = Settings.read(workspace.path)
        if not (read_only or rotating) and workspace.next_keys.exists():
            # A head signed with the old key at a size that the new card names would be nobody's.
            raise ConfigurationError(
                "a rotation of keys was begun here and is not finished",
                hint="run `tallystick card rotate` again: it takes up what was begun",
            )
        passphrase = passphrase_given() if passphrase is None else passphrase
        if passphrase is None:
            raise KeyFileError("the key file needs a passphrase", hint="set TALLYSTICK_PASSPHRASE")
        party = Party.load(workspace.keys, passphrase)
        return cls._of(
            workspace, settings, party, _Means(clock, randomness, kinds, heads), read_only=read_only
        )

    @classmethod
    def _of(
        cls, workspace: Workspace, settings: Settings, party: Party, means: _Means, *, read_only: bool
    ) -> Node:
        if party.card.journal != settings.journal:
            raise ConfigurationError(
                f"the keys are of journal {party.card.journal}, the settings of {settings.journal}"
            )
        if read_only:
            journal = Journal.read(workspace.journal, party=party)
        else:
            remembered = [
                Checkpoint(party.origin, claim.size, claim.root, b"")
                for claim in read_claims(workspace.anchors)
            ]
            journal = Journal.open(
                workspace.journal,
                party=party,
                clock=means.clock,
                bounds=settings.clock,
                kinds=means.kinds,
                randomness=means.randomness,
                remembered=remembered,
                head_file=head_file(party.origin, means.heads),
            )
        try:
            node = cls(workspace, settings, party, journal, clock=means.clock, read_only=read_only)
            node._means, node._keys = means, read_small(workspace.keys)
            if not read_only:
                take_given(node)
            return node
        except BaseException:
            journal.close()
            raise

    def anchoring(self, *, chain: Chain | None = None) -> Anchoring:
        """Open the way to the chain; close it after use.

        Args:
            chain: an open chain to share with other nodes of this process; that of `share_chain` when None.
        """
        return Anchoring(
            self.workspace,
            self._chain_settings(),
            self.party,
            self.journal,
            clock=self.clock,
            chain=chain or self.shared_chain,
        )

    def anchor_due(self) -> bool:
        """Say whether the settings' count or age asks for an anchor now."""
        rule, anchored = self.settings.anchor, max((claim.size for claim in self._claims), default=0)
        fresh = self.journal.size - anchored
        if not fresh:
            return False
        oldest = next(
            self.journal.entries(anchored)
        )  # a witness may have covered older ones, and they be gone
        age_s = (self.clock() - oldest.statement.at) / 1_000_000
        return fresh >= rule.every_statements or age_s >= rule.every_seconds

    def anchor(
        self, *, chain: Chain | None = None, timeout_s: float | None = None, ask: bool = True
    ) -> list[AnchorClaim]:
        """Anchor the newest head, and finish what an earlier run began; see `Anchoring.anchor`.

        Where the settings name witnesses, they are asked for their lines first, and to attest anchors afterwards;
        `gathered` tells what came. Endpoints that were found lying or lagging meanwhile are stated, for the next anchor.

        Args:
            chain: as for `anchoring`.
            timeout_s: for the chain; the profile's `wait_s` when None.
            ask: whether witnesses are asked; what is there already counts all the same.

        Raises:
            QuorumError: the head waits for cosignatures; what was begun, or had enough of them, is anchored all the same.
        """
        self._chain_settings()
        take_given(self)
        size, self.gathered, short = head_to_anchor(self, ask=ask)
        way = self.anchoring(chain=chain)
        try:
            with stating(self.record_many, way.chain):
                fresh = way.anchor(size=size, timeout_s=timeout_s)
        finally:
            way.close()
        self._claims = read_claims(self.workspace.anchors)
        if ask:
            self.gathered = gather_notes(self, self.gathered)
        if short is not None:
            raise short
        return fresh

    def beside(self, *, read_only: bool) -> Node:
        """Open this workspace once more with the keys that are open here; its settings and cards are read again.

        Args:
            read_only: as for `open`.

        Raises:
            ConfigurationError: its keys were rotated meanwhile.
            LockedError: another process writes here.
        """
        if read_small(self.workspace.keys) != self._keys:
            raise ConfigurationError("the keys were changed meanwhile", hint="start it again")
        settings = Settings.read(self.workspace.path)
        return self._of(self.workspace, settings, self.party, self._means, read_only=read_only)

    def set_chain(self, chain: ChainSettings) -> None:
        """Write another chain, or other contracts on it, into the settings."""
        before = self.settings.chain
        if before is not None and before.profile != chain.profile:
            self.share_chain(None)  # what is shared is the chain that was set before
        self.settings = replace(self.settings, chain=chain)
        write_small(self.workspace.path / SETTINGS_FILE, self.settings.format(self.workspace.path).encode())
        self._claims = read_claims(self.workspace.anchors)

    def set_witnesses(self, witnesses: WitnessSettings, *, before_anchor: bool) -> None:
        """Write into the settings who is asked for lines.

        Args:
            witnesses: where they listen, and how many lines are wanted.
            before_anchor: whether a head needs so many before it is anchored.
        """
        anchor = replace(self.settings.anchor, cosigned=witnesses.wanted if before_anchor else 0)
        self.settings = replace(self.settings, anchor=anchor, witnesses=witnesses)
        write_small(self.workspace.path / SETTINGS_FILE, self.settings.format(self.workspace.path).encode())

    def close(self) -> None:
        """Close the journal and give its lock back."""
        if self._rehashing is not None:
            self._rehashing.stop()
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
