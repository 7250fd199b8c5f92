"""A monitor: follows other members' logs, checks that each head follows the one before, and says what it saw.

For each log, in this order:

1. its newest cards must continue the known ones, and its head be signed by the key that they name;
2. its tiles must lead to the head, and the head extend the last one that was checked here;
3. the heads that other members' witnesses were shown must stand in the same history: who shows two is found;
4. the last anchored head must too, where the workspace has a chain.

Two heads that cannot stand in one history convict the log: both are kept in one file. Everything else that does not
fit is an alarm. A statement is recorded first and the state moves on last, so a crash between them repeats a look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick.errors import (
    CardError,
    DamagedError,
    EncodingError,
    EvidenceError,
    ForkError,
    NodeUnreachableError,
    NoteError,
    NotFoundError,
    ProofError,
)
from tallystick.proof import (
    Checkpoint,
    TileTree,
    check_format,
    fork_of_checkpoints,
    fork_of_growth,
    format_json,
    parse_checkpoint,
    parse_json,
)

from ._evidence_files import keep_evidence
from ._peers import CardFile, Peers
from ._remote import RemoteNode
from ._workspace import Workspace, read_small, write_small

__all__ = ["Monitor", "Sighting"]

ALARM: Final = "alarm"
CHECKED: Final = "checked"
FORKED: Final = "forked"
SAME: Final = "same"
SILENT: Final = "silent"
_FORMAT = "tallystick/watched"

Record = Callable[[str, dict[str, Any]], object]
Anchored = Callable[[str], "tuple[int, bytes] | None"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look at a log saw.

    Args:
        party: id.
        name: as on its card.
        found: ``checked`` (new entries, all in order), ``same``, ``silent`` (no answer), ``alarm`` or ``forked``.
        size: of its head; the last one checked where there is no new one.
        since: size of the head before.
        why: what is wrong, in words; empty when nothing is.
        compared: other members' witnesses whose head of this log was compared.
        evidence: the file that convicts it.
    """

    party: str
    name: str
    found: str
    size: int
    since: int
    why: str = ""
    compared: int = 0
    evidence: Path | None = None

    @property
    def is_alarm(self) -> bool:
        """Whether somebody should look at it now."""
        return self.found in (ALARM, FORKED)


@dataclass(frozen=True, slots=True)
class _Watched:
    """What is remembered of a log: the last head that was checked, and what was said of it last."""

    head: Checkpoint | None = None
    said: str = ""


@dataclass(slots=True)
class _Look:
    peer: CardFile
    before: _Watched
    head: Checkpoint | None = None
    compared: int = 0
    anchored: int = 0
    evidence: bytes = field(default=b"")


class Monitor:
    """Follows logs of known parties.

    Args:
        workspace: keeps what was seen in ``watched/``, and evidence in ``evidence/``.
        peers: known parties.
        logs: party id -> its node. Each is a witness of the others' logs as well.
        record: states what was seen in the own journal: kind and body.
        anchored: says which head of a journal (by origin) the chain has last: size and root; None without a chain.
    """

    def __init__(
        self,
        workspace: Workspace,
        peers: Peers,
        logs: Mapping[str, RemoteNode],
        *,
        record: Record,
        anchored: Anchored | None = None,
    ) -> None:
        self._workspace, self._peers, self._logs = workspace, peers, dict(logs)
        self._record, self._anchored = record, anchored
        for party in logs:
            peers.get(party)

    def look(self) -> list[Sighting]:
        """Look at every log once; one that does not answer keeps nobody from the others."""
        return [self._look_at(party) for party in self._logs]

    def _look_at(self, party: str) -> Sighting:
        look = _Look(self._peers.get(party), self._read(party))
        found, why = CHECKED, ""
        try:
            self._check(look)
        except NodeUnreachableError as error:
            found, why = SILENT, error.message
        except ForkError as error:
            found, why, look.evidence = FORKED, error.message, error.evidence
        except (EvidenceError, NotFoundError) as error:
            found, why = ALARM, error.message
        before = look.before.head
        if (
            found == CHECKED
            and before is not None
            and look.head is not None
            and look.head.head == before.head
        ):
            found = SAME
        return self._say(look, found, why)

    def _check(self, look: _Look) -> None:
        remote, before = self._logs[look.peer.id], look.before.head
        self._take_cards(look, remote)
        head = remote.checkpoint(look.peer.cards)
        look.head = head
        tree = remote.tree(head)
        tree.check()
        self._check_follows(look, tree, before, "this monitor")
        for party, other in self._logs.items():
            if party == look.peer.id:
                continue
            try:
                shown = other.seen(head.origin, look.peer.cards)
            except (EncodingError, NodeUnreachableError, NoteError):
                continue  # its own look says so
            if shown is not None:
                self._check_follows(look, tree, shown, self._peers.get(party).name)
                look.compared += 1
        self._check_anchor(look, tree)

    def _take_cards(self, look: _Look, remote: RemoteNode) -> None:
        served = remote.card()
        if served.id != look.peer.id:
            raise CardError("another party answers at this log's address")
        known = look.peer.cards
        if len(served.cards) > len(known):
            self._peers.add(served)
            look.peer = self._peers.get(served.id)
        elif served.cards != known[: len(served.cards)]:
            raise CardError(f"the cards that {look.peer.name} shows contradict the ones known")

    def _check_follows(self, look: _Look, tree: TileTree, earlier: Checkpoint | None, whose: str) -> None:
        """Hold the log's head against one that it signed before, as somebody was shown it."""
        head = tree.head
        if earlier is None or earlier.head == head.head:
            return
        if earlier.size == head.size:
            evidence = fork_of_checkpoints(earlier, head, look.peer.cards)
            raise ForkError(f"the log signed two roots at size {head.size}", evidence=evidence)
        if earlier.size > head.size:
            raise ProofError(f"the log shows size {head.size}, {whose} was shown {earlier.size}")
        root, proof = tree.root_at(earlier.size) if earlier.size else (earlier.root, [])
        if root != earlier.root:
            raise ForkError(
                f"the log's head of size {head.size} does not follow the one of size {earlier.size} "
                f"that {whose} was shown",
                evidence=fork_of_growth(earlier, head, look.peer.cards, root=root, proof=proof),
            )

    def _check_anchor(self, look: _Look, tree: TileTree) -> None:
        found = None if self._anchored is None else self._anchored(tree.head.origin)
        if found is None:
            return
        size, root = found
        if size > tree.head.size:
            raise ProofError(f"the log shows size {tree.head.size}, the chain has {size}")
        try:
            tree.check_follows(size, root)
        except ProofError as error:
            raise ProofError(f"the log's head does not follow the one anchored at size {size}") from error
        look.anchored = size

    # -- what is said and remembered -----------------------------------------------------------------------

    def _say(self, look: _Look, found: str, why: str) -> Sighting:
        before, head = look.before.head, look.head
        path = None
        if look.evidence and head is not None:
            path = keep_evidence(self._workspace, head, look.evidence)
        shown = head or before
        sighting = Sighting(
            party=look.peer.id,
            name=look.peer.name,
            found=found,
            size=shown.size if shown else 0,
            since=before.size if before else 0,
            why=why,
            compared=look.compared,
            evidence=path,
        )
        # The same thing wrong is said once, until something else is seen.
        said = f"{found} {why}" if why else ""
        if found == SAME or (why and said == look.before.said):
            return sighting
        self._state(sighting, head, look)
        kept = head if found == CHECKED else before
        if kept is not None or said:
            self._write(look.peer.id, _Watched(kept, said))
        return sighting

    def _state(self, sighting: Sighting, head: Checkpoint | None, look: _Look) -> None:
        body: dict[str, Any] = {"party": sighting.party, "size": sighting.size}
        if sighting.found == CHECKED and head is not None:
            body |= {"compared": look.compared, "root": head.root.hex(), "since": sighting.since}
            self._record("log.checked", body | ({"anchored": look.anchored} if look.anchored else {}))
        elif sighting.found == FORKED:
            digest = hashlib.sha256(look.evidence).hexdigest()
            self._record("log.forked", body | {"evidence": digest, "what": sighting.why})
        elif sighting.found == ALARM:
            self._record("log.doubted", body | {"what": sighting.why})

    def _place(self, party: str) -> Path:
        name = hashlib.sha256(party.encode()).hexdigest()[:32]
        return self._workspace.path / "watched" / f"{name}.json"

    def _read(self, party: str) -> _Watched:
        data = read_small(self._place(party))
        if data is None:
            return _Watched()
        try:
            document = check_format(parse_json(data.removesuffix(b"\n")), _FORMAT)
            note = document["head"]
            return _Watched(parse_checkpoint(note.encode()) if note else None, document["said"])
        except (AttributeError, EncodingError, KeyError, NoteError, TypeError) as error:
            raise DamagedError(
                "what was remembered of a log is damaged",
                hint="remove the file in watched/: the log is then checked from its present head",
            ) from error

    def _write(self, party: str, watched: _Watched) -> None:
        note = watched.head.note.decode() if watched.head else ""
        document = {"head": note, "said": watched.said, "type": _FORMAT, "v": 1}
        write_small(self._place(party), format_json(document) + b"\n")
