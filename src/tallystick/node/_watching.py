"""The side of a node that looks at others: it witnesses their heads and attests their anchors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.errors import CardError, ConfigurationError, LockedError
from tallystick.proof import AnchorClaim, Checkpoint, Clock, Journal, NoteSignature, Party, Receipt, Witness

from ._anchoring import read_claims, write_claims
from ._attesting import attest, attest_claim, merge_note
from ._evidence import Evidence
from ._peers import Peers
from ._settings import ChainSettings, Settings
from ._witnessing import WitnessAsk, sign_ask
from ._workspace import Workspace

if TYPE_CHECKING:
    from tallystick.chain import Chain

__all__ = ["Witnessing"]


class Witnessing(Evidence):
    """A party's evidence, and what it says of other parties' evidence.

    Args:
        workspace: where the files stand.
        settings: as read from `tallystick.toml`.
        party: the keys.
        journal: the party's journal.
        clock: microseconds since the epoch.
        read_only: opened beside another process that writes.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        party: Party,
        journal: Journal,
        *,
        clock: Clock,
        read_only: bool,
    ) -> None:
        super().__init__(party, journal, Peers(workspace.peers), read_claims(workspace.anchors))
        self.workspace, self.settings, self.read_only = workspace, settings, read_only
        self.clock = clock
        self._witness: Witness | None = None
        self._seen_of_files: tuple[object, ...] = ()

    @property
    def witness(self) -> Witness:
        """This party as a witness of others."""
        if self.read_only:
            raise LockedError(
                "this workspace is open for reading only", hint="wait until the other process is done"
            )
        if self._witness is None:
            self._witness = Witness(self.party, self.workspace.witness, clock=self.clock)
        return self._witness

    def cosign(self, ask: WitnessAsk) -> Checkpoint:
        """Witness another party's head; see `sign_ask`. Only parties whose card was imported are witnessed.

        Raises:
            NotFoundError: the asking party is not known here.
            CardError: its cards contradict the ones known.
            WitnessConflictError: the ask starts from another size than this witness has seen.
            ForkError: another root at a size that was seen.
            ProofError: the head does not follow what this witness has seen.
        """
        known = self.peers.get(ask.checkpoint.origin).cards
        shorter, longer = sorted((known, ask.cards), key=len)
        if longer[: len(shorter)] != shorter:
            raise CardError(
                "the cards in the ask are not those known of this party", hint="compare fingerprints again"
            )
        # The longer chain counts: whoever holds a retired log key would leave the card out that retires it.
        return sign_ask(self.witness, replace(ask, cards=longer))

    def attest(self, receipt: Receipt, *, chain: Chain | None = None) -> bytes:
        """Read another party's anchor on this party's own chain and sign that it stands there; see `attest`."""
        self.peers.get(receipt.checkpoint.origin)
        return attest(self.witness, receipt, self._chain_settings(), chain=chain)

    def attest_claim(
        self,
        claim: AnchorClaim,
        origin: str,
        *,
        witness: Witness | None = None,
        chain: Chain | None = None,
    ) -> NoteSignature:
        """Read an anchor on this party's own chain and sign that it stands there; see `attest`.

        Args:
            claim: the anchor.
            origin: of the journal; the asker made sure that its party is known here.
            witness: signs in place of the workspace's own, which only whoever writes here may open.
            chain: an open chain to share.
        """
        settings = self._chain_settings()
        return attest_claim(witness or self.witness, claim, origin, settings, chain=chain)

    def add_anchor_note(self, note: bytes) -> dict[str, int]:
        """Keep what witnesses say of an own anchor; see `merge_note`."""
        self._claims, given = merge_note(note, self._claims, self.origin, self.peers)
        write_claims(self.workspace.anchors, self._claims)
        return given

    def reload(self) -> None:
        """See the cards and anchors that another process has kept since; cheap when there is nothing new."""
        standing = tuple(_standing(path) for path in (self.workspace.peers, self.workspace.anchors))
        if standing != self._seen_of_files:
            self.peers, self._claims = Peers(self.workspace.peers), read_claims(self.workspace.anchors)
            self._seen_of_files = standing

    def _chain_settings(self) -> ChainSettings:
        if self.settings.chain is None:
            raise ConfigurationError(
                "this workspace has no chain",
                hint="set [chain] in tallystick.toml, or `tallystick init --chain`",
            )
        return self.settings.chain


def _standing(path: Path) -> tuple[int, int] | None:
    """What tells one state of a file or directory from another; both are replaced, never changed in place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
