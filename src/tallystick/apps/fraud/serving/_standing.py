"""How a service stands, in figures that nobody's privacy hangs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tallystick.apps.fraud.sharing import ShareStanding

__all__ = ["Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands.

    Args:
        mode: ``normal``, ``confirm``, ``rules`` while rules decide alone, or ``refuse``.
        why: why rules decide alone, or why nothing is decided; empty otherwise.
        journal: statements.
        journal_bytes: of the journal and its payloads on the disk.
        engine_waiting: payments in the engine's queue.
        has_chain: whether there is a chain to anchor to.
        anchored: statements under the newest anchor; None where nothing is anchored.
        backlog: statements that the chain does not have yet.
        backlog_s: how long the oldest of them has waited.
        anchor_error: code of the last attempt's error; empty when it went well.
        cases_waiting: alerts whose case is still to be opened.
        verified: statements that were hashed again behind the start.
        verification: ``none``, ``running``, ``done`` or ``failed``.
        drift: input or ``score`` -> population stability index.
        is_deciding: whether payments are decided.
        sharing: how sharing with other banks stands; None where there is none.
    """

    mode: str = "normal"
    why: str = ""
    journal: int = 0
    journal_bytes: int = 0
    engine_waiting: int = 0
    has_chain: bool = False
    anchored: int | None = None
    backlog: int = 0
    backlog_s: float = 0.0
    anchor_error: str = ""
    cases_waiting: int = 0
    verified: int = 0
    verification: str = "none"
    drift: Mapping[str, float] = field(default_factory=dict)
    is_deciding: bool = True
    sharing: ShareStanding | None = None

    @property
    def is_ready(self) -> bool:
        """Whether payments should be sent here."""
        return self.is_deciding and self.verification != "failed"
